//! Sends a request again whose stream fails before anything of the answer has come.
//!
//! # Problem
//!
//! [`RetryLayer`] sees heads. A model that is overloaded often says so later: the head is a 200, the
//! response is created, and then there is `response.failed`, a connection that breaks, or silence until
//! a clock runs out. Nothing of the answer has been read by then, so the request may be sent once more
//! without anybody reading a word twice. [`StreamRetryLayer`] does so below the reader's
//! [`ResponseStream`], which goes on with the stream of the next response.
//!
//! # Place
//!
//! On the typed level, around [`Responses`] or whatever has such streams: a socket, or
//! `Prefer`. Outside [`ResumeLayer`](super::ResumeLayer), which takes up what
//! can be taken up; what it gives up untouched is sent anew. `RetryLayer` keeps its place on the HTTP
//! level, and has its say in each call.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::RequestBody;
//! use tower_openai::layers::{StreamRetryLayer, StreamRetryPolicy};
//! use tower_openai::services::{Responses, ResponsesRequest};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_openai::Error> {
//! // A server that creates the first response and then has no room for it.
//! let calls = AtomicU32::new(0);
//! let http = service_fn(|_: http::Request<RequestBody>| {
//!     let end = match calls.fetch_add(1, Ordering::Relaxed) {
//!         0 => r#"{"type":"response.failed","response":{"id":"r","error":{"code":"server_error"}}}"#,
//!         _ => r#"{"type":"response.completed","response":{"id":"r"}}"#,
//!     };
//!     let body = format!(
//!         "data: {}\n\ndata: {end}\n\n",
//!         r#"{"type":"response.created","response":{"id":"r"}}"#,
//!     );
//!     async { Ok::<_, std::convert::Infallible>(http::Response::new(Full::from(body))) }
//! });
//!
//! let responses = ServiceBuilder::new()
//!     .layer(StreamRetryLayer::new(StreamRetryPolicy::default().max_retries(3)))
//!     .layer(Responses::layer())
//!     .service(http);
//!
//! let stream = responses.oneshot(ResponsesRequest::new("gpt-5.2", "Hello")).await?;
//! stream.final_response().await?;
//! assert_eq!(calls.load(Ordering::Relaxed), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The preset has it assembled: `Client::retrying_responses`, with the policy of the client's `Policy`.
//!
//! # Which failures
//!
//! Those that another try may get past, by [`Error::is_retryable`]: an overloaded or failing server, a
//! rate limit, a broken or truncated connection, and the clocks of bytes and events. Once there is
//! anything of the answer, an item or a delta, the stream ends with its error. So it does if the server
//! wants a longer wait than the [policy](StreamRetryPolicy::max_hint) allows, or the
//! [total](StreamTimeouts::total) limit would be over before.
//!
//! What fails before there is a stream is the business of `RetryLayer`; it ends a call that was sent
//! again, too, if it is final.
//!
//! # What the reader sees
//!
//! What the first response had told before it failed, its head and its `response.created`, and then the
//! whole stream of the next one, with an id of its own. [`final_response`](ResponseStream::final_response)
//! is the response that came last. [`retries`](ResponseStream::retries) counts.
//!
//! For layers below each try is a call of its own: it has its own span and its own observers, and the
//! one that failed ends, for them, with its error. Each is a request that the provider may charge for.
//!
//! # Errors
//!
//! Calls fail as those of the service inside do. A stream that is given up ends with the error of the
//! last try.
//!
//! # Cancellation
//!
//! Dropping the stream drops what is under way.
//!
//! # Panics
//!
//! A stream that is tried again makes a tokio timer, which panics outside a tokio runtime or in one
//! without its time driver.
//!
//! [`RetryLayer`]: super::RetryLayer
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total

mod policy;
mod retrying;
mod settings;
mod source;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use self::retrying::Retrying;
use crate::Error;
use crate::services::{CallOnce, ResponsesRequest};
use crate::sse::ResponseStream;

pub use self::policy::StreamRetryPolicy;
pub use self::settings::StreamRetrySettings;
pub use self::source::StreamRetrySource;

#[cfg(doc)]
use crate::{extensions::StreamTimeouts, services::Responses};

/// Sends requests again whose streams fail before anything of the answer has come; see the
/// [module](self).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct StreamRetryLayer {
    policy: StreamRetryPolicy,
}

impl StreamRetryLayer {
    /// Tries again as `policy` says.
    pub fn new(policy: StreamRetryPolicy) -> Self {
        Self { policy }
    }
}

