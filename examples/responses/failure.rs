//! How a command fails: its exit code, what it says on stderr, and the error as JSON.

use std::io;
use std::process::ExitCode;

use serde::Serialize;
use tower_openai::{BoxError, Error, ErrorKind};

pub(crate) enum Failure {
    /// The arguments ask for what cannot be.
    Usage(BoxError),
    /// The call failed.
    Call(Error),
    /// Nobody takes our output.
    Output(io::Error),
}

impl Failure {
    /// Tells it on stderr, as `command`.
    pub(crate) fn report(self, command: &str) -> ExitCode {
        match self {
            Self::Usage(problem) => {
                eprintln!("{command}: {problem}");
                ExitCode::from(2)
            }
            Self::Call(error) => {
                let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
                eprintln!("{command}: {}", causes.join(": "));
                ExitCode::FAILURE
            }
            // Whoever read our output has had enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(error) => {
                eprintln!("{command}: cannot write to stdout: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// An error as a line on stdout.
#[derive(Serialize)]
pub(crate) struct ErrorLine<'a> {
    r#type: &'static str,
    kind: &'static str,
    status: Option<u16>,
    code: Option<&'a str>,
    message: &'a str,
    retryable: bool,
    retry_after_ms: Option<u64>,
    request_id: Option<&'a str>,
    stage: &'static str,
    response_id: Option<&'a str>,
    sequence_number: Option<u64>,
}

impl<'a> ErrorLine<'a> {
    pub(crate) fn new(error: &'a Error) -> Self {
        Self {
            r#type: "client.error",
            kind: kind(error),
            status: error.status().map(|status| status.as_u16()),
            code: error.code(),
            message: error.message(),
            retryable: error.is_retryable(),
            retry_after_ms: error
                .retry_after()
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            request_id: error.request_id(),
            stage: error.stage().as_str(),
            response_id: error.response_id(),
            sequence_number: error.sequence_number(),
        }
    }
}

/// The name of what went wrong, from a list that is closed: what the library tells apart for the sake of
/// sockets goes under what it is to any client. The code says more.
fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::ChainLost if error.status().is_some_and(|status| status == 404) => "not_found",
        ErrorKind::ChainLost => "invalid_request",
        ErrorKind::ConnectionExpired | ErrorKind::Closed => "transport",
        kind => kind.as_str(),
    }
}
