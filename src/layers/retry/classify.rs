//! Whether an attempt that ended is to be followed by another one.

use std::cell::OnceCell;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::rules::{self, Hints, Rules};
use crate::error::{kind_and_stage, own};
use crate::extensions::RetryReason;
use crate::{BoxError, Error, ErrorKind, Stage};

/// What a classifier says of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Action {
    /// No opinion: the standard rules decide.
    Pass,
    /// Another attempt, if count, deadline and budget allow it.
    Retry {
        /// What it is because of: a budget may charge by it.
        kind: RetryKind,
        /// How long the server asks to wait. It counts like a hint in a header, the limit for
        /// hints included.
        after: Option<Duration>,
    },
    /// The attempt is the last one.
    Forbid,
}

/// What a retry is because of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryKind {
    /// The server asks for fewer requests.
    Throttled,
    /// Anything else that may pass.
    Failed,
}

/// Decides on another attempt, before the standard rules do.
///
/// It sees every attempt that ended, successes included, and is called while the response is handed
/// on: it must neither block nor panic.
///
/// ```
/// use tower_openai::layers::RetryPolicy;
/// use tower_openai::layers::retry::{Action, Outcome, RetryKind, classify_fn};
///
/// // A gateway that answers 404 while it deploys.
/// let deploying = classify_fn(|outcome: &Outcome<'_>| {
///     if outcome.status() == Some(http::StatusCode::NOT_FOUND) {
///         return Action::Retry { kind: RetryKind::Failed, after: outcome.retry_after() };
///     }
///     Action::Pass
/// });
/// let policy = RetryPolicy::default().classify(deploying);
/// # let _ = policy;
/// ```
pub trait Classify: Send + Sync + 'static {
    /// What is to become of the call.
    fn classify(&self, outcome: &Outcome<'_>) -> Action;
}

/// A [`Classify`] of a closure; see [`classify_fn`].
#[derive(Clone, Copy)]
pub struct ClassifyFn<F>(F);

/// Makes a closure a [`Classify`].
pub const fn classify_fn<F>(classify: F) -> ClassifyFn<F>
where
    F: Fn(&Outcome<'_>) -> Action + Send + Sync + 'static,
{
    ClassifyFn(classify)
}

impl<F> Classify for ClassifyFn<F>
where
    F: Fn(&Outcome<'_>) -> Action + Send + Sync + 'static,
{
    fn classify(&self, outcome: &Outcome<'_>) -> Action {
        (self.0)(outcome)
    }
}

impl<F> fmt::Debug for ClassifyFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClassifyFn").finish_non_exhaustive()
    }
}

/// How an attempt ended: with a response head, or with an error in its place.
pub struct Outcome<'a>(Kind<'a>);

enum Kind<'a> {
    Answered {
        status: StatusCode,
        headers: &'a HeaderMap,
        body: Bytes,
        /// Read when it is asked for.
        refusal: OnceCell<Error>,
    },
    Failed {
        error: &'a BoxError,
        kind: ErrorKind,
        stage: Stage,
        retryable: Option<bool>,
    },
}

impl<'a> Outcome<'a> {
    pub(super) fn answered(status: StatusCode, headers: &'a HeaderMap, body: Bytes) -> Self {
        Self(Kind::Answered { status, headers, body, refusal: OnceCell::new() })
    }

    pub(super) fn failed(error: &'a BoxError) -> Self {
        let (kind, stage, retryable) = kind_and_stage(&**error);
        Self(Kind::Failed { error, kind, stage, retryable })
    }

    /// The status of the answer.
    pub fn status(&self) -> Option<StatusCode> {
        match self.0 {
            Kind::Answered { status, .. } => Some(status),
            Kind::Failed { .. } => None,
        }
    }

    /// The headers of the answer.
    pub fn headers(&self) -> Option<&'a HeaderMap> {
        match self.0 {
            Kind::Answered { headers, .. } => Some(headers),
            Kind::Failed { .. } => None,
        }
    }

    /// The beginning of the answer's body, at most 64 KiB of it. Only that of a failure (status from
    /// 400 to 599) is read ahead; else it is empty.
    pub fn body(&self) -> &[u8] {
        match &self.0 {
            Kind::Answered { body, .. } => body,
            Kind::Failed { .. } => &[],
        }
    }

    /// What an endpoint would make of the answer: its kind, code, message, hint. `None` if the status
    /// is below 400, or if there is no answer.
    pub fn refusal(&self) -> Option<&Error> {
        match &self.0 {
            Kind::Answered { status, headers, body, refusal } if status.as_u16() >= 400 => {
                Some(refusal.get_or_init(|| Error::from_response(*status, headers, body.clone())))
            }
            _ => None,
        }
    }

    /// The error that came in place of an answer.
    pub fn error(&self) -> Option<&'a BoxError> {
        match self.0 {
            Kind::Answered { .. } => None,
            Kind::Failed { error, .. } => Some(error),
        }
    }

    /// The kind of the refusal or of the error; `None` for a status below 400.
    pub fn kind(&self) -> Option<ErrorKind> {
        match self.0 {
            Kind::Answered { .. } => self.refusal().map(Error::kind),
            Kind::Failed { kind, .. } => Some(kind),
        }
    }

    /// How far a request without an answer had come; [`Stage::Sent`] if there is an answer.
    pub fn stage(&self) -> Stage {
        match self.0 {
            Kind::Answered { .. } => Stage::Sent,
            Kind::Failed { stage, .. } => stage,
        }
    }

    /// How long the server asks to wait, in headers or message; or what the [`Error`] of a layer
    /// inside says.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.0 {
            Kind::Answered { .. } => self.refusal().and_then(Error::retry_after),
            Kind::Failed { error, .. } => own(&***error).and_then(Error::retry_after),
        }
    }

    /// The end in one word, for those who only report it.
    pub(super) fn reason(&self) -> RetryReason {
        match self.0 {
            Kind::Answered { status, .. } => RetryReason::Status(status),
            Kind::Failed { kind, .. } => RetryReason::Error(kind),
        }
    }
}

