//! Why a request body could not be read, for the error of its call.
//!
//! HTTP/1.1 brings the error of a body back as a cause of the call's. HTTP/2 resets the stream, and
//! what was wrong is lost on the way; so the body leaves it here.
#![cfg_attr(not(feature = "files"), allow(dead_code))] // No other body can fail.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, ErrorKind};

/// What went wrong last with the bodies of a call. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Said>>>);

#[derive(Debug)]
struct Said {
    kind: ErrorKind,
    message: Box<str>,
}

impl Fault {
    /// Keeps what `error` says.
    pub(super) fn keep(&self, error: &Error) {
        let said = Some(Said { kind: error.kind(), message: error.message().into() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    /// The error of a call that failed with `error`, if that is because of a body.
    pub(super) fn explain(&self, error: Error) -> Error {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Said { kind, message }) if error.status().is_none() => {
                let stage = error.stage();
                Error::new(kind, message).with_stage(stage).with_source(error)
            }
            _ => error,
        }
    }
}
