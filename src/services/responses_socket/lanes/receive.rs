//! What comes: whose it is, and what follows from it.

use std::sync::Arc;

use tokio::time::Instant;

use super::Lanes;
use super::retired::Retired;
use crate::error::{Error, ErrorKind, Stage};
use crate::services::responses_socket::call::{Call, Phase, Reader, Resend};
use crate::services::responses_socket::inbound::{Failure, Head, Kind, SteerWord, created_id};
use crate::ws::protocol::Wakers;
use crate::ws::{CloseCode, Text};

impl Lanes {
    /// The call that a message is for: the one that its lane has in flight, or without a name of a
    /// lane the only one there is.
    fn receiver(&self, lane: Option<&str>) -> Option<usize> {
        let current = |lane: usize| self.lanes.get(lane)?.current;
        let found = match lane {
            Some(name) => current(self.find_by_wire_name(name)?),
            None => current(0),
        };
        match lane {
            // Some gateways do not name it.
            None if found.is_none() && self.in_flight == 1 => {
                self.lanes.iter().find_map(|lane| lane.current)
            }
            _ => found,
        }
    }

    pub(super) fn receive_text(&mut self, text: Text, wakers: &mut Wakers) {
        let head = match Head::read(&text) {
            Ok(head) => head,
            Err(_) => return self.receive_unreadable(text, wakers),
        };
        if let Kind::Steer(word) = head.kind {
            self.steers.receive(word, &text, wakers);
            if word != SteerWord::Accepted {
                // A response that is under way goes on: the error is the steer's alone, and what waits
                // was said to a response that is over.
                return;
            }
        }
        let receiver = self.receiver(head.lane.as_deref());
        let sent = |id: usize| self.calls.get(id).and_then(Option::as_ref).map(|call| call.phase);
        let receiver = receiver.filter(|id| sent(*id) == Some(Phase::Sent));
        match (receiver, head.kind) {
            (receiver, Kind::Error) => {
                let named = head.lane.is_some();
                self.receive_error(receiver, named, text, wakers);
            }
            (Some(id), kind) => {
                if kind == Kind::Created {
                    let response_id = created_id(&text);
                    if let Some(call) = self.call(id) {
                        call.begins(response_id);
                    }
                }
                self.deliver(id, text, wakers);
                match kind {
                    Kind::Steered => self.make_way(id),
                    Kind::Terminal => self.end(id, wakers),
                    _ => {}
                }
            }
            (None, Kind::Created) => {
                // A response that nobody asked for, such as one that was steered to too late. It
                // must not be taken for the answer to the next request of its lane.
                let lane = head.lane.as_deref();
                if let Some(lane) = lane.map_or(Some(0), |name| self.find_by_wire_name(name)) {
                    self.adopt(lane, 1);
                }
            }
            (None, _) => tracing::trace!("a message for no response was left out"),
        }
    }

    /// A response is over, and another one takes its place.
    fn make_way(&mut self, id: usize) {
        if let Some(call) = self.call(id) {
            call.begun = call.begun.saturating_sub(1);
        }
    }

    /// A call has its last event.
    fn end(&mut self, id: usize, wakers: &mut Wakers) {
        let Some(call) = self.call(id) else { return };
        let (lane, others) = (call.lane, call.begun.saturating_sub(1));
        self.finish(id, wakers);
        if others > 0 {
            // Two answers to one request: the rest of the other is nobody's.
            self.adopt(lane, others);
        }
    }

