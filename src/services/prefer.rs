//! One service over both transports: a socket if there is one, else HTTP.
//!
//! # Problem
//!
//! A WebSocket saves time on each turn, but not every network lets one through: proxies refuse the
//! upgrade, gateways do not know it, a request may be too large for a frame. Whoever finds out by
//! retrying waits for minutes. [`Prefer`] turns to HTTP at once, with the same request, and tries
//! sockets again later.
//!
//! # Place
//!
//! On the typed level, around two services of [`ResponsesRequest`]: one that answers on a socket
//! ([`Reconnecting`](super::responses_socket::Reconnecting), or tower's `Reconnect`), and
//! [`Responses`](super::Responses). The preset has it assembled: `Client::prefer_socket`.
//!
//! ```
//! use tower::{ServiceExt, service_fn};
//! use tower_openai::services::{Prefer, Preference, Responses, ResponsesRequest};
//! use tower_openai::sse::{ResponseStream, SseSource};
//! use tower_openai::{BoxError, RequestBody};
//! # use http_body_util::Full;
//! # use bytes::Bytes;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // No socket can be opened here.
//! let socket = service_fn(|_: ResponsesRequest| async {
//!     let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
//!     Err::<ResponseStream<SseSource<Full<Bytes>>>, BoxError>(refused.into())
//! });
//! let http = Responses::new(service_fn(|_: http::Request<RequestBody>| async {
//!     let answer = concat!(
//!         r#"data: {"type":"response.output_text.delta","delta":"Hi!"}"#, "\n\n",
//!         r#"data: {"type":"response.completed","response":{"id":"resp_1"}}"#, "\n\n",
//!     );
//!     Ok::<_, BoxError>(http::Response::new(Full::from(answer)))
//! }));
//! let prefer = Prefer::new(socket, http);
//!
//! let stream = prefer.stream_request(ResponsesRequest::new("gpt-5.2", "hello")).await?;
//! assert!(!stream.is_over_socket());
//! assert_eq!(stream.text().collect().await?, "Hi!");
//! assert!(matches!(prefer.preference(), Preference::Http { .. }));
//! # Ok(())
//! # }
//! ```
//!
//! # When it is HTTP
//!
//! | what happens | this request | the next ones |
//! |---|---|---|
//! | no socket can be opened: network, timeout, or status 2xx, 3xx, 403, 404, 405, 426, 501, 502 or 504 | over HTTP, at once | over HTTP, for a [cooldown](PreferPolicy::cooldown) |
//! | the socket is over before the request was sent | over HTTP | over HTTP, for a cooldown |
//! | the request does not go on a socket: its size, its headers, `background`, a full queue | over HTTP | on the socket |
//! | the socket is closed with 1009 over the request | an error | over HTTP, for a cooldown |
//! | a few answers in a row [break off](PreferPolicy::max_failures) | an error | over HTTP, for a cooldown |
//! | its [total](crate::extensions::StreamTimeouts) time is over before its turn to be sent | an error | on the socket |
//! | any other error | an error | on the socket |
//!
//! After the cooldown one request at a time tries a socket: if it is taken, all do; if not, that
//! request goes over HTTP too, and the cooldown doubles. It doubles also if the request may have been
//! sent and no answer begins; that is an error.
//!
//! A request that may have been sent is never sent again: whether it was is the
//! [stage](Error::stage) of the error.
//!
//! Over HTTP a request goes without its lane and without `generate`. One that only
//! [warms a socket up](ResponsesRequest::generate) has nothing to do there: it is refused, because
//! it would be answered.
//!
//! # Errors
//!
//! Those of the service that was used last.

mod source;
mod state;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::Service;

use self::state::{Pass, Verdict};
use crate::sse::ResponseStream;
use crate::{BoxError, Error};

pub use self::source::PreferSource;
pub use self::state::{PreferHandle, PreferPolicy, Preference};

use super::{CallOnce, ResponsesRequest};

