//! Schedules of the crate `backoff`.
//!
//! That crate is unmaintained (RUSTSEC-2025-0012, and it brings `instant`, RUSTSEC-2024-0384). This
//! is for those who have its schedules already; nothing else here names its types.

use std::time::Duration;

use backoff::backoff::Backoff;

/// Lets schedules of the crate `backoff` drive a
/// [`RetryPolicy`](super::RetryPolicy::backoff): any type that implements its trait `Backoff`.
///
/// Each call gets a schedule of its own. Where it ends, retrying ends. A schedule that looks at the
/// time, as that crate's exponential one does for its `max_elapsed_time`, looks at the system's clock.
///
/// ```
/// use std::time::Duration;
/// use backoff::backoff::Constant;
/// use tower_openai::layers::RetryPolicy;
/// use tower_openai::layers::retry::FromBackoff;
///
/// let schedule = FromBackoff::new(|| Constant::new(Duration::from_millis(300)));
/// let policy = RetryPolicy::default().backoff(schedule);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct FromBackoff<F> {
    make: F,
}

impl<F, B> FromBackoff<F>
where
    F: Fn() -> B,
    B: Backoff,
{
    /// The delays of the schedules that `make` makes, one for each call that needs it.
    pub const fn new(make: F) -> Self {
        Self { make }
    }
}

impl<F, B> IntoIterator for FromBackoff<F>
where
    F: Fn() -> B,
    B: Backoff,
{
    type Item = Duration;
    type IntoIter = BackoffDelays<B>;

    fn into_iter(self) -> BackoffDelays<B> {
        BackoffDelays { schedule: (self.make)() }
    }
}

/// The delays of a [`FromBackoff`].
#[derive(Clone, Debug)]
pub struct BackoffDelays<B> {
    schedule: B,
}

impl<B: Backoff> Iterator for BackoffDelays<B> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.schedule.next_backoff()
    }
}
