//! Which API to talk to: base URL, query and default headers.
//!
//! A [`Provider`] is a checked value: its constructors and setters refuse what could not be sent,
//! so nothing can go wrong with it later. [`ProviderLayer`](crate::layers::ProviderLayer) applies
//! it to each request.
//!
//! ```
//! use tower_openai::provider::Provider;
//!
//! let provider = Provider::new("gateway", "https://llm.example.com/openai/v1?tenant=7")?
//!     .query("region", "eu west")
//!     .header("x-team", "search")?;
//! assert_eq!(
//!     provider.url_for("/responses")?,
//!     "https://llm.example.com/openai/v1/responses?tenant=7&region=eu%20west",
//! );
//! # Ok::<(), tower_openai::Error>(())
//! ```
//!
//! # From the environment
//!
//! | variable | read by | use |
//! |---|---|---|
//! | `OPENAI_BASE_URL` | [`Provider::from_env`] | base URL; unset: `https://api.openai.com/v1` |
//! | `OPENAI_ORG_ID`, else `OPENAI_ORGANIZATION` | [`Provider::from_env`] | header `openai-organization` |
//! | `OPENAI_PROJECT_ID`, else `OPENAI_PROJECT` | [`Provider::from_env`] | header `openai-project` |
//! | `AZURE_OPENAI_ENDPOINT` | [`Provider::azure_from_env`] | endpoint, required |
//! | `OPENAI_API_VERSION` | [`Provider::azure_from_env`] | `api-version`, required |
//!
//! Blank counts as unset. `from_env` does not look at the Azure variables: which service an
//! OpenAI key is sent to must not depend on a variable set for something else.
//! Credentials are not the provider's: see [`AuthLayer`](crate::layers::AuthLayer).

mod base_url;
mod from_env;
pub(crate) mod realtime;

use std::fmt;

