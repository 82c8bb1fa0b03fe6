//! Who is reached without a proxy: the list in `NO_PROXY`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// A list of hosts, between which are commas or spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass(Vec<Rule>);

/// All parts have to match.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    secure: Option<bool>,
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Any,
    /// The host itself and all below it; without the dot in front.
    Domain(String),
    /// With `*` in it.
    Pattern(String),
    Exact(String),
    Network {
        address: IpAddr,
        bits: u8,
    },
}

/// An entry that cannot be meant as it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadEntry(String);

impl fmt::Display for BadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is neither a host, `host:port`, `.domain`, a pattern with `*`", self.0)?;
        f.write_str(" nor a network such as `10.0.0.0/8`")
    }
}

impl FromStr for Bypass {
    type Err = BadEntry;

    fn from_str(list: &str) -> Result<Self, BadEntry> {
        let entries =
            list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
        entries.map(Rule::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Bypass {
    pub(super) fn covers(&self, uri: &Uri) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let host = plain_host(uri.host().unwrap_or_default());
        self.0.iter().any(|rule| rule.covers(secure, &host, port))
    }
}

impl Rule {
    fn parse(entry: &str) -> Result<Self, BadEntry> {
        let bad = || BadEntry(entry.to_owned());
        let (secure, rest) = match entry.split_once("://") {
            None => (None, entry),
            Some((scheme, rest)) => {
                let secure = match scheme.to_ascii_lowercase().as_str() {
                    "http" | "ws" => false,
                    "https" | "wss" => true,
                    _ => return Err(bad()),
                };
                (Some(secure), rest.trim_end_matches('/'))
            }
        };
        let rule = |host, port| Ok(Self { secure, host, port });
        if let Some((address, bits)) = rest.split_once('/') {
            let network = Host::network(address, bits).ok_or_else(bad)?;
            return rule(network, None);
        }
        if rest.parse::<IpAddr>().is_ok() {
            return rule(Host::Exact(plain_host(rest)), None);
        }
        let (host, port) = match rest.rsplit_once(':') {
            // The colon of `[::1]`.
            Some((_, after)) if after.ends_with(']') => (rest, None),
            Some((host, port)) => (host, Some(port.parse().map_err(|_| bad())?)),
            None => (rest, None),
        };
        rule(Host::parse(host).ok_or_else(bad)?, port)
    }

    fn covers(&self, secure: bool, host: &str, port: u16) -> bool {
        self.secure.is_none_or(|only| only == secure)
            && self.port.is_none_or(|only| only == port)
            && self.host.covers(host)
    }
}

impl Host {
    fn parse(host: &str) -> Option<Self> {
        let host = plain_host(host);
        if host.is_empty() || host == "." {
            return None;
        }
        Some(match host.strip_prefix('.') {
            _ if host == "*" => Self::Any,
            _ if host.contains('*') => Self::Pattern(host),
            Some(domain) => Self::Domain(domain.to_owned()),
            None => Self::Exact(host),
        })
    }

    fn network(address: &str, bits: &str) -> Option<Self> {
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        let address: IpAddr = bare.unwrap_or(address).parse().ok().or_else(|| short(address))?;
        let bits: u8 = bits.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self::Network { address, bits })
    }

    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == host,
            Self::Pattern(pattern) => fits(pattern, host),
            Self::Domain(domain) => match host.strip_suffix(domain.as_str()) {
                Some(below) => below.is_empty() || below.ends_with('.'),
                None => false,
            },
            Self::Network { address, bits } => match (address, host.parse()) {
                (IpAddr::V4(network), Ok(IpAddr::V4(host))) => {
                    let unlike = u32::from(*network) ^ u32::from(host);
                    unlike.checked_shr(32 - u32::from(*bits)).unwrap_or(0) == 0
                }
                (IpAddr::V6(network), Ok(IpAddr::V6(host))) => {
                    let unlike = u128::from(*network) ^ u128::from(host);
                    unlike.checked_shr(128 - u32::from(*bits)).unwrap_or(0) == 0
                }
                _ => false,
            },
        }
    }
}

/// The beginning of an IPv4 address, as macOS writes `169.254/16`.
fn short(address: &str) -> Option<IpAddr> {
    let missing = 3_usize.checked_sub(address.matches('.').count())?;
    format!("{address}{}", ".0".repeat(missing)).parse().ok()
}

