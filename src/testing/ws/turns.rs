//! Which script answers a turn on an open socket.

use std::sync::Arc;
use std::time::Duration;

use crate::testing::api::{Api, Manner};
use crate::testing::api_error::ApiError;
use crate::testing::ids::Ids;
use crate::testing::script::{Content, Script};
use crate::testing::server::Shared;
use crate::testing::turn::Finish;

/// The scripts of the turns on one socket, and what answers them.
pub(super) struct Turns {
    shared: Arc<Shared>,
    /// Of the handshake.
    path: String,
    /// What the handshake asked for by header, or got from the handler.
    usual: Option<Script>,
}

impl Turns {
    pub(super) fn new(shared: Arc<Shared>, path: String, usual: Option<Script>) -> Self {
        Self { shared, path, usual }
    }

    /// The script for the next turn.
    ///
    /// # Errors
    ///
    /// What the client is told about a script that is impossible or missing, which fails the test.
    pub(super) fn next(&self) -> Result<Script, ApiError> {
        let script = self.shared.next_script(&self.path, |_| true).or_else(|| self.usual.clone());
        match script {
            None if self.shared.settings.scripted_only => {
                Err(self.shared.failure(format!("no script for a turn on {}", self.path)))
            }
            None => Ok(Script::natural()),
            Some(Script { problem: Some(problem), .. }) => {
                Err(self.shared.failure(format!("an impossible script: {problem}")))
            }
            Some(script) => Ok(script),
        }
    }

    pub(super) fn api(&self) -> &Api {
        &self.shared.api
    }

    pub(super) fn ids(&self) -> &Arc<Ids> {
        &self.shared.ids
    }

    /// The wait before the deltas of `script`.
    pub(super) fn pace(&self, script: &Script) -> Duration {
        script.pace.unwrap_or(self.shared.settings.pace)
    }

    /// How long a socket may stay open.
    pub(super) fn age(&self) -> Duration {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        self.shared.settings.socket_age.unwrap_or(HOUR)
    }
}

/// How a script wants a natural turn to go.
pub(super) fn manner(script: &Script, pace: Duration) -> Manner<'_> {
    const PLAIN: &Finish = &Finish::Completed;
    let (said, finish) = match &script.content {
        Content::Natural { said, finish } => (said.as_ref(), finish),
        _ => (None, PLAIN),
    };
    Manner { said, finish, first_delay: script.first_delay, pace }
}
