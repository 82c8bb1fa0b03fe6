//! The handshake: an ordinary HTTP request that asks to switch protocols.
//!
//! # Problem
//!
//! WebSocket libraries dial by themselves, so what an application has put between its calls and the
//! network (proxies, credentials, retries, TLS of its own, telemetry) is missing on its sockets.
//! [`Handshake`] sends the handshake as an [`http::Request`] through any HTTP service, and makes a
//! socket of the connection that the answer leaves behind.
//!
//! # Place
//!
//! Where an endpoint stands: above `ProviderLayer` and the rest of the [stack](crate::layers).
//! A path is under the provider's base URL; an absolute URI is left alone, and `wss` and `ws` in it
//! mean `https` and `http`. Layers see a `GET` and its answer; limits of theirs end with the
//! handshake.
//!
//! Two things a stack must do. It must keep the response's extensions, where hyper leaves the
//! connection. And its transport must speak HTTP/1.1, as `HyperTransport` does for such requests
//! whatever it speaks otherwise.
//!
//! # A key for each attempt
//!
//! RFC 6455 wants a fresh `sec-websocket-key` in each handshake. A layer that sends a request again
//! sends a clone of it; so the key is renewed where every attempt passes: at the transport.
//! `HyperTransport` does it. In front of another transport, put [`fresh_key`] below what sends again:
//!
//! ```
//! use tower::{ServiceBuilder, service_fn};
//! use tower_openai::{RequestBody, ws};
//!
//! # let transport = service_fn(|_: http::Request<RequestBody>| async {
//! #     Err::<http::Response<http_body_util::Empty<bytes::Bytes>>, _>(std::io::Error::other("none"))
//! # });
//! let http = ServiceBuilder::new()
//!     // … retry, auth …
//!     .map_request(ws::fresh_key::<RequestBody>)
//!     .service(transport);
//! # let _ = ws::Handshake::new(http);
//! ```
//!
//! Without it, the first key is sent again, which servers take. An answer may prove any key of its
//! call, so hedged attempts work too.
//!
//! # Example
//!
//! ```no_run
//! use tower_openai::transport::HyperTransport;
//! use tower_openai::ws::{Handshake, WebSocket, WebSocketConfig};
//!
//! # async fn example() -> Result<(), tower_openai::BoxError> {
//! let request = http::Request::get("wss://echo.example.com/").body(())?;
//! let upgraded = Handshake::new(HyperTransport::new()?).send(request).await?;
//! let (mut socket, driver) = WebSocket::new(upgraded, &WebSocketConfig::default());
//! tokio::spawn(driver);
//! socket.send("hello").await?;
//! println!("{:?}", socket.next().await.transpose()?);
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! A refusal is an [`Error`] as those of endpoints are: kind, status, the facts of its headers, and
//! at most 64 KiB of its body. An answer that is neither a refusal nor a proper handshake is of
//! [`ErrorKind::Protocol`]; a connection that a layer lost is of [`ErrorKind::Build`], and so is a
//! request that cannot be a handshake.
//!
//! [`ErrorKind::Protocol`]: crate::ErrorKind::Protocol
//! [`ErrorKind::Build`]: crate::ErrorKind::Build

mod future;
mod key;
mod verify;

use std::fmt;
use std::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Uri, response};
use tower::{Layer, Service};

pub use self::future::HandshakeFuture;
use self::key::Keys;
pub use self::key::fresh_key;
#[cfg(feature = "client")]
pub(crate) use self::key::renew;
use super::engine::Transport;
use crate::extensions::{Call, RequestCompression};
use crate::services::{CallOnce, Compression, HttpService};
use crate::{Error, RequestBody};

/// Turns an HTTP service into a [`Handshake`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct HandshakeLayer(());

impl<S> Layer<S> for HandshakeLayer {
    type Service = Handshake<S>;

    fn layer(&self, inner: S) -> Handshake<S> {
        Handshake { inner }
    }
}

/// Opens WebSockets over an HTTP service; see the [module](self).
///
/// A request has the headers and extensions that the handshake is to have beside its own. Those are
/// taken as they are: a subprotocol is offered by `sec-websocket-protocol`. No extension can be.
#[derive(Clone)]
pub struct Handshake<S> {
    inner: S,
}

impl Handshake<()> {
    /// The handshake as a layer, for [`ServiceBuilder`](tower::ServiceBuilder).
    pub fn layer() -> HandshakeLayer {
        HandshakeLayer::default()
    }
}