/// Answers on a socket if there is one, else over HTTP; see the [module](self).
///
/// # Clone
///
/// Clones share what is known of sockets. For a request that goes to HTTP after all, the HTTP service
/// is cloned, and the clone made ready; the request is cloned for that each time.
pub struct Prefer<Ws, Http> {
    socket: Ws,
    http: Http,
    handle: PreferHandle,
    /// Set by readiness: the request takes the socket.
    pass: Option<Pass>,
}

impl<Ws, Http> Prefer<Ws, Http> {
    /// Prefers `socket` to `http`, with the default [policy](PreferPolicy).
    pub fn new(socket: Ws, http: Http) -> Self {
        Self::with_policy(socket, http, PreferPolicy::default())
    }

    /// Prefers `socket` to `http`.
    pub fn with_policy(socket: Ws, http: Http, policy: PreferPolicy) -> Self {
        Self { socket, http, handle: PreferHandle::new(policy), pass: None }
    }

    /// Which transport the next request takes.
    pub fn preference(&self) -> Preference {
        self.handle.current()
    }

    /// A view of that, to keep.
    pub fn handle(&self) -> PreferHandle {
        self.handle.clone()
    }

    /// The service that answers on a socket.
    pub fn socket_ref(&self) -> &Ws {
        &self.socket
    }

    /// The service that answers over HTTP.
    pub fn http_ref(&self) -> &Http {
        &self.http
    }

    /// Sends one request, on a clone of the services that is made ready first.
    ///
    /// Dropping the future or the stream cancels the request.
    ///
    /// # Errors
    ///
    /// Those of the service that was used last.
    pub fn stream_request<A, B>(
        &self,
        request: impl Into<ResponsesRequest>,
    ) -> PreferCall<Ws, Http, Ws::Future, Http::Future, A, B>
    where
        Ws: Service<ResponsesRequest, Response = ResponseStream<A>> + Clone,
        Http: Service<ResponsesRequest, Response = ResponseStream<B>> + Clone,
    {
        CallOnce::new(self.clone(), request.into())
    }
}

/// The future of [`Prefer::stream_request`].
///
/// `Ws` and `Http` are the services and `W` and `H` their futures, `A` and `B` the sources of their
/// streams.
pub type PreferCall<Ws, Http, W, H, A, B> = CallOnce<
    Prefer<Ws, Http>,
    ResponsesRequest,
    PreferFuture<W, Http, H>,
    ResponseStream<PreferSource<A, B>>,
>;

impl<A, B> ResponseStream<PreferSource<A, B>> {
    /// Whether the answer comes on a socket.
    pub fn is_over_socket(&self) -> bool {
        self.source().is_socket()
    }
}

/// A clone has to be made ready anew.
impl<Ws: Clone, Http: Clone> Clone for Prefer<Ws, Http> {
    fn clone(&self) -> Self {
        Self {
            socket: self.socket.clone(),
            http: self.http.clone(),
            handle: self.handle.clone(),
            pass: None,
        }
    }
}

impl<Ws: fmt::Debug, Http: fmt::Debug> fmt::Debug for Prefer<Ws, Http> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefer")
            .field("socket", &self.socket)
            .field("http", &self.http)
            .field("preference", &self.preference())
            .finish()
    }
}

impl<Ws, Http, A, B> Service<ResponsesRequest> for Prefer<Ws, Http>
where
    Ws: Service<ResponsesRequest, Response = ResponseStream<A>>,
    Ws::Error: Into<BoxError>,
    Http: Service<ResponsesRequest, Response = ResponseStream<B>> + Clone,
    Http::Error: Into<BoxError>,
{
    type Response = ResponseStream<PreferSource<A, B>>;
    type Error = Error;
    type Future = PreferFuture<Ws::Future, Http, Http::Future>;

    /// Ready when the transport is that the request will take.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.pass.is_none() {
            self.pass = self.handle.enter();
        }
        if self.pass.is_some() {
            match ready!(self.socket.poll_ready(cx)) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => {
                    let error = Error::from(error.into());
                    let verdict = self.pass.take().map(|pass| pass.refused(&error));
                    if verdict != Some(Verdict::Http) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
        self.http.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: ResponsesRequest) -> Self::Future {
        let (state, retreat) = match self.pass.take() {
            Some(pass) => {
                let retreat = Retreat { http: self.http.clone(), request: request.clone(), pass };
                let future = self.socket.call(request);
                (State::Socket { future }, Some(retreat))
            }
            None => match request.over_http() {
                Ok(request) => (State::Http { future: self.http.call(request) }, None),
                Err(error) => (State::Refused { error: Some(error) }, None),
            },
        };
        PreferFuture { state, retreat, handle: self.handle.clone() }
    }
}

