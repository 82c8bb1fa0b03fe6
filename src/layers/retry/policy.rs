//! What `RetryLayer` is told: how often, on what, how long to wait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};

use super::backoff::{ExponentialBackoff, Schedule};
use super::budget::RetryBudget;
use super::classify::Classify;
use super::rules::{Hints, LONGEST_HINT, Peekable, Rules, StatusSet, at_most};
use crate::Error;
use crate::extensions::RetryOverride;

/// When a call is tried again, and how long is waited before.
///
/// | | default | [`openai_sdk`](Self::openai_sdk) | [`openai_node`](Self::openai_node) | [`codex`](Self::codex) |
/// |---|---|---|---|---|
/// | retries | 2 | 2 | 2 | 4 |
/// | statuses | 408, 409, 429, 500–599 | the same | the same | 500–599 |
/// | calls without an answer | yes | yes | yes | yes |
/// | own backoff | 500 ms × 2ⁿ, at most 8 s, × 0.75–1 | the same | the same | 200 ms × 2ⁿ, × 0.9–1.1 |
/// | the server's hint | wait at least that long | wait that long; zero: own backoff | wait that long | ignored |
/// | a hint above | 60 s: final | 120 s: final | 60 s: own backoff | ignored |
/// | `x-should-retry` | yes | yes | yes | ignored |
/// | retry count header | none | `x-stainless-retry-count` | `x-stainless-retry-count` | none |
///
/// In all of them a body code that says that waiting does not help makes the answer final, and the
/// hint in a message counts where hints do; the SDKs look at neither. The header counts from 1, on
/// the first retry.
#[derive(Clone)]
#[must_use]
pub struct RetryPolicy {
    pub(super) rules: Rules,
    pub(super) schedule: Schedule,
    pub(super) classify: Option<Arc<dyn Classify>>,
    pub(super) budget: Option<Arc<dyn RetryBudget>>,
    pub(super) attempt_header: Option<HeaderName>,
    pub(super) peek_time: Duration,
}

impl RetryPolicy {
    /// The longest [`peek_time`](Self::peek_time).
    const LONGEST_PEEK: Duration = Duration::from_secs(60 * 60);

    const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

    const fn new(rules: Rules, backoff: ExponentialBackoff) -> Self {
        Self {
            rules,
            schedule: Schedule::Exponential(backoff),
            classify: None,
            budget: None,
            attempt_header: None,
            peek_time: Duration::from_secs(10),
        }
    }

    /// No retries, unless a request asks for some.
    pub const fn none() -> Self {
        Self::new(Rules { max_retries: 0, ..Rules::STANDARD }, ExponentialBackoff::SDK)
    }

    /// As OpenAI's SDK for Python does; see the table above.
    pub fn openai_sdk() -> Self {
        let rules = Rules {
            hints: Hints::Instead { zero: false },
            max_hint: Duration::from_secs(120),
            ..Rules::STANDARD
        };
        Self::new(rules, ExponentialBackoff::SDK).attempt_header(Self::RETRY_COUNT)
    }

    /// As OpenAI's SDK for JavaScript does; see the table above.
    pub fn openai_node() -> Self {
        let hints = Hints::Instead { zero: true };
        let rules = Rules { hints, long_is_final: false, ..Rules::STANDARD };
        Self::new(rules, ExponentialBackoff::SDK).attempt_header(Self::RETRY_COUNT)
    }

    /// As the Codex CLI's client does; see the table above.
    pub const fn codex() -> Self {
        let rules = Rules {
            max_retries: 4,
            statuses: StatusSet::NONE.with_5xx(true),
            hints: Hints::Ignored,
            ..Rules::STANDARD
        };
        Self::new(rules, ExponentialBackoff::CODEX)
    }

