//! Connections that take no more requests.

use crate::error::{Error, ErrorKind, Stage};

/// Why a connection takes no more requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Retired {
    /// It has reached the age of the settings.
    Aged,
    /// The server says that it is too old.
    Expired,
    /// An error that names no lane may have been for any of several.
    Unclear,
    /// It still brings a response that nobody reads.
    Unread,
    /// The caller closes it.
    Closed,
}

impl Retired {
    pub(super) fn error(self) -> Error {
        let (kind, message) = match self {
            Self::Aged => {
                (ErrorKind::ConnectionExpired, "the connection has reached its age: open another")
            }
            Self::Expired => (
                ErrorKind::ConnectionExpired,
                "the server takes no more requests on this connection: open another",
            ),
            Self::Unclear => (
                ErrorKind::ConnectionExpired,
                "an error came that may be for any of several responses, which the server may go on \
                 with: open another",
            ),
            Self::Unread => (
                ErrorKind::ConnectionExpired,
                "the connection brings a response that was dropped, and does not come to its end: \
                 open another",
            ),
            Self::Closed => (ErrorKind::Closed, "the connection was closed by this side"),
        };
        let error = Error::new(kind, message).with_stage(Stage::NotSent);
        error.retryable(true)
    }
}
