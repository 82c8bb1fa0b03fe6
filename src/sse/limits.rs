//! How much of a stream may be held.

use std::fmt;

/// How much one line and one event may grow, in bytes.
///
/// A stream that passes a limit is broken off with a [`DecodeError`]: the peer is not one we can
/// follow, and buffering on would let it take all memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest line. Default: 32 MiB, above any image event of the API.
    pub line: usize,
    /// The most data of one event, over all its lines. Default: 32 MiB.
    pub event: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 32 << 20, event: 32 << 20 }
    }
}

impl Limits {
    /// The same limit for a line and for an event.
    pub const fn uniform(bytes: usize) -> Self {
        Self { line: bytes, event: bytes }
    }
}

impl Limits {
    /// Checks the length of a line.
    pub(super) fn check_line(self, length: usize) -> Result<(), DecodeError> {
        check("line", length, self.line)
    }

    /// Checks the length of an event's data.
    pub(super) fn check_event(self, length: usize) -> Result<(), DecodeError> {
        check("event", length, self.event)
    }
}

fn check(what: &'static str, length: usize, limit: usize) -> Result<(), DecodeError> {
    if length <= limit { Ok(()) } else { Err(DecodeError { what, limit }) }
}

/// A line or an event is larger than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    what: &'static str,
    limit: usize,
}

impl DecodeError {
    /// The limit that was passed, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server-sent {} is larger than the limit of {} bytes", self.what, self.limit)
    }
}

impl std::error::Error for DecodeError {}
