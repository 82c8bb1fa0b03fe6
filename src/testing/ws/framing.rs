//! The WebSocket protocol without a socket: bytes in, messages out, and the other way round.
//!
//! It is tungstenite's, on buffers in place of a stream, so that a script can put any bytes between
//! its frames, and the socket decides itself when to read and when to write.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Out;

/// The API closes a socket over a message of this size.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// What tungstenite reads from and writes to.
#[derive(Debug, Default)]
struct Buffers {
    input: BytesMut,
    output: BytesMut,
}

impl Read for Buffers {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.input.len().min(buf.len());
        self.input.copy_to_slice(buf.get_mut(..len).unwrap_or_default());
        Ok(len)
    }
}

impl Write for Buffers {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the bytes so far come to.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    /// Both sides have said goodbye.
    Closed,
    /// The client broke the protocol, or its bounds; to be closed with this code.
    Broken(u16),
}

/// One end of a WebSocket, the server's.
pub(super) struct Framing {
    socket: WebSocket<Buffers>,
}

impl Framing {
    pub(super) fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE - 1))
            .max_frame_size(Some(MAX_MESSAGE - 1));
        let socket = WebSocket::from_raw_socket(Buffers::default(), Role::Server, Some(config));
        Self { socket }
    }

    /// Takes in what was read.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.socket.get_mut().input.extend_from_slice(bytes);
    }

    /// What comes next out of that, if it is enough. Pings are answered in passing.
    pub(super) fn next(&mut self) -> Option<Incoming> {
        let next = match self.socket.read() {
            Ok(message) => Incoming::Message(message),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => Incoming::Closed,
            Err(Error::Capacity(_)) => Incoming::Broken(1009),
            Err(Error::Utf8(_)) => Incoming::Broken(1007),
            Err(_) => Incoming::Broken(1002),
        };
        // The answer to a ping or a close frame is sent at once.
        let _ = self.socket.flush();
        Some(next)
    }

    /// Puts `out` behind what there is to write. After a close frame nothing more is written.
    pub(super) fn say(&mut self, out: Out) {
        let message = match out {
            Out::Raw(bytes) => {
                self.socket.get_mut().output.extend_from_slice(&bytes);
                return;
            }
            Out::Fragments(text, sizes) => return self.fragments(text.into(), &sizes),
            Out::Close(code, reason) => {
                let frame = CloseFrame { code: code.into(), reason: (&*reason).into() };
                Message::Close(Some(frame))
            }
            Out::Text(text) => Message::Text(text.into()),
            Out::Binary(bytes) => Message::Binary(bytes),
            Out::Ping(bytes) => Message::Ping(bytes),
            Out::Pong(bytes) => Message::Pong(bytes),
        };
        // It fails after a close frame, where there is nothing left to say.
        let _ = self.socket.send(message);
    }

    fn fragments(&mut self, mut rest: Bytes, sizes: &[usize]) {
        let mut kind = Data::Text;
        for size in sizes.iter().cycle() {
            let piece = rest.split_to(rest.len().min((*size).max(1)));
            let frame = Frame::message(piece, OpCode::Data(kind), rest.is_empty());
            let _ = self.socket.send(Message::Frame(frame));
            kind = Data::Continue;
            if rest.is_empty() {
                break;
            }
        }
    }

    /// A close frame where tungstenite, after an error, writes none any more.
    pub(super) fn say_broken(&mut self, code: u16) {
        let [high, low] = code.to_be_bytes();
        self.socket.get_mut().output.extend_from_slice(&[0x88, 2, high, low]);
    }

    /// What there is to write.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.socket.get_mut().output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame of a client's.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes
    }

    fn next(bytes: &[u8]) -> (Option<Incoming>, Vec<u8>) {
        let mut framing = Framing::new();
        framing.feed(bytes);
        let next = framing.next();
        (next, framing.output().to_vec())
    }

    #[test]
    fn what_breaks_the_protocol_has_its_code() {
        let broken = |bytes: &[u8]| match next(bytes) {
            (Some(Incoming::Broken(code)), _) => code,
            (other, _) => panic!("{other:?}"),
        };
        assert_eq!(broken(&[0x81, 1, b'x']), 1002, "not masked");
        assert_eq!(broken(&frame(0xc1, b"x")), 1002, "a reserved bit");
        assert_eq!(broken(&frame(0x81, b"\xff")), 1007, "no UTF-8");
        let mut huge = vec![0x81, 0x80 | 127];
        huge.extend_from_slice(&(MAX_MESSAGE as u64).to_be_bytes());
        huge.extend_from_slice(&[0; 4]);
        assert_eq!(broken(&huge), 1009, "16 MiB");
    }

    #[test]
    fn pings_are_answered_and_fragments_put_together() {
        let (message, output) = next(&frame(0x89, b"hi"));
        assert!(matches!(message, Some(Incoming::Message(Message::Ping(_)))), "{message:?}");
        assert_eq!(output, b"\x8a\x02hi");
        let mut bytes = frame(0x01, b"ab");
        assert!(next(&bytes).0.is_none());
        bytes.extend(frame(0x80, b"c"));
        let (message, _) = next(&bytes);
        assert!(matches!(message, Some(Incoming::Message(Message::Text(text))) if text == "abc"));
    }

    #[test]
    fn texts_are_cut_into_frames_and_nothing_follows_a_close() {
        let mut framing = Framing::new();
        framing.say(Out::Fragments("abcde".into(), [2, 1].into()));
        assert_eq!(framing.output().split(), &b"\x01\x02ab\x00\x01c\x80\x02de"[..]);
        framing.say(Out::Fragments(String::new(), [2].into()));
        assert_eq!(framing.output().split(), &b"\x81\x00"[..]);
        framing.say(Out::Close(4000, "x".into()));
        framing.say(Out::Text("late".into()));
        assert_eq!(framing.output().split(), &b"\x88\x03\x0f\xa0x"[..]);
    }
}
