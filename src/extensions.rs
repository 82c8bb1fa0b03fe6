//! Everything that travels in the extensions of a request or response.
//!
//! Layers share policy and facts through typed extensions. Each is a small value with private
//! fields, so a layer of yours can read or write it too. A retried request carries clones of its
//! extensions, so every type here is cheap to clone.
//!
//! | extension | on | written by | read by | absent means |
//! |---|---|---|---|---|
//! | [`ApiRoot`] | request | the endpoint, or the caller | [`ProviderLayer`] | [`ApiRoot::Api`] |
//! | [`Origin`] | request | [`ProviderLayer`] | [`AuthLayer`] | no provider is known: `AuthLayer` needs `for_origin` |
//! | [`WithoutCredentials`] | request | the endpoint, for URLs that are signed, or the caller | [`AuthLayer`]; [`ProviderLayer`], which adds no headers of the provider's | the origin decides |
//! | [`Call`] | request, and the response of an authorised one | the endpoint | layers that tell calls apart; [`ProviderLayer`] and [`AuthLayer`], which leave their secrets there, and errors, which leave them out | not one of our endpoints |
//! | [`StreamTimeouts`] | request | the endpoint, for itself and the caller | `HeadTimeoutLayer`, `IdleTimeoutLayer`, `TotalTimeoutLayer` | the layer's own limit |
//! | [`RequestCompression`] | request | the endpoint, from its options, or the caller | `CompressionLayer`, which leaves "none" behind | the layer's own default |
//! | [`Attempt`] | request | `RetryLayer` | layers inside retry that count attempts | the first attempt |
//! | `Deadline` | request | `TotalTimeoutLayer`, `ResumeLayer` for what resumes a call, or the caller | `RetryLayer` and `ResumeLayer`, which never wait past it; `TotalTimeoutLayer`, if it is the earlier one | no deadline |
//! | `RetryOverride` | request | the caller | `RetryLayer` | the layer's own policy |
//! | the watched call (private) | request | `TelemetryLayer` | `RetryLayer` and `AttemptLayer`, to report to it | nobody watches |
//! | what is wrong with the body (private) | request | the endpoint, for a body that is read while it is sent | `RetryLayer`, which does not try such a one again | nothing is known |
//! | the keys of a handshake (private) | request | `ws::Handshake` | `HyperTransport` or `ws::fresh_key`, to renew the key of each attempt | no WebSocket is opened |
//! | [`Attempts`] | response | `RetryLayer` | the endpoint's errors, or you | there was no retry |
//! | [`ReportedRateLimits`] | response | `RateLimitLayer` | the caller, layers outside it | the headers report none |
//! | [`StreamObservers`] | response | any layer that wants to hear of events and answers | the endpoint's stream or future | nobody listens |
//! | who watches a socket, and writes its headers (private) | response to a handshake | `TelemetryLayer`, [`RateLimitLayer`](crate::layers::RateLimitLayer); `AttemptLayer` | `ResponsesConnection`, at each request | nobody watches |
//!
//! ```
//! use std::time::Duration;
//! use tower_openai::extensions::StreamTimeouts;
//!
//! // This one answer may be silent for 20 minutes.
//! let mut request = http::Request::new(());
//! request.extensions_mut().insert(StreamTimeouts::new().idle(Duration::from_secs(20 * 60)));
//! ```
//!
//! [`ProviderLayer`]: crate::layers::ProviderLayer
//! [`AuthLayer`]: crate::layers::AuthLayer

mod body_fault;
mod on_socket;
mod origin;
mod retry;
mod timeouts;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "retry")]
use std::time::Duration;

use http::{Extensions, HeaderValue, StatusCode};

use crate::ErrorKind;
use crate::model::RateLimits;
use crate::services::Compression;
use crate::sse::StreamObserver;

pub(crate) use self::body_fault::BodyFault;
#[cfg_attr(not(all(feature = "telemetry", feature = "ws")), allow(unused_imports))]
pub(crate) use self::on_socket::{
    Came, RequestHeaders, RequestWatcher, SocketWatcher, SocketWatchers,
};
pub use self::origin::Origin;
#[cfg(feature = "retry")]
pub use self::retry::RetryOverride;
pub use self::retry::{AttemptSummary, Attempts};
pub use self::timeouts::StreamTimeouts;

/// On a request: which root of the provider's its path is under.
///
/// Absent, it is [`Api`](Self::Api).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiRoot {
    /// The base URL.
    #[default]
    Api,
    /// The second base URL, that of the backend:
    /// [`Provider::backend_url`](crate::provider::Provider::backend_url).
    Backend,
    /// The base URL's `realtime`, whatever the request's own path is:
    ///
    /// | path of the base URL | of the request |
    /// |---|---|
    /// | none | `/v1/realtime` |
    /// | ends in `/v1` or `/v1/` | with `/realtime` |
    /// | ends in `/realtime` | without slashes behind it |
    /// | any other | as it is |
    ///
    /// The query is the base URL's own, the request's, then the provider's without `intent`, and
    /// without `model` if the request names one; a `call_id` of the request's stands last.
    Realtime,
}

