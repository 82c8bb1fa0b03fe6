//! The service over hyper's pooled client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::uri::Scheme;
use http::{StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use hyper_util::client::legacy;
use tower::Service;
use tower::util::MapResponse;

use super::builder::HyperTransportBuilder;
use super::connect::LimitConnect;
use super::error::{self, TransportError};
use super::io::Io;
use super::proxy::Proxies;
use super::proxy::connect::{ProxyError, Route};
use crate::body;
use crate::{Error, ErrorKind, RequestBody, Stage};

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
pub(super) type Connector = MapResponse<
    super::tls::Secured<Route>,
    fn(hyper_rustls::MaybeHttpsStream<super::io::Wire>) -> Io,
>;
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
pub(super) type Connector = MapResponse<Route, fn(super::io::Wire) -> Io>;

type Client = legacy::Client<LimitConnect<Connector>, RequestBody>;

/// The innermost service: sends a request over a pooled connection and yields the response as
/// soon as its head has come.
///
/// Cloning is a reference count; all clones share one pool. It is always ready: whoever wants a
/// limit puts one above it.
///
/// The request's URI must be absolute, without a user name or a password: a proxy would get to see
/// them, so such a request is refused. Dropping the future or the body cancels the request: an
/// HTTP/1.1 connection closes, an HTTP/2 stream is reset. A request that a pooled connection
/// lost before taking it up goes out again on another, unseen by the layers above; nothing else
/// is sent twice.
///
/// A request with the header `upgrade`, such as the handshake of a WebSocket, goes by HTTP/1.1
/// whatever else is spoken, on connections that are kept apart, and through a tunnel if a proxy is
/// in the way.
///
/// # Errors
///
/// [`TransportError`]; its [`kind`](TransportError::kind) tells a refused connection from failed
/// TLS, a broken connection, a response that is not HTTP and a head too large for
/// [`read_buffer`](HyperTransportBuilder::read_buffer).
#[derive(Clone)]
pub struct HyperTransport {
    inner: Arc<Inner>,
}

struct Inner {
    /// For requests that are answered.
    plain: Way,
    /// For those that ask to switch protocols.
    upgrades: Way,
    /// Why `https` cannot work, if it cannot.
    no_https: Option<&'static str>,
    read_buffer: usize,
}

/// A pool, and the proxies that its connections go by.
pub(super) struct Way {
    pub(super) client: Client,
    pub(super) proxies: Arc<Proxies>,
}

impl HyperTransport {
    /// A transport with the defaults of [`HyperTransportBuilder`].
    ///
    /// It goes by the environment of this process: by the [proxies](super::Proxy#from-the-environment)
    /// and the [CA bundle](HyperTransportBuilder::env) that it names.
    ///
    /// Needs no runtime. It may read the system's certificates, so build it once and clone it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`] if a variable cannot be used, or the platform's certificate roots
    /// cannot be loaded.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Settings for a transport.
    pub fn builder() -> HyperTransportBuilder {
        HyperTransportBuilder::default()
    }

    pub(super) fn over(
        plain: Way,
        upgrades: Way,
        no_https: Option<&'static str>,
        read_buffer: usize,
    ) -> Self {
        Self { inner: Arc::new(Inner { plain, upgrades, no_https, read_buffer }) }
    }
}

impl Inner {
    fn way(&self, upgrades: bool) -> &Way {
        if upgrades { &self.upgrades } else { &self.plain }
    }
}

impl Way {
    /// A request to `http://` is answered by the proxy itself if that wants other credentials.
    fn refused_by_proxy<B>(
        &self,
        response: &http::Response<B>,
        uri: &Uri,
    ) -> Option<TransportError> {
        if response.status() != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return None;
        }
        let refusal = ProxyError::asks(self.proxies.forwarding(uri)?, response.headers());
        Some(TransportError::new(refusal.kind(), Stage::NotSent, refusal.into_message()))
    }
}

impl fmt::Debug for HyperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransport")
            .field("proxies", &self.inner.plain.proxies.list())
            .finish_non_exhaustive()
    }
}

