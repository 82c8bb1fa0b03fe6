//! The protocol of a socket that has none: a queue of messages each way.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::ws::message::{CloseFrame, Message};
use crate::ws::protocol::{End, Protocol, Side, Waiting, Wakers};
use crate::{Error, ErrorKind};

/// So many bytes are queued each way, and one message beyond.
const MOST: usize = 1024 * 1024;

/// What a message costs beside its bytes: empty ones are not free.
const OVERHEAD: usize = 64;

/// Queues, and who waits at them.
#[derive(Default)]
pub(super) struct Plain {
    incoming: Queue,
    outgoing: Queue,
    reader: Option<Waker>,
    senders: Waiting,
    closers: Waiting,
    closing: Option<CloseFrame>,
    /// The socket is closed or going to be: nothing more is queued to be sent.
    closes: bool,
    end: Option<End>,
    /// The reader has been told of the end.
    told: bool,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Queue {
    fn has_room(&self) -> bool {
        self.bytes < MOST
    }

    fn push(&mut self, message: Message) {
        self.bytes += message.len() + OVERHEAD;
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len() + OVERHEAD;
        Some(message)
    }
}

impl Plain {
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if let Some(message) = self.incoming.pop() {
            return Poll::Ready(Some(Ok(message)));
        }
        match &self.end {
            Some(end) if !self.told && !end.is_graceful() => {
                self.told = true;
                Poll::Ready(Some(Err(end.error())))
            }
            Some(_) => Poll::Ready(None),
            None => {
                self.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The error of a close that the peer began.
    pub(super) fn closed_by_peer(&self) -> Option<Error> {
        match &self.end {
            Some(end @ End::Closed { by: Side::Peer, .. }) => Some(end.error()),
            _ => None,
        }
    }

    /// Takes the message if there is room.
    pub(super) fn poll_send(
        &mut self,
        message: &mut Option<Message>,
        cx: &mut Context<'_>,
        wakers: &mut Wakers,
    ) -> Poll<Result<(), Error>> {
        if let Some(end) = &self.end {
            *message = None;
            return Poll::Ready(Err(end.error()));
        }
        if self.closes {
            *message = None;
            let error = Error::new(ErrorKind::Closed, "the socket is being closed by this side");
            return Poll::Ready(Err(error));
        }
        if !self.outgoing.has_room() {
            self.senders.register(cx.waker(), wakers);
            return Poll::Pending;
        }
        if let Some(message) = message.take() {
            self.outgoing.push(message);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn close(&mut self, frame: CloseFrame, wakers: &mut Wakers) {
        if !self.closes {
            self.closes = true;
            self.closing = Some(frame);
            self.senders.wake(wakers);
        }
    }

    pub(super) fn poll_closed(
        &mut self,
        cx: &mut Context<'_>,
        wakers: &mut Wakers,
    ) -> Poll<Result<(), Error>> {
        match &self.end {
            Some(end) if end.is_graceful() => Poll::Ready(Ok(())),
            Some(end) => Poll::Ready(Err(end.error())),
            None => {
                self.closers.register(cx.waker(), wakers);
                Poll::Pending
            }
        }
    }
}

impl Protocol for Plain {
    fn has_room(&self) -> bool {
        self.incoming.has_room()
    }

    fn receive(&mut self, message: Message, wakers: &mut Wakers) {
        self.incoming.push(message);
        wakers.take(&mut self.reader);
    }

    fn transmit(&mut self, wakers: &mut Wakers) -> Option<Message> {
        let message = self.outgoing.pop()?;
        if self.outgoing.has_room() {
            self.senders.wake(wakers);
        }
        Some(message)
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn expire(&mut self, _: Instant, _: &mut Wakers) {}

    fn closing(&mut self) -> Option<CloseFrame> {
        self.closing.take()
    }

    fn ended(&mut self, end: &End, wakers: &mut Wakers) {
        self.end = Some(end.clone());
        self.outgoing = Queue::default();
        wakers.take(&mut self.reader);
        self.senders.wake(wakers);
        self.closers.wake(wakers);
    }
}
