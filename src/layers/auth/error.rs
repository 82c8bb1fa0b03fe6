//! Why a request could not be authorised.

use std::fmt;
use std::sync::Arc;

use crate::error::{ErrorKind, Stage, one_line};
use crate::{BoxError, Error};

/// A request could not be authorised, so it was not sent.
///
/// Either the cause may pass, and `RetryLayer` tries again, or it will not, and nobody does. The
/// message completes a log line for the caller; it must not quote the credential.
#[derive(Clone, Debug)]
pub struct CredentialsError {
    transient: bool,
    message: Box<str>,
    // Shared, because all calls that waited for one token get the error.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl CredentialsError {
    /// It may work the next time: the token service is down, a command took too long.
    ///
    /// It becomes an [`Error`] of [`ErrorKind::Transport`], which is retryable.
    pub fn transient(message: impl Into<Box<str>>) -> Self {
        Self { transient: true, message: message.into(), source: None }
    }

    /// It will not work like this: the token is no legal header value, the body cannot be signed.
    ///
    /// It becomes an [`Error`] of [`ErrorKind::Build`].
    pub fn build(message: impl Into<Box<str>>) -> Self {
        Self { transient: false, message: message.into(), source: None }
    }

    /// The same with a cause, which must not show the credential either.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// Whether it may work the next time.
    pub fn is_transient(&self) -> bool {
        self.transient
    }

    /// The error of a call for which nothing was sent.
    pub(super) fn before_sending(self) -> Error {
        self.into_error(Stage::NotSent)
    }

    /// The error of a call that was refused, and for which there is no other credential.
    pub(super) fn after_refusal(self) -> Error {
        self.into_error(Stage::Sent)
    }

    fn into_error(self, stage: Stage) -> Error {
        let kind = if self.transient { ErrorKind::Transport } else { ErrorKind::Build };
        Error::new(kind, one_line(&self.message)).with_stage(stage).with_source(self)
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

impl From<Error> for CredentialsError {
    /// Transient if the error is retryable, so that `?` works on calls to this crate.
    fn from(error: Error) -> Self {
        let message = error.message();
        let new =
            if error.is_retryable() { Self::transient(message) } else { Self::build(message) };
        new.with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_errors_are_retryable_and_others_are_not() {
        let error = CredentialsError::transient("the vault\nis away").before_sending();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Transport, Stage::NotSent));
        assert!(error.is_retryable());
        assert_eq!(error.to_string(), "the vault is away");
        let error = CredentialsError::build("no key").with_source("why").after_refusal();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::Sent));
        assert!(!error.is_retryable());
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        assert_eq!(chain, ["no key", "why"]);
    }

    #[test]
    fn errors_of_this_crate_keep_their_meaning() {
        assert!(!CredentialsError::from(Error::build("x")).is_transient());
        assert!(CredentialsError::from(Error::new(ErrorKind::Connect, "x")).is_transient());
    }
}
