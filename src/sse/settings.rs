//! How a response stream behaves.

use std::time::Duration;

use super::Limits;
use crate::extensions::StreamTimeouts;

/// How a response stream behaves. An endpoint has one; a request may override its timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSettings {
    /// How long may be waited. The stream itself watches
    /// [`first_event`](StreamTimeouts::first_event), by default off, and
    /// [`progress`](StreamTimeouts::progress), by default 300 s; an endpoint hands the others to its
    /// layers.
    pub timeouts: StreamTimeouts,
    /// How long the end of the body is waited for after the terminal event, so that the connection
    /// can be used again. Default: 250 ms. The terminal event itself is never held back.
    pub drain_timeout: Duration,
    /// Whether events that cannot be decoded are skipped and
    /// [counted](super::ResponseStream::skipped_events) in place of ending the stream with an
    /// error. Default: false.
    pub lenient: bool,
    /// How large a line and an event may be.
    pub limits: Limits,
}

impl StreamSettings {
    /// These settings; timeouts that are unset are those of `before`.
    pub(crate) fn after(self, before: Self) -> Self {
        Self { timeouts: self.timeouts.or(before.timeouts), ..self }
    }

    pub(super) fn first_event_timeout(&self) -> Option<Duration> {
        self.timeouts.first_event_or(None)
    }

    pub(crate) fn progress_timeout(&self) -> Option<Duration> {
        self.timeouts.progress_or(Some(PROGRESS_TIMEOUT))
    }
}

const PROGRESS_TIMEOUT: Duration = Duration::from_secs(300);

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            timeouts: StreamTimeouts::new(),
            drain_timeout: Duration::from_millis(250),
            lenient: false,
            limits: Limits::default(),
        }
    }
}