    /// Lets a lane be busy with a response that nobody reads. A request that was about to be sent
    /// waits for its end.
    fn adopt(&mut self, lane: usize, begun: u32) {
        let Some(current) = self.lanes.get(lane).map(|lane| lane.current) else { return };
        if let Some(starting) = current {
            self.outgoing.retain(|call| *call != starting);
            let Some(call) = self.call(starting) else { return };
            call.phase = Phase::Queued;
            let bytes = call.frame.as_deref().map_or(0, str::len);
            self.queued += 1;
            self.queued_bytes = self.queued_bytes.saturating_add(bytes);
            self.in_flight -= 1;
        }
        let id = self.add(Call { begun, ..Call::unasked(lane) }).0;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.current = Some(id);
            lane.queue.extend(current);
            lane.queue.rotate_right(usize::from(current.is_some()));
        }
        self.turns.retain(|turn| *turn != lane);
        self.in_flight += 1;
        self.unread += 1;
    }

    /// A text that is no JSON object with a type. Its reader says what is wrong with it.
    fn receive_unreadable(&mut self, text: Text, wakers: &mut Wakers) {
        let mut in_flight = self.lanes.iter().filter_map(|lane| lane.current);
        match (in_flight.next(), in_flight.next()) {
            (Some(id), None) => self.deliver(id, text, wakers),
            _ => self.break_protocol("a text that is no event", CloseCode::INVALID_DATA, wakers),
        }
    }

    /// Ends everything: what has come could be for anyone.
    pub(super) fn break_protocol(&mut self, what: &str, code: CloseCode, wakers: &mut Wakers) {
        self.retired.get_or_insert(Retired::Expired);
        self.refuse_unsent(|_| true, Retired::Expired, wakers);
        let error = Error::new(ErrorKind::Protocol, format!("the server sent {what}"));
        self.fail_sent(error.with_stage(Stage::Sent), wakers);
        self.close.get_or_insert(code.into());
    }

    /// The calls that the server has.
    fn sent(&self) -> Vec<usize> {
        let sent = self.in_flight().filter(|(_, call)| call.phase == Phase::Sent);
        sent.map(|(id, _)| id).collect()
    }

    fn fail_sent(&mut self, error: Error, wakers: &mut Wakers) {
        let error = Arc::new(error);
        for id in self.sent() {
            self.fail(id, Error::copy_of(&error), wakers);
        }
    }

    /// `named`: the message says which lane it is for.
    fn receive_error(
        &mut self,
        receiver: Option<usize>,
        named: bool,
        text: Text,
        wakers: &mut Wakers,
    ) {
        let sent = if named { Vec::new() } else { self.sent() };
        let unclear = sent.len() > 1;
        let receiver = match *sent {
            [only] => Some(only),
            _ => receiver,
        };
        let failure = Failure::read(&text);
        if unclear && !matches!(failure, Failure::Expired(_)) {
            // The server may go on with any of them. On a lane that is taken for free, that would be
            // taken for the answer to the next request.
            self.retired.get_or_insert(Retired::Unclear);
            self.refuse_unsent(|_| true, Retired::Unclear, wakers);
        }
        // Nor may a request be sent again that the server may be answering.
        let staged = |error: Error| if unclear { error.with_stage(Stage::Unknown) } else { error };
        match (failure, receiver) {
            (Failure::Expired(error), receiver) => {
                self.retired.get_or_insert(Retired::Expired);
                self.refuse_unsent(|_| true, Retired::Expired, wakers);
                match receiver {
                    Some(id) => self.fail(id, staged(error), wakers),
                    None => self.fail_sent(staged(error), wakers),
                }
            }
            (Failure::ChainLost(error), Some(id)) => {
                match self.call(id).and_then(|call| call.resend.take()) {
                    Some(resend) => self.send_again(id, resend, wakers),
                    None => self.fail(id, staged(error), wakers),
                }
            }
            (Failure::Refused(error), Some(id)) => self.fail(id, staged(error), wakers),
            (Failure::Event, Some(id)) => {
                self.deliver(id, text, wakers);
                self.finish(id, wakers);
            }
            (_, None) if named => tracing::debug!("an error for a lane without a response"),
            // Whose it is cannot be told. It is somebody's, who would wait for ever.
            (Failure::ChainLost(error) | Failure::Refused(error), None) => {
                self.fail_sent(staged(error), wakers);
            }
            (Failure::Event, None) => {
                for id in sent {
                    self.deliver(id, text.clone(), wakers);
                    self.finish(id, wakers);
                }
            }
        }
    }

    /// Sends the whole request in place of the one that continued a response.
    fn send_again(&mut self, id: usize, resend: Resend, wakers: &mut Wakers) {
        match resend() {
            Ok(frame) => {
                if let Some(call) = self.call(id) {
                    call.frame = Some(frame);
                    call.phase = Phase::Starting;
                    self.outgoing.push_back(id);
                }
            }
            Err(error) => self.fail(id, error, wakers),
        }
    }

    /// Keeps a text for its reader, if it has one.
    #[inline]
    fn deliver(&mut self, id: usize, text: Text, wakers: &mut Wakers) {
        let Some(call) = self.calls.get_mut(id).and_then(Option::as_mut) else { return };
        call.resend = None;
        match &mut call.reader {
            Reader::Here(waker) => {
                call.bytes = call.bytes.saturating_add(text.len());
                call.buffer.push_back(text);
                wakers.take(waker);
                if call.bytes >= self.limits.buffer && call.full_since.is_none() {
                    call.full_since = Some(Instant::now());
                    self.full += 1;
                }
            }
            Reader::Gone { bytes, .. } => {
                *bytes = bytes.saturating_add(text.len());
                if *bytes > self.limits.unread_bytes {
                    self.give_up(id, wakers);
                }
            }
            Reader::Hopeless => {}
        }
    }
}
