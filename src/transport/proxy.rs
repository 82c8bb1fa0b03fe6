//! Proxies: which requests go by one, and who it is.

mod bypass;
pub(super) mod connect;
pub(super) mod socks;

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use self::bypass::{BadEntry, Bypass};
use super::variables::Variables;
use crate::Error;

/// A proxy, and the requests that go by it.
///
/// | URL | to `https://` | to `http://` |
/// |---|---|---|
/// | `http://host:3128` | a tunnel (`CONNECT`), TLS with the server inside it | the request goes to the proxy, with the whole URI |
/// | `https://host:443` | the same, and TLS with the proxy around it | the same, in TLS with the proxy |
/// | `socks5h://host:1080` | a tunnel by SOCKS5; the proxy resolves the server's name | the same |
/// | `socks5://host:1080` | a tunnel by SOCKS5 to an address that was resolved here, an IPv4 one if there is any | the same |
///
/// A URL without a scheme is `http`. The default ports are 80, 443 and 1080. A user name and a
/// password stand in front of the host, percent-encoded: `http://user:p%40ss@host:3128`. They are
/// sent to the proxy only, by `Basic` over HTTP, and never shown.
///
/// A header `proxy-authorization` that a request brings along is a header like any other: it goes
/// to whoever gets the request, which is the server if there is a tunnel, and a proxy that is
/// handed the request gets it in place of these credentials.
///
/// ```
/// use tower_openai::transport::{HyperTransport, Proxy};
///
/// # fn main() -> Result<(), tower_openai::Error> {
/// let proxy = Proxy::all("http://proxy.corp.example:3128")?
///     .credentials("build-7", "secret")?
///     .except("localhost, 10.0.0.0/8, .corp.example")?;
/// assert!(!format!("{proxy:?}").contains("secret"));
/// let transport = HyperTransport::builder().proxy(proxy).build()?;
/// # drop(transport);
/// # Ok(())
/// # }
/// ```
///
/// # From the environment
///
/// Unless [`proxy`] or [`without_proxy`] says otherwise, the transport goes by `HTTPS_PROXY` for
/// `https://`, by `HTTP_PROXY` for `http://`, each else by `ALL_PROXY`, and leaves out what
/// `NO_PROXY` lists, in the form of [`except`](Self::except). Each name counts in upper case
/// first, then in lower case; one that is empty counts as unset. A URL that cannot be used is an
/// error, never a direct connection.
///
/// Two exceptions: `HTTP_PROXY` in upper case is not read where `REQUEST_METHOD` is set, because a
/// CGI program gets it from whoever sends a header `proxy`; and no variable counts where
/// `CODEX_SANDBOX` is `seatbelt`.
///
/// [`proxy`]: super::HyperTransportBuilder::proxy
/// [`without_proxy`]: super::HyperTransportBuilder::without_proxy
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    /// How to reach it: `http` or `https`, host and port.
    address: Uri,
    credentials: Option<Credentials>,
    secure: Option<bool>,
    except: Bypass,
    /// The environment variable that names it.
    variable: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By HTTP, in TLS or not.
    Http,
    Socks5 {
        /// Whether the proxy resolves names.
        resolves: bool,
    },
}