impl<S> Layer<S> for StreamRetryLayer {
    type Service = StreamRetry<S>;

    fn layer(&self, inner: S) -> StreamRetry<S> {
        StreamRetry { inner, policy: self.policy.clone() }
    }
}

/// The service of [`StreamRetryLayer`].
///
/// # Clone
///
/// For each request that may be sent again, the request and the service are cloned when it is sent; the
/// clone is made ready before it is called. A policy without retries clones nothing.
#[derive(Clone, Debug)]
pub struct StreamRetry<S> {
    inner: S,
    policy: StreamRetryPolicy,
}

impl StreamRetry<()> {
    /// The same as [`StreamRetryLayer::new`].
    pub fn layer(policy: StreamRetryPolicy) -> StreamRetryLayer {
        StreamRetryLayer::new(policy)
    }
}

impl<S> StreamRetry<S> {
    /// `inner` with the default policy.
    pub fn new(inner: S) -> Self {
        Self { inner, policy: StreamRetryPolicy::default() }
    }

    /// How often and how long it is tried.
    #[must_use]
    pub fn policy(mut self, policy: StreamRetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sends one request, on a clone of the service that is made ready first.
    ///
    /// Dropping the future or the stream cancels the request.
    ///
    /// # Errors
    ///
    /// Those of the service inside.
    pub fn stream_request<A>(
        &self,
        request: impl Into<ResponsesRequest>,
    ) -> StreamRetryCall<S, S::Future, A>
    where
        S: Service<ResponsesRequest, Response = ResponseStream<A>, Error = Error> + Clone,
    {
        CallOnce::new(self.clone(), request.into())
    }

    inner_accessors!();
}

/// A stream whose request may be sent again: the [`ResponseStream`] of [`StreamRetry`].
///
/// `A` is the source of the streams of the service `S` inside, and `F` its future.
pub type StreamRetryStream<A, S, F> = ResponseStream<StreamRetrySource<A, S, F>>;

/// The future of [`StreamRetry::stream_request`].
///
/// `S` is the service inside, `F` its future and `A` the source of its streams.
pub type StreamRetryCall<S, F, A> =
    CallOnce<StreamRetry<S>, ResponsesRequest, StreamRetryFuture<F, S>, StreamRetryStream<A, S, F>>;

impl<S, A> Service<ResponsesRequest> for StreamRetry<S>
where
    S: Service<ResponsesRequest, Response = ResponseStream<A>> + Clone,
{
    type Response = StreamRetryStream<A, S, S::Future>;
    type Error = S::Error;
    type Future = StreamRetryFuture<S::Future, S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ResponsesRequest) -> Self::Future {
        let spare = (!self.policy.tries.is_off()).then(|| Spare {
            service: self.inner.clone(),
            request: request.clone(),
            policy: self.policy.clone(),
            start: Instant::now(),
        });
        StreamRetryFuture { future: self.inner.call(request), spare }
    }
}

/// What a stream will need to be opened anew.
struct Spare<S> {
    service: S,
    request: ResponsesRequest,
    policy: StreamRetryPolicy,
    start: Instant,
}

pin_project! {
    /// The future of [`StreamRetry`].
    #[must_use = "futures do nothing unless polled"]
    pub struct StreamRetryFuture<F, S> {
        #[pin]
        future: F,
        spare: Option<Spare<S>>,
    }
}

impl<F, S, A, E> Future for StreamRetryFuture<F, S>
where
    F: Future<Output = Result<ResponseStream<A>, E>>,
{
    type Output = Result<StreamRetryStream<A, S, F>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let stream = ready!(this.future.poll(cx))?;
        let retrying = this.spare.take().map(|spare| {
            let Spare { service, request, policy, start } = spare;
            let total = stream.timeouts().total_or(None);
            Retrying::new(service, request, policy, total.and_then(|t| start.checked_add(t)))
        });
        Poll::Ready(Ok(stream.map_source(|source| StreamRetrySource::new(source, retrying))))
    }
}

impl<F, S> fmt::Debug for StreamRetryFuture<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRetryFuture")
            .field("may_be_retried", &self.spare.is_some())
            .finish_non_exhaustive()
    }
}

impl<A, S, F> ResponseStream<StreamRetrySource<A, S, F>> {
    /// How often the request has been sent again for this stream.
    pub fn retries(&self) -> u32 {
        self.source().retries()
    }
}
