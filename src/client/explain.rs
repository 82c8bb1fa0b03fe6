//! What a client is made of, for people.

use std::fmt::{self, Display};
use std::time::Duration;

/// The layers of a client's stacks with their settings, outermost first; from
/// [`Client::explain`](super::Client::explain). Endpoints whose stacks are alike share an entry.
///
/// Its `Display` is for people and may change; it shows no secret.
#[derive(Clone, Debug, Default)]
pub struct Explanation(Vec<Told>);

impl Explanation {
    /// Tells of one more stack.
    pub(super) fn add(&mut self, stack: Told) {
        match self.0.iter_mut().find(|other| other.layers == stack.layers) {
            Some(same) => {
                same.endpoints.push_str(", ");
                same.endpoints.push_str(&stack.endpoints);
            }
            None => self.0.push(stack),
        }
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|stack| write!(f, "{}\n{}", stack.endpoints, stack.layers))
    }
}

/// What is told of one stack.
#[derive(Clone, Debug)]
pub(super) struct Told {
    endpoints: String,
    layers: String,
}

impl Told {
    pub(super) fn of(endpoint: &str) -> Self {
        Self { endpoints: endpoint.to_owned(), layers: String::new() }
    }

    pub(super) fn layer(&mut self, name: &str, setting: impl Display) {
        self.layers.push_str(&format!("  {name:<20} {setting}\n"));
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
}
