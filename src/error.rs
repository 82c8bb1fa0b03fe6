//! One error type for every endpoint.
//!
//! Between layers errors are [`BoxError`]s; an endpoint turns whatever comes up into an [`Error`],
//! which knows the API's vocabulary: a [kind](Error::kind) to match on, the status, code and ids to
//! report, and the facts that decide whether to send again.
//!
//! ```
//! use tower_openai::{Error, ErrorKind};
//!
//! fn report(error: &Error) {
//!     match error.kind() {
//!         ErrorKind::RateLimited => println!("come back in {:?}", error.retry_after()),
//!         ErrorKind::Incomplete => println!("cut short: {:?}", error.incomplete_reason()),
//!         _ if error.is_retryable() => println!("worth another try"),
//!         _ => println!("{error} (request {:?})", error.request_id()),
//!     }
//!     for cause in error.chain().skip(1) {
//!         println!("  because {cause}");
//!     }
//! }
//! ```
//!
//! A layer of your own speaks the same vocabulary with [`Error::new`], and one that reads answers with
//! [`Error::from_response`]. What it says reaches the caller unchanged:
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! use std::time::Duration;
//!
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::services::{Responses, ResponsesRequest};
//! use tower_openai::{Error, ErrorKind, RequestBody, Stage};
//!
//! # tokio_test::block_on(async {
//! # let transport = service_fn(|_: Request<RequestBody>| async {
//! #     Ok::<_, BoxError>(Response::new(Full::<bytes::Bytes>::default()))
//! # });
//! // So many calls may still be made this hour.
//! let left = Arc::new(AtomicU32::new(0));
//! let budget = move |request: Request<RequestBody>| -> Result<_, BoxError> {
//!     match left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
//!         Ok(_) => Ok(request),
//!         Err(_) => Err(Error::new(ErrorKind::RateLimited, "the budget of this hour is spent")
//!             .with_stage(Stage::NotSent)
//!             .with_retry_after(Duration::from_secs(600))
//!             .into()),
//!     }
//! };
//!
//! let http = ServiceBuilder::new().filter(budget).service(transport);
//! let request = ResponsesRequest::new("gpt-5.2", "hello");
//! let error = Responses::new(http).oneshot(request).await.unwrap_err();
//! assert_eq!((error.kind(), error.stage()), (ErrorKind::RateLimited, Stage::NotSent));
//! assert_eq!(error.retry_after(), Some(Duration::from_secs(600)));
//! # });
//! ```
//!
//! `Display` is one line about this call and never repeats its causes; [`Error::chain`] walks them.
//! Neither it nor `Debug` of an [`Error`] shows a credential that this crate knows or can tell by its
//! looks: header values are left out, and the credential that was sent and what looks like a key
//! are replaced in the words of the server and of the causes. The causes themselves, which
//! [`source`](std::error::Error::source) and the chain hand out, are printed by their own types:
//! what a layer or a transport from elsewhere shows is not scrubbed.

mod answer;
mod causes;
mod chain;
#[cfg(feature = "ws")]
mod close;
mod cut;
mod display;
mod http_status;
mod kind;
pub(crate) mod retry_hint;
mod said;
mod secrets;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::BoxError;
use crate::extensions::{AttemptSummary, Attempts};
use crate::model::{PublicRateLimits, RateLimitSnapshot, Response};
use crate::sse::ResponseAccumulator;

pub(crate) use self::answer::{Unreadable, answer_too_large, unasked, unreadable};
#[cfg(feature = "retry")]
pub(crate) use self::causes::{kind_and_stage, own};
pub use self::chain::Chain;
#[cfg(feature = "ws")]
pub(crate) use self::http_status::not_switched;
pub(crate) use self::http_status::{not_a_stream, request_id_header, undecoded};
pub use self::kind::{ErrorKind, Stage};
pub(crate) use self::said::{in_stream, incomplete, one_line, parser_words, undecodable};
#[cfg(feature = "telemetry")]
pub(crate) use self::{causes::kind_of, http_status::kind_of_status};