#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl Proxy {
    /// The proxy at this URL, for all requests.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`](crate::ErrorKind::Build): it is not the URL of a proxy.
    pub fn all(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::parse(url.as_ref()).map_err(|reason| Error::build(format!("the proxy's {reason}")))
    }

    /// The proxy at this URL, for `http://` only.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub fn http(url: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self { secure: Some(false), ..Self::all(url)? })
    }

    /// The proxy at this URL, for `https://` only.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub fn https(url: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self { secure: Some(true), ..Self::all(url)? })
    }

    /// The user name and the password for the proxy, in place of those in its URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`](crate::ErrorKind::Build): SOCKS5 takes 255 bytes of each at most, and
    /// the user name must not contain a colon for HTTP.
    pub fn credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, Error> {
        let credentials = Credentials { user: user.into(), password: password.into() };
        credentials.check(self.kind).map_err(Error::build)?;
        self.credentials = Some(credentials);
        Ok(self)
    }

    /// Hosts that are reached directly, separated by commas or spaces:
    ///
    /// - `*`: all of them;
    /// - `example.com`: this host, and none below it;
    /// - `.example.com`: this host and all below it;
    /// - `*.example.com`, `10.*`: what fits, each `*` standing for any text;
    /// - `10.0.0.0/8`, `fd00::/8`: a network, for hosts that are given as addresses;
    /// - each with `http://` or `https://` in front, or `:port` behind it: only with that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`](crate::ErrorKind::Build): an entry is none of these.
    pub fn except(mut self, hosts: impl AsRef<str>) -> Result<Self, Error> {
        self.except = hosts.as_ref().parse().map_err(|bad: BadEntry| {
            Error::build(format!("a host that the proxy leaves out cannot be used: {bad}"))
        })?;
        Ok(self)
    }

    /// The reason for a refusal completes "the proxy's …" and quotes nothing.
    fn parse(url: &str) -> Result<Self, String> {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (kind, scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, Scheme::HTTP, 80),
            "https" => (Kind::Http, Scheme::HTTPS, 443),
            "socks5" => (Kind::Socks5 { resolves: false }, Scheme::HTTP, 1080),
            "socks5h" => (Kind::Socks5 { resolves: true }, Scheme::HTTP, 1080),
            _ => {
                return Err("URL has another scheme than http, https, socks5 and socks5h".into());
            }
        };
        let unusable = || {
            "URL is not of the form `http://user:password@host:port`: are special characters of \
             the user name and the password percent-encoded?"
                .to_owned()
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if rest.strip_prefix(authority).is_some_and(|path| path.contains('@')) {
            return Err(unusable());
        }
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let host: http::uri::Authority = host.parse().map_err(|_| unusable())?;
        if host.host().is_empty() || (host.port().is_none() && host.as_str() != host.host()) {
            return Err("URL has no host, or no port after the colon".into());
        }
        let port = host.port_u16().unwrap_or(port);
        let address = Uri::builder()
            .scheme(scheme)
            .authority(format!("{}:{port}", host.host()))
            .path_and_query("/")
            .build()
            .map_err(|_| "URL has a host that cannot be used".to_owned())?;
        let credentials = userinfo.map(|userinfo| Credentials::of(userinfo, kind)).transpose()?;
        Ok(Self {
            kind,
            address,
            credentials,
            secure: None,
            except: Bypass::default(),
            variable: None,
        })
    }

    fn takes(&self, uri: &Uri) -> bool {
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        self.secure.is_none_or(|only| only == secure) && !self.except.covers(uri)
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn address(&self) -> &Uri {
        &self.address
    }

    /// Whether the connection to the proxy itself is TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.address.scheme() == Some(&Scheme::HTTPS)
    }

    pub(super) fn user(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The value of `proxy-authorization`.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let Credentials { user, password } = self.credentials.as_ref()?;
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Its host and port, and where it was named.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the proxy {}", super::host(&self.address))?;
        match self.variable {
            Some(variable) => write!(f, " (`{variable}`)"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("address", &self.address)
            .field("credentials", &self.credentials)
            .field("secure", &self.secure)
            .field("except", &self.except)
            .field("variable", &self.variable)
            .finish()
    }
}

impl Credentials {
    fn of(userinfo: &str, kind: Kind) -> Result<Self, String> {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decoded = |text| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err("user name or password is not UTF-8".to_owned()),
        };
        let credentials = Self { user: decoded(user)?, password: decoded(password)? };
        credentials.check(kind).map_err(|reason| reason.replacen("the proxy's ", "", 1))?;
        Ok(credentials)
    }

    fn check(&self, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::Http if self.user.contains(':') => {
                Err("the proxy's user name has a colon, which HTTP cannot send".into())
            }
            Kind::Socks5 { .. } if self.user.len().max(self.password.len()) > 255 => {
                Err("the proxy's user name or password has more than the 255 bytes of SOCKS5"
                    .into())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The proxies of a transport. The first that takes a request carries it.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    list: Vec<Proxy>,
    /// Requests to `http://` go through a tunnel too: what is spoken inside is HTTP/2.
    tunnels_only: bool,
}

impl Proxies {
    pub(super) fn new(list: Vec<Proxy>, tunnels_only: bool) -> Self {
        Self { list, tunnels_only }
    }

    pub(super) fn from_env(variables: &Variables) -> Result<Vec<Proxy>, Error> {
        if variables.get("CODEX_SANDBOX")? == Some("seatbelt") {
            return Ok(Vec::new());
        }
        let http: &[_] = match variables.get("REQUEST_METHOD")? {
            Some(_) => &["http_proxy", "ALL_PROXY", "all_proxy"],
            None => &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
        };
        let https: &[_] = &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let unusable = |name: &str, reason: &dyn fmt::Display| {
            Error::build(format!("environment variable `{name}` cannot be used: {reason}"))
        };
        let mut list = Vec::new();
        for (names, secure) in [(https, true), (http, false)] {
            let Some((name, url)) = variables.first(names)? else { continue };
            let proxy = Proxy::parse(url)
                .map_err(|reason| unusable(name, &format_args!("its {reason}")))?;
            // Without a proxy it does not matter what the list says.
            let except = match variables.first(&["NO_PROXY", "no_proxy"])? {
                Some((name, hosts)) => {
                    hosts.parse().map_err(|bad: BadEntry| unusable(name, &bad))?
                }
                None => Bypass::default(),
            };
            list.push(Proxy { secure: Some(secure), except, variable: Some(name), ..proxy });
        }
        Ok(list)
    }

    pub(super) fn list(&self) -> &[Proxy] {
        &self.list
    }

    /// The proxy that a connection to `uri` goes by.
    pub(super) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        self.list.iter().find(|proxy| proxy.takes(uri))
    }

    /// The proxy that a request to `uri` is handed to, rather than sent through.
    pub(super) fn forwarding(&self, uri: &Uri) -> Option<&Proxy> {
        if self.tunnels_only || uri.scheme() != Some(&Scheme::HTTP) {
            return None;
        }
        self.of(uri).filter(|proxy| proxy.kind == Kind::Http)
    }
}

/// Where a tunnel leads.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    pub(super) fn of(uri: &Uri) -> Self {
        let host = uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        Self { host: bare.unwrap_or(host).to_owned(), port: uri.port_u16().unwrap_or(default) }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests;
