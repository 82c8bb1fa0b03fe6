//! Takes a stream up again where it broke off.
//!
//! # Problem
//!
//! A connection that lasts for minutes breaks: a proxy cuts it, a train enters a tunnel. Sending the
//! request again costs the whole answer once more, and what has been read comes twice. But a response
//! that the server stores, or makes in the background, can be asked for: from behind the last event
//! that was read. [`ResumeLayer`] does so below the reader's [`ResponseStream`], which goes on as if
//! nothing had happened.
//!
//! # Place
//!
//! On the typed level, around [`Responses`] or layers that stand on it. The layer is given the service
//! that retrieves, with whatever stack of its own:
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::RequestBody;
//! use tower_openai::layers::{ResumeLayer, ResumePolicy};
//! use tower_openai::services::{Responses, ResponsesRequest, RetrieveStream};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_openai::Error> {
//! // A server whose first connection ends behind the first word.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     let body = match request.uri().to_string().as_str() {
//!         "/responses" => concat!(
//!             r#"data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1"}}"#, "\n\n",
//!             r#"data: {"type":"response.output_text.delta","sequence_number":1,"delta":"Ray"}"#, "\n\n",
//!         ),
//!         "/responses/resp_1?stream=true&starting_after=1" => concat!(
//!             r#"data: {"type":"response.output_text.delta","sequence_number":2,"delta":"leigh"}"#, "\n\n",
//!             r#"data: {"type":"response.completed","sequence_number":3,"response":{"id":"resp_1"}}"#, "\n\n",
//!         ),
//!         other => panic!("{other}"),
//!     };
//!     Ok::<_, std::convert::Infallible>(http::Response::new(Full::from(body)))
//! });
//!
//! let retrieve = RetrieveStream::new(http.clone());
//! let responses = ServiceBuilder::new()
//!     .layer(ResumeLayer::new(retrieve).policy(ResumePolicy::default().max_in_a_row(3)))
//!     .layer(Responses::layer())
//!     .service(http);
//!
//! let request = ResponsesRequest::new("gpt-5.2", "Why is the sky blue?").background(true);
//! let stream = responses.oneshot(request).await?;
//! assert_eq!(stream.text().collect().await?, "Rayleigh");
//! # Ok(())
//! # }
//! ```
//!
//! The preset has it assembled: `Client::resuming_responses`, with the policy of the client's `Policy`.
//!
//! # Which streams
//!
//! Those whose request lets the server keep the response: with `background`, or with `store`, which
//! is the public API's default where a body of the caller's own does not say. Others pass as they are.
//! A stream is resumed once it has told the response's id and a sequence number; before that nothing
//! can be asked for.
//!
//! What is resumed is a connection that ended and not a response: a broken transport, an end without
//! a terminal event, and the clocks of bytes and events. An error of the server's is the end, as is
//! the [total](StreamTimeouts::total) limit, which holds for the resumptions too.
//!
//! # What the reader sees
//!
//! The same events as from a connection that had not broken: none is lost, and what a server sends
//! again is dropped by its sequence number. A snapshot of the response that a server sends on
//! resuming, as Azure does, has a number of its own or none; it is handed out, and
//! [`final_response`](ResponseStream::final_response) takes it for what it is, the response as it
//! stands. What the head of a re-opened stream stands for is not handed out again;
//! [`meta`](ResponseStream::meta) is the head of the connection that is read at the time.
//!
//! A re-opened stream behaves as the service that retrieves is set: limits, leniency, timeouts. The
//! request that retrieves has the options of the one that began: headers, session, timeouts,
//! extensions. For layers below it is a call of its own: each has its own span and its own observers,
//! and the first call ends, for them, with the error that it broke off with.
//!
//! # Errors
//!
//! Calls fail as those of the service inside do. A stream that is given up ends with the last error:
//! that of the connection, or that of the server which refused to go on. It has the response's
//! [id](crate::Error::response_id) and the last [sequence number](crate::Error::sequence_number), so
//! that one may go on later. See [`ResumePolicy`] for when that is.
//!
//! # Cancellation
//!
//! Dropping the stream drops what is under way. The response itself goes on, if it runs in the
//! background: [`CancelResponse`](crate::services::CancelResponse) stops it. Its streams then end without
//! a terminal event, and a reader elsewhere has the error of a row that was given up.
//!
//! # Panics
//!
//! A stream that breaks off makes a tokio timer, which panics outside a tokio runtime or in one
//! without its time driver.
//!
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total

mod policy;
mod resumption;
mod settings;
mod source;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use self::resumption::Resumption;
use crate::Error;
use crate::services::{CallOnce, ResponsesRequest, RetrieveStreamRequest};
use crate::sse::ResponseStream;

pub use self::policy::ResumePolicy;
pub use self::settings::ResumeSettings;
pub use self::source::ResumeSource;

#[cfg(doc)]
use crate::{extensions::StreamTimeouts, services::Responses};

/// Takes streams up again where they broke off; see the [module](self).
///
/// `R` is the service that retrieves.
#[derive(Clone, Debug)]
#[must_use]
pub struct ResumeLayer<R> {
    retrieve: R,
    policy: ResumePolicy,
}

