//! A checked base URL and the joining of paths to it.

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::Error;
use crate::extensions::Origin;

/// What a URL may not hold as it is outside its authority; non-ASCII is always encoded.
const PATH: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Everything but RFC 3986's unreserved characters.
const URL_PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The root of an API: absolute `http(s)`, without userinfo or fragment.
#[derive(Clone)]
pub(crate) struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Without trailing slashes: empty or `/v1`.
    path: String,
    /// The slashes that stood behind the path.
    slashes: String,
    /// The base's own query; empty if it has none.
    query: String,
    origin: Origin,
}

impl BaseUrl {
    /// Checks `text`. The reason in the error never quotes it: it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().any(|c| c.is_ascii_control() || c.is_whitespace()) {
            return Err("it contains white space or control characters");
        }
        if text.contains('#') {
            return Err("it has a fragment (`#`); remove it");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it is not absolute; write it as `https://host/path`");
        };
        let scheme = match scheme {
            // Sockets are opened by HTTP, so that is what their schemes mean.
            scheme
                if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") =>
            {
                Scheme::HTTPS
            }
            scheme if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") => {
                Scheme::HTTP
            }
            _ => return Err("its scheme is none of `https`, `http`, `wss` and `ws`"),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let tail = rest.strip_prefix(authority).unwrap_or_default();
        if authority.contains('@') {
            return Err("it contains a user name or password; give credentials to `AuthLayer`");
        }
        let authority = check_authority(authority).ok_or("its host or port is malformed")?;
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (path, slashes) = path.split_at(path.trim_end_matches('/').len());
        let path = utf8_percent_encode(path, PATH).to_string();
        let query = utf8_percent_encode(query, PATH).to_string();
        let root = build(scheme.clone(), authority.clone(), join(&path, "", [&query, "", ""]));
        let origin = root.ok().and_then(|root| Origin::of(&root));
        let origin = origin.ok_or("its path or query is malformed")?;
        Ok(Self { scheme, authority, path, slashes: slashes.to_owned(), query, origin })
    }

    /// An `https` root known to be good.
    pub(crate) fn known(host: &'static str, path: &'static str) -> Self {
        Self {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static(host),
            path: path.to_owned(),
            slashes: String::new(),
            query: String::new(),
            origin: Origin::https(host),
        }
    }

    /// Appends `/segment`, unless the path has such a segment already.
    pub(crate) fn ensure_segment(mut self, segment: &str) -> Self {
        if !self.path.split('/').any(|part| part == segment) {
            self.path.push('/');
            self.path.push_str(segment);
            self.slashes.clear();
        }
        self
    }

    /// The root without its last segment `last`, if it has that under `before`.
    pub(crate) fn parent_of(&self, before: &str, last: &str) -> Option<Self> {
        let parent = self.path.strip_suffix(last).filter(|parent| parent.ends_with(before))?;
        Some(Self { path: parent.to_owned(), slashes: String::new(), ..self.clone() })
    }

    /// The root with another path, made of this one and of the slashes that stood behind it.
    pub(crate) fn with_path(&self, path: impl FnOnce(&str, &str) -> String) -> Self {
        let path = path(&self.path, &self.slashes);
        Self { path, slashes: String::new(), ..self.clone() }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its own query, encoded; empty if there is none.
    pub(crate) fn query(&self) -> &str {
        &self.query
    }

    /// Without the query, which may be signed.
    pub(crate) fn without_query(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }

    /// The whole base, without trailing slashes.
    pub(crate) fn text(&self) -> String {
        let mut text = self.without_query();
        if !self.query.is_empty() {
            text.push('?');
            text.push_str(&self.query);
        }
        text
    }

    /// Appends `path` to the base's path; the query is the base's, then `query`, then
    /// `path_query`. Nothing is decoded or encoded again.
    ///
    /// # Errors
    ///
    /// If `path` or `path_query` is not legal in a URL, or the result is longer than 65,534 bytes.
    pub(crate) fn join(&self, path: &str, query: &str, path_query: &str) -> Result<Uri, Error> {
        let joined = join(&self.path, path, [&self.query, query, path_query]);
        build(self.scheme.clone(), self.authority.clone(), joined).map_err(|error| {
            Error::build(
                "the path and query of the request are malformed or longer than 65,534 bytes",
            )
            .with_source(error)
        })
    }
}

