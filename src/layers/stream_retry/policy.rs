//! What `StreamRetryLayer` is told: how often, how long.

use std::fmt;
use std::time::Duration;

use crate::layers::retry::Schedule;
use crate::layers::tries::Tries;

/// How often a request is sent again whose stream has failed, and with which waits.
///
/// By default twice, after 500 ms, doubled each time up to 8 s, jittered. If the server says how long to
/// wait, it is waited that long at least; if that is above [`max_hint`](Self::max_hint), not at all.
#[derive(Clone)]
#[must_use]
pub struct StreamRetryPolicy {
    /// Of one stream.
    pub(super) tries: Tries,
}

impl StreamRetryPolicy {
    /// No retries.
    pub fn none() -> Self {
        Self::default().max_retries(0)
    }

    /// How often the request of one stream is sent again at most; zero is off. Default: 2.
    pub const fn max_retries(mut self, retries: u32) -> Self {
        self.tries.most = retries;
        self
    }

    /// The longest wait that a server may ask for, a day at most. Above it, the failure is the end.
    /// Default: 60 s.
    pub const fn max_hint(mut self, longest: Duration) -> Self {
        self.tries.set_max_hint(longest);
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
        self.tries.schedule = schedule;
        self
    }
}

impl Default for StreamRetryPolicy {
    fn default() -> Self {
        Self { tries: Tries::new(2) }
    }
}

impl fmt::Debug for StreamRetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRetryPolicy")
            .field("max_retries", &self.tries.most)
            .field("max_hint", &self.tries.max_hint)
            .field("backoff", &self.tries.schedule)
            .finish()
    }
}
