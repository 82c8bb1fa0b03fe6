//! [`Sdp`]: what the two ends of a WebRTC connection say of themselves.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// An offer or an answer in SDP; text to read, and on the wire.
///
/// It has the password of the connection, so [`Debug`](fmt::Debug) shows its length.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sdp(String);

impl Sdp {
    /// The text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for Sdp {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Sdp {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Sdp {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}
