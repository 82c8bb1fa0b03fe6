//! The cookies, and what may be one.

use std::time::{Duration, SystemTime};

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use tokio::time::Instant;

const LARGEST_JAR: usize = 64;
const LARGEST_COOKIE: usize = 4 * 1024;
const LARGEST_HEADER: usize = 8 * 1024;

/// No cookie is kept for longer, as browsers have it.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

const NAMES: [&str; 9] = [
    "__cf_bm",
    "__cflb",
    "__cfruid",
    "__cfseq",
    "__cfwaitingroom",
    "_cfuvid",
    "cf_clearance",
    "cf_ob_info",
    "cf_use_ob",
];

/// A host and a path that cookies are for.
pub(super) struct Place {
    host: String,
    path: String,
}

impl Place {
    /// `None` if no cookies are kept there.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return None;
        }
        // Most requests are for other hosts; for these nothing is allocated.
        let host = uri.host().filter(|host| is_chatgpt(host))?;
        Some(Self { host: host.to_ascii_lowercase(), path: uri.path().to_owned() })
    }

    fn folder(&self) -> String {
        match self.path.rsplit_once('/') {
            Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
            _ => "/".to_owned(),
        }
    }
}

fn is_chatgpt(host: &str) -> bool {
    let below = |domain| {
        let cut = host.len().checked_sub(str::len(domain));
        let end = cut.and_then(|cut| host.get(cut..));
        let before = cut.and_then(|cut| host.get(..cut)).unwrap_or_default();
        end.is_some_and(|end| end.eq_ignore_ascii_case(domain))
            && (before.is_empty() || before.ends_with('.'))
    };
    below("chatgpt.com")
        || below("chatgpt-staging.com")
        || host.eq_ignore_ascii_case("chat.openai.com")
}

fn is_cloudflares(name: &str) -> bool {
    NAMES.contains(&name) || name.starts_with("cf_chl_")
}

struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Not for hosts below the domain.
    host_only: bool,
    path: String,
    /// `None`: as long as the jar.
    until: Option<Instant>,
}

impl Cookie {
    fn is_for(&self, place: &Place) -> bool {
        let host = match place.host.strip_suffix(self.domain.as_str()) {
            Some("") => true,
            Some(below) => !self.host_only && below.ends_with('.'),
            None => false,
        };
        let path = match place.path.strip_prefix(self.path.as_str()) {
            Some(rest) => rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'),
            None => false,
        };
        host && path
    }
}

/// Cookies, the oldest first.
#[derive(Default)]
pub(super) struct Jar(Vec<Cookie>);

impl Jar {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of `cookie` for a request to `place`.
    pub(super) fn header(&mut self, place: &Place) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let now = Instant::now();
        self.0.retain(|cookie| cookie.until.is_none_or(|until| until > now));
        let mut cookies: Vec<_> = self.0.iter().filter(|cookie| cookie.is_for(place)).collect();
        // Stable: of the same length the older one stays first.
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut text = String::new();
        for Cookie { name, value, .. } in cookies {
            if text.len() + name.len() + value.len() + 3 > LARGEST_HEADER {
                continue;
            }
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        let mut header = HeaderValue::try_from(text).ok().filter(|header| !header.is_empty())?;
        header.set_sensitive(true);
        Some(header)
    }

    /// Does what a `set-cookie` of an answer from `place` says, if that is a cookie to keep.
    pub(super) fn add(&mut self, place: &Place, text: &str) {
        let Some((cookie, lasts)) = read(place, text) else { return };
        let known = self.0.iter().position(|known| {
            (&known.name, &known.domain, &known.path)
                == (&cookie.name, &cookie.domain, &cookie.path)
        });
        match known.and_then(|known| self.0.get_mut(known).map(|cookie| (known, cookie))) {
            Some((known, _)) if !lasts => drop(self.0.remove(known)),
            Some((_, known)) => *known = cookie,
            None if lasts => {
                if self.0.len() >= LARGEST_JAR {
                    self.0.remove(0);
                }
                self.0.push(cookie);
            }
            None => {}
        }
    }
}

