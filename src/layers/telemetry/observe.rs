//! What an observer is told, and when.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri, Version};

use crate::extensions::{Attempt, Call, RetryReason};
use crate::model::{ResponseEvent, TokenUsage};
use crate::provider::AZURE_MARKERS;
use crate::redaction;
use crate::{Error, ErrorKind};

/// Hears what becomes of each call; every method has a default that does nothing.
///
/// The order of one call is: [`on_request`](Self::on_request); for each attempt
/// [`on_attempt`](Self::on_attempt), and [`on_retry`](Self::on_retry) before the next;
/// [`on_head`](Self::on_head); then the events, [`on_first_event`](Self::on_first_event) just before
/// the first; and [`on_end`](Self::on_end), once, whatever happens.
///
/// The methods are called while a future or body is polled or dropped. They must neither block nor
/// panic, and they get what is secret nowhere but in the headers of [`HeadInfo`].
///
/// `()` observes nothing. `Arc<O>`, `Box<O>`, `&'static O` and `Option<O>` do what `O` does, a pair
/// or triple tells each in turn.
pub trait Observe: Send + Sync + 'static {
    /// Whether anything is done with what is told; asked once per call. If not, and nobody listens
    /// to the span either, nothing is gathered.
    fn is_enabled(&self) -> bool {
        true
    }

    /// A call begins.
    fn on_request(&self, call: &CallInfo) {
        let _ = call;
    }

    /// A request that went to the wire has its answer's head, or failed, or was dropped. Told by
    /// [`AttemptLayer`](super::AttemptLayer): without one there are no attempts. On a socket, what was
    /// sent has the first message of its answer; that needs no layer.
    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        let _ = (call, attempt);
    }

    /// An attempt has failed, and another follows after a wait. Told by `RetryLayer`.
    fn on_retry(&self, call: &CallInfo, retry: &RetryInfo) {
        let _ = (call, retry);
    }

    /// The head of the answer that the caller gets is there, a success or not.
    fn on_head(&self, call: &CallInfo, head: &HeadInfo<'_>) {
        let _ = (call, head);
    }

    /// The first event came from the wire, `elapsed` after the call began.
    fn on_first_event(&self, call: &CallInfo, elapsed: Duration) {
        let _ = (call, elapsed);
    }

    /// An event is handed out. A stream's failure is told as its end, not as an event.
    fn on_event(&self, call: &CallInfo, event: &EventInfo<'_>) {
        let _ = (call, event);
    }

    /// The sequence numbers of two events do not follow one another.
    fn on_sequence_gap(&self, call: &CallInfo, gap: SequenceGap) {
        let _ = (call, gap);
    }

    /// The call is over. Called once, also when its future or its stream is dropped.
    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        let _ = (call, end);
    }
}

/// Which call it is.
#[derive(Clone)]
pub struct CallInfo {
    id: u64,
    call: Option<Call>,
    method: Method,
    uri: Uri,
    provider: Option<Arc<str>>,
    over_socket: bool,
}

impl CallInfo {
    pub(super) fn of<B>(id: u64, request: &Request<B>, provider: Option<Arc<str>>) -> Self {
        Self {
            id,
            call: request.extensions().get().cloned(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            provider,
            over_socket: false,
        }
    }

    /// A call on the socket that this one has opened.
    pub(super) fn on_socket(&self, id: u64, call: Call) -> Self {
        Self { id, call: Some(call), over_socket: true, ..self.clone() }
    }

    /// What the endpoint says of the call; among it what must not be told.
    pub(super) fn call(&self) -> Option<&Call> {
        self.call.as_ref()
    }

    /// A number of its own among the calls of this layer and its clones, from 1.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The endpoint's name, such as `responses`; `None` if it is not one of this crate's.
    pub fn endpoint(&self) -> Option<&'static str> {
        self.call.as_ref().map(Call::endpoint)
    }

    /// The model that is asked, if the endpoint says so.
    pub fn model(&self) -> Option<&str> {
        self.call.as_ref()?.model()
    }

    /// Whether the endpoint asked for a stream.
    pub fn is_streaming(&self) -> bool {
        self.call.as_ref().is_some_and(Call::is_streaming)
    }