/// What is needed to go to HTTP after all.
struct Retreat<Http> {
    http: Http,
    request: ResponsesRequest,
    pass: Pass,
}

pin_project! {
    /// The future of [`Prefer`].
    ///
    /// `W` is the future of the service that answers on a socket, `H` that of `Http`. Dropping it
    /// cancels the call. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct PreferFuture<W, Http, H> {
        #[pin]
        state: State<W, Http, H>,
        retreat: Option<Retreat<Http>>,
        handle: PreferHandle,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<W, Http, H> {
        Socket { #[pin] future: W },
        Readying { http: Http, request: Option<ResponsesRequest> },
        Http { #[pin] future: H },
        Refused { error: Option<Error> },
        Done,
    }
}

impl<W, Http, H, A, B, E> Future for PreferFuture<W, Http, H>
where
    W: Future<Output = Result<ResponseStream<A>, E>>,
    E: Into<BoxError>,
    Http: Service<ResponsesRequest, Response = ResponseStream<B>, Future = H>,
    Http::Error: Into<BoxError>,
    H: Future<Output = Result<ResponseStream<B>, Http::Error>>,
{
    type Output = Result<ResponseStream<PreferSource<A, B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Socket { future } => {
                    let result = ready!(future.poll(cx));
                    let retreat = this.retreat.take();
                    match result {
                        Ok(stream) => {
                            if let Some(retreat) = retreat {
                                retreat.pass.accepted();
                            }
                            this.state.set(State::Done);
                            let handle = this.handle.clone();
                            let source = |source| PreferSource::socket(source, handle);
                            return Poll::Ready(Ok(stream.map_source(source)));
                        }
                        Err(error) => retire(Error::from(error.into()), retreat),
                    }
                }
                StateProj::Readying { http, request } => match ready!(http.poll_ready(cx)) {
                    Ok(()) => match request.take() {
                        Some(request) => State::Http { future: http.call(request) },
                        None => State::Done,
                    },
                    Err(error) => State::Refused { error: Some(Error::from(error.into())) },
                },
                StateProj::Http { future } => {
                    let result = ready!(future.poll(cx));
                    this.state.set(State::Done);
                    return Poll::Ready(match result {
                        Ok(stream) => Ok(stream.map_source(PreferSource::http)),
                        Err(error) => Err(Error::from(error.into())),
                    });
                }
                StateProj::Refused { error } => match error.take() {
                    Some(error) => return Poll::Ready(Err(error)),
                    None => State::Done,
                },
                StateProj::Done => return Poll::Pending,
            };
            this.state.set(next);
        }
    }
}

/// What follows from an error of the socket.
fn retire<W, Http, H>(error: Error, retreat: Option<Retreat<Http>>) -> State<W, Http, H> {
    let refused = |error| State::Refused { error: Some(error) };
    let Some(Retreat { http, request, pass }) = retreat else { return refused(error) };
    match pass.refused(&error) {
        Verdict::Error => refused(error),
        Verdict::Http => match request.over_http() {
            Ok(request) => State::Readying { http, request: Some(request) },
            // Nothing is wrong with the request but that there is no socket for it.
            Err(_) => refused(error),
        },
    }
}

impl<W, Http, H> fmt::Debug for PreferFuture<W, Http, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Socket { .. } => "Socket",
            State::Readying { .. } => "Readying",
            State::Http { .. } => "Http",
            State::Refused { .. } => "Refused",
            State::Done => "Done",
        };
        f.debug_struct("PreferFuture").field("state", &state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
