//! The way to a server: straight, or by a proxy.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tower::{Service, ServiceExt};

use super::socks::{self, SocksError};
use super::{Kind, Proxies, Proxy, Target};
use crate::error::one_line;
use crate::transport::dial::Dial;
use crate::transport::error::{of_proxys_tls, tls_error};
use crate::transport::io::Wire;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
use crate::transport::tls::Secured;
use crate::{BoxError, ErrorKind};

/// The largest head of a proxy's answer.
const LARGEST_HEAD: usize = 16 * 1024;

/// Opens connections, by a proxy where there is one for the URI.
#[derive(Clone)]
pub(in crate::transport) struct Route {
    dial: Dial,
    proxies: Arc<Proxies>,
    /// For proxies that are reached by TLS.
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    tls: Option<Secured<Dial>>,
}

impl Route {
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    pub(in crate::transport) fn new(
        dial: Dial,
        proxies: Arc<Proxies>,
        tls: Option<Secured<Dial>>,
    ) -> Self {
        Self { dial, proxies, tls }
    }

    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    pub(in crate::transport) fn new(dial: Dial, proxies: Arc<Proxies>) -> Self {
        Self { dial, proxies }
    }

    async fn by(self, proxy: Proxy, uri: Uri) -> Result<Wire, ProxyError> {
        let target = Target::of(&uri);
        let wire = self.reach(&proxy).await.map_err(|err| ProxyError::unreached(&proxy, err))?;
        match proxy.kind() {
            Kind::Http if self.proxies.forwarding(&uri).is_some() => Ok(wire.forwarded()),
            Kind::Http => connect(wire, &target, proxy.authorization())
                .await
                .map_err(|err| err.by(&proxy, &target)),
            Kind::Socks5 { resolves } => by_socks(wire, &proxy, target, resolves).await,
        }
    }

    async fn reach(&self, proxy: &Proxy) -> Result<Wire, BoxError> {
        let address = proxy.address().clone();
        #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
        if let (true, Some(tls)) = (proxy.is_secure(), &self.tls) {
            let stream = tls.clone().oneshot(address).await?;
            return Ok(Wire::boxed(stream));
        }
        self.dial.clone().oneshot(address).await
    }
}

impl Service<Uri> for Route {
    type Response = Wire;
    type Error = BoxError;
    // One box per connection.
    type Future = Pin<Box<dyn Future<Output = Result<Wire, BoxError>> + Send>>;

    /// Always ready: which connector a URI needs is only known in `call`.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self.proxies.of(&uri).cloned() {
            Some(proxy) => {
                let connecting = self.clone().by(proxy, uri);
                Box::pin(async move { Ok(connecting.await?) })
            }
            None => Box::pin(self.dial.clone().oneshot(uri)),
        }
    }
}

