//! What retry and its neighbours tell each other.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::{Attempt, RetryReason};
use crate::{ErrorKind, Stage};

/// On a request: what `RetryLayer` does differently for this one.
///
/// What is not set stays as the layer's policy has it. Also turns retries on over a layer that is
/// disabled.
///
/// ```
/// use tower_openai::extensions::RetryOverride;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(RetryOverride::new().max_retries(0));
/// ```
#[cfg(feature = "retry")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct RetryOverride {
    pub(crate) max_retries: Option<u32>,
    pub(crate) honour_hints: Option<bool>,
    pub(crate) max_hint: Option<Duration>,
    pub(crate) on_429: Option<bool>,
    pub(crate) on_5xx: Option<bool>,
    pub(crate) on_transport: Option<bool>,
}

#[cfg(feature = "retry")]
impl RetryOverride {
    /// Changes nothing.
    pub const fn new() -> Self {
        Self {
            max_retries: None,
            honour_hints: None,
            max_hint: None,
            on_429: None,
            on_5xx: None,
            on_transport: None,
        }
    }

    /// At most `retries` attempts after the first; zero is off.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Whether the server's hints count.
    pub const fn honour_hints(mut self, honour: bool) -> Self {
        self.honour_hints = Some(honour);
        self
    }

    /// The longest hint that is waited for; more than a day counts as a day.
    pub const fn max_hint(mut self, longest: Duration) -> Self {
        self.max_hint = Some(longest);
        self
    }

    /// Whether status 429 is tried again.
    pub const fn retry_429(mut self, retry: bool) -> Self {
        self.on_429 = Some(retry);
        self
    }

    /// Whether statuses from 500 to 599 are tried again.
    pub const fn retry_5xx(mut self, retry: bool) -> Self {
        self.on_5xx = Some(retry);
        self
    }

    /// Whether a call without an answer is tried again.
    pub const fn retry_transport(mut self, retry: bool) -> Self {
        self.on_transport = Some(retry);
        self
    }
}

/// One attempt of a call that was tried more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptSummary {
    attempt: Attempt,
    end: RetryReason,
    delay: Option<Duration>,
}

impl AttemptSummary {
    #[cfg(feature = "retry")]
    pub(crate) const fn new(attempt: Attempt, end: RetryReason, delay: Option<Duration>) -> Self {
        Self { attempt, end, delay }
    }

    /// Its number, from 1.
    pub const fn number(&self) -> u32 {
        self.attempt.number()
    }

    /// The status of its answer; `None` if there was none.
    pub const fn status(&self) -> Option<StatusCode> {
        match self.end {
            RetryReason::Status(status) => Some(status),
            RetryReason::Error(_) => None,
        }
    }

    /// Why there was no answer; `None` if there was one.
    pub const fn error_kind(&self) -> Option<ErrorKind> {
        match self.end {
            RetryReason::Status(_) => None,
            RetryReason::Error(kind) => Some(kind),
        }
    }

    /// How long was waited before the next attempt; `None` if none was due.
    pub const fn delay(&self) -> Option<Duration> {
        self.delay
    }
}

impl fmt::Display for AttemptSummary {
    /// `attempt 1: status 503, then 500ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {}: {}", self.number(), self.end)?;
        self.delay.map_or(Ok(()), |delay| write!(f, ", then {delay:?}"))
    }
}

/// On a response: the attempts of its call, in order, the one that it answers included.
///
/// Absent, there was no retry. Of a very long call the first attempts are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempts {
    all: Arc<[AttemptSummary]>,
    furthest: Stage,
}

impl Attempts {
    /// `furthest`: how far any of them had come, those that are left out included.
    #[cfg(feature = "retry")]
    pub(crate) fn new(attempts: Vec<AttemptSummary>, furthest: Stage) -> Self {
        Self { all: attempts.into(), furthest }
    }

    /// The attempts, first to last.
    pub fn all(&self) -> &[AttemptSummary] {
        &self.all
    }

    /// What the server may have seen of the call, whatever became of the last attempt.
    pub(crate) const fn furthest(&self) -> Stage {
        self.furthest
    }
}
