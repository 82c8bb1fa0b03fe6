//! Why a request body could not be read, for the error of its call.
#![cfg_attr(not(feature = "files"), allow(dead_code))] // No other body can fail.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, ErrorKind};

/// On a request: what went wrong last with the bodies of its call. Clones share it.
///
/// HTTP/1.1 brings the error of a body back as a cause of the call's. HTTP/2 resets the stream, and
/// what was wrong is lost on the way: it looks like a connection that broke. So the body leaves it here.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyFault(Arc<Mutex<Option<Said>>>);

#[derive(Debug)]
struct Said {
    kind: ErrorKind,
    message: Box<str>,
}

impl BodyFault {
    /// Keeps what `error` says.
    pub(crate) fn keep(&self, error: &Error) {
        let said = Some(Said { kind: error.kind(), message: error.message().into() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    /// Whether something went wrong.
    #[cfg(feature = "retry")]
    pub(crate) fn is_known(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The error of a call that failed with `error`, if that is because of a body.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Said { kind, message }) if error.status().is_none() => {
                error.explained_by(kind, message)
            }
            _ => error,
        }
    }
}