/// The cookie, and whether it is one to keep rather than to forget.
fn read(place: &Place, text: &str) -> Option<(Cookie, bool)> {
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if !is_cloudflares(name) || name.len() + value.len() > LARGEST_COOKIE {
        return None;
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: place.host.clone(),
        host_only: true,
        path: place.folder(),
        until: None,
    };
    let (mut max_age, mut expires) = (None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "max-age" => max_age = seconds(value).or(max_age),
            "expires" => expires = until(value).or(expires),
            "domain" => {
                let domain = value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase();
                if !domain.is_empty() {
                    cookie.domain = domain;
                    cookie.host_only = false;
                }
            }
            "path" if value.starts_with('/') => cookie.path = value.to_owned(),
            _ => {}
        }
    }
    // Not for a domain that others share, such as `com`, nor for another host.
    let root = Place { host: place.host.clone(), path: cookie.path.clone() };
    if !is_chatgpt(&cookie.domain) || !cookie.is_for(&root) {
        return None;
    }
    let lasts = max_age.or(expires);
    cookie.until = lasts.map(|lasts| Instant::now() + lasts.min(LONGEST));
    Some((cookie, lasts.is_none_or(|lasts| !lasts.is_zero())))
}

/// How long `max-age` says; zero for what is over.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.starts_with('-') {
        true => Some(Duration::ZERO),
        false => Some(text.parse().map_or(LONGEST, Duration::from_secs)),
    }
}

