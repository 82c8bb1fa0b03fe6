//! The body that plays a plan.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::plan::{Piece, Pieces};
use super::record::{Delivery, Outcome};
use super::script::Ending;
use super::wire::Wire;
use crate::BoxError;

/// A response body; dropping it before its end is how the server learns that the client left.
pub(super) struct Playing {
    pieces: Pieces,
    next: Option<Piece>,
    wait: Option<Pin<Box<Sleep>>>,
    len: Option<u64>,
    ending: Ending,
    breaking: Breaking,
    /// Whether other streams share the connection.
    multiplexed: bool,
    wire: Wire,
    /// Absent where the socket says something else and keeps the record.
    delivery: Option<Delivery>,
}

/// The steps of an ending that breaks the answer off: what was written before it must have left
/// the process, or the client would see less than the script says.
enum Breaking {
    NotYet,
    /// HTTP/1.1 flushes whenever the body is pending: waits for a flush after this many.
    Flushing(u64),
    /// HTTP/2 writes from another task, and only if there is something to write.
    Settling(Pin<Box<Sleep>>),
}

/// Long enough for the connection's task to run once more.
const SETTLE: Duration = Duration::from_millis(20);

impl Playing {
    pub(super) fn new(
        mut pieces: Pieces,
        len: Option<u64>,
        ending: Ending,
        multiplexed: bool,
        wire: Wire,
        delivery: Delivery,
    ) -> Self {
        let next = pieces.next();
        let (wait, breaking, delivery) = (None, Breaking::NotYet, Some(delivery));
        let mut this =
            Self { pieces, next, wait, len, ending, breaking, multiplexed, wire, delivery };
        this.note_end();
        this
    }

    /// An empty body; somebody else keeps the record, and says what follows the head.
    pub(super) fn replaced(wire: Wire) -> Self {
        Self {
            pieces: Box::new(std::iter::empty()),
            next: None,
            wait: None,
            len: None,
            ending: Ending::Complete,
            breaking: Breaking::NotYet,
            multiplexed: false,
            wire,
            delivery: None,
        }
    }

    /// The connection may drop this body as soon as it has the last piece.
    fn note_end(&mut self) {
        if let Some(delivery) = self.delivery.as_mut().filter(|_| self.next.is_none()) {
            if self.ending == Ending::Complete {
                delivery.will_end(Outcome::Complete);
            }
        }
    }

    /// Hands over the next piece, once its time has come.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(piece) = &mut self.next else { return Poll::Ready(None) };
        if let Some(gate) = &mut piece.gate {
            let open = ready!(gate.as_mut().poll(cx));
            piece.gate = None;
            if !open {
                (self.next, self.pieces) = (None, Box::new(std::iter::empty()));
                self.note_end();
                return Poll::Ready(None);
            }
        }
        if !piece.delay.is_zero() {
            let delay = std::mem::take(&mut piece.delay);
            self.wait = Some(Box::pin(sleep(delay)));
        }
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        let bytes = self.next.take().map(|piece| piece.bytes);
        self.next = self.pieces.next();
        if let Some(delivery) = &self.delivery {
            delivery.wrote(bytes.as_ref().map_or(0, Bytes::len));
        }
        self.note_end();
        Poll::Ready(bytes)
    }

    /// Ready once everything written so far has left.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.breaking {
                Breaking::NotYet if self.multiplexed => {
                    self.breaking = Breaking::Settling(Box::pin(sleep(SETTLE)));
                }
                Breaking::NotYet => self.breaking = Breaking::Flushing(self.wire.flushes()),
                Breaking::Flushing(seen) => return self.wire.poll_flushed(*seen, cx),
                Breaking::Settling(sleep) => return sleep.as_mut().poll(cx),
            }
        }
    }
}

impl Body for Playing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(bytes) = ready!(this.poll_piece(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match this.ending {
            Ending::Complete => return Poll::Ready(None),
            // Nothing wakes this body again: the connection drops it when the client leaves.
            Ending::Stall => return Poll::Pending,
            _ => ready!(this.poll_flushed(cx)),
        }
        match this.ending {
            Ending::Reset if this.multiplexed => {}
            Ending::Reset => this.wire.reset_on_close(),
            _ => this.wire.kill(),
        }
        if let Some(delivery) = &mut this.delivery {
            delivery.will_end(Outcome::BrokenOff);
        }
        Poll::Ready(Some(Err("the script breaks the answer off here".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.ending == Ending::Complete
    }

    fn size_hint(&self) -> SizeHint {
        self.len.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
