//! What became of each attempt, as lines among the events.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;
use tower_openai::ErrorKind;
use tower_openai::layers::telemetry::{AttemptInfo, AttemptOutcome, CallInfo, Observe, RetryInfo};

use crate::lines::print_json;

/// Prints a line for each attempt, and one before each wait. It observes one call.
#[derive(Default)]
pub(crate) struct PrintAttempts {
    /// The number of the last attempt.
    last: AtomicU32,
}

#[derive(Serialize)]
struct AttemptLine {
    r#type: &'static str,
    attempt: u32,
    status: Option<u16>,
    error: Option<&'static str>,
    elapsed_ms: u128,
}

#[derive(Serialize)]
struct RetryLine {
    r#type: &'static str,
    attempt: u32,
    delay_ms: u128,
    reason: String,
}

// A line that nobody takes is no reason to fail here: the next event finds that out.
impl Observe for PrintAttempts {
    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        if call.is_over_socket() {
            // Its events are next; the handshake was the attempt.
            return;
        }
        let (status, error) = match attempt.outcome {
            AttemptOutcome::Status(status) => (Some(status.as_u16()), None),
            AttemptOutcome::Error(kind) => (None, Some(kind.as_str())),
            // Dropped, because the whole call took too long.
            _ => (None, Some(ErrorKind::TotalTimeout.as_str())),
        };
        // As they went to the wire: a request that is sent again without its compression counts too.
        self.last.store(attempt.sent, Ordering::Relaxed);
        let _ = print_json(&AttemptLine {
            r#type: "client.attempt",
            attempt: attempt.sent,
            status,
            error,
            elapsed_ms: attempt.elapsed.as_millis(),
        });
    }

    fn on_retry(&self, _: &CallInfo, retry: &RetryInfo) {
        let _ = print_json(&RetryLine {
            r#type: "client.retry",
            attempt: self.last.load(Ordering::Relaxed),
            delay_ms: retry.delay.as_millis(),
            reason: retry.reason.to_string(),
        });
    }
}
