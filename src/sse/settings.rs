//! How a response stream behaves.

use std::time::Duration;

use super::Limits;

/// How a response stream behaves. An endpoint has one; a request may override its timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSettings {
    /// The longest wait between two events; comments do not count. `None` is off.
    /// Default: 300 s.
    pub progress_timeout: Option<Duration>,
    /// The longest wait for the first event, from the response's head on. `None` leaves it to
    /// [`progress_timeout`](Self::progress_timeout), and is the default.
    pub first_event_timeout: Option<Duration>,
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

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            progress_timeout: Some(Duration::from_secs(300)),
            first_event_timeout: None,
            drain_timeout: Duration::from_millis(250),
            lenient: false,
            limits: Limits::default(),
        }
    }
}