impl Service<http::Request<RequestBody>> for HyperTransport {
    type Response = http::Response<HyperBody>;
    type Error = TransportError;
    type Future = HyperFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<RequestBody>) -> HyperFuture {
        let uri = request.uri().clone();
        let inner = &self.inner;
        if let Some(refusal) = Refusal::of(&uri, request.body(), inner.no_https) {
            return HyperFuture(State::Refused(refusal, uri));
        }
        let upgrades = request.headers().contains_key(header::UPGRADE);
        #[cfg(feature = "ws")]
        if upgrades {
            crate::ws::renew(&mut request);
        }
        let Way { client, proxies } = inner.way(upgrades);
        if let Some(value) = proxies.forwarding(&uri).and_then(|proxy| proxy.authorization()) {
            request.headers_mut().entry(header::PROXY_AUTHORIZATION).or_insert(value);
        }
        let answer = client.request(request);
        HyperFuture(State::Sent { answer, uri, upgrades, inner: Arc::clone(inner) })
    }
}

/// Why a request is not even tried.
enum Refusal {
    NoOrigin,
    Userinfo,
    Scheme,
    Https(&'static str),
    NotCompressed,
}

impl Refusal {
    fn of(uri: &Uri, body: &RequestBody, no_https: Option<&'static str>) -> Option<Self> {
        if body.is_withheld() {
            return Some(Self::NotCompressed);
        }
        match (uri.scheme(), uri.authority()) {
            (None, _) | (_, None) => Some(Self::NoOrigin),
            (_, Some(authority)) if authority.as_str().contains('@') => Some(Self::Userinfo),
            (Some(scheme), _) if *scheme == Scheme::HTTPS => no_https.map(Self::Https),
            (Some(scheme), _) if *scheme == Scheme::HTTP => None,
            _ => Some(Self::Scheme),
        }
    }

    fn error(&self, uri: &Uri) -> TransportError {
        let message = match self {
            Self::NoOrigin => format!(
                "the request URI `{}` has no scheme and host: put a `ProviderLayer` above the \
                 transport",
                uri.path()
            ),
            Self::Userinfo => {
                "the request URI has a user name or a password in front of its host: \
                               send credentials in a header, as `AuthLayer` does"
                    .to_owned()
            }
            Self::Scheme => format!(
                "the transport speaks http and https, not `{}`",
                uri.scheme_str().unwrap_or_default()
            ),
            Self::Https(missing) => (*missing).to_owned(),
            Self::NotCompressed => body::not_compressed().message().to_owned(),
        };
        TransportError::new(ErrorKind::Build, Stage::NotSent, message)
    }
}

/// The future of [`HyperTransport`].
#[must_use = "futures do nothing unless polled"]
pub struct HyperFuture(State);

enum State {
    Sent { answer: legacy::ResponseFuture, uri: Uri, upgrades: bool, inner: Arc<Inner> },
    Refused(Refusal, Uri),
}

impl fmt::Debug for HyperFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperFuture").finish_non_exhaustive()
    }
}

impl Future for HyperFuture {
    type Output = Result<http::Response<HyperBody>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Sent { answer, uri, upgrades, inner } => {
                let answer = ready!(Pin::new(answer).poll(cx));
                let way = inner.way(*upgrades);
                Poll::Ready(match answer {
                    Ok(response) => match way.refused_by_proxy(&response, uri) {
                        Some(refusal) => Err(refusal),
                        None => Ok(response.map(|inner| HyperBody { inner })),
                    },
                    Err(err) => {
                        let proxy = way.proxies.forwarding(uri);
                        Err(error::describe(err, uri, proxy, inner.read_buffer))
                    }
                })
            }
            State::Refused(refusal, uri) => Poll::Ready(Err(refusal.error(uri))),
        }
    }
}

/// The response body of [`HyperTransport`]: hyper's own, frame by frame as it comes in.
///
/// A body that breaks off ends with a [`TransportError`] of the stage
/// [`Streaming`](Stage::Streaming).
pub struct HyperBody {
    inner: hyper::body::Incoming,
}

impl fmt::Debug for HyperBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperBody").finish_non_exhaustive()
    }
}

impl Body for HyperBody {
    type Data = Bytes;
    type Error = TransportError;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        Pin::new(&mut self.inner).poll_frame(cx).map_err(error::of_body)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_as_promised() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        fn moved<T: Send + Sync + Unpin + 'static>() {}
        shared::<HyperTransport>();
        moved::<HyperFuture>();
        moved::<HyperBody>();
        moved::<TransportError>();
        assert_eq!(size_of::<HyperBody>(), size_of::<hyper::body::Incoming>());
    }
}
