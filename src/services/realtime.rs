//! `GET realtime`, upgraded: a conversation by voice and text over a WebSocket.
//!
//! [`Realtime`] is a [`Service`] of [`RealtimeRequest`] over any HTTP service; the socket is opened
//! by a [`Handshake`] through it, so that provider, credentials, retries, telemetry, proxy and TLS
//! act on it as on every other call. It stands above
//! [`ProviderLayer`](crate::layers::ProviderLayer) in a stack, as [`Responses`](super::Responses)
//! does; the transport has to be HTTP/1.1 that lets a connection be taken over, as the one of the
//! preset is.
//!
//! Its response, [`RealtimeConnected`], becomes the two ends of the conversation:
//!
//! - [`RealtimeEvents`] reads [`ServerEvent`](crate::model::realtime::ServerEvent)s. There is one
//!   reader: the type cannot be cloned.
//! - [`RealtimeWriter`] says [`ClientEvent`](crate::model::realtime::ClientEvent)s. Its clones say
//!   them over the same socket.
//!
//! What the two say to each other has rules that are to be had apart: one answer at a time
//! ([`OneResponse`](crate::model::realtime::OneResponse)), and what was heard of an answer that the person
//! speaks into ([`BargeIn`](crate::model::realtime::BargeIn)).
//!
//! Up to 1 MiB is queued each way: a reader who is slow stops the server, and writers wait while the
//! server is. A [`Driver`] moves the bytes and is spawned by the application; or there is none, and
//! the socket goes on while one of the ends is awaited. Dropping the ends closes the socket.
//!
//! ```
//! use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer};
//! use tower_openai::model::realtime::{ClientEvent, Session};
//! use tower_openai::provider::Provider;
//! use tower_openai::services::{Realtime, RealtimeRequest};
//! use tower_openai::transport::HyperTransport;
//!
//! # async fn talk() -> Result<(), tower_openai::BoxError> {
//! let realtime = tower::ServiceBuilder::new()
//!     .layer(Realtime::layer())
//!     .layer(ProviderLayer::new(Provider::openai()))
//!     .layer(AuthLayer::new(Bearer::from_env("OPENAI_API_KEY")?))
//!     .service(HyperTransport::new()?);
//!
//! let request = RealtimeRequest::new("gpt-realtime").session(Session::new().instructions("Sing."));
//! let (mut events, writer, driver) = realtime.send(request).await?.driven();
//! tokio::spawn(driver);
//! writer.send(&ClientEvent::text("Hello!")).await?;
//! writer.send(&ClientEvent::response()).await?;
//! while let Some(event) = events.next().await {
//!     println!("{}", event?.kind());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A server-side connection to a call over WebRTC or SIP is opened by the id of the call: the answer
//! of [`RealtimeCall`](super::RealtimeCall) makes a request of it, `RealtimeRequest::from(&answer)`.
//!
//! # Errors
//!
//! Opening fails as a [`Handshake`] does: a refusal is an [`Error`] with status, headers' facts and
//! body. What the server calls an error in the conversation is an *event*,
//! [`ServerEvent::Error`](crate::model::realtime::ServerEvent::Error), and mostly leaves the
//! conversation as it is. The events end with an `Err` if the socket did not end in order; the code
//! of an error event that came just before it is the error's code. A message that cannot be read is
//! an `Err` too ([`ErrorKind::Protocol`](crate::ErrorKind::Protocol)), after which the next one comes.

mod events;
mod reconnect;
mod request;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

pub use self::events::RealtimeEvents;
pub use self::reconnect::{RealtimeReconnect, RealtimeReconnecting};
pub use self::request::RealtimeRequest;
pub use self::writer::{RealtimeSending, RealtimeWriter};
use super::{CallOnce, HttpService};
use crate::ws::{
    Driver, Handshake, HandshakeFuture, Message, Upgraded, WebSocket, WebSocketConfig,
};
use crate::{BoxError, Error, RequestBody};

/// Turns an HTTP service into [`Realtime`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RealtimeLayer {
    config: WebSocketConfig,
}

impl RealtimeLayer {
    /// The limits of the sockets, in bytes and in time.
    pub fn web_socket_config(mut self, config: WebSocketConfig) -> Self {
        self.config = config;
        self
    }
}

impl<S> Layer<S> for RealtimeLayer {
    type Service = Realtime<S>;

    fn layer(&self, inner: S) -> Realtime<S> {
        Realtime::new(inner).web_socket_config(self.config.clone())
    }
}

/// Opens realtime conversations over an HTTP service; see the [module](self).
#[derive(Clone)]
pub struct Realtime<S> {
    handshake: Handshake<S>,
    config: WebSocketConfig,
}

impl Realtime<()> {
    /// The endpoint as a layer, for [`ServiceBuilder`](tower::ServiceBuilder).
    pub fn layer() -> RealtimeLayer {
        RealtimeLayer::default()
    }
}

impl<S> Realtime<S> {
    /// The endpoint over `http`.
    pub fn new(http: S) -> Self {
        Self { handshake: Handshake::new(http), config: WebSocketConfig::default() }
    }