use http::Uri;
use http::header::{Entry, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;

use self::base_url::query_pair;
pub(crate) use self::base_url::{BaseUrl, encoded};
use crate::Error;
use crate::body::refuse_framing;
use crate::extensions::{ApiRoot, Origin};
use crate::redaction::{self, is_sensitive_header, scrub};

const OWN_USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tower-openai/", env!("CARGO_PKG_VERSION")));

/// Parts of a base URL that mean Azure.
pub(crate) const AZURE_MARKERS: [&str; 6] = [
    "openai.azure.",
    "cognitiveservices.azure.",
    "aoai.azure.",
    "azure-api.",
    "azurefd.",
    "windows.net/openai",
];

/// An API root with its query and default headers.
///
/// Default headers yield to the same header of a request. `user-agent: tower-openai/{version}` is
/// added if neither has one; `originator` is sent only if you set it.
#[derive(Clone)]
#[must_use]
pub struct Provider {
    name: String,
    base: BaseUrl,
    base_text: String,
    /// The other root, of the APIs that belong to the product and not to the model.
    backend: Option<BaseUrl>,
    azure: bool,
    /// Encoded pairs, each with its plain key.
    query: Vec<(String, String)>,
    joined_query: String,
    headers: HeaderMap,
}

impl Provider {
    /// OpenAI's API for API keys, `https://api.openai.com/v1`; its name is `OpenAI`.
    pub fn openai() -> Self {
        Self::of("OpenAI", BaseUrl::known("api.openai.com", "/v1"))
    }

    /// The API behind a ChatGPT login, `https://chatgpt.com/backend-api/codex`; its name is
    /// `ChatGPT`, its [backend](Self::backend_url) is `https://chatgpt.com/backend-api`.
    pub fn chatgpt() -> Self {
        Self::of("ChatGPT", BaseUrl::known("chatgpt.com", "/backend-api/codex"))
    }

    /// Azure OpenAI with a dated API version, for example `2025-04-01-preview`; its name is
    /// `azure`.
    ///
    /// `/openai` is appended to `endpoint` (`https://{resource}.openai.azure.com`) unless its path
    /// has that segment already. For the versionless API use [`Provider::new`] with
    /// `https://{resource}.openai.azure.com/openai/v1`.
    ///
    /// # Errors
    ///
    /// As [`Provider::new`], and if `api_version` is blank.
    pub fn azure(endpoint: &str, api_version: &str) -> Result<Self, Error> {
        let api_version = api_version.trim();
        if api_version.is_empty() {
            return Err(Error::build(
                "Azure needs an API version such as `2025-04-01-preview`; for the versionless API \
                 use `Provider::new` with a base URL that ends in `/openai/v1`",
            ));
        }
        let base = parse("Azure endpoint", endpoint)?.ensure_segment("openai");
        Ok(Self::of("azure", base).query("api-version", api_version))
    }

    /// Any other API. `name` is a label; `azure`, in any case, makes it [Azure](Self::is_azure).
    ///
    /// `base_url` may end with slashes and may have a query, which is kept. What may not stand in
    /// a path or query is percent-encoded; what is encoded already stays.
    ///
    /// # Errors
    ///
    /// If `base_url` is not absolute `http` or `https` with a host, or has a fragment, white space
    /// or userinfo. The error does not quote it.
    pub fn new(name: impl Into<String>, base_url: &str) -> Result<Self, Error> {
        let name = name.into();
        let base = parse(&format!("base URL of provider `{name}`"), base_url)?;
        Ok(Self::of(name, base))
    }

    fn of(name: impl Into<String>, base: BaseUrl) -> Self {
        let name = name.into();
        let base_text = base.text();
        let lower = base_text.to_ascii_lowercase();
        let azure = name.eq_ignore_ascii_case("azure")
            || AZURE_MARKERS.iter().any(|marker| lower.contains(marker));
        let backend = base.parent_of("/backend-api", "/codex");
        Self {
            name,
            base,
            base_text,
            backend,
            azure,
            query: Vec::new(),
            joined_query: String::new(),
            headers: HeaderMap::new(),
        }
    }

    /// Adds `key=value` to the query of every URL, percent-encoded, in the order of the calls.
    ///
    /// A key given again replaces its earlier value in place. The base URL's own query stays as it
    /// is and comes first; a request's own query comes last.
    ///
    /// Values may be keys: those of 8 bytes and more, but for that of `api-version`, are left out of
    /// errors that quote them, here and in the base URL.
    pub fn query(mut self, key: impl Into<String>, value: impl AsRef<str>) -> Self {
        let key = key.into();
        let pair = query_pair(&key, value.as_ref());
        match self.query.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = pair,
            None => self.query.push((key, pair)),
        }
        let pairs: Vec<&str> = self.query.iter().map(|(_, pair)| pair.as_str()).collect();
        self.joined_query = pairs.join("&");
        self
    }

    /// Adds a default header. A name given again adds a value; a request that has the name itself
    /// gets none of them.
    ///
    /// The value is a secret if the name says so: `x-…-token`, `x-…-key`, `openai-organization` and
    /// the like. It is then neither printed nor left in an error that quotes it.
    ///
    /// # Errors
    ///
    /// If the name or the value is not legal in HTTP. The error names the header, not the value.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Result<Self, Error> {
        let text = name.as_ref();
        let name: HeaderName = text.parse().map_err(|error| {
            let message = format!("provider `{}`: {:?} is no header name", self.name, scrub(text));
            Error::build(message).with_source(error)
        })?;
        refuse_framing(&format!("provider `{}`", self.name), &name)?;
        let mut value: HeaderValue = value.as_ref().parse().map_err(|error| {
            let message =
                format!("provider `{}`: the value of header `{name}` is not legal", self.name);
            Error::build(message).with_source(error)
        })?;
        value.set_sensitive(is_sensitive_header(&name));
        self.headers
            .try_append(name, value)
            .map_err(|error| Error::build("too many default headers").with_source(error))?;
        Ok(self)
    }

    /// The second base URL, under which requests go that say [`ApiRoot::Backend`]: uploads of
    /// [`Files`](crate::services), which the ChatGPT login serves beside its API and not under it.
    ///
    /// Credentials go there as to the base URL, and so do query and default headers. A base URL that
    /// ends in `/backend-api/codex` has the part before `/codex` for a backend; any other has none
    /// until one is named.
    ///
    /// # Errors
    ///
    /// As [`Provider::new`].
    pub fn backend_url(mut self, url: &str) -> Result<Self, Error> {
        self.backend = Some(parse(&format!("backend URL of provider `{}`", self.name), url)?);
        Ok(self)
    }

    /// The label.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The base URL with its own query, without trailing slashes.
    pub fn base_url(&self) -> &str {
        &self.base_text
    }

    /// The default headers, `user-agent` only if it was set.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Scheme, host and port of the base URL.
    pub fn origin(&self) -> &Origin {
        self.base.origin()
    }

    /// True if this is Azure: by its name, or because the base URL contains `openai.azure.`,
    /// `cognitiveservices.azure.`, `aoai.azure.`, `azure-api.`, `azurefd.` or
    /// `windows.net/openai`, in any case.
    pub fn is_azure(&self) -> bool {
        self.azure
    }

    /// The URL of a path, which may have a query and need not begin with a slash.
    ///
    /// # Errors
    ///
    /// If it is not a legal path and query (encode what comes from outside first), or the joined
    /// one is longer than 65,534 bytes.
    pub fn url_for(&self, path_and_query: &str) -> Result<Uri, Error> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        if path_and_query.contains('#') {
            return Err(Error::build("a request path has no fragment: encode `#` as `%23`"));
        }
        self.base.join(path, &self.joined_query, query)
    }

    /// One of the provider's roots.
    ///
    /// # Errors
    ///
    /// A backend that is not known.
    pub(crate) fn root(&self, root: ApiRoot) -> Result<Root<'_>, Error> {
        let base = match root {
            ApiRoot::Api | ApiRoot::Realtime => &self.base,
            ApiRoot::Backend => self.backend.as_ref().ok_or_else(|| {
                Error::build(format!(
                    "the request is for the backend of the provider `{}`, which has none: name one \
                     with `Provider::backend_url`, or take an endpoint of the public API",
                    self.name
                ))
            })?,
        };
        Ok(Root { base, query: &self.joined_query, realtime: root == ApiRoot::Realtime })
    }

    /// With these default headers in place of those of the same names.
    ///
    /// # Errors
    ///
    /// As [`header`](Self::header).
    #[cfg(feature = "client")]
    pub(crate) fn replacing_headers(mut self, headers: &[(String, String)]) -> Result<Self, Error> {
        for (name, _) in headers {
            self.headers.remove(name.as_str());
        }
        headers.iter().try_fold(self, |provider, (name, value)| provider.header(name, value))
    }

    /// Adds the default headers that `headers` lacks by name.
    pub(crate) fn fill_headers(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let full = |error| Error::build("the request has too many headers").with_source(error);
        for name in self.headers.keys() {
            if headers.contains_key(name) {
                continue;
            }
            for value in self.headers.get_all(name) {
                headers.try_append(name.clone(), value.clone()).map_err(full)?;
            }
        }
        Ok(())
    }
}

