//! Drives one open socket: reads, writes and the session's plans, in one place.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::framing::{Framing, Incoming};
use super::{Act, Out, RecordedFrame, Session};
use crate::testing::record::{Delivery, Outcome};
use crate::testing::script::Ending;
use crate::testing::stream;
use crate::testing::wire::Wire;

/// With so much to write, nothing more is said and nothing more is read.
const HIGH_WATER: usize = 64 * 1024;

/// So long the client has to say goodbye, too.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a socket ends.
enum End {
    /// The script, or the API, wants it so.
    Wanted(Ending, Arc<str>),
    /// Both sides said goodbye.
    Closed,
    /// The client broke the protocol; the code says how.
    Broken(u16),
    /// The client is gone.
    Gone,
}

pub(super) struct Socket {
    io: TokioIo<Upgraded>,
    wire: Wire,
    framing: Framing,
    /// Whether something was written that may not have left.
    unflushed: bool,
    delivery: Delivery,
}

impl Socket {
    /// Speaks for `session` on what the handshake opens, until either side ends it.
    pub(super) async fn run(
        upgrade: OnUpgrade,
        wire: Wire,
        mut session: Box<dyn Session>,
        delivery: Delivery,
    ) {
        // It fails if the client left before it had the head.
        let Ok(io) = upgrade.await else { return };
        let (io, framing) = (TokioIo::new(io), Framing::new());
        let mut this = Self { io, wire, framing, unflushed: false, delivery };
        let end = poll_fn(|cx| this.poll(cx, Some(&mut *session))).await;
        // What cannot be written any more has nobody to read it.
        let _ = this.end(end).await;
    }

    /// Everything that can be done for now. Without a session, what comes is only noted.
    fn poll(&mut self, cx: &mut Context<'_>, mut session: Option<&mut dyn Session>) -> Poll<End> {
        loop {
            if let Poll::Ready(Err(_)) = self.poll_write(cx) {
                return Poll::Ready(End::Gone);
            }
            let mut moved = false;
            while let Some(session) = session.as_mut().filter(|_| self.has_room()) {
                match session.poll_next(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Act::Say(Out::Close(code, reason))) => {
                        return Poll::Ready(End::Wanted(Ending::Close(code), reason));
                    }
                    Poll::Ready(Act::Say(out)) => self.framing.say(out),
                    Poll::Ready(Act::End(ending, reason)) => {
                        return Poll::Ready(End::Wanted(ending, reason));
                    }
                }
                moved = true;
            }
            if self.has_room() {
                match self.framing.next() {
                    Some(Incoming::Closed) => return Poll::Ready(End::Closed),
                    Some(Incoming::Broken(code)) => return Poll::Ready(End::Broken(code)),
                    Some(Incoming::Message(message)) => {
                        if let Some(end) = self.receive(&message, &mut session) {
                            return Poll::Ready(end);
                        }
                        moved = true;
                    }
                    None => match self.poll_read(cx) {
                        Poll::Ready(Ok(true)) => moved = true,
                        Poll::Ready(_) => return Poll::Ready(End::Gone),
                        Poll::Pending => {}
                    },
                }
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    fn has_room(&mut self) -> bool {
        self.framing.output().len() < HIGH_WATER
    }

    fn receive(
        &mut self,
        message: &Message,
        session: &mut Option<&mut dyn Session>,
    ) -> Option<End> {
        if let Some(frame) = RecordedFrame::new(message) {
            self.delivery.came(frame);
        }
        match (message, session) {
            (Message::Text(text), Some(session)) => session.receive(text),
            // The API reads none.
            (Message::Binary(_), Some(_)) => {
                let reason = "binary messages are not supported".into();
                return Some(End::Wanted(Ending::Close(1003), reason));
            }
            _ => {}
        }
        None
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.framing.output().has_remaining() {
            let output = self.framing.output();
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, output))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(written);
            self.unflushed = true;
            self.delivery.wrote(written);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads something; `false` at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0; 8 * 1024];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        self.framing.feed(buf.filled());
        Poll::Ready(Ok(!buf.filled().is_empty()))
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await
    }

    async fn end(mut self, end: End) -> io::Result<()> {
        match end {
            End::Gone => return Ok(()),
            End::Closed => {}
            End::Broken(code) => self.framing.say_broken(code),
            End::Wanted(Ending::Close(code), reason) => {
                self.framing.say(Out::Close(code, reason));
                self.flush().await?;
                // Whether it answers or not, the server has done its part.
                let _ = timeout(GOODBYE, poll_fn(|cx| self.poll(cx, None))).await;
            }
            End::Wanted(Ending::Freeze, _) => {
                self.flush().await?;
                let mut scratch = [0; 8 * 1024];
                while self.io.read(&mut scratch).await? > 0 {}
                return Ok(());
            }
            End::Wanted(Ending::Reset, _) => {
                self.flush().await?;
                self.wire.reset_on_close();
                self.delivery.will_end(Outcome::BrokenOff);
                return Ok(());
            }
            End::Wanted(..) => {
                self.flush().await?;
                self.wire.kill();
                self.delivery.will_end(Outcome::BrokenOff);
                return self.io.shutdown().await;
            }
        }
        self.flush().await?;
        let Self { io, mut delivery, .. } = self;
        delivery.will_end(Outcome::Complete);
        drop(delivery);
        timeout(GOODBYE, stream::close(io)).await?
    }
}
