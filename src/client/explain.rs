//! What a client is made of, for people.

use std::fmt::{self, Display};
use std::time::Duration;

/// The layers of a client's stacks with their settings, outermost first, one stack per endpoint; from
/// [`Client::explain`](super::Client::explain).
///
/// Its `Display` is for people and may change; it shows no secret.
#[derive(Clone, Debug)]
pub struct Explanation(String);

impl Explanation {
    pub(super) fn of(endpoint: &str) -> Self {
        Self(format!("{endpoint}\n"))
    }

    pub(super) fn layer(&mut self, name: &str, setting: impl Display) {
        self.0.push_str(&format!("  {name:<20} {setting}\n"));
    }

    pub(super) fn limit(&mut self, name: &str, limit: Option<Duration>) {
        match limit {
            Some(limit) => self.layer(name, format_args!("{limit:?}")),
            None => self.layer(name, "off"),
        }
    }

    /// Layers that the caller has added with `setter`.
    pub(super) fn yours(&mut self, setter: &str, count: usize) {
        if count > 0 {
            self.layer("(yours)", format_args!("{count} from `{setter}`"));
        }
    }

    /// This stack, and below it another.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.0.push_str(&other.0);
        self
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