    /// The limits of the sockets, in bytes and in time.
    #[must_use]
    pub fn web_socket_config(mut self, config: WebSocketConfig) -> Self {
        self.config = config;
        self
    }

    /// Opens one conversation, on a clone of the service that is made ready first.
    ///
    /// Dropping the future cancels it.
    ///
    /// # Errors
    ///
    /// As the [module](self) has them.
    pub fn send(&self, request: impl Into<RealtimeRequest>) -> OpenRealtime<S>
    where
        S: HttpService<RequestBody> + Clone,
    {
        CallOnce::new(self.clone(), request.into())
    }
}

/// The future of [`Realtime::send`].
pub type OpenRealtime<S> = CallOnce<
    Realtime<S>,
    RealtimeRequest,
    RealtimeFuture<
        <S as Service<http::Request<RequestBody>>>::Future,
        <S as HttpService<RequestBody>>::ResponseBody,
    >,
    RealtimeConnected,
>;

impl<S: fmt::Debug> fmt::Debug for Realtime<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Realtime")
            .field("handshake", &self.handshake)
            .field("config", &self.config)
            .finish()
    }
}

impl<S> Service<RealtimeRequest> for Realtime<S>
where
    S: HttpService<RequestBody>,
{
    type Response = RealtimeConnected;
    type Error = Error;
    type Future = RealtimeFuture<S::Future, S::ResponseBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.handshake.poll_ready(cx)
    }

    fn call(&mut self, request: RealtimeRequest) -> Self::Future {
        let state = match request.open(&self.config) {
            Ok((request, first)) => State::Calling {
                future: self.handshake.call(request),
                opening: Some(Opening { first, config: self.config.clone() }),
            },
            Err(error) => State::Refused { error: Some(error) },
        };
        RealtimeFuture { state }
    }
}

/// What a socket needs to know of the request that opened it.
#[derive(Debug)]
struct Opening {
    /// What is said as soon as it is open.
    first: Vec<Message>,
    config: WebSocketConfig,
}

pin_project! {
    /// The future of [`Realtime`].
    ///
    /// `F` is the future and `RB` the response body of the HTTP service inside. Dropping it cancels
    /// the handshake. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct RealtimeFuture<F, RB> {
        #[pin]
        state: State<F, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        Refused { error: Option<Error> },
        Calling { #[pin] future: HandshakeFuture<F, RB>, opening: Option<Opening> },
    }
}

impl<F, RB, E> Future for RealtimeFuture<F, RB>
where
    F: Future<Output = Result<http::Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<RealtimeConnected, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            StateProj::Calling { future, opening } => {
                let upgraded = ready!(future.poll(cx))?;
                match opening.take() {
                    Some(opening) => Poll::Ready(Ok(RealtimeConnected { upgraded, opening })),
                    None => Poll::Pending,
                }
            }
        }
    }
}

impl<F, RB> fmt::Debug for RealtimeFuture<F, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeFuture").finish_non_exhaustive()
    }
}

/// An open socket to the Realtime API, before anything was said on it.
///
/// Whichever way it goes on, what the request has for the session is said first.
#[must_use = "nothing is said until it is driven"]
pub struct RealtimeConnected {
    upgraded: Upgraded,
    opening: Opening,
}

impl RealtimeConnected {
    /// The headers of the server's answer.
    pub fn headers(&self) -> &HeaderMap {
        self.upgraded.headers()
    }

    /// What layers left with the answer.
    pub fn extensions(&self) -> &http::Extensions {
        self.upgraded.extensions()
    }

    /// The two ends of the conversation, and the driver, without whom nothing moves: spawn it.
    pub fn driven(self) -> (RealtimeEvents, RealtimeWriter, Driver) {
        let Self { upgraded, opening } = self;
        let extensions = upgraded.extensions().clone();
        let (socket, driver) = WebSocket::new(upgraded, &opening.config);
        let (events, writer) = ends(socket, opening.first, extensions);
        (events, writer, driver)
    }

    /// The two ends of the conversation, without a driver.
    ///
    /// Bytes move while one of the ends is awaited, and only then are pings answered and is a server
    /// that has vanished noticed.
    pub fn inline(self) -> (RealtimeEvents, RealtimeWriter) {
        let Self { upgraded, opening } = self;
        let extensions = upgraded.extensions().clone();
        let socket = WebSocket::inline(upgraded, &opening.config);
        ends(socket, opening.first, extensions)
    }
}

fn ends(
    socket: WebSocket,
    first: Vec<Message>,
    extensions: http::Extensions,
) -> (RealtimeEvents, RealtimeWriter) {
    let writer = RealtimeWriter::new(socket.sender());
    // The queue is empty and `open` has seen that they fit: there is nothing to wait for.
    let mut now = Context::from_waker(std::task::Waker::noop());
    for message in first {
        let _ = Pin::new(&mut socket.send(message)).poll(&mut now);
    }
    (RealtimeEvents::new(socket, extensions), writer)
}

impl fmt::Debug for RealtimeConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeConnected").field("opening", &self.opening).finish_non_exhaustive()
    }
}
