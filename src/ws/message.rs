//! What travels over a WebSocket: messages, and the frame that closes it.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A whole message. Pings, pongs and close frames are the connection's own business.
///
/// `Debug` shows how long it is, not what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Its bytes, of a text too.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

/// A text that is shared, not copied: a clone is a reference count.
///
/// It derefs to [`str`]. One that came over the network may share its memory with the messages that
/// came with it, so what is kept for long is better copied. `Debug` shows how long it is.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub(super) Utf8Bytes);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its bytes, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl TryFrom<Bytes> for Text {
    type Error = std::str::Utf8Error;

    /// Takes bytes that are UTF-8, without a copy.
    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        Utf8Bytes::try_from(bytes).map(Self)
    }
}

impl TryFrom<Vec<u8>> for Text {
    type Error = std::str::Utf8Error;

    /// Takes bytes that are UTF-8, without a copy.
    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        Utf8Bytes::try_from(bytes).map(Self)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Why a socket is closed, as a number (RFC 6455, section 7.4).
///
/// An API may have codes of its own, from 3000 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the peer goes away, such as a server that stops.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: something was not the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: a kind of message that the peer does not take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection broke without a close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: a message was not what its type says, such as a text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a message broke a rule of the peer.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message was too large for the peer.
    pub const TOO_LARGE: Self = Self(1009);
    /// 1010: the client misses an extension.
    pub const MISSING_EXTENSION: Self = Self(1010);
    /// 1011: the server failed.
    pub const SERVER_ERROR: Self = Self(1011);
    /// 1012: the server restarts.
    pub const RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; try again later.
    pub const TRY_AGAIN: Self = Self(1013);
    /// 1014: a gateway had a bad answer. The engine does not know it: when it comes, it is told as
    /// [1002](Self::PROTOCOL).
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: TLS could not be agreed on. Never sent.
    pub const TLS: Self = Self(1015);

    /// The code with this number.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// Its number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether it may stand in a close frame.
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    reason: Text,
}

impl CloseFrame {
    /// The longest reason that a close frame has room for, in bytes.
    const REASON: usize = 123;

    /// A code and a reason. What is longer than 123 bytes of the reason is cut off.
    pub fn new(code: CloseCode, reason: impl Into<Text>) -> Self {
        let mut reason = reason.into();
        if reason.len() > Self::REASON {
            let mut end = Self::REASON;
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            reason = reason.get(..end).unwrap_or_default().into();
        }
        Self { code, reason }
    }

    /// The code.
    pub fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason, often empty. It is what the peer says, and may say anything.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<CloseCode> for CloseFrame {
    /// The code without a reason.
    fn from(code: CloseCode) -> Self {
        Self { code, reason: Text::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let frame = CloseFrame::new(CloseCode::NORMAL, "\u{20ac}".repeat(60));
        assert_eq!(frame.reason(), "\u{20ac}".repeat(41));
        let frame = CloseFrame::new(CloseCode::NORMAL, "x".repeat(123));
        assert_eq!(frame.reason().len(), 123);
    }

    #[test]
    fn only_codes_that_mean_something_on_the_wire_are_sent() {
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4000, 4999] {
            assert!(CloseCode::new(code).is_sendable(), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert!(!CloseCode::new(code).is_sendable(), "{code}");
        }
    }

    #[test]
    fn debug_tells_the_length_only() {
        let shown = format!("{:?} {:?}", Message::text("secret"), Text::from("secret"));
        assert!(shown.contains("len: 6") && !shown.contains("secret"), "{shown}");
    }
}
