//! How often and how soon something is tried again: what the policies for whole streams have in common.

use std::time::Duration;

use super::retry::{Delays, ExponentialBackoff, LONGEST_HINT, Schedule, at_most};

/// How many tries, the longest wait that a server may ask for, and the waits of one's own.
#[derive(Clone)]
pub(super) struct Tries {
    pub(super) most: u32,
    pub(super) max_hint: Duration,
    pub(super) schedule: Schedule,
}

impl Tries {
    /// So many, jittered, with hints up to a minute.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            max_hint: Duration::from_secs(60),
            schedule: Schedule::Exponential(ExponentialBackoff::default()),
        }
    }

    pub(super) const fn set_max_hint(&mut self, longest: Duration) {
        self.max_hint = at_most(longest, LONGEST_HINT);
    }

    pub(super) fn is_off(&self) -> bool {
        self.most == 0
    }

    /// Whether there may be so many.
    pub(super) fn allows(&self, tries: u32) -> bool {
        tries <= self.most
    }

    /// Whether a server may ask for this wait.
    pub(super) fn waits(&self, hint: Duration) -> bool {
        hint <= self.max_hint
    }

    pub(super) fn delays(&self) -> Delays {
        self.schedule.delays()
    }
}