impl<R> ResumeLayer<R> {
    /// Resumes by `retrieve`: a [`RetrieveStream`](crate::services::RetrieveStream), or layers around
    /// one.
    pub fn new(retrieve: R) -> Self {
        Self { retrieve, policy: ResumePolicy::default() }
    }

    /// How often and how long it is tried.
    pub fn policy(mut self, policy: ResumePolicy) -> Self {
        self.policy = policy;
        self
    }
}

impl<S, R: Clone> Layer<S> for ResumeLayer<R> {
    type Service = Resume<S, R>;

    fn layer(&self, inner: S) -> Resume<S, R> {
        Resume { inner, retrieve: self.retrieve.clone(), policy: self.policy.clone() }
    }
}

/// The service of [`ResumeLayer`].
///
/// # Clone
///
/// The service that retrieves is cloned, for each request that may be resumed and for each
/// resumption; a clone is made ready before it is called.
#[derive(Clone, Debug)]
pub struct Resume<S, R> {
    inner: S,
    retrieve: R,
    policy: ResumePolicy,
}

impl Resume<(), ()> {
    /// The same as [`ResumeLayer::new`].
    pub fn layer<R>(retrieve: R) -> ResumeLayer<R> {
        ResumeLayer::new(retrieve)
    }
}

impl<S, R> Resume<S, R> {
    /// `inner` with streams that are resumed by `retrieve`.
    pub fn new(inner: S, retrieve: R) -> Self {
        Self { inner, retrieve, policy: ResumePolicy::default() }
    }

    /// How often and how long it is tried.
    #[must_use]
    pub fn policy(mut self, policy: ResumePolicy) -> Self {
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
    pub fn stream_request<A, B>(
        &self,
        request: impl Into<ResponsesRequest>,
    ) -> ResumeCall<S, S::Future, A, R, R::Future, B>
    where
        S: Service<ResponsesRequest, Response = ResponseStream<A>, Error = Error> + Clone,
        R: Service<RetrieveStreamRequest, Response = ResponseStream<B>> + Clone,
    {
        CallOnce::new(self.clone(), request.into())
    }

    inner_accessors!();
}

/// A stream that is resumed: the [`ResponseStream`] of [`Resume`].
///
/// `A` is the source of the first connection and `B` that of those that resume it, `R` the service that
/// retrieves and `F` its future.
pub type ResumeStream<A, R, F, B> = ResponseStream<ResumeSource<A, R, F, B>>;

/// The future of [`Resume::stream_request`].
///
/// `S` is the service inside and `C` its future, `R` the service that retrieves and `F` its future; `A` and
/// `B` are the sources of their streams.
pub type ResumeCall<S, C, A, R, F, B> =
    CallOnce<Resume<S, R>, ResponsesRequest, ResumeFuture<C, R>, ResumeStream<A, R, F, B>>;

impl<S, R, A, B> Service<ResponsesRequest> for Resume<S, R>
where
    S: Service<ResponsesRequest, Response = ResponseStream<A>>,
    R: Service<RetrieveStreamRequest, Response = ResponseStream<B>> + Clone,
{
    type Response = ResumeStream<A, R, R::Future, B>;
    type Error = S::Error;
    type Future = ResumeFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: ResponsesRequest) -> Self::Future {
        let opening = (request.may_be_resumed() && !self.policy.tries.is_off()).then(|| Opening {
            retrieve: self.retrieve.clone(),
            policy: self.policy.clone(),
            request: RetrieveStreamRequest::of(&request),
            start: Instant::now(),
        });
        ResumeFuture { future: self.inner.call(request), opening }
    }
}

/// What a stream will need that may be resumed.
struct Opening<R> {
    retrieve: R,
    policy: ResumePolicy,
    request: RetrieveStreamRequest,
    start: Instant,
}

pin_project! {
    /// The future of [`Resume`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ResumeFuture<F, R> {
        #[pin]
        future: F,
        opening: Option<Opening<R>>,
    }
}

impl<F, R, A, B, E> Future for ResumeFuture<F, R>
where
    F: Future<Output = Result<ResponseStream<A>, E>>,
    R: Service<RetrieveStreamRequest, Response = ResponseStream<B>>,
{
    type Output = Result<ResumeStream<A, R, R::Future, B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let stream = ready!(this.future.poll(cx))?;
        let resumption = this.opening.take().map(|opening| {
            let Opening { retrieve, policy, request, start } = opening;
            let total = stream.timeouts().total_or(None);
            Resumption::new(retrieve, policy, request, total.and_then(|t| start.checked_add(t)))
        });
        Poll::Ready(Ok(stream.map_source(|source| ResumeSource::new(source, resumption))))
    }
}

impl<F, R> fmt::Debug for ResumeFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumeFuture")
            .field("may_be_resumed", &self.opening.is_some())
            .finish_non_exhaustive()
    }
}

impl<A, R, F, B> ResponseStream<ResumeSource<A, R, F, B>> {
    /// How often the stream has been re-opened.
    pub fn resumptions(&self) -> u32 {
        self.source().resumptions()
    }
}
