//! Where credentials may go.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Scheme};

/// Scheme, host and port of the provider: where credentials may go.
///
/// Hosts compare without case and a scheme's default port equals no port. `ws` counts as `http`
/// and `wss` as `https`, because a WebSocket handshake is a request to the same server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin(Arc<Parts>);

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    secure: bool,
    /// As in a URL: lower case, without a default port.
    authority: Box<str>,
    host_len: usize,
    port: u16,
}

impl Origin {
    /// The origin of an absolute `http`, `https`, `ws` or `wss` URI; `None` for any other.
    pub fn of(uri: &Uri) -> Option<Self> {
        let (secure, host, port) = parts(uri)?;
        Some(Self::new(secure, host.to_ascii_lowercase(), port))
    }

    /// The origin of `https://{host}`, given in lower case.
    pub(crate) fn https(host: &str) -> Self {
        Self::new(true, host.to_owned(), default_port(true))
    }

    /// `host` in lower case.
    fn new(secure: bool, host: String, port: u16) -> Self {
        let host_len = host.len();
        let authority = if port == default_port(secure) { host } else { format!("{host}:{port}") };
        Self(Arc::new(Parts { secure, authority: authority.into(), host_len, port }))
    }

    /// True if `uri` is absolute and has this origin.
    pub fn matches(&self, uri: &Uri) -> bool {
        // Written the same, as is the rule, it need not be taken apart. These are the schemes that
        // `http::Uri` knows, so the comparison is one of constants.
        let scheme = if self.0.secure { &Scheme::HTTPS } else { &Scheme::HTTP };
        let authority = uri.authority().map(Authority::as_str);
        if authority == Some(&*self.0.authority) && uri.scheme() == Some(scheme) {
            return true;
        }
        parts(uri).is_some_and(|(secure, host, port)| {
            secure == self.0.secure && port == self.0.port && host.eq_ignore_ascii_case(self.host())
        })
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.0.secure { "https" } else { "http" }
    }

    /// The host in lower case; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        self.0.authority.get(..self.0.host_len).unwrap_or_default()
    }

    /// The port, the scheme's default included.
    pub fn port(&self) -> u16 {
        self.0.port
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl fmt::Display for Origin {
    /// As in a URL: a default port is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.0.authority)
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn parts(uri: &Uri) -> Option<(bool, &str, u16)> {
    let secure = match uri.scheme_str()? {
        scheme if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") => {
            true
        }
        scheme if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") => false,
        _ => return None,
    };
    let host = uri.host().filter(|host| !host.is_empty())?;
    Some((secure, host, uri.port_u16().unwrap_or_else(|| default_port(secure))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn origins_compare_scheme_host_and_port() {
        let origin = Origin::of(&uri("https://API.example.com/v1")).unwrap();
        for same in [
            "https://api.example.com",
            "HTTPS://api.EXAMPLE.com:443/x?y",
            "wss://api.example.com/socket",
        ] {
            assert!(origin.matches(&uri(same)), "{same}");
        }
        for other in [
            "http://api.example.com/v1",
            "https://api.example.com:8443/v1",
            "https://api.example.com.evil.test/v1",
            "https://example.com/v1",
            "ws://api.example.com/socket",
            "ftp://api.example.com/",
            "/v1",
        ] {
            assert!(!origin.matches(&uri(other)), "{other}");
        }
    }

    #[test]
    fn origins_print_as_in_a_url() {
        let shown = |text| Origin::of(&uri(text)).map(|origin| origin.to_string());
        assert_eq!(shown("https://X.test:443/").as_deref(), Some("https://x.test"));
        assert_eq!(shown("http://[::1]:8080/a").as_deref(), Some("http://[::1]:8080"));
        let host = |text| Origin::of(&uri(text)).map(|origin| origin.host().to_owned());
        assert_eq!(host("http://[::1]:8080/a").as_deref(), Some("[::1]"));
        assert_eq!(host("https://X.test:443/").as_deref(), Some("x.test"));
        assert_eq!(shown("/relative"), None);
        assert_eq!(shown("ftp://x.test/"), None);
    }
}