impl ApiRoot {
    /// The root of a request with these extensions.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }
}

/// On a request: it goes without credentials and without the provider's headers, even to the
/// provider's own origin. For URLs that are signed, whose servers may refuse both.
///
/// Absent, the origin decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WithoutCredentials;

/// What an endpoint says of the call that a request belongs to, and what it must not say again.
///
/// All attempts of a call share one.
#[derive(Clone, Debug)]
pub struct Call(Arc<CallFacts>);

#[derive(Debug)]
struct CallFacts {
    endpoint: &'static str,
    model: Option<String>,
    streaming: bool,
    secrets: Mutex<Secrets>,
}

impl Call {
    pub(crate) fn streaming(endpoint: &'static str, model: Option<String>) -> Self {
        Self::new(endpoint, model, true)
    }

    /// A call whose answer is read as a whole.
    pub(crate) fn unary(endpoint: &'static str, model: Option<String>) -> Self {
        Self::new(endpoint, model, false)
    }

    fn new(endpoint: &'static str, model: Option<String>, streaming: bool) -> Self {
        Self(Arc::new(CallFacts { endpoint, model, streaming, secrets: Mutex::default() }))
    }

    /// A call on the connection that this one has opened: what this one must not say, it must not
    /// either.
    #[cfg(feature = "ws")]
    pub(crate) fn on_connection(&self, endpoint: &'static str, model: Option<String>) -> Self {
        let call = Self::streaming(endpoint, model);
        *call.secrets() = self.secrets().clone();
        call
    }

    /// The endpoint's name, such as `responses`.
    pub fn endpoint(&self) -> &'static str {
        self.0.endpoint
    }

    /// The model that is asked, if the payload names one.
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// Whether the answer is a stream.
    pub fn is_streaming(&self) -> bool {
        self.0.streaming
    }

    /// Keeps `secret` out of the errors of this call, in case the server quotes it.
    ///
    /// For what a layer or credentials of yours put elsewhere than into a header, a signed query
    /// say: [`AuthLayer`] does it for every sensitive header value that its credentials add,
    /// [`ProviderLayer`] for what it adds, and the endpoint for the caller's own headers. Texts
    /// shorter than 8 bytes are left alone, because prose may hold them by chance.
    ///
    /// [`AuthLayer`]: crate::layers::AuthLayer
    /// [`ProviderLayer`]: crate::layers::ProviderLayer
    pub fn keep_secret(&self, secret: impl Into<Box<str>>) {
        self.secrets().add(Secret::Text(secret.into()));
    }

    /// The same for the value of a header, without a copy of it.
    pub(crate) fn keep_header_secret(&self, value: HeaderValue) {
        self.secrets().add(Secret::Header(value));
    }

    /// What [`keep_secret`](Self::keep_secret) was given.
    pub(crate) fn kept_secrets(&self) -> Vec<String> {
        self.secrets().all().flat_map(Secret::texts).map(str::to_owned).collect()
    }

    /// Says to the errors of a response what they must leave out; costs nothing if nothing.
    pub(crate) fn attach_to(&self, response: &mut Extensions) {
        let any = self.secrets().first.is_some();
        if any {
            response.insert(self.clone());
        }
    }

    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        // Each section is one operation.
        self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secrets of one call: one, as a rule, for which nothing is allocated.
#[derive(Clone, Default)]
struct Secrets {
    first: Option<Secret>,
    more: Vec<Secret>,
}

#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Header(HeaderValue),
    Text(Box<str>),
}

impl Secrets {
    /// A call whose every attempt has another signature makes more; the oldest are forgotten.
    const MOST: usize = 32;

