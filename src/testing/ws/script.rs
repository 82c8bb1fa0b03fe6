//! What scripts have for WebSockets.

use std::sync::Arc;

use super::Frame;
use crate::testing::script::{Content, Ending, Script};

/// For WebSockets, feature `ws`.
///
/// A handshake takes a script from the queue like any request, but passes over those that begin as
/// [`natural`](Self::natural) or [`events`](Self::events): they are for the turns that follow. So
/// `Script::status(401)` refuses the handshake, and `Script::natural().cut_after(3).then_close(1011,
/// "")` waits for a turn. On an open socket each response takes the next script: a `response.create`,
/// or a turn that was spoken. A status becomes an error event there.
impl Script {
    /// These frames on a WebSocket: JSON values or [`Frame`]s.
    ///
    /// A handshake that takes it succeeds, and the frames come right after it; messages that come
    /// meanwhile are kept, but not answered. After the last frame the server goes on as the API
    /// does, unless an ending says otherwise; with [`then_stall`](Self::then_stall) it answers pings
    /// and nothing else.
    ///
    /// A turn that takes it is answered with the frames, as they are.
    pub fn frames<I>(frames: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Frame>,
    {
        Self::new(Content::Frames(frames.into_iter().map(Into::into).collect()))
    }

    /// A handshake that succeeds. [`header`](Self::header) adds to the 101, or replaces what is in
    /// it; [`head_delay`](Self::head_delay) delays it.
    pub fn handshake() -> Self {
        Self::frames(std::iter::empty::<Frame>())
    }

    /// Leaves this script to a turn on an open WebSocket, where a handshake would take it.
    pub fn after_handshake(mut self) -> Self {
        self.after_handshake = true;
        self
    }

    /// See [`Ending::Close`].
    pub fn then_close(mut self, code: u16, reason: impl Into<Arc<str>>) -> Self {
        self.reason = reason.into();
        self.ending(Ending::Close(code))
    }

    /// See [`Ending::Freeze`].
    pub fn then_freeze(self) -> Self {
        self.ending(Ending::Freeze)
    }

    /// Whether it says how a handshake is answered.
    pub(in crate::testing) fn answers_handshakes(&self) -> bool {
        !self.after_handshake
            && !matches!(self.content, Content::Natural { .. } | Content::Events(_))
    }
}
