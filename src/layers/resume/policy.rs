//! What `ResumeLayer` is told: how often, how long.

use std::fmt;
use std::time::Duration;

use crate::layers::retry::Schedule;
use crate::layers::tries::Tries;

/// How often and how long it is tried to resume a stream.
///
/// What counts is a row: resumptions without a new event between them. A stream that gets on after each
/// may break any number of times. By default a row has five resumptions, after 500 ms, doubled each
/// time up to 8 s, jittered, and lasts five minutes, for which servers keep a stream.
///
/// A stream that breaks again at once, a connection that cannot be made, and an answer that another
/// try may get past (408, 409, 429, 5xx) count. Any other refusal ends the row at once: a response that
/// is not there any more (404) will not come back. If the server says how long to wait, it is waited
/// that long at least, up to [`max_hint`](Self::max_hint).
///
/// Layers below the service that retrieves have their own say: with a `RetryLayer` there, each
/// resumption may be several attempts.
#[derive(Clone)]
#[must_use]
pub struct ResumePolicy {
    /// Of one row.
    pub(super) tries: Tries,
    total: Duration,
}

impl ResumePolicy {
    /// No resumptions.
    pub fn none() -> Self {
        Self::default().max_in_a_row(0)
    }

    /// The most resumptions without a new event between them; zero is off. Default: 5.
    pub const fn max_in_a_row(mut self, resumptions: u32) -> Self {
        self.tries.most = resumptions;
        self
    }

    /// The longest time from a break to the next new event; zero is without limit. Default: 5 minutes.
    ///
    /// A stream that is open again has it only for its next break: then, a row that has lasted longer
    /// is over. Silence is ended by the stream's own [clocks](crate::extensions::StreamTimeouts).
    pub const fn total_time(mut self, longest: Duration) -> Self {
        self.total = longest;
        self
    }

    /// The longest wait that the server may ask for, a day at most; a longer one ends the row, and the
    /// error [says it](crate::Error::retry_after). Default: 60 s.
    pub const fn max_hint(mut self, longest: Duration) -> Self {
        self.tries.set_max_hint(longest);
        self
    }

    /// The waits of a row: anything that can be iterated anew for each. Where it ends, the row ends.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_openai::layers::ResumePolicy;
    ///
    /// // At once, then after a second, then no more.
    /// let policy = ResumePolicy::default().backoff([0, 1].map(Duration::from_secs));
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
        self.tries.schedule = schedule;
        self
    }

    /// How long a row may last; `None` is without limit.
    pub(super) fn limit(&self) -> Option<Duration> {
        Some(self.total).filter(|total| !total.is_zero())
    }
}

impl Default for ResumePolicy {
    fn default() -> Self {
        Self { tries: Tries::new(5), total: Duration::from_secs(5 * 60) }
    }
}

impl fmt::Debug for ResumePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumePolicy")
            .field("max_in_a_row", &self.tries.most)
            .field("total_time", &self.total)
            .field("max_hint", &self.tries.max_hint)
            .field("backoff", &self.tries.schedule)
            .finish()
    }
}
