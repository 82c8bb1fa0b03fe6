//! The engine: frames over bytes. This is the only file that knows whose engine it is.
//!
//! Framing, masking, UTF-8 and the rules of RFC 6455 are tungstenite's. It reads and writes through
//! [`Bridge`], which turns a pending transport into `WouldBlock`, and both ways have one waker: that
//! of the task which drives the connection.
//!
//! At the level `trace` the engine's own records, by the crate `log`, quote messages.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::{Error as Fault, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{self, Role, WebSocket};
use tokio_tungstenite::tungstenite::{Message as Raw, error::CapacityError};

use super::config::WebSocketConfig;
use super::message::{CloseCode, CloseFrame, Message, Text};
use crate::{Error, ErrorKind};

/// What is set aside for reading, and filled with zeros at each read.
const READ_BUFFER: usize = 16 * 1024;

/// So much is gathered before it is written, unless it is flushed.
const WRITE_BUFFER: usize = 16 * 1024;

/// A longer message goes out in frames of so many bytes. The answer to a ping comes between them, and
/// the engine, which copies what it sends and moves the rest up after each write, never has more.
const LARGEST_FRAME: usize = 256 * 1024;

/// Room for control frames beside a frame that is as large as may be.
const CONTROL_FRAMES: usize = 4 * 1024;

/// What a WebSocket runs over once it is open.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A client's end of a WebSocket, after the handshake.
pub(super) struct Engine {
    socket: WebSocket<Bridge>,
    /// What is left of a message whose first frame has been written.
    rest: Option<(Data, Bytes)>,
    /// There is something to flush.
    dirty: bool,
    /// The transport takes no more for now.
    blocked: bool,
    /// All that has come was read: there is no more before the waker is woken.
    dry: bool,
}

/// What has come in.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    /// A ping, which has been answered, or a pong.
    Control,
    /// The peer's close frame. It is answered, if it was no answer itself.
    Close(Option<CloseFrame>),
    /// The peer has hung up, after close frames.
    End,
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// What the peer is told, if it can be told anything.
    pub(super) tell: Option<CloseCode>,
    /// The peer hung up, or the connection broke.
    pub(super) hung_up: bool,
}

impl Engine {
    pub(super) fn new(io: Box<dyn Transport>, config: &WebSocketConfig) -> Self {
        let bridge = Bridge {
            io,
            waker: Waker::noop().clone(),
            heard: false,
            full: false,
            moved: false,
            reading: false,
            write_error: None,
        };
        let limits = protocol::WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(WRITE_BUFFER + LARGEST_FRAME + CONTROL_FRAMES)
            .max_message_size(Some(config.max_message))
            .max_frame_size(Some(config.max_frame));
        let socket = WebSocket::from_raw_socket(bridge, Role::Client, Some(limits));
        Self { socket, rest: None, dirty: false, blocked: false, dry: false }
    }

    /// Whom to wake when what is pending now may go on. To be called whenever that has happened.
    pub(super) fn wake_with(&mut self, waker: &Waker) {
        self.socket.get_mut().waker.clone_from(waker);
        self.dry = false;
    }