    fn add(&mut self, secret: Secret) {
        if self.all().any(|known| *known == secret) {
            return;
        }
        match self.first {
            None => self.first = Some(secret),
            Some(_) => {
                if self.more.len() == Self::MOST {
                    self.more.remove(0);
                }
                self.more.push(secret);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Secret> {
        self.first.iter().chain(&self.more)
    }
}

impl Secret {
    /// The secret, and of a header what follows the scheme (`Bearer`, `Basic`).
    fn texts(&self) -> impl Iterator<Item = &str> {
        let (whole, rest) = match self {
            Self::Text(text) => (Some(&**text), None),
            Self::Header(value) => {
                let value = value.to_str().ok();
                (value, value.and_then(|value| Some(value.split_once(' ')?.1)))
            }
        };
        whole.into_iter().chain(rest)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// Per request: how its body is compressed, in place of the default of `CompressionLayer`.
///
/// Absent, or [`Compression::Auto`], the layer's default holds. In a stack without the layer nobody
/// reads it; an endpoint that is asked for compression makes sure that this is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestCompression(Compression);

impl RequestCompression {
    /// Compressed in this way.
    pub const fn new(compression: Compression) -> Self {
        Self(compression)
    }

    /// The way.
    pub const fn compression(self) -> Compression {
        self.0
    }
}

/// On a request: which attempt of its call it is, counted from 1.
///
/// Absent, it is the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(NonZeroU32);

impl Attempt {
    /// The first attempt.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The attempt that a request with these extensions is.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self::FIRST)
    }

    /// Its number, from 1.
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The attempt after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// On a request: when its whole call must be over, retries and body included.
///
/// Absent, there is no such moment.
#[cfg(feature = "timeout")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(tokio::time::Instant);

#[cfg(feature = "timeout")]
impl Deadline {
    /// At `instant`.
    pub const fn at(instant: tokio::time::Instant) -> Self {
        Self(instant)
    }

    /// The moment.
    pub const fn instant(self) -> tokio::time::Instant {
        self.0
    }

    /// The earlier of `end` and what the caller says in `extensions`, which say so from then on.
    #[cfg(feature = "retry")]
    pub(crate) fn earliest(
        end: Option<tokio::time::Instant>,
        extensions: &mut http::Extensions,
    ) -> Option<tokio::time::Instant> {
        let callers = extensions.get().map(|deadline: &Self| deadline.0);
        let end = end.into_iter().chain(callers).min();
        if let Some(end) = end {
            extensions.insert(Self(end));
        }
        end
    }
}

/// Why a call is tried once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryReason {
    /// The answer's status.
    Status(StatusCode),
    /// There was no answer, for an error of this kind.
    Error(ErrorKind),
}

impl fmt::Display for RetryReason {
    /// `status 503`, `connect`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Error(kind) => kind.fmt(f),
        }
    }
}

/// On a request: the call that telemetry watches, for those who know what it cannot see.
#[derive(Clone)]
#[cfg_attr(not(feature = "telemetry"), allow(dead_code))] // Never made there.
pub(crate) struct WatchedCall(pub(crate) Arc<dyn CallWatcher>);

/// What layers inside telemetry report to it.
#[cfg_attr(not(feature = "telemetry"), allow(dead_code))]
pub(crate) trait CallWatcher: Send + Sync {
    /// `failed` has failed; another attempt follows after `delay`.
    #[cfg(feature = "retry")]
    fn retrying(&self, failed: Attempt, delay: Duration, reason: RetryReason);

    /// Who hears of the single attempts.
    #[cfg(feature = "telemetry")]
    fn attempts(&self) -> Option<&dyn crate::layers::telemetry::attempt::AttemptWatcher> {
        None
    }
}

/// On a response: the rate limits that its headers report.
///
/// Absent, they report none, or there is no [`RateLimitLayer`](crate::layers::RateLimitLayer).
#[derive(Clone, Debug)]
pub struct ReportedRateLimits(Arc<RateLimits>);

impl ReportedRateLimits {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self(Arc::new(limits))
    }

    /// The limits.
    pub fn limits(&self) -> &RateLimits {
        &self.0
    }
}

/// On a response: who hears of its events, or of the answer that it is, and of its end.
///
/// Absent, nobody does.
#[derive(Clone)]
pub struct StreamObservers(Arc<[Arc<dyn StreamObserver>]>);

impl StreamObservers {
    /// Adds an observer behind those that are there already.
    pub fn add(extensions: &mut Extensions, observer: Arc<dyn StreamObserver>) {
        let all = match extensions.remove::<Self>() {
            Some(others) => others.0.iter().cloned().chain([observer]).collect(),
            None => Arc::new([observer]) as Arc<[_]>,
        };
        extensions.insert(Self(all));
    }

    pub(crate) fn all(&self) -> Arc<[Arc<dyn StreamObserver>]> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for StreamObservers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamObservers").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_keeps_each_secret_once_and_shows_none() {
        let call = Call::streaming("responses", None);
        let mut extensions = Extensions::new();
        call.attach_to(&mut extensions);
        assert!(extensions.get::<Call>().is_none());
        call.keep_header_secret(HeaderValue::from_static("Bearer hidden-1"));
        for round in 0..2 * Secrets::MOST {
            call.keep_header_secret(HeaderValue::from_static("Bearer hidden-1"));
            call.keep_secret(format!("hidden two {round}"));
        }
        call.attach_to(&mut extensions);
        let secrets = extensions.get::<Call>().unwrap().kept_secrets();
        assert_eq!(secrets.len(), 2 + Secrets::MOST);
        assert_eq!(secrets[..2], ["Bearer hidden-1", "hidden-1"]);
        assert_eq!(secrets.last().unwrap(), &format!("hidden two {}", 2 * Secrets::MOST - 1));
        assert!(!format!("{call:?}").contains("hidden"));
    }
}