impl<S> Handshake<S> {
    /// The handshake over `http`.
    pub fn new(http: S) -> Self {
        Self { inner: http }
    }

    /// Opens one socket, on a clone of the service that is made ready first.
    ///
    /// Dropping the future cancels the handshake.
    ///
    /// # Errors
    ///
    /// As the [module](self) has them.
    pub fn send(&self, request: Request<()>) -> HandshakeCall<S, S::Future, S::ResponseBody>
    where
        S: HttpService<RequestBody> + Clone,
    {
        CallOnce::new(self.clone(), request)
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, unwrapped.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// The future of [`Handshake::send`].
///
/// `F` is the future and `RB` the response body of the HTTP service below.
pub type HandshakeCall<S, F, RB> =
    CallOnce<Handshake<S>, Request<()>, HandshakeFuture<F, RB>, Upgraded>;

impl<S: fmt::Debug> fmt::Debug for Handshake<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("inner", &self.inner).finish()
    }
}

impl<S> Service<Request<()>> for Handshake<S>
where
    S: HttpService<RequestBody>,
{
    type Response = Upgraded;
    type Error = Error;
    type Future = HandshakeFuture<S::Future, S::ResponseBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut request = request.map(|()| RequestBody::empty());
        if request.extensions().get::<Call>().is_none() {
            request.extensions_mut().insert(Call::unary("websocket", None));
        }
        match Offer::prepare(&mut request) {
            Ok(offer) => HandshakeFuture::calling(self.inner.call(request), offer),
            Err(error) => HandshakeFuture::refused(error),
        }
    }
}

/// A connection that has become a WebSocket, and the head of the answer that made it one.
pub struct Upgraded {
    pub(super) io: Box<dyn Transport>,
    head: response::Parts,
}

impl Upgraded {
    /// The headers of the answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// What layers left with the answer.
    pub fn extensions(&self) -> &http::Extensions {
        &self.head.extensions
    }

    /// The subprotocol that the server took of those that were offered.
    pub fn subprotocol(&self) -> Option<&str> {
        self.head.headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
    }

    pub(crate) fn into_parts(self) -> (Box<dyn Transport>, response::Parts) {
        (self.io, self.head)
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("subprotocol", &self.subprotocol()).finish_non_exhaustive()
    }
}

/// What a handshake has offered, to hold the answer against.
#[derive(Debug)]
pub(crate) struct Offer {
    keys: Keys,
    subprotocols: Vec<String>,
    call: Option<Call>,
}

impl Offer {
    /// Makes a handshake of a request: a `GET`, with the headers of one.
    ///
    /// # Errors
    ///
    /// A URI of another scheme, an offer of an extension, or no random numbers.
    pub(crate) fn prepare(request: &mut Request<RequestBody>) -> Result<Self, Error> {
        if request.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
            return Err(Error::build(
                "the handshake offers WebSocket extensions, and this client has none: leave the \
                 header `sec-websocket-extensions` out",
            ));
        }
        *request.uri_mut() = transport_uri(std::mem::take(request.uri_mut()))?;
        *request.method_mut() = Method::GET;
        let subprotocols =
            tokens(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect();
        let keys = Keys::new(request)?;
        // There is no body.
        request.extensions_mut().insert(RequestCompression::new(Compression::None));
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, const { HeaderValue::from_static("Upgrade") });
        headers.insert(header::UPGRADE, const { HeaderValue::from_static("websocket") });
        headers.insert(header::SEC_WEBSOCKET_VERSION, const { HeaderValue::from_static("13") });
        Ok(Self { keys, subprotocols, call: request.extensions().get().cloned() })
    }
}

/// The same URI for an HTTP transport.
fn transport_uri(uri: Uri) -> Result<Uri, Error> {
    let scheme = match uri.scheme_str() {
        None | Some("http" | "https") => return Ok(uri),
        Some("ws") => Scheme::HTTP,
        Some("wss") => Scheme::HTTPS,
        Some(other) => {
            return Err(Error::build(format!(
                "a WebSocket has a URI of the scheme `wss` or `ws`, or `https` or `http`, not \
                 `{other}`"
            )));
        }
    };
    let mut parts = uri.into_parts();
    parts.scheme = Some(scheme);
    Uri::from_parts(parts)
        .map_err(|error| Error::build("the URI of the WebSocket is malformed").with_source(error))
}

/// The elements of a header that is a list.
fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}