    /// At most `retries` attempts after the first; zero is off.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.rules.max_retries = retries;
        self
    }

    /// The waits of a call: anything that can be iterated anew for each. Where it ends, retrying ends.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_openai::layers::RetryPolicy;
    ///
    /// // Twice after 100 ms, once after a second, then no more.
    /// let policy = RetryPolicy::default()
    ///     .max_retries(5)
    ///     .backoff([100, 100, 1000].map(Duration::from_millis));
    /// # let _ = policy;
    /// ```
    pub fn backoff<T>(mut self, delays: T) -> Self
    where
        T: IntoIterator<Item = Duration> + Clone + Send + Sync + 'static,
        T::IntoIter: Send + Sync + 'static,
    {
        self.schedule = Schedule::custom(delays);
        self
    }

    /// Whether the server's hints count: how long to wait, and `x-should-retry`.
    pub fn honour_hints(mut self, honour: bool) -> Self {
        self.rules.honour_hints(honour);
        self
    }

    /// The longest hint that is waited for. What becomes of a longer one is said in the table above;
    /// an error carries it in any case. More than a day counts as a day.
    pub const fn max_hint(mut self, longest: Duration) -> Self {
        self.rules.max_hint = at_most(longest, LONGEST_HINT);
        self
    }

    /// Tries again on these statuses, in place of those before.
    ///
    /// # Errors
    ///
    /// If one is not from 400 to 599; a [classifier](Self::classify) can decide on those.
    pub fn retry_statuses(
        mut self,
        statuses: impl IntoIterator<Item = StatusCode>,
    ) -> Result<Self, Error> {
        self.rules.statuses = StatusSet::NONE;
        for status in statuses {
            if !StatusSet::holds(status.as_u16()) {
                return Err(Error::build(format!(
                    "status {} is no failure, so it cannot be one to retry on",
                    status.as_u16()
                )));
            }
            self.rules.statuses = self.rules.statuses.with(status.as_u16(), true);
        }
        Ok(self)
    }

    /// Whether status 429 is tried again.
    pub const fn retry_429(mut self, retry: bool) -> Self {
        self.rules.statuses = self.rules.statuses.with(429, retry);
        self
    }

    /// Whether statuses from 500 to 599 are tried again.
    pub const fn retry_5xx(mut self, retry: bool) -> Self {
        self.rules.statuses = self.rules.statuses.with_5xx(retry);
        self
    }

    /// Whether a call without an answer is tried again: no connection, a connection that broke
    /// before the head, no head in time.
    pub const fn retry_transport(mut self, retry: bool) -> Self {
        self.rules.transport = retry;
        self
    }

    /// Asks `classify` first; the standard rules decide where it passes.
    pub fn classify(mut self, classify: impl Classify) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// Lets `budget` pay for retries. Give the same to every layer that is to share it.
    pub fn budget(mut self, budget: Arc<dyn RetryBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sends the number of retries so far in this header, from the first retry on.
    pub fn attempt_header(mut self, name: HeaderName) -> Self {
        self.attempt_header = Some(name);
        self
    }

    /// How long the beginning of an error body is waited for before the decision; 10 s by default.
    /// More than an hour counts as an hour. A [`Deadline`](crate::extensions::Deadline) cuts it short.
    pub const fn peek_time(mut self, longest: Duration) -> Self {
        self.peek_time = at_most(longest, Self::LONGEST_PEEK);
        self
    }

    /// Whether a request that wants it so may be tried again.
    #[inline]
    pub(super) fn retries(&self, own: Option<&RetryOverride>) -> bool {
        own.and_then(|own| own.max_retries).unwrap_or(self.rules.max_retries) > 0
    }

    /// How many retries there may be, if nobody looks at what comes of the last: a classifier is
    /// promised the body of each failure.
    pub(super) fn final_retry(&self) -> Option<u32> {
        self.classify.is_none().then_some(self.rules.max_retries)
    }

    pub(super) fn peekable(&self) -> Peekable {
        Peekable::of(&self.rules, self.classify.is_some(), self.peek_time)
    }
}

/// 2 retries, hints honoured up to 60 s; see the table above.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(Rules::STANDARD, ExponentialBackoff::SDK)
    }
}

/// For people: `2 retries on 408-409 429 500-599 and broken connections, after 500ms x 2 up to 8s`.
impl fmt::Display for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { max_retries, statuses, transport, hints, max_hint, .. } = &self.rules;
        if *max_retries == 0 {
            return f.write_str("no retries");
        }
        let retries = if *max_retries == 1 { "retry" } else { "retries" };
        let transport = if *transport { " and broken connections" } else { "" };
        write!(f, "{max_retries} {retries} on {statuses:?}{transport}, after {}", self.schedule)?;
        match hints {
            Hints::Ignored => f.write_str(", hints ignored"),
            _ => write!(f, ", hints up to {max_hint:?}"),
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { max_retries, statuses, transport, hints, max_hint, .. } = &self.rules;
        f.debug_struct("RetryPolicy")
            .field("max_retries", max_retries)
            .field("statuses", statuses)
            .field("transport", transport)
            .field("hints", hints)
            .field("max_hint", max_hint)
            .field("backoff", &self.schedule)
            .field("classify", &self.classify.is_some())
            .field("budget", &self.budget.is_some())
            .field("attempt_header", &self.attempt_header)
            .finish_non_exhaustive()
    }
}