impl fmt::Debug for Outcome<'_> {
    /// Shows neither headers nor body: a server may quote in them what it was sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Outcome");
        match &self.0 {
            Kind::Answered { status, body, .. } => {
                out.field("status", status).field("body", &body.len())
            }
            Kind::Failed { kind, stage, .. } => out.field("kind", kind).field("stage", stage),
        };
        out.finish_non_exhaustive()
    }
}

/// The rules that stand where the caller's classifier has no opinion.
pub(super) fn standard(rules: &Rules, outcome: &Outcome<'_>) -> Action {
    let again = match &outcome.0 {
        // What is no failure is passed on, whatever a header says.
        Kind::Answered { status, .. } if status.as_u16() < 400 => return Action::Pass,
        Kind::Answered { status, headers, .. } => {
            let asked = match rules.hints {
                Hints::Ignored => None,
                _ => rules::should_retry(headers),
            };
            asked.unwrap_or_else(|| rules.statuses.contains(*status))
        }
        Kind::Failed { kind, stage, retryable, .. } => {
            rules.transport && retryable.unwrap_or_else(|| may_pass(*kind, *stage))
        }
    };
    // The code may say that waiting does not help.
    if !again || outcome.refusal().is_some_and(Error::is_final) {
        return Action::Forbid;
    }
    let kind = match outcome.kind() {
        Some(ErrorKind::RateLimited | ErrorKind::Overloaded) => RetryKind::Throttled,
        _ => RetryKind::Failed,
    };
    Action::Retry { kind, after: outcome.retry_after() }
}

/// Whether an error in place of an answer may be gone the next time.
fn may_pass(kind: ErrorKind, stage: Stage) -> bool {
    match kind {
        ErrorKind::Connect | ErrorKind::HeadTimeout | ErrorKind::Timeout => true,
        ErrorKind::Transport | ErrorKind::Truncated => stage != Stage::Streaming,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Action {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        };
        let headers = headers.iter().map(pair).collect();
        let status = StatusCode::from_u16(status).unwrap();
        let outcome = Outcome::answered(status, &headers, Bytes::from_static(body.as_bytes()));
        standard(&Rules::STANDARD, &outcome)
    }

    fn retries(action: Action) -> bool {
        matches!(action, Action::Retry { .. })
    }

    #[test]
    fn the_code_stands_before_the_header_and_the_header_before_the_status() {
        const QUOTA: &str = r#"{"error":{"code":"insufficient_quota"}}"#;
        let (yes, no) = (("x-should-retry", "true"), ("x-should-retry", "false"));
        assert!(retries(action(429, &[], "")));
        assert!(!retries(action(429, &[], QUOTA)));
        assert!(!retries(action(429, &[yes], QUOTA)));
        assert!(retries(action(404, &[yes], "")));
        assert!(!retries(action(503, &[no], "")));
        assert!(retries(action(503, &[("x-should-retry", "perhaps")], "")));
        assert_eq!(action(200, &[yes], ""), Action::Pass);
        assert_eq!(action(400, &[], ""), Action::Forbid);
    }

    #[test]
    fn throttling_is_told_from_failure_and_carries_the_hint() {
        let retry = |kind, after| Action::Retry { kind, after };
        let second = Some(Duration::from_secs(1));
        let hint = [("retry-after", "1")];
        assert_eq!(action(429, &hint, ""), retry(RetryKind::Throttled, second));
        assert_eq!(action(529, &[], ""), retry(RetryKind::Throttled, None));
        assert_eq!(action(500, &hint, ""), retry(RetryKind::Failed, second));
        let told = r#"{"error":{"message":"Please try again in 1s."}}"#;
        assert_eq!(action(500, &[], told), retry(RetryKind::Failed, second));
    }

    #[test]
    fn errors_that_may_pass_are_told_from_those_that_stay() {
        use std::io;
        let again = |error: BoxError| retries(standard(&Rules::STANDARD, &Outcome::failed(&error)));
        let staged = |kind, stage| Error::new(kind, "x").with_stage(stage).into();
        assert!(again(io::Error::from(io::ErrorKind::ConnectionRefused).into()));
        assert!(again(io::Error::from(io::ErrorKind::ConnectionReset).into()));
        assert!(again("an unknown error of a transport".into()));
        assert!(again(tower::timeout::error::Elapsed::new().into()));
        assert!(again(staged(ErrorKind::Connect, Stage::NotSent)));
        assert!(again(staged(ErrorKind::HeadTimeout, Stage::Sent)));
        assert!(!again(Error::build("no credential").into()));
        assert!(!again(tower::load_shed::error::Overloaded::new().into()));
        for kind in [
            ErrorKind::Tls,
            ErrorKind::Auth,
            ErrorKind::Proxy,
            ErrorKind::Protocol,
            ErrorKind::TooLarge,
            ErrorKind::TotalTimeout,
        ] {
            assert!(!again(staged(kind, Stage::Unknown)), "{kind}");
        }
        assert!(!may_pass(ErrorKind::Transport, Stage::Streaming));
        let off = Rules { transport: false, ..Rules::STANDARD };
        let error = io::Error::from(io::ErrorKind::ConnectionRefused).into();
        assert_eq!(standard(&off, &Outcome::failed(&error)), Action::Forbid);
    }
}
