//! The errors of a socket that is over.

use std::fmt;
use std::sync::Arc;

use super::{Error, ErrorKind, Stage, said};
use crate::ws::{CloseCode, CloseFrame};

impl Error {
    /// The peer has closed the socket; `None`: without a code.
    pub(crate) fn closed_by_peer(frame: Option<CloseFrame>) -> Self {
        let code = frame.as_ref().map_or(CloseCode::NO_STATUS, CloseFrame::code);
        let kind = match code {
            CloseCode::PROTOCOL => ErrorKind::Protocol,
            CloseCode::TOO_LARGE => ErrorKind::TooLarge,
            _ => ErrorKind::Closed,
        };
        let error = Self::new(kind, format!("the server closed the socket, code {code}"));
        let error =
            error.with_close(Some(frame.unwrap_or_else(|| CloseFrame::from(CloseCode::NO_STATUS))));
        match error.close_reason().filter(|reason| !reason.is_empty()).map(str::to_owned) {
            Some(reason) => {
                let message = format!("{}: {reason}", error.message()).into();
                let mut error = error;
                error.0.message = message;
                error
            }
            None => error,
        }
    }

    /// A message is larger than may go out. Nothing of it was sent.
    pub(crate) fn too_large_to_send(len: usize, limit: usize) -> Self {
        let message = format!(
            "the message has {len} bytes; {limit} may be sent at once (`max_outgoing_size`)"
        );
        Self::new(ErrorKind::TooLarge, message).with_stage(Stage::NotSent)
    }

    /// Says what the socket was closed with. The reason is made one line without credentials.
    pub(crate) fn with_close(mut self, frame: Option<CloseFrame>) -> Self {
        self.0.close = frame.map(|frame| {
            let reason = said::one_line(frame.reason());
            Box::new(CloseFrame::new(frame.code(), reason))
        });
        self
    }

    /// Takes secrets of the call out of what the peer said.
    pub(super) fn scrub_close(&mut self, known: impl Fn(&str) -> Option<String>) {
        if let Some(close) = &mut self.0.close {
            if let Some(scrubbed) = known(close.reason()) {
                **close = CloseFrame::new(close.code(), scrubbed);
            }
        }
    }

    /// The code that a socket was closed with, if the error is that it was.
    ///
    /// [`CloseCode::ABNORMAL`] if the connection broke without a close frame,
    /// [`CloseCode::NO_STATUS`] if the frame had no code.
    pub fn close_code(&self) -> Option<CloseCode> {
        Some(self.0.close.as_ref()?.code())
    }

    /// What the peer said when it closed the socket; one line, often empty.
    pub fn close_reason(&self) -> Option<&str> {
        Some(self.0.close.as_ref()?.reason())
    }

    /// Whether a socket that was closed like this may well be opened again: the codes that the
    /// official clients take so.
    pub(super) fn may_reopen(&self) -> bool {
        self.close_code().is_some_and(|code| {
            matches!(
                code,
                CloseCode::GOING_AWAY
                    | CloseCode::NO_STATUS
                    | CloseCode::ABNORMAL
                    | CloseCode::SERVER_ERROR
                    | CloseCode::RESTART
                    | CloseCode::TRY_AGAIN
                    | CloseCode::BAD_GATEWAY
                    | CloseCode::TLS
            )
        })
    }

    /// One error of many that one event has: all its facts, and its causes, shared.
    pub(crate) fn copy_of(error: &Arc<Self>) -> Self {
        let copy = error.facts();
        match error.0.source {
            Some(_) => copy.with_source(SharedCause(Arc::clone(error))),
            None => copy,
        }
    }
}

/// The cause of an error that others have too.
#[derive(Debug)]
struct SharedCause(Arc<Error>);

impl SharedCause {
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

impl fmt::Display for SharedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause() {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => fmt::Display::fmt(&*self.0, f),
        }
    }
}

impl std::error::Error for SharedCause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause()?.source()
    }
}