    /// Whether it is a request on a WebSocket that is open. Then method, host, port and path are those
    /// of the handshake.
    pub fn is_over_socket(&self) -> bool {
        self.over_socket
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The host; `None` if the layer stands outside `ProviderLayer`.
    pub fn host(&self) -> Option<&str> {
        self.uri.host()
    }

    /// The port, the scheme's default included.
    pub fn port(&self) -> Option<u16> {
        self.uri.port_u16().or_else(|| match self.uri.scheme_str()? {
            "https" | "wss" => Some(443),
            "http" | "ws" => Some(80),
            _ => None,
        })
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// `gen_ai.provider.name`: the name given to the layer, else `azure.ai.openai` for a host of
    /// Azure's and `openai` for any other.
    pub fn provider_name(&self) -> &str {
        let azure = || {
            let host = self.host().unwrap_or_default();
            AZURE_MARKERS.iter().any(|marker| host.contains(marker))
        };
        match &self.provider {
            Some(name) => name,
            None if azure() => "azure.ai.openai",
            None => "openai",
        }
    }

    /// `gen_ai.operation.name`: `chat` for `responses`, the name of any other endpoint as it is,
    /// `request` if there is none.
    pub fn operation_name(&self) -> &'static str {
        match self.endpoint() {
            Some("responses") => "chat",
            Some(endpoint) => endpoint,
            None => "request",
        }
    }
}

impl fmt::Debug for CallInfo {
    /// Without the query, which may be a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallInfo")
            .field("id", &self.id)
            .field("endpoint", &self.endpoint())
            .field("model", &self.model())
            .field("method", &self.method)
            .field("host", &self.host())
            .field("path", &self.path())
            .field("over_socket", &self.over_socket)
            .finish_non_exhaustive()
    }
}

/// How a request that went to the wire ended.
#[derive(Clone)]
#[non_exhaustive]
pub struct AttemptInfo<'a> {
    /// Its number as retry counts, from 1. A request that is sent again with a fresh credential
    /// keeps its number.
    pub attempt: Attempt,
    /// How many requests of the call have gone to the wire, this one included.
    pub sent: u32,
    /// Whether it repeats a request that was answered with 401.
    pub after_unauthorized: bool,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The kind of the failure; `None` for a success and for what was dropped.
    pub error_kind: Option<ErrorKind>,
    /// The error itself, if there was no answer.
    pub error: Option<&'a (dyn StdError + Send + Sync + 'static)>,
    /// From sending to the head of the answer.
    pub elapsed: Duration,
    /// The answer's version of HTTP.
    pub version: Option<Version>,
    /// The header that held the credential, never its value; `None` if the request was anonymous.
    pub auth_header: Option<&'a HeaderName>,
    /// The server's id of the request.
    pub request_id: Option<&'a str>,
    /// Cloudflare's id of the request.
    pub cf_ray: Option<&'a str>,
    /// `x-openai-authorization-error` of a failure.
    pub authorization_error: Option<&'a str>,
    /// The code that a 401 has in `x-error-json`.
    pub code: Option<&'a str>,
}

impl fmt::Debug for AttemptInfo<'_> {
    /// With the error's sentence: its `Debug` is a matter of the transport's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.error.map(|error| error.to_string());
        f.debug_struct("AttemptInfo")
            .field("attempt", &self.attempt.number())
            .field("sent", &self.sent)
            .field("outcome", &self.outcome)
            .field("error_kind", &self.error_kind)
            .field("error", &error.as_deref().map(redaction::scrub))
            .field("elapsed", &self.elapsed)
            .field("auth_header", &self.auth_header)
            .field("request_id", &self.request_id)
            .field("cf_ray", &self.cf_ray)
            .finish_non_exhaustive()
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// With an answer of this status.
    Status(StatusCode),
    /// Without an answer, for an error of this kind.
    Error(ErrorKind),
    /// Dropped before its end: cancelled, or a timeout further out.
    Dropped,
}

/// A wait before another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryInfo {
    /// The attempt that failed.
    pub failed: Attempt,
    /// How long the next one waits.
    pub delay: Duration,
    /// Why there is a next one.
    pub reason: RetryReason,
}

/// The head of an answer.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct HeadInfo<'a> {
    /// Its status.
    pub status: StatusCode,
    /// From the beginning of the call, retries included.
    pub elapsed: Duration,
    /// Its headers as the server sent them: `set-cookie` too.
    pub headers: &'a HeaderMap,
}

impl fmt::Debug for HeadInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadInfo")
            .field("status", &self.status)
            .field("elapsed", &self.elapsed)
            .field("headers", &redaction::Headers(self.headers))
            .finish()
    }
}