    /// Whether any byte has come since this was last asked.
    pub(super) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.socket.get_mut().heard)
    }

    /// Whether the transport has taken bytes that it had refused, since this was last asked: the peer
    /// reads. What is taken otherwise says nothing of the peer, who may be gone.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.socket.get_mut().moved)
    }

    pub(super) fn poll_read(&mut self) -> Poll<Result<Incoming, Failure>> {
        // The engine clears its buffer before it asks the transport.
        if self.dry {
            return Poll::Pending;
        }
        self.socket.get_mut().reading = true;
        let read = self.socket.read();
        self.socket.get_mut().reading = false;
        let incoming = match read {
            Ok(Raw::Text(text)) => Incoming::Message(Message::Text(Text(text))),
            Ok(Raw::Binary(bytes)) => Incoming::Message(Message::Binary(bytes)),
            Ok(Raw::Close(frame)) => {
                self.dirty = true;
                self.rest = None;
                Incoming::Close(frame.map(|frame| {
                    CloseFrame::new(CloseCode::new(frame.code.into()), Text(frame.reason))
                }))
            }
            Ok(Raw::Ping(_)) => {
                self.dirty = true;
                Incoming::Control
            }
            Ok(Raw::Pong(_) | Raw::Frame(_)) => Incoming::Control,
            Err(Fault::ConnectionClosed | Fault::AlreadyClosed) => Incoming::End,
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(error) = self.socket.get_mut().write_error.take() {
                    return Poll::Ready(Err(failure(Fault::Io(error))));
                }
                self.dry = true;
                return Poll::Pending;
            }
            Err(fault) => return Poll::Ready(Err(failure(fault))),
        };
        Poll::Ready(Ok(incoming))
    }

    /// Whether a message can be sent. If not, flushing it is pending.
    pub(super) fn can_send(&self) -> bool {
        !self.blocked
    }

    /// Takes a message, if it [can](Self::can_send).
    pub(super) fn send(&mut self, message: Message) -> Result<(), Failure> {
        self.rest = Some(match message {
            Message::Text(Text(text)) => (Data::Text, text.into()),
            Message::Binary(bytes) => (Data::Binary, bytes),
        });
        self.write_rest()
    }

    /// Writes the frames that are left of a message, as long as the transport takes them.
    fn write_rest(&mut self) -> Result<(), Failure> {
        while !self.blocked {
            let Some((kind, mut rest)) = self.rest.take() else { break };
            let payload = rest.split_to(rest.len().min(LARGEST_FRAME));
            let last = rest.is_empty();
            if !last {
                self.rest = Some((Data::Continue, rest));
            }
            self.write(Raw::Frame(Frame::message(payload, OpCode::Data(kind), last)))?;
        }
        Ok(())
    }

    /// Sends a ping, unless there is unsent data: that asks the peer for a sign of life as well.
    pub(super) fn ping(&mut self) -> Result<(), Failure> {
        if self.blocked { Ok(()) } else { self.write(Raw::Ping(Default::default())) }
    }

    /// Sends a close frame; nothing can be sent after it, not even the rest of a message.
    pub(super) fn close(&mut self, frame: &CloseFrame) -> Result<(), Failure> {
        self.rest = None;
        let frame = frame.code().is_sendable().then(|| protocol::CloseFrame {
            code: frame.code().as_u16().into(),
            reason: frame.reason().into(),
        });
        self.write(Raw::Close(frame))
    }

    fn write(&mut self, raw: Raw) -> Result<(), Failure> {
        self.dirty = true;
        let written = self.socket.write(raw);
        self.settle(written).map(drop)
    }

    /// Ready when nothing waits to be written.
    pub(super) fn poll_flush(&mut self) -> Poll<Result<(), Failure>> {
        while self.dirty {
            let flushed = self.socket.flush();
            if !self.settle(flushed)? {
                return Poll::Pending;
            }
            self.dirty = false;
            self.write_rest()?;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether all was written; what was not is kept by the engine.
    fn settle(&mut self, result: Result<(), Fault>) -> Result<bool, Failure> {
        match result {
            Ok(()) => {
                self.blocked = false;
                Ok(true)
            }
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(false)
            }
            Err(Fault::ConnectionClosed) => Ok(true),
            Err(fault) => Err(failure(fault)),
        }
    }

    /// Reads bytes and forgets them. Whether there may be more.
    pub(super) fn poll_discard(&mut self) -> Poll<bool> {
        match self.socket.get_mut().read(&mut [0; 4096]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            read => Poll::Ready(read.is_ok_and(|read| read > 0)),
        }
    }

    /// Says that nothing more is written. Where that takes time, such as in TLS, it goes on when this
    /// is called again.
    pub(super) fn shut_down(&mut self) {
        let _ = self.socket.get_mut().now_or_never(|io, cx| io.poll_shutdown(cx));
    }
}

fn failure(fault: Fault) -> Failure {
    let broken = |message: String| {
        let error = Error::new(ErrorKind::Transport, message);
        error.with_close(Some(CloseCode::ABNORMAL.into()))
    };
    let (error, tell) = match fault {
        Fault::Io(error) => (broken(format!("the socket broke: {error}")).with_source(error), None),
        Fault::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            (broken("the server hung up without closing the socket".into()), None)
        }
        Fault::Protocol(fault) => {
            let message = format!("the server broke the WebSocket protocol: {fault}");
            (Error::new(ErrorKind::Protocol, message), Some(CloseCode::PROTOCOL))
        }
        Fault::Utf8(_) => {
            let message = "the server sent a text that is not UTF-8";
            (Error::new(ErrorKind::Protocol, message), Some(CloseCode::INVALID_DATA))
        }
        Fault::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            let message = format!(
                "the server sent a message of {size} bytes or more; the limit is {max_size} \
                 (`max_message_size` and `max_frame_size`)"
            );
            (Error::new(ErrorKind::TooLarge, message), Some(CloseCode::TOO_LARGE))
        }
        fault => (broken(format!("the socket broke: {fault}")), None),
    };
    Failure { error, hung_up: tell.is_none(), tell }
}

/// A transport for an engine that reads and writes at once or not at all.
struct Bridge {
    io: Box<dyn Transport>,
    waker: Waker,
    /// Bytes have come.
    heard: bool,
    /// The last write was refused for want of room.
    full: bool,
    /// There was room again after that.
    moved: bool,
    /// The engine reads, and answers what it has read.
    reading: bool,
    /// Such an answer has failed. What the peer said before it went is still to be read.
    write_error: Option<io::Error>,
}

impl Bridge {
    fn now_or_never<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut dyn Transport>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let mut cx = Context::from_waker(&self.waker);
        match poll(Pin::new(&mut *self.io), &mut cx) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            // An error, whatever it is called: nobody is going to be woken.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::other(error))
            }
            Poll::Ready(result) => result,
        }
    }

    /// What comes of writing: an error waits while the engine reads.
    fn write_or_never<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut dyn Transport>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let result = match self.write_error.take() {
            Some(error) => Err(error),
            None => self.now_or_never(poll),
        };
        match result {
            Err(error) if self.reading && error.kind() != io::ErrorKind::WouldBlock => {
                self.write_error = Some(error);
                Err(io::ErrorKind::WouldBlock.into())
            }
            result => result,
        }
    }
}

impl Read for Bridge {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        self.now_or_never(|io, cx| io.poll_read(cx, &mut buf))?;
        let read = buf.filled().len();
        self.heard |= read > 0;
        Ok(read)
    }
}

impl Write for Bridge {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.write_or_never(|io, cx| io.poll_write(cx, buf));
        match &written {
            Ok(0) => {}
            Ok(_) => self.moved |= std::mem::take(&mut self.full),
            Err(error) => self.full = error.kind() == io::ErrorKind::WouldBlock,
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_or_never(|io, cx| io.poll_flush(cx))
    }
}
