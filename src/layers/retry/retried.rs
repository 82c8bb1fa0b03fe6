//! The error of a call that was tried more than once.

use std::fmt;

use crate::BoxError;
use crate::extensions::{AttemptSummary, Attempts};

/// The last error of a call that was tried more than once, with what went before.
///
/// Its [`source`](std::error::Error::source) is the error of the last attempt. An endpoint makes of
/// it what it would make of that error, and keeps the [attempts](crate::Error::attempts). A call
/// that was tried once ends with its error as it is.
pub struct RetriedError {
    attempts: Attempts,
    last: BoxError,
}

impl RetriedError {
    pub(super) fn new(attempts: Attempts, last: BoxError) -> Self {
        Self { attempts, last }
    }

    /// All attempts, first to last.
    pub fn attempts(&self) -> &[AttemptSummary] {
        self.attempts.all()
    }

    pub(crate) const fn list(&self) -> &Attempts {
        &self.attempts
    }

    /// The error of the last attempt.
    pub fn into_last(self) -> BoxError {
        self.last
    }
}

impl fmt::Debug for RetriedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetriedError")
            .field("attempts", &self.attempts())
            .field("last", &self.last)
            .finish()
    }
}

impl fmt::Display for RetriedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.attempts().last().map_or(1, AttemptSummary::number);
        write!(f, "attempt {number} failed, and it was the last one")
    }
}

impl std::error::Error for RetriedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.last)
    }
}
