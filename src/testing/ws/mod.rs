//! WebSockets: the handshake, and from there on what the API says over one.
//!
//! `handshake.rs` decides on the handshake, `socket.rs` drives what it opens, `framing.rs` has the
//! protocol, which is tungstenite's, and the bytes below it. What is said comes from a [`Session`]:
//! `responses.rs` and `realtime/` are the API's, and `opening.rs` plays a script before them.

mod frame;
mod framing;
mod handshake;
mod named;
mod opening;
mod play;
mod realtime;
mod responses;
mod script;
mod shape;
mod socket;
mod turns;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

pub(super) use self::frame::FrameLog;
pub use self::frame::{Frame, RecordedFrame};
pub(super) use self::handshake::Handshake;
pub(super) use self::named::TABLE as NAMED;
use super::script::Ending;

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Out {
    Text(String),
    /// A text in frames of these sizes, taken in turn.
    Fragments(String, Arc<[usize]>),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// Bytes on the wire, framed or not.
    Raw(Bytes),
    Close(u16, Arc<str>),
}

/// What a session does next.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    Say(Out),
    /// The socket ends so; the text is the reason in a close frame.
    End(Ending, Arc<str>),
}

/// What is said over a socket, without the socket.
trait Session: Send {
    /// Takes in a text message.
    fn receive(&mut self, text: &str);

    /// The next thing to do. Pending if there is none for now; the waker is told when there is one
    /// without another message.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Act>;
}

/// Takes the first of what has been decided on already.
fn poll_decided(decided: &mut VecDeque<Act>) -> Poll<Act> {
    decided.pop_front().map_or(Poll::Pending, Poll::Ready)
}
