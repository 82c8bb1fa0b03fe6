//! What the socket asks of lanes.

use tokio::time::Instant;

use super::Lanes;
use super::retired::Retired;
use crate::error::Stage;
use crate::services::responses_socket::call::{Phase, Reader};
use crate::ws::protocol::{End, Protocol, Wakers};
use crate::ws::{CloseCode, CloseFrame, Message};

impl Protocol for Lanes {
    fn has_room(&self) -> bool {
        self.full == 0
    }

    fn receive(&mut self, message: Message, wakers: &mut Wakers) {
        match message {
            Message::Text(text) => self.receive_text(text, wakers),
            Message::Binary(_) => {
                self.break_protocol("a binary message", CloseCode::UNSUPPORTED, wakers);
            }
        }
    }

    fn transmit(&mut self, wakers: &mut Wakers) -> Option<Message> {
        if let Some(frame) = self.steers.transmit() {
            return Some(Message::Text(frame));
        }
        while let Some(id) = self.outgoing.pop_front() {
            let Some(call) = self.call(id) else { continue };
            let Some(frame) = call.frame.take() else { continue };
            call.phase = Phase::Sent;
            if let Reader::Here(waker) = &mut call.reader {
                // Its clock starts.
                wakers.take(waker);
            }
            return Some(Message::Text(frame));
        }
        None
    }

    fn deadline(&self) -> Option<Instant> {
        let rotate = self.rotate_at.filter(|_| self.retired.is_none());
        if self.full == 0 && self.unread == 0 {
            return rotate;
        }
        let calls = self.in_flight().filter_map(|(_, call)| self.call_deadline(call));
        calls.chain(rotate).min()
    }

    fn expire(&mut self, now: Instant, wakers: &mut Wakers) {
        if self.rotate_at.is_some_and(|at| at <= now) {
            self.rotate_at = None;
            self.retired.get_or_insert(Retired::Aged);
        }
        let over: Vec<_> = self
            .in_flight()
            .filter(|(_, call)| self.call_deadline(call).is_some_and(|at| at <= now))
            .map(|(id, call)| (id, call.is_read()))
            .collect();
        for (id, is_read) in over {
            if is_read { self.fail_stalled(id, wakers) } else { self.give_up(id, wakers) }
        }
    }

    fn closing(&mut self) -> Option<CloseFrame> {
        if let Some(close) = self.close.take() {
            return Some(close);
        }
        let busy = self.in_flight > self.hopeless || self.queued > 0;
        (self.retired.is_some() && !busy).then(|| CloseCode::NORMAL.into())
    }

    fn ended(&mut self, end: &End, wakers: &mut Wakers) {
        self.end = Some(end.clone());
        for call in self.calls.iter_mut().flatten().filter(|call| call.is_open()) {
            let stage = match call.phase {
                Phase::Queued | Phase::Starting => Stage::NotSent,
                Phase::Sent | Phase::Done => Stage::Unknown,
            };
            let error = end.error().with_stage(stage);
            let error = if stage == Stage::NotSent { error.retryable(true) } else { error };
            call.error.get_or_insert(error);
            call.phase = Phase::Done;
            call.frame = None;
            call.resend = None;
            if let Reader::Here(waker) = &mut call.reader {
                wakers.take(waker);
            }
        }
        self.steers.ended(end, wakers);
        for place in &mut self.calls {
            if place.as_ref().is_some_and(|call| !call.is_read()) {
                *place = None;
            }
        }
        (self.full, self.unread, self.hopeless) = (0, 0, 0);
        (self.in_flight, self.queued, self.queued_bytes) = (0, 0, 0);
        self.turns.clear();
        self.outgoing.clear();
        for lane in &mut self.lanes {
            lane.current = None;
            lane.queue.clear();
        }
    }
}