/// A base URL with the provider's query.
pub(crate) struct Root<'a> {
    base: &'a BaseUrl,
    query: &'a str,
    realtime: bool,
}

impl<'a> Root<'a> {
    pub(crate) fn origin(&self) -> &'a Origin {
        self.base.origin()
    }

    /// What is added to the query of a request: the base URL's own, and the provider's.
    pub(crate) fn queries(&self) -> [&'a str; 2] {
        [self.base.query(), self.query]
    }

    /// The URL of a request in origin form.
    pub(crate) fn url_of(&self, request: Option<&PathAndQuery>) -> Result<Uri, Error> {
        let (path, query) = request.map_or(("", None), |it| (it.path(), it.query()));
        let query = query.unwrap_or_default();
        if self.realtime {
            realtime::url(self.base, self.query, query)
        } else {
            self.base.join(path, self.query, query)
        }
    }
}

/// Adds this crate's `user-agent` if there is none.
pub(crate) fn fill_user_agent(headers: &mut HeaderMap) -> Result<(), Error> {
    let full = || Error::build("the request has too many headers");
    if let Ok(entry) = headers.try_entry(USER_AGENT) {
        if let Entry::Vacant(entry) = entry {
            entry.try_insert(OWN_USER_AGENT).map_err(|error| full().with_source(error))?;
        }
        return Ok(());
    }
    // A full map has no room for an entry, but may have this one.
    if headers.contains_key(USER_AGENT) { Ok(()) } else { Err(full()) }
}

fn parse(subject: &str, base_url: &str) -> Result<BaseUrl, Error> {
    BaseUrl::parse(base_url)
        .map_err(|reason| Error::build(format!("{subject} cannot be used: {reason}")))
}

impl fmt::Debug for Provider {
    /// Shows no query values and no secret headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.query.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("base_url", &self.base.without_query())
            .field("backend_url", &self.backend.as_ref().map(BaseUrl::without_query))
            .field("query_keys", &keys)
            .field("headers", &redaction::Headers(&self.headers))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn custom(base_url: &str) -> Provider {
        Provider::new("custom", base_url).unwrap()
    }

    #[test]
    fn presets_point_where_they_should() {
        assert_eq!(Provider::openai().base_url(), "https://api.openai.com/v1");
        assert_eq!(Provider::chatgpt().base_url(), "https://chatgpt.com/backend-api/codex");
        // What was written down unchecked passes the check.
        for provider in [Provider::openai(), Provider::chatgpt()] {
            let checked = Provider::new(provider.name(), provider.base_url()).unwrap();
            assert_eq!(checked.base_url(), provider.base_url());
            assert_eq!(checked.origin(), provider.origin());
        }
    }