/// How long it is until the date that `expires` names; zero if that is past.
fn until(text: &str) -> Option<Duration> {
    // Netscape's form, which Cloudflare writes: `Thu, 01-Jan-26 00:00:00 GMT`.
    let text = text.replace('-', " ");
    let mut words: Vec<_> = text.split_ascii_whitespace().map(str::to_owned).collect();
    if let Some(year) = words.get_mut(3).filter(|year| year.len() == 2) {
        let century = if year.as_str() < "70" { "20" } else { "19" };
        year.insert_str(0, century);
    }
    let date = httpdate::parse_http_date(&words.join(" ")).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(uri: &str) -> Place {
        Place::of(&uri.parse().unwrap()).unwrap_or_else(|| panic!("no cookies for {uri}"))
    }

    /// What is sent to `to` after `from` has set these.
    fn sent(from: &str, cookies: &[&str], to: &str) -> String {
        let mut jar = Jar::default();
        for cookie in cookies {
            jar.add(&place(from), cookie);
        }
        let header = jar.header(&place(to));
        header.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    const HOST: &str = "https://chatgpt.com/backend-api/codex/responses";

    #[test]
    fn only_these_hosts_have_cookies() {
        for uri in [
            "https://chatgpt.com/",
            "https://CHATGPT.com:443/x",
            "https://a.b.chatgpt.com/",
            "https://chat.openai.com/",
            "https://chatgpt-staging.com/",
            "https://a.chatgpt-staging.com/",
        ] {
            place(uri);
        }
        for uri in [
            "http://chatgpt.com/",
            "https://evilchatgpt.com/",
            "https://chatgpt.com.evil.example/",
            "https://api.openai.com/",
            "https://foo.chat.openai.com/",
            "https://openai.com/",
            "https://com/",
            "https://\u{e9}chatgpt.com/",
            "/backend-api",
        ] {
            let place = uri.parse().ok().as_ref().and_then(Place::of);
            assert!(place.is_none(), "{uri}");
        }
    }

    #[tokio::test]
    async fn only_these_names_are_kept() {
        for name in NAMES.into_iter().chain(["cf_chl_rc_i", "cf_chl_"]) {
            assert_eq!(sent(HOST, &[&format!("{name}=x; path=/")], HOST), format!("{name}=x"));
        }
        for name in ["session", "__Secure-next-auth", "_cfuvid2", "CF_CLEARANCE", "", "cf_ch"] {
            assert_eq!(sent(HOST, &[&format!("{name}=x; path=/")], HOST), "", "{name}");
        }
        assert_eq!(sent(HOST, &["__cf_bm; path=/", "", ";=", "__cf_bm"], HOST), "");
    }

    #[tokio::test]
    async fn domain_and_path_decide_where_a_cookie_goes() {
        let below = "https://a.chatgpt.com/backend-api/codex/responses";
        let own = "__cf_bm=x; path=/";
        assert_eq!(sent(HOST, &[own], below), "");
        let all = "__cf_bm=x; path=/; domain=.ChatGPT.com";
        assert_eq!(sent(HOST, &[all], below), "__cf_bm=x");
        assert_eq!(sent(below, &[all], HOST), "__cf_bm=x");
        for domain in ["com", "openai.com", "a.chatgpt.com", "evilchatgpt.com"] {
            assert_eq!(sent(HOST, &[&format!("__cf_bm=x; domain={domain}")], HOST), "");
        }
        for (path, to, goes) in [
            ("/backend-api", "/backend-api/codex", true),
            ("/backend-api", "/backend-apis", false),
            ("/backend-api/", "/backend-api/x", true),
            ("/x", "/backend-api", false),
            ("relative", "/backend-api/codex/models", true),
            ("relative", "/backend-api/files", false),
        ] {
            let found = sent(
                HOST,
                &[&format!("__cf_bm=x; path={path}")],
                &format!("https://chatgpt.com{to}"),
            );
            assert_eq!(!found.is_empty(), goes, "{path} {to}");
        }
        let two = ["__cflb=a; path=/", "__cf_bm=b; path=/backend-api"];
        assert_eq!(sent(HOST, &two, HOST), "__cf_bm=b; __cflb=a");
    }

    #[tokio::test(start_paused = true)]
    async fn cookies_last_as_long_as_they_say() {
        let mut jar = Jar::default();
        let at = place(HOST);
        jar.add(&at, "__cf_bm=x; path=/; max-age=1800; expires=Thu, 01-Jan-70 00:00:00 GMT");
        jar.add(&at, "__cflb=x; path=/; expires=Fri, 31 Dec 9999 23:59:59 GMT");
        jar.add(&at, "_cfuvid=x; path=/; max-age=99999999999999999999999");
        tokio::time::advance(Duration::from_secs(1799)).await;
        assert_eq!(jar.header(&at).unwrap(), "__cf_bm=x; __cflb=x; _cfuvid=x");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(jar.header(&at).unwrap(), "__cflb=x; _cfuvid=x");
        tokio::time::advance(LONGEST).await;
        assert_eq!((jar.header(&at), jar.len()), (None, 0));
    }

    #[tokio::test]
    async fn a_cookie_is_replaced_and_forgotten() {
        for over in [
            "max-age=0",
            "max-age=-1",
            "expires=Thu, 01-Jan-70 00:00:00 GMT",
            "expires=Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            let cookies = ["__cf_bm=x; path=/", "__cf_bm=y; path=/"];
            assert_eq!(sent(HOST, &cookies, HOST), "__cf_bm=y");
            let gone = format!("__cf_bm=; path=/; {over}");
            assert_eq!(sent(HOST, &[cookies[0], &gone], HOST), "", "{over}");
        }
        for odd in ["max-age=soon", "expires=never", "max-age", "secure", "expires"] {
            assert_eq!(sent(HOST, &[&format!("__cf_bm=x; path=/; {odd}")], HOST), "__cf_bm=x");
        }
    }

    #[tokio::test]
    async fn the_jar_is_bounded() {
        let mut jar = Jar::default();
        let at = place(HOST);
        jar.add(&at, &format!("__cf_bm={}; path=/", "x".repeat(LARGEST_COOKIE)));
        assert_eq!(jar.len(), 0);
        for n in 0..LARGEST_JAR + 10 {
            jar.add(&at, &format!("cf_chl_{n}={}; path=/", "x".repeat(4000)));
        }
        assert_eq!(jar.len(), LARGEST_JAR);
        let header = jar.header(&at).unwrap();
        assert!(header.is_sensitive() && header.len() <= LARGEST_HEADER);
        assert!(header.to_str().unwrap().starts_with("cf_chl_10="));
    }

    #[test]
    fn no_cookie_is_too_odd() {
        fn property(signs: Vec<u8>, more: String) -> bool {
            const WORDS: [&str; 14] = [
                "__cf_bm",
                "=",
                ";",
                " ",
                "max-age",
                "expires",
                "domain",
                "path",
                "/",
                "-",
                "9",
                "chatgpt.com",
                "Thu, 01-Jan-",
                "\u{e9}",
            ];
            let words = signs.iter().map(|&sign| WORDS[usize::from(sign) % WORDS.len()]);
            let text: String = words.chain([more.as_str()]).collect();
            let (mut jar, at) = (Jar::default(), place(HOST));
            jar.add(&at, &text);
            jar.add(&at, &format!("__cf_bm={text}"));
            jar.header(&at).is_none_or(|header| header.is_sensitive())
        }
        // Its clock is tokio's, which needs no runtime to be read.
        quickcheck::QuickCheck::new()
            .tests(5000)
            .quickcheck(property as fn(Vec<u8>, String) -> bool);
    }

    #[test]
    fn dates_of_either_form_are_read() {
        let far = ["Fri, 31-Dec-66 23:59:59 GMT", "Fri, 31 Dec 2066 23:59:59 GMT"].map(until);
        assert!(far.iter().all(|left| left.is_some_and(|left| !left.is_zero())), "{far:?}");
        assert_eq!(until("Thu, 01-Jan-70 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(until("tomorrow"), None);
    }
}