/// The error of every endpoint: one pointer in size, opaque, with accessors.
///
/// `From<BoxError>` finds the meaning of any error by walking its causes; an [`Error`] that is boxed
/// and turned back is the same error.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    stage: Stage,
    message: Box<str>,
    status: Option<StatusCode>,
    facts: Facts,
    request_id: Option<Box<str>>,
    cf_ray: Option<Box<str>>,
    authorization_error: Option<Box<str>>,
    retry_after: Option<Duration>,
    /// What the server says of retrying, where it says so.
    retryable: Option<bool>,
    rate_limits: Vec<RateLimitSnapshot>,
    public_rate_limits: Option<Box<PublicRateLimits>>,
    response: Option<Box<Response>>,
    response_id: Option<Arc<str>>,
    sequence_number: Option<u64>,
    /// Whether content had been handed out, so that sending again would repeat it.
    handed_out: bool,
    attempts: Option<Attempts>,
    body: Bytes,
    /// What a socket was closed with.
    #[cfg(feature = "ws")]
    close: Option<Box<crate::ws::CloseFrame>>,
    source: Option<BoxError>,
}

/// What the API's own error object says.
#[derive(Clone, Default)]
struct Facts {
    code: Option<Box<str>>,
    error_type: Option<Box<str>>,
    param: Option<Box<str>>,
    plan_type: Option<Box<str>>,
    resets_at: Option<i64>,
}

/// What an endpoint knows of the stream that an error ends.
pub(crate) struct Progress {
    pub(crate) response_id: Option<Arc<str>>,
    pub(crate) sequence_number: Option<u64>,
    pub(crate) handed_out: bool,
    pub(crate) request_id: Option<Box<str>>,
}