/// One `key=value`, percent-encoded.
pub(crate) fn query_pair(key: &str, value: &str) -> String {
    format!("{}={}", encoded(key), encoded(value))
}

/// `text` percent-encoded for a segment of a path, or a key or value of a query.
pub(crate) fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, URL_PART)
}

/// An authority with a host and, if any, a port in range.
fn check_authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let port_is_good = match text.strip_prefix(host)? {
        "" => true,
        port => port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()),
    };
    (!host.is_empty() && port_is_good).then_some(authority)
}

/// One allocation: the bytes become the URI's.
fn join(base: &str, path: &str, queries: [&str; 3]) -> String {
    let path = path.trim_start_matches('/');
    let slash = if path.is_empty() && !base.is_empty() { "" } else { "/" };
    let queries = queries.into_iter().filter(|query| !query.is_empty());
    let signed = queries.clone().map(|query| query.len() + 1).sum::<usize>();
    // To the byte: of a string with room to spare `Bytes` needs an allocation more.
    let mut joined = String::with_capacity(base.len() + slash.len() + path.len() + signed);
    joined.push_str(base);
    joined.push_str(slash);
    joined.push_str(path);
    let mut sign = '?';
    for query in queries {
        joined.push(sign);
        joined.push_str(query);
        sign = '&';
    }
    joined
}

fn build(scheme: Scheme, authority: Authority, path: String) -> Result<Uri, http::Error> {
    let mut parts = Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(path))?);
    Ok(Uri::from_parts(parts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, path: &str, query: &str, path_query: &str) -> String {
        BaseUrl::parse(base).unwrap().join(path, query, path_query).unwrap().to_string()
    }

    #[test]
    fn paths_are_appended_and_queries_merged_in_order() {
        for (base, path, expected) in [
            ("https://x/v1/", "/responses", "https://x/v1/responses"),
            ("https://x/v1", "responses", "https://x/v1/responses"),
            ("https://x/v1?api-version=1", "responses", "https://x/v1/responses?api-version=1"),
            ("https://x/v1/?api-version=1", "/", "https://x/v1?api-version=1"),
            ("https://x", "/responses", "https://x/responses"),
            ("https://x", "", "https://x/"),
            ("https://x?a=1", "r", "https://x/r?a=1"),
            ("https://x///", "//r", "https://x/r"),
            ("HTTPS://x:8443/a%20b", "r/", "https://x:8443/a%20b/r/"),
            ("http://[::1]:9/\u{e9}?q=\u{e9}", "r", "http://[::1]:9/%C3%A9/r?q=%C3%A9"),
        ] {
            assert_eq!(joined(base, path, "", ""), expected, "{base} + {path}");
        }
        assert_eq!(joined("https://x?a=1", "r", "b=2&c=3", "d=4"), "https://x/r?a=1&b=2&c=3&d=4");
        assert_eq!(joined("https://x", "r", "", "d=4"), "https://x/r?d=4");
    }

    #[test]
    fn bad_bases_are_refused_and_never_quoted() {
        for base in [
            "",
            "api.test/v1",
            "/v1",
            "ftp://api.test",
            "https://",
            "https:///v1",
            "https://:80/v1",
            "https://api.test:port/v1",
            "https://api.test:99999/v1",
            "https://api.test:/v1",
            "https://api.test/v1#top",
            "https://user:hunter2@api.test/v1",
            "https://hunter2@api.test",
            " https://api.test/v1",
            "https://api.test/v1\n",
            "https://api.test/a b",
            "https://caf\u{e9}.test/",
        ] {
            let reason = BaseUrl::parse(base).err().unwrap_or_else(|| panic!("accepted {base:?}"));
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        // An `@` in the path is no userinfo.
        assert!(BaseUrl::parse("https://api.test/@me").is_ok());
    }

    #[test]
    fn a_url_that_is_too_long_is_an_error() {
        let base = BaseUrl::parse("https://x").unwrap();
        let error = base.join(&"a".repeat(70_000), "", "").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Build);
    }

    #[test]
    fn query_pairs_are_percent_encoded() {
        assert_eq!(query_pair("api-version", "2025-04-01"), "api-version=2025-04-01");
        assert_eq!(query_pair("a b&", "\u{e9}=/+"), "a%20b%26=%C3%A9%3D%2F%2B");
    }
}