/// In lower case, without the brackets of an IPv6 address and the dot of a full name.
fn plain_host(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        // One spelling for each address.
        Ok(address) => address.to_string(),
        Err(_) if bare.len() > 1 => bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase(),
        Err(_) => bare.to_ascii_lowercase(),
    }
}

/// Whether `text` is `pattern` with each `*` standing for any text, the empty one included.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*');
    let last = parts.next_back().unwrap_or_default();
    for part in parts {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, covered: &[&str], not: &[&str]) {
        let bypass: Bypass = list.parse().unwrap();
        for (uris, expected) in [(covered, true), (not, false)] {
            for uri in uris {
                assert_eq!(bypass.covers(&uri.parse().unwrap()), expected, "{list}: {uri}");
            }
        }
    }

    #[test]
    fn nothing_is_covered_by_an_empty_list() {
        check("", &[], &["http://localhost/", "https://example.com/"]);
        check(" , ,", &[], &["http://localhost/"]);
    }

    #[test]
    fn commas_and_any_white_space_part_hosts() {
        check("a.test\nb.test\r\n\tc.test,d.test", &["http://a.test/", "http://b.test/"], &[]);
        check("a.test\nb.test\r\n\tc.test,d.test", &["http://c.test/", "http://d.test/"], &[]);
    }

    #[test]
    fn a_star_covers_all() {
        check("*", &["http://localhost/", "https://[::1]:8443/"], &[]);
    }

    #[test]
    fn a_name_covers_itself() {
        check(
            "localhost, Example.COM",
            &["http://localhost:8080/", "https://example.com/", "https://EXAMPLE.com./"],
            &["https://api.example.com/", "https://notexample.com/", "http://127.0.0.1/"],
        );
    }

    #[test]
    fn a_dot_covers_the_domain_and_all_below() {
        check(
            ".example.com",
            &["https://example.com/", "https://a.b.example.com/"],
            &["https://notexample.com/", "https://example.com.evil.test/"],
        );
    }

    #[test]
    fn a_pattern_covers_what_fits() {
        check("*.example.com", &["https://a.example.com/"], &["https://example.com/"]);
        check("10.*", &["http://10.1.2.3/"], &["http://110.1.2.3/"]);
        check("a*b*c", &["http://abc/", "http://axxbyyc/"], &["http://acb/", "http://ab/"]);
    }

    #[test]
    fn a_port_and_a_scheme_narrow_it_down() {
        check("a.test:8443", &["https://a.test:8443/"], &["https://a.test/"]);
        check("a.test:443", &["https://a.test/"], &["http://a.test/"]);
        check("https://a.test", &["https://a.test:8443/"], &["http://a.test/"]);
        check("wss://a.test", &["https://a.test/"], &["http://a.test/"]);
        check("HTTPS://A.Test/", &["https://a.test/"], &["http://a.test/"]);
        check("[::1]:80", &["http://[::1]/"], &["https://[::1]/"]);
    }

    #[test]
    fn addresses_and_networks_are_covered() {
        check("127.0.0.1", &["http://127.0.0.1:81/"], &["http://127.0.0.2/", "http://localhost/"]);
        check("::1", &["http://[0:0::1]/"], &["http://[::2]/"]);
        check("10.0.0.0/8", &["http://10.255.0.1/"], &["http://11.0.0.1/", "http://[::1]/"]);
        check("169.254/16", &["http://169.254.169.254/"], &["http://169.253.0.1/"]);
        check("10/8 [fd00::]/8", &["http://10.1.1.1/", "http://[fd00::1]/"], &["http://11.0.0.1/"]);
        check("fd00::/8", &["http://[fd12::1]/"], &["http://[fe80::1]/", "http://10.0.0.1/"]);
        check("0.0.0.0/0,::/0", &["http://1.2.3.4/", "http://[::1]/"], &["http://localhost/"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for list in ["10.0.0.0/33", "host/8", "a.test:port", "ftp://a.test", ":80", "[", "."] {
            let parsed = list.parse::<Bypass>();
            if list == "[" {
                // A strange name, which no host has.
                assert!(parsed.is_ok());
            } else {
                assert_eq!(parsed, Err(BadEntry(list.to_owned())), "{list}");
            }
        }
    }
}