impl Error {
    /// An error of a layer or a service of your own, in the vocabulary of this crate: endpoints above
    /// hand it out as it is.
    ///
    /// `message` says what, where and what to do, in one line. What looks like a credential in it is
    /// replaced, and of a long text the first 1000 bytes are kept. The [stage](Self::stage) is
    /// [`Stage::Unknown`] until [`with_stage`](Self::with_stage) sets another. Whether the error is
    /// [retryable](Self::is_retryable), and so for `RetryLayer` outside, follows from the kind.
    pub fn new(kind: ErrorKind, message: impl Into<Box<str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            stage: Stage::Unknown,
            message: said::one_line(&message.into()).into(),
            status: None,
            facts: Facts::default(),
            request_id: None,
            cf_ray: None,
            authorization_error: None,
            retry_after: None,
            retryable: None,
            rate_limits: Vec::new(),
            public_rate_limits: None,
            response: None,
            response_id: None,
            sequence_number: None,
            handed_out: false,
            attempts: None,
            body: Bytes::new(),
            #[cfg(feature = "ws")]
            close: None,
            source: None,
        }))
    }

    /// A request or configuration that cannot be sent: `message` says what, where and what to do.
    pub(crate) fn build(message: impl Into<Box<str>>) -> Self {
        Self::new(ErrorKind::Build, message).with_stage(Stage::NotSent)
    }

    /// Says how far the request had come.
    #[must_use]
    pub fn with_stage(mut self, stage: Stage) -> Self {
        self.0.stage = stage;
        self
    }

    /// Keeps the cause. It is printed by its own type: it must not show a credential.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says how long to wait before the same request is sent again. `RetryLayer` outside takes it for
    /// a hint of the server's.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    pub(crate) fn with_response(mut self, response: Box<Response>) -> Self {
        if !response.id.is_empty() {
            self.0.response_id = Some(Arc::clone(&response.id));
        }
        self.0.response = Some(response);
        self
    }

    /// Gives the partial response what was put together of it, if it came without its output.
    pub(crate) fn with_partial(mut self, partial: ResponseAccumulator) -> Self {
        let partial = partial.into_response();
        match &mut self.0.response {
            Some(response) if response.output.is_empty() => response.output = partial.output,
            Some(_) => {}
            None => self.0.response = Some(Box::new(partial)),
        }
        self
    }

    /// Says how far the stream had come that this error ends.
    pub(crate) fn in_stream(mut self, progress: Progress) -> Self {
        let line = |id: &str| one_line(id).into();
        let inner = &mut self.0;
        inner.stage = Stage::Streaming;
        inner.response_id = inner.response_id.take().or(progress.response_id);
        inner.sequence_number = inner.sequence_number.or(progress.sequence_number);
        inner.request_id = inner.request_id.take().or(progress.request_id.as_deref().map(line));
        inner.handed_out = progress.handed_out;
        self
    }

    /// Says how many events the stream had given before this error.
    pub(crate) fn after_events(self, events: u64) -> Self {
        self.adding(format_args!("events so far: {events}"))
    }

    /// Adds to what is said.
    pub(crate) fn adding(mut self, more: impl fmt::Display) -> Self {
        self.0.message = format!("{}; {more}", self.0.message).into();
        self
    }

    /// Says that sending the same request again would not help, or would repeat what was handed out.
    #[cfg(feature = "retry")]
    pub(crate) fn without_retry(mut self) -> Self {
        self.0.retryable = Some(false);
        self
    }

    /// Says whether the same request may be sent again, whatever the kind says of it.
    #[cfg(feature = "ws")]
    pub(crate) fn retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = Some(retryable);
        self
    }

    /// Notes the attempts of the call, if there was more than one. What one of them sent is sent,
    /// whatever became of the last.
    pub(crate) fn with_attempts(mut self, attempts: Option<&Attempts>) -> Self {
        if let Some(attempts) = attempts {
            self.0.stage = self.0.stage.furthest(attempts.furthest());
            self.0.attempts = Some(attempts.clone());
        }
        self
    }

    /// The error that says why this one came about, as far as it had come.
    #[cfg_attr(not(feature = "files"), allow(dead_code))]
    pub(crate) fn explained_by(self, kind: ErrorKind, message: Box<str>) -> Self {
        let mut why = Self::new(kind, message).with_stage(self.0.stage);
        why.0.attempts.clone_from(&self.0.attempts);
        why.with_source(self)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How far the request had come; of several attempts, the one that had come furthest.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// The status of the answer, if there was one: that of a refusal, or of a success whose body
    /// cannot be read.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The API's code, such as `rate_limit_exceeded`; for a 401 also the one in `x-error-json`.
    pub fn code(&self) -> Option<&str> {
        self.0.facts.code.as_deref()
    }

    /// The API's error type, such as `invalid_request_error`.
    pub fn error_type(&self) -> Option<&str> {
        self.0.facts.error_type.as_deref()
    }

    /// The request's member that is at fault.
    pub fn param(&self) -> Option<&str> {
        self.0.facts.param.as_deref()
    }

    /// The sentence of the server, or of this crate, on what went wrong; one line.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The server's id of the request: `x-request-id`, else `x-oai-request-id`.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Cloudflare's id of the request.
    pub fn cf_ray(&self) -> Option<&str> {
        self.0.cf_ray.as_deref()
    }

    /// What `x-openai-authorization-error` says on a 401.
    pub fn authorization_error(&self) -> Option<&str> {
        self.0.authorization_error.as_deref()
    }

    /// How long the server asks to wait: from `retry-after-ms`, `retry-after`, or the message; or what
    /// [`with_retry_after`](Self::with_retry_after) says.
    ///
    /// It is what the server says, days and centuries included: bound it before you sleep on it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The attempts that `RetryLayer` made of the call, in order. The last one ended with this error,
    /// unless the service failed before it was ready for another.
    ///
    /// Empty if the call was not tried again.
    pub fn attempts(&self) -> &[AttemptSummary] {
        self.0.attempts.as_ref().map_or(&[], Attempts::all)
    }

    /// The Codex backend's rate limits that the answer's headers report; of a usage limit, the limit
    /// that was hit. Those of the public API: [`public_rate_limits`](Self::public_rate_limits).
    pub fn rate_limits(&self) -> &[RateLimitSnapshot] {
        &self.0.rate_limits
    }

    /// The rate limits of the public API and of Azure (`x-ratelimit-*`) that the answer's headers
    /// report: on a 429 how much is left of requests and tokens, and when all of it is back.
    pub fn public_rate_limits(&self) -> Option<&PublicRateLimits> {
        self.0.public_rate_limits.as_deref()
    }

    /// The plan whose usage limit is reached.
    pub fn plan_type(&self) -> Option<&str> {
        self.0.facts.plan_type.as_deref()
    }

    /// When the usage limit resets, in seconds since the Unix epoch.
    pub fn resets_at(&self) -> Option<i64> {
        self.0.facts.resets_at
    }

    /// The response that failed or was cut short, with its partial output and usage.
    pub fn response(&self) -> Option<&Response> {
        self.0.response.as_deref()
    }

    /// The response's id, once an event has carried it.
    pub fn response_id(&self) -> Option<&str> {
        self.0.response_id.as_deref()
    }

    /// The highest sequence number that was read: where a stored stream can be taken up again.
    pub fn sequence_number(&self) -> Option<u64> {
        self.0.sequence_number
    }

    /// Why the answer is incomplete, such as `max_output_tokens` or `content_filter`.
    pub fn incomplete_reason(&self) -> Option<&str> {
        Some(self.0.response.as_ref()?.incomplete_reason()?.as_str())
    }

    /// The body of the refusal as it came, at most 64 KiB of it.
    ///
    /// It may quote what was sent; `Debug` and `Display` never show it.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// Whether the same request may well succeed if it is sent again.
    ///
    /// False once content of a stream was handed out and the connection broke: the same answer would
    /// come twice. A failure that the server itself tells in the stream, such as `server_error`, is
    /// the end of that answer: another one may be had, whatever has been read of this one.
    pub fn is_retryable(&self) -> bool {
        if let Some(retryable) = self.0.retryable {
            return retryable;
        }
        match self.0.kind {
            ErrorKind::RateLimited
            | ErrorKind::Server
            | ErrorKind::Conflict
            | ErrorKind::Connect
            | ErrorKind::ConnectionExpired => true,
            ErrorKind::Timeout
            | ErrorKind::HeadTimeout
            | ErrorKind::FirstEventTimeout
            | ErrorKind::IdleTimeout
            | ErrorKind::ProgressTimeout
            | ErrorKind::Transport
            | ErrorKind::Truncated => !self.0.handed_out,
            #[cfg(feature = "ws")]
            ErrorKind::Closed => !self.0.handed_out && self.may_reopen(),
            _ => false,
        }
    }

    /// Whether a limit of time was passed: [`ErrorKind::is_timeout`].
    pub fn is_timeout(&self) -> bool {
        self.0.kind.is_timeout()
    }

    /// Whether it stands whatever the status or a header says of retrying.
    #[cfg(feature = "retry")]
    pub(crate) fn is_final(&self) -> bool {
        said::is_final(self.0.kind)
    }

    /// This error and all its causes, outermost first.
    pub fn chain(&self) -> Chain<'_> {
        Chain::new(self)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_small_and_travels() {
        fn travels<T: Send + Sync + 'static>() {}
        travels::<Error>();
        assert!(size_of::<Error>() <= 16);
    }

    #[test]
    fn a_broken_stream_is_not_retried_once_content_was_handed_out() {
        let progress = |handed_out| Progress {
            response_id: None,
            sequence_number: Some(3),
            handed_out,
            request_id: None,
        };
        let broken = || Error::new(ErrorKind::Transport, "reset");
        assert!(broken().in_stream(progress(false)).is_retryable());
        assert!(!broken().in_stream(progress(true)).is_retryable());
        // What the server says about its own failure stands.
        let server = Error::new(ErrorKind::Server, "failed").in_stream(progress(true));
        assert!(server.is_retryable());
    }
}
