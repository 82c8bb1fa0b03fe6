//! One accepted socket, with the powers that hyper does not give: to reset it, to close it in the
//! middle, to know when everything was flushed, and to say something that is not HTTP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::record::{Delivery, Outcome};
use super::script::Ending;
use super::stream::Stream;

/// The handle that answers hold on their connection.
#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    flushes: u64,
    waiting: Vec<Waker>,
    /// Every further operation fails, so that hyper lets go of the socket.
    killed: bool,
    /// The socket is closed with a reset.
    reset: bool,
    takeover: Option<Takeover>,
}

/// Bytes to write instead of hyper's answer, and what to do then.
struct Takeover {
    bytes: Bytes,
    ending: Ending,
    delivery: Delivery,
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The sections below leave the data whole at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many times the connection has written out all it had.
    pub(super) fn flushes(&self) -> u64 {
        self.lock().flushes
    }

    /// Ready once there were more flushes than `seen`.
    pub(super) fn poll_flushed(&self, seen: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.flushes > seen {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The socket will be closed with a reset instead of a FIN, whenever that is.
    pub(super) fn reset_on_close(&self) {
        self.lock().reset = true;
    }

    /// The connection ends at its next operation.
    pub(super) fn kill(&self) {
        self.lock().killed = true;
    }

    /// From hyper's next write on, the socket gets `bytes` and then `ending`.
    pub(super) fn take_over(&self, bytes: Bytes, ending: Ending, delivery: Delivery) {
        self.lock().takeover = Some(Takeover { bytes, ending, delivery });
    }
}

/// The socket as hyper sees it.
pub(super) struct Socket {
    stream: Stream,
    wire: Wire,
}

impl Socket {
    pub(super) fn new(stream: Stream) -> (Self, Wire) {
        let wire = Wire::default();
        (Self { stream, wire: wire.clone() }, wire)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.wire.lock().reset {
            self.stream.reset_on_close();
        }
    }
}

/// Ready once the client has closed. hyper may not look while it waits to write, so this does,
/// and reads what nobody will use any more.
fn poll_gone(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<()> {
    let mut scratch = [0; 1024];
    loop {
        let mut buf = ReadBuf::new(&mut scratch);
        match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
            Ok(()) if !buf.filled().is_empty() => {}
            _ => return Poll::Ready(()),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the script closes this connection")
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.wire.lock().killed {
            return Poll::Ready(Err(closed()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut state = this.wire.lock();
        if state.killed {
            return Poll::Ready(Err(closed()));
        }
        let Some(takeover) = &mut state.takeover else {
            drop(state);
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        };
        while takeover.bytes.has_remaining() {
            let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &takeover.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            takeover.bytes.advance(written);
            takeover.delivery.wrote(written);
        }
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        match takeover.ending {
            Ending::Stall => ready!(poll_gone(&mut this.stream, cx)),
            Ending::Complete => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                takeover.delivery.will_end(Outcome::Complete);
            }
            Ending::Reset => {
                takeover.delivery.will_end(Outcome::BrokenOff);
                state.reset = true;
            }
            _ => takeover.delivery.will_end(Outcome::BrokenOff),
        }
        state.killed = true;
        Poll::Ready(Err(closed()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let mut state = self.wire.lock();
        if state.killed {
            return Poll::Ready(Err(closed()));
        }
        state.flushes += 1;
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (killed, reset) = {
            let state = self.wire.lock();
            (state.killed, state.reset)
        };
        // A shutdown sends a FIN, and the reset would come after it.
        if reset {
            return Poll::Ready(Ok(()));
        }
        // TLS says goodbye first, which one who is cut off does not.
        if killed {
            return Pin::new(self.stream.tcp()).poll_shutdown(cx);
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
