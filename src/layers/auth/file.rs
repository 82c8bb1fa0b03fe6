//! A token in a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CredentialsError, Token, TokenSource};

/// The largest file that is read.
const MOST_BYTES: u64 = 64 * 1024;

/// A token in a file that somebody else keeps fresh: a projected service account token, a login
/// written by another program.
///
/// White space around the token is left out. Behind a [`Cached`](super::Cached) the file is read
/// again after a minute, sooner if the token is a JSON web token and expires, and after a 401; but
/// if it then held the rejected token still, not for 5 s.
///
/// The file is read in place, without a thread, because it is small and local: at most 64 KiB of a
/// regular file. On a file system that may hang, take [`token_fn`](super::token_fn) and read it
/// your way.
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenFile {
    path: PathBuf,
    reread_every: Duration,
}

impl TokenFile {
    /// The token in the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), reread_every: Duration::from_secs(60) }
    }

    /// How long a token is taken for the file's content. Default: a minute.
    pub const fn reread_every(mut self, age: Duration) -> Self {
        self.reread_every = age;
        self
    }

    fn read(&self) -> Result<Token, CredentialsError> {
        let path = self.path.display();
        let text = read(&self.path).map_err(|error| {
            let lasting = matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::InvalidData
            );
            let message = format!("the token file {path} cannot be read");
            let failed = if lasting {
                CredentialsError::build(message)
            } else {
                CredentialsError::transient(message)
            };
            failed.with_source(error)
        })?;
        let token = Token::checked(&format!("the token in {path}"), text.trim())?;
        Ok(token.refresh_in(self.reread_every))
    }
}

impl TokenSource for TokenFile {
    async fn token(&self) -> Result<Token, CredentialsError> {
        self.read()
    }
}

fn read(path: &Path) -> io::Result<String> {
    let refuse = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    // Before it is opened: opening a pipe waits for somebody to write.
    if !path.metadata()?.is_file() {
        return refuse("it is not a regular file");
    }
    let mut text = String::new();
    let read = File::open(path)?.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MOST_BYTES { refuse("it is larger than 64 KiB") } else { Ok(text) }
}