/// An event that is handed out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EventInfo<'a> {
    /// The event.
    pub event: &'a ResponseEvent,
    /// Whether it came from the wire, not from the head of the answer.
    pub from_wire: bool,
    /// How long the reader waited for the wire; zero if it came in one piece with the one before.
    pub waited: Duration,
    /// Since the last event from the wire was handed out, the reader's own time included; `None`
    /// before there was one.
    pub since_last: Option<Duration>,
}

/// Two sequence numbers that do not follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceGap {
    /// The number of the event before.
    pub last: u64,
    /// The number of this one.
    pub next: u64,
}

/// The end of a call, and what it came to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallEnd<'a> {
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// The answer's status, if there was an answer.
    pub status: Option<StatusCode>,
    /// From the beginning of the call to the end of its answer.
    pub duration: Duration,
    /// From the beginning of the call to the first event.
    pub first_event: Option<Duration>,
    /// Requests that went to the wire; 0 without `AttemptLayer`.
    pub attempts: u32,
    /// Waits before further attempts.
    pub retries: u32,
    /// Events that came from the wire.
    pub events: u64,
    /// Bytes of the answer that were read, after decompression.
    pub bytes: u64,
    /// What the call cost.
    pub usage: Option<&'a TokenUsage>,
    /// The model that served it.
    pub model: Option<&'a str>,
    /// The id of the response.
    pub response_id: Option<&'a str>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// With `response.completed`; if only bytes were read, with the end of the body.
    Complete,
    /// Without success.
    Error {
        /// Its kind.
        kind: ErrorKind,
        /// The error that the caller has, if an endpoint of this crate read the answer.
        error: Option<&'a Error>,
    },
    /// The caller dropped it before its end.
    Dropped,
}

impl Outcome<'_> {
    /// `complete`, `error` or `dropped`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Error { .. } => "error",
            Self::Dropped => "dropped",
        }
    }
}

/// Forwards every hook to each target that there is.
macro_rules! forward {
    ($self:ident, $enabled:expr, $($target:expr),+) => {
        fn is_enabled(&$self) -> bool {
            $enabled
        }

        fn on_request(&$self, call: &CallInfo) {
            $(if let Some(one) = $target { one.on_request(call); })+
        }

        fn on_attempt(&$self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
            $(if let Some(one) = $target { one.on_attempt(call, attempt); })+
        }

        fn on_retry(&$self, call: &CallInfo, retry: &RetryInfo) {
            $(if let Some(one) = $target { one.on_retry(call, retry); })+
        }

        fn on_head(&$self, call: &CallInfo, head: &HeadInfo<'_>) {
            $(if let Some(one) = $target { one.on_head(call, head); })+
        }

        fn on_first_event(&$self, call: &CallInfo, elapsed: Duration) {
            $(if let Some(one) = $target { one.on_first_event(call, elapsed); })+
        }

        fn on_event(&$self, call: &CallInfo, event: &EventInfo<'_>) {
            $(if let Some(one) = $target { one.on_event(call, event); })+
        }

        fn on_sequence_gap(&$self, call: &CallInfo, gap: SequenceGap) {
            $(if let Some(one) = $target { one.on_sequence_gap(call, gap); })+
        }

        fn on_end(&$self, call: &CallInfo, end: &CallEnd<'_>) {
            $(if let Some(one) = $target { one.on_end(call, end); })+
        }
    };
}

impl Observe for () {
    fn is_enabled(&self) -> bool {
        false
    }
}

impl<O: Observe + ?Sized> Observe for Arc<O> {
    forward!(self, (**self).is_enabled(), Some(&**self));
}

impl<O: Observe + ?Sized> Observe for Box<O> {
    forward!(self, (**self).is_enabled(), Some(&**self));
}

impl<O: Observe + ?Sized> Observe for &'static O {
    forward!(self, (**self).is_enabled(), Some(&**self));
}

impl<O: Observe> Observe for Option<O> {
    forward!(self, self.as_ref().is_some_and(O::is_enabled), self.as_ref());
}

impl<A: Observe, B: Observe> Observe for (A, B) {
    forward!(self, self.0.is_enabled() || self.1.is_enabled(), Some(&self.0), Some(&self.1));
}

impl<A: Observe, B: Observe, C: Observe> Observe for (A, B, C) {
    forward!(
        self,
        self.0.is_enabled() || self.1.is_enabled() || self.2.is_enabled(),
        Some(&self.0),
        Some(&self.1),
        Some(&self.2)
    );
}
