//! What `StreamRetryLayer` is told: how often, how long.

use std::fmt;
use std::time::Duration;

use crate::layers::retry::{Delays, ExponentialBackoff, Schedule};

/// How often a request is sent again whose stream has failed, and with which waits.
///
/// By default twice, after 500 ms, doubled each time up to 8 s, jittered. If the server says how long to
/// wait, it is waited that long at least; if that is above [`max_hint`](Self::max_hint), not at all.
#[derive(Clone)]
#[must_use]
pub struct StreamRetryPolicy {
    max_retries: u32,
    max_hint: Duration,
    schedule: Schedule,
}

impl StreamRetryPolicy {
    /// No retries.
    pub fn none() -> Self {
        Self::default().max_retries(0)
    }

    /// How often the request of one stream is sent again at most; zero is off. Default: 2.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// The longest wait that a server may ask for. Above it, the failure is the end. Default: 60 s.
    pub const fn max_hint(mut self, longest: Duration) -> Self {
        self.max_hint = longest;
        self
    }

    /// The waits of one stream: anything that can be iterated anew for each. Where it ends, the retries
    /// end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_openai::layers::StreamRetryPolicy;
    ///
    /// // At once, then after a second, then no more.
    /// let policy =
    ///     StreamRetryPolicy::default().max_retries(9).backoff([0, 1].map(Duration::from_secs));
    /// # let _ = policy;
    /// ```
    pub fn backoff<T>(self, delays: T) -> Self
    where
        T: IntoIterator<Item = Duration> + Clone + Send + Sync + 'static,
        T::IntoIter: Send + Sync + 'static,
    {
        self.scheduled(Schedule::custom(delays))
    }

    pub(super) fn scheduled(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    pub(super) fn is_off(&self) -> bool {
        self.max_retries == 0
    }

    pub(super) fn allows(&self, retries: u32) -> bool {
        retries <= self.max_retries
    }

    pub(super) fn delays(&self) -> Delays {
        self.schedule.delays()
    }

    /// Whether a server may ask for this wait.
    pub(super) fn waits(&self, hint: Duration) -> bool {
        hint <= self.max_hint
    }
}

impl Default for StreamRetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 2,
            max_hint: Duration::from_secs(60),
            schedule: Schedule::Exponential(ExponentialBackoff::default()),
        }
    }
}

impl fmt::Debug for StreamRetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRetryPolicy")
            .field("max_retries", &self.max_retries)
            .field("max_hint", &self.max_hint)
            .field("backoff", &self.schedule)
            .finish()
    }
}