/// Makes a tunnel by `CONNECT`.
///
/// hyper-util has it too, but does not tell the status of a refusal.
async fn connect(
    wire: Wire,
    target: &Target,
    authorization: Option<HeaderValue>,
) -> Result<Wire, ConnectError> {
    let target = target.to_string();
    let mut request = Request::connect(&target).header(header::HOST, &target);
    if let Some(authorization) = authorization {
        request = request.header(header::PROXY_AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(ConnectError::Host)?;

    let mut connection = http1::Builder::new();
    // Some proxies know no other spelling.
    connection.title_case_headers(true).max_buf_size(LARGEST_HEAD);
    let (mut sender, mut connection) = connection.handshake(wire).await?;
    let mut answer = pin!(sender.send_request(request));
    let mut open = true;
    let response = poll_fn(|cx| {
        // In place of the task that drives a connection as a rule. Its own failure comes with the
        // answer.
        if open && connection.poll_without_shutdown(cx).is_ready() {
            open = false;
        }
        answer.as_mut().poll(cx)
    })
    .await?;
    match response.status() {
        status if status.is_success() => {
            let http1::Parts { io, read_buf, .. } = connection.into_parts();
            Ok(if read_buf.is_empty() { io } else { unread(io, read_buf) })
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(ConnectError::Credentials(response.into_parts().0.headers))
        }
        status => Err(ConnectError::Refused(status)),
    }
}

/// What has been read ahead comes first: a server that speaks no TLS may not wait to be asked.
fn unread(io: Wire, bytes: Bytes) -> Wire {
    let (reader, writer) = tokio::io::split(TokioIo::new(io));
    let reader = std::io::Cursor::new(bytes).chain(reader);
    Wire::boxed(TokioIo::new(tokio::io::join(reader, writer)))
}

#[derive(Debug)]
enum ConnectError {
    /// The server's name cannot stand in a request.
    Host(http::Error),
    /// With the headers of the 407.
    Credentials(HeaderMap),
    Refused(StatusCode),
    Failed(hyper::Error),
}

impl From<hyper::Error> for ConnectError {
    fn from(err: hyper::Error) -> Self {
        Self::Failed(err)
    }
}

impl ConnectError {
    fn by(self, proxy: &Proxy, target: &Target) -> ProxyError {
        let (kind, message, source): (_, _, Option<BoxError>) = match self {
            Self::Host(err) => {
                (ErrorKind::Build, format!("{target} is not a host"), Some(err.into()))
            }
            Self::Credentials(headers) => return ProxyError::asks(proxy, &headers),
            Self::Refused(status) if status.is_server_error() => {
                (ErrorKind::Connect, format!("{proxy} cannot connect to {target}: {status}"), None)
            }
            Self::Refused(status) => (
                ErrorKind::Proxy,
                format!("{proxy} refuses to connect to {target}: {status}"),
                None,
            ),
            Self::Failed(err) if err.is_parse() => (
                ErrorKind::Proxy,
                format!("what {proxy} answers to CONNECT is not HTTP/1.1"),
                Some(err.into()),
            ),
            Self::Failed(err) => match tls_error(&err) {
                // In TLS 1.3 the proxy may refuse us after we have begun to send.
                Some(tls) => {
                    let message = of_proxys_tls(&tls, &proxy.to_string());
                    (ErrorKind::Tls, message, Some(err.into()))
                }
                None => {
                    (ErrorKind::Connect, format!("{proxy} hung up on CONNECT"), Some(err.into()))
                }
            },
        };
        ProxyError { kind, message, source }
    }
}

async fn by_socks(
    wire: Wire,
    proxy: &Proxy,
    mut target: Target,
    resolves: bool,
) -> Result<Wire, ProxyError> {
    if !resolves && target.address().is_none() {
        let name = (target.host.as_str(), target.port);
        target.host = resolve(name).await.map_err(|err| ProxyError {
            kind: ErrorKind::Connect,
            message: format!(
                "cannot resolve {}: if {proxy} can, write `socks5h` in its URL",
                target.host
            ),
            source: Some(err.into()),
        })?;
    }
    let mut wire = TokioIo::new(wire);
    match socks::tunnel(&mut wire, &target, proxy.user()).await {
        Ok(()) => Ok(wire.into_inner()),
        Err(SocksError::Method | SocksError::Password) => Err(ProxyError::credentials(proxy)),
        Err(err) => {
            let (kind, message) = match &err {
                SocksError::Io(_) => (ErrorKind::Connect, format!("{proxy} hung up")),
                SocksError::Protocol => {
                    (ErrorKind::Proxy, format!("what {proxy} answers is not SOCKS5"))
                }
                err if err.is_beyond() => {
                    (ErrorKind::Connect, format!("{proxy} cannot connect to {target}"))
                }
                _ => (ErrorKind::Proxy, format!("{proxy} refuses to connect to {target}")),
            };
            Err(ProxyError { kind, message, source: Some(err.into()) })
        }
    }
}

/// An address, of IPv4 if there is any: SOCKS5 makes one attempt, and not each proxy has IPv6.
async fn resolve(name: (&str, u16)) -> io::Result<String> {
    let found: Vec<_> = tokio::net::lookup_host(name).await?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    match first {
        Some(address) => Ok(address.ip().to_string()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
    }
}

/// What a proxy did, or failed to do, before anything was sent to the server.
pub(in crate::transport) struct ProxyError {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
}

impl ProxyError {
    pub(in crate::transport) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What a 407 with these headers means.
    pub(in crate::transport) fn asks(proxy: &Proxy, headers: &HeaderMap) -> Self {
        let schemes: Vec<_> = headers
            .get_all(header::PROXY_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(schemes)
            .collect();
        if schemes.is_empty() || schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic")) {
            return Self::credentials(proxy);
        }
        let schemes = schemes.join(" or ");
        let message = format!(
            "{proxy} asks for authentication by {schemes}, and only Basic is known here: put a \
             proxy in between that speaks it"
        );
        Self { kind: ErrorKind::Proxy, message: one_line(&message), source: None }
    }

    /// The proxy wants other credentials, or any.
    fn credentials(proxy: &Proxy) -> Self {
        let message = match proxy.user() {
            Some(_) => format!("{proxy} refuses the user name or the password in its URL"),
            None => format!("{proxy} asks for a user name and a password: put them into its URL"),
        };
        Self { kind: ErrorKind::Proxy, message, source: None }
    }

    fn unreached(proxy: &Proxy, err: BoxError) -> Self {
        let (kind, message) = match tls_error(&*err) {
            Some(tls) => (ErrorKind::Tls, of_proxys_tls(&tls, &proxy.to_string())),
            None => (ErrorKind::Connect, format!("cannot connect to {proxy}")),
        };
        Self { kind, message, source: Some(err) }
    }

    pub(in crate::transport) fn into_message(self) -> String {
        self.message
    }
}

/// The schemes in a list of challenges (RFC 9110, 11.6.1).
fn schemes(challenges: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = challenges.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == ',' && !quoted
    });
    parts.filter_map(|part| {
        let (first, rest) = part.trim().split_once([' ', '\t']).unwrap_or((part.trim(), ""));
        // Commas are also between the parameters of one challenge.
        let parameter = first.contains('=') || rest.trim_start().starts_with('=');
        (!first.is_empty() && !parameter).then_some(first)
    })
}

impl fmt::Debug for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for ProxyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_challenge_of_a_list_is_found() {
        for (challenges, expected) in [
            ("Basic", &["Basic"][..]),
            ("Basic realm=\"a, b\"", &["Basic"]),
            ("Negotiate, Basic realm=\"x\"", &["Negotiate", "Basic"]),
            ("NTLM TlRMTVNTUAAB==, Negotiate", &["NTLM", "Negotiate"]),
            (
                "Digest realm=\"a\\\", Basic\" , qop=auth, nonce = \"x\", Basic",
                &["Digest", "Basic"],
            ),
            (" , Bearer\trealm=x,,", &["Bearer"]),
            ("", &[]),
        ] {
            assert_eq!(schemes(challenges).collect::<Vec<_>>(), expected, "{challenges}");
        }
    }
}