    #[test]
    fn a_backend_is_known_or_named() {
        let url = |provider: &Provider| {
            let root = provider.root(ApiRoot::Backend)?;
            root.url_of(Some(&"/files?a=1".parse().unwrap())).map(|url| url.to_string())
        };
        let chatgpt = Provider::chatgpt().query("q", "2");
        assert_eq!(url(&chatgpt).unwrap(), "https://chatgpt.com/backend-api/files?q=2&a=1");
        let gateway = custom("https://gw.test:8443/x/backend-api/codex/?t=7");
        assert_eq!(url(&gateway).unwrap(), "https://gw.test:8443/x/backend-api/files?t=7&a=1");
        for other in
            ["https://x.test/v1", "https://x.test/codex", "https://x.test/my-backend-api/codex"]
        {
            let error = url(&custom(other)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Build);
            assert!(error.message().contains("`Provider::backend_url`"), "{error}");
            let named = custom(other).backend_url("http://files.test/api?sig=hidden").unwrap();
            assert_eq!(url(&named).unwrap(), "http://files.test/api/files?sig=hidden&a=1");
            assert!(!format!("{named:?}").contains("hidden"));
        }
        let error = custom("https://x.test").backend_url("https://u:hunter2@y").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn azure_is_recognised() {
        for base_url in [
            "https://foo.openai.azure.com/openai",
            "https://foo.openai.azure.us/openai/deployments/bar",
            "https://foo.cognitiveservices.azure.cn/openai",
            "https://foo.aoai.azure.com/openai",
            "https://foo.openai.azure-api.net/openai",
            "https://foo.z01.azurefd.net/",
            "https://FOO.OPENAI.AZURE.COM/openai",
            "https://foo.blob.core.windows.net/openai",
        ] {
            assert!(custom(base_url).is_azure(), "{base_url}");
        }
        for base_url in [
            "https://api.openai.com/v1",
            "https://example.com/openai",
            "https://myproxy.azurewebsites.net/openai",
        ] {
            assert!(!custom(base_url).is_azure(), "{base_url}");
        }
        assert!(Provider::new("Azure", "https://example.com/openai").unwrap().is_azure());
    }

    #[test]
    fn azure_urls_carry_the_api_version() {
        for (endpoint, expected) in [
            ("https://r.openai.azure.com", "https://r.openai.azure.com/openai/responses"),
            ("https://r.openai.azure.com/openai/", "https://r.openai.azure.com/openai/responses"),
            ("https://gw.test/team", "https://gw.test/team/openai/responses"),
        ] {
            let provider = Provider::azure(endpoint, "2025-04-01-preview").unwrap();
            let url = provider.url_for("responses").unwrap().to_string();
            assert_eq!(url, format!("{expected}?api-version=2025-04-01-preview"));
            assert!(provider.is_azure());
        }
        assert!(Provider::azure("https://r.openai.azure.com", " ").is_err());
    }

    #[test]
    fn query_pairs_keep_their_order_and_replace_by_key() {
        let provider = custom("https://x/v1?own=1").query("b", "2").query("a", "3").query("b", "4");
        let url = provider.url_for("models?client_version=0.1.0").unwrap();
        assert_eq!(url, "https://x/v1/models?own=1&b=4&a=3&client_version=0.1.0");
        assert!(provider.url_for("responses#x").is_err());
        assert!(provider.url_for("res ponses").is_err());
    }

    #[test]
    fn bad_headers_are_refused_by_name_and_without_their_value() {
        for (name, value, named) in [
            ("x-api-key", "sk-hidden\n", "x-api-key"),
            ("x-plain", "hidden\u{0}", "x-plain"),
            ("bad name", "hidden", "bad name"),
            ("sk-hidden key", "x-api-key", "redacted"),
        ] {
            let error = custom("https://x").header(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Build);
            assert!(error.to_string().contains(named), "{error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
    }

    #[test]
    fn debug_shows_no_secrets() {
        let provider = custom("https://x/v1?sig=hidden")
            .query("key", "hidden")
            .header("api-key", "hidden")
            .unwrap()
            .header("x-team", "shown")
            .unwrap();
        assert!(provider.headers()["api-key"].is_sensitive());
        let text = format!("{provider:?}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("shown") && text.contains("https://x/v1"), "{text}");
    }
}
