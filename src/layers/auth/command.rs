//! A token that a command prints.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{CredentialsError, Token, TokenSource};

/// The most that a command may print.
const MOST_BYTES: u64 = 64 * 1024;

/// A token that a command prints: a cloud's command line, a vault's.
///
/// The program is run as it is, without a shell, with no input, in the environment of this process. It
/// has to print the token to its standard output, at most 64 KiB with white space around it, and
/// exit with 0. What it prints to its standard error is dropped, because it may hold secrets.
///
/// A program that cannot be started and a token that cannot be used will not get better; another
/// exit code and a time-out are worth another try.
///
/// # Panics
///
/// It runs on tokio, and panics outside a runtime or in one without its IO and time drivers.
#[derive(Clone)]
#[must_use]
pub struct CommandToken {
    program: OsString,
    arguments: Vec<OsString>,
    time_limit: Duration,
}

impl CommandToken {
    /// The token that `program` prints, found in `PATH` like any command.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), time_limit: Duration::from_secs(30) }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        self.arguments.extend(arguments.into_iter().map(|one| one.as_ref().to_owned()));
        self
    }

    /// How long it may take before it is killed. Default: 30 s. [`Cached`](super::Cached) has a
    /// [limit](super::Cached::time_limit) of its own.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// What the command prints. Dropping the future kills the command.
    async fn output(&self) -> Result<Vec<u8>, Failure> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::Start)?;
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MOST_BYTES + 1).read_to_end(&mut output).await.map_err(Failure::Read)?;
        }
        if output.len() as u64 > MOST_BYTES {
            return Err(Failure::TooMuch);
        }
        let status = child.wait().await.map_err(Failure::Read)?;
        if status.success() { Ok(output) } else { Err(Failure::Status(status.to_string())) }
    }
}

impl TokenSource for CommandToken {
    async fn token(&self) -> Result<Token, CredentialsError> {
        let name = Path::new(&self.program).display();
        let output = match tokio::time::timeout(self.time_limit, self.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(failure)) => return Err(failure.of(&name)),
            Err(_) => {
                let limit = self.time_limit;
                let message = format!("the token command {name} took longer than {limit:?}");
                return Err(CredentialsError::transient(message));
            }
        };
        let subject = format!("what the token command {name} printed");
        let text = std::str::from_utf8(&output)
            .map_err(|_| CredentialsError::build(format!("{subject} is not UTF-8")))?;
        Token::checked(&subject, text.trim())
    }
}

impl fmt::Debug for CommandToken {
    /// Shows how many arguments there are and none of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandToken")
            .field("program", &self.program)
            .field("arguments", &self.arguments.len())
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

enum Failure {
    Start(io::Error),
    Read(io::Error),
    TooMuch,
    Status(String),
}

impl Failure {
    fn of(self, name: &impl fmt::Display) -> CredentialsError {
        match self {
            Self::Start(error) => {
                CredentialsError::build(format!("the token command {name} cannot be started"))
                    .with_source(error)
            }
            Self::Read(error) => {
                CredentialsError::transient(format!("the token command {name} failed"))
                    .with_source(error)
            }
            Self::TooMuch => CredentialsError::build(format!(
                "the token command {name} printed more than 64 KiB"
            )),
            Self::Status(status) => {
                CredentialsError::transient(format!("the token command {name} ended with {status}"))
            }
        }
    }
}
