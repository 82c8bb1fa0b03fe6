//! The state of a Responses socket without IO: who asks for what, and who gets what comes.
//!
//! A connection carries up to 16 responses at once, each on a lane of its own; a lane answers one
//! request after another. Requests wait here until it is their turn, lanes by turns. What comes is
//! kept for its reader up to a number of bytes. While any lane is full the socket is not read, so the
//! server comes to a halt; a lane that holds others up for too long fails alone.

mod protocol;
mod receive;
mod retired;

use std::collections::VecDeque;
use std::task::{Context, Poll};

use tokio::time::Instant;

use self::retired::Retired;
use super::call::{Call, Phase, Reader, Resend};
use super::chain::ChainSlot;
use super::name::LaneName;
use super::settings::Limits;
use super::steering::Steers;
use crate::error::{Error, ErrorKind, Stage};
use crate::ws::protocol::{End, Wakers};
use crate::ws::{CloseFrame, Text};

/// Responses in flight at once, over all lanes.
pub(super) const IN_FLIGHT: usize = 16;

/// Named lanes that a connection may have in its life.
pub(super) const NAMED: usize = 32;

/// A call of a connection. It is good until [`Lanes::leave`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CallId(usize);

pub(super) struct Lanes {
    limits: Limits,
    /// The default lane, then the named ones in the order of their first use.
    lanes: Vec<Lane>,
    calls: Vec<Option<Call>>,
    queued: usize,
    queued_bytes: usize,
    in_flight: usize,
    /// Calls in flight whose buffer is full; that nobody reads; of those, that are given up.
    full: usize,
    unread: usize,
    hopeless: usize,
    /// Idle lanes with a request, in the order of their turns.
    turns: VecDeque<usize>,
    /// What to send: frames of calls.
    outgoing: VecDeque<usize>,
    pub(super) steers: Steers,
    /// Why no more requests are taken.
    retired: Option<Retired>,
    /// When the connection is too old.
    rotate_at: Option<Instant>,
    close: Option<CloseFrame>,
    end: Option<End>,
}

struct Lane {
    name: Option<LaneName>,
    current: Option<usize>,
    queue: VecDeque<usize>,
    /// What its last response was.
    chain: ChainSlot,
}

impl Lane {
    fn new(name: Option<LaneName>) -> Self {
        Self { name, current: None, queue: VecDeque::new(), chain: ChainSlot::default() }
    }
}

impl Lanes {
    pub(super) fn new(limits: Limits, rotate_at: Option<Instant>) -> Self {
        Self {
            limits,
            lanes: vec![Lane::new(None)],
            calls: Vec::new(),
            queued: 0,
            queued_bytes: 0,
            in_flight: 0,
            full: 0,
            unread: 0,
            hopeless: 0,
            turns: VecDeque::new(),
            outgoing: VecDeque::new(),
            steers: Steers::default(),
            retired: None,
            rotate_at,
            close: None,
            end: None,
        }
    }

    /// Whether a request may be made: the error that it would end with.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        if let Some(end) = &self.end {
            // Nothing of the request has gone anywhere.
            return Err(end.error().with_stage(Stage::NotSent).retryable(true));
        }
        if self.retired.is_none() && self.rotate_at.is_some_and(|at| at <= Instant::now()) {
            // Nobody has polled the socket since.
            return Err(Retired::Aged.error());
        }
        self.retired.map_or(Ok(()), |retired| Err(retired.error()))
    }

    /// The error of a socket that is over, for one who needs no more than that it is not.
    pub(super) fn check_alive(&self) -> Result<(), Error> {
        self.end.as_ref().map_or(Ok(()), |end| Err(end.error().with_stage(Stage::NotSent)))
    }

    /// Where the last response of a lane is kept, and whether a request would be sent at once.
    ///
    /// # Errors
    ///
    /// A lane too many.
    pub(super) fn chain(&mut self, name: Option<&LaneName>) -> Result<(ChainSlot, bool), Error> {
        let lane = self.lane(name)?;
        let slot = self.lanes.get(lane).map(|lane| lane.chain.clone()).unwrap_or_default();
        Ok((slot, self.is_idle(name)))
    }

    /// Whether a request on this lane would be sent at once.
    fn is_idle(&self, name: Option<&LaneName>) -> bool {
        self.in_flight < IN_FLIGHT
            && self.find(name).is_none_or(|lane| {
                self.lanes
                    .get(lane)
                    .is_none_or(|lane| lane.current.is_none() && lane.queue.is_empty())
            })
    }

    /// Takes a request.
    ///
    /// # Errors
    ///
    /// A connection that is over or takes no more, a lane too many, a full queue. Nothing was sent.
    pub(super) fn open(
        &mut self,
        name: Option<&LaneName>,
        frame: Text,
        resend: Option<Resend>,
    ) -> Result<CallId, Error> {
        self.check_open()?;
        let lane = self.lane(name)?;
        let waits = !self.is_idle(name);
        let bytes = self.queued_bytes.saturating_add(frame.len());
        if waits && (self.queued >= self.limits.queue || bytes > self.limits.queue_bytes) {
            let message = format!(
                "{} requests of {} bytes wait for their turn on this connection, and no more may: \
                 open another",
                self.queued, self.queued_bytes
            );
            return Err(Error::new(ErrorKind::Overloaded, message).with_stage(Stage::NotSent));
        }
        self.queued += 1;
        self.queued_bytes = bytes;
        let id = self.add(Call::new(lane, frame, resend));
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.queue.push_back(id.0);
        }
        if self.full > 0 && self.in_flight == 1 {
            // From now on the full one holds somebody up.
            let now = Instant::now();
            self.calls.iter_mut().flatten().for_each(|call| {
                call.full_since = call.full_since.map(|_| now);
            });
        }
        self.take_turn(lane);
        self.start();
        Ok(id)
    }

    /// What has come for a call: ready with `true` if there is something, which is put into `into`,
    /// or with `false` at the end.
    pub(super) fn poll_take(
        &mut self,
        id: CallId,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Text>,
    ) -> Poll<Result<bool, Error>> {
        let Some(call) = self.calls.get_mut(id.0).and_then(Option::as_mut) else {
            return Poll::Ready(Ok(false));
        };
        if !call.buffer.is_empty() {
            std::mem::swap(&mut call.buffer, into);
            call.bytes = 0;
            if call.full_since.take().is_some() {
                self.full -= 1;
            }
            return Poll::Ready(Ok(true));
        }
        if let Some(error) = call.error.take() {
            return Poll::Ready(Err(error));
        }
        if call.phase == Phase::Done {
            return Poll::Ready(Ok(false));
        }
        if let Reader::Here(waker) = &mut call.reader {
            match waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
        Poll::Pending
    }

    /// Whether the socket has taken the request.
    pub(super) fn is_sent(&self, id: CallId) -> bool {
        let call = self.calls.get(id.0).and_then(Option::as_ref);
        call.is_some_and(|call| matches!(call.phase, Phase::Sent | Phase::Done))
    }

    /// Nobody reads the call any more. What was not sent is not sent; of what was, the rest is
    /// thrown away as it comes.
    pub(super) fn leave(&mut self, id: CallId, wakers: &mut Wakers) {
        let Some(call) = self.calls.get_mut(id.0).and_then(Option::as_mut) else { return };
        let lane = call.lane;
        match call.phase {
            Phase::Queued => {
                self.queued -= 1;
                self.queued_bytes -= call.frame.as_deref().map_or(0, str::len);
                if let Some(lane) = self.lanes.get_mut(lane) {
                    lane.queue.retain(|queued| *queued != id.0);
                }
                self.remove(id.0);
            }
            Phase::Starting => {
                self.outgoing.retain(|call| *call != id.0);
                self.finish(id.0, wakers);
                self.remove(id.0);
            }
            Phase::Sent => {
                if call.clear() {
                    self.full -= 1;
                }
                call.resend = None;
                call.reader = Reader::Gone { since: Instant::now(), bytes: 0 };
                self.unread += 1;
            }
            Phase::Done => self.remove(id.0),
        }
    }

    /// Takes no more requests, and closes when those at hand are answered.
    pub(super) fn retire(&mut self) {
        self.retired.get_or_insert(Retired::Closed);
    }

    fn find(&self, name: Option<&LaneName>) -> Option<usize> {
        match name {
            None => Some(0),
            Some(_) => self.lanes.iter().position(|lane| lane.name.as_ref() == name),
        }
    }

    fn find_by_wire_name(&self, name: &str) -> Option<usize> {
        let named = |lane: &Lane| lane.name.as_ref().is_some_and(|own| own.as_str() == name);
        self.lanes.iter().position(named)
    }

    /// The lane of this name, which may be new.
    fn lane(&mut self, name: Option<&LaneName>) -> Result<usize, Error> {
        if let Some(lane) = self.find(name) {
            return Ok(lane);
        }
        if self.lanes.len() > NAMED {
            return Err(Error::build(format!(
                "the connection has had {NAMED} named lanes, and a server takes no more: use one of \
                 those, or open another connection"
            )));
        }
        self.lanes.push(Lane::new(name.cloned()));
        Ok(self.lanes.len() - 1)
    }

    fn add(&mut self, call: Call) -> CallId {
        match self.calls.iter_mut().position(|call| call.is_none()) {
            Some(free) => {
                if let Some(place) = self.calls.get_mut(free) {
                    *place = Some(call);
                }
                CallId(free)
            }
            None => {
                self.calls.push(Some(call));
                CallId(self.calls.len() - 1)
            }
        }
    }

    fn remove(&mut self, call: usize) {
        if let Some(place) = self.calls.get_mut(call) {
            *place = None;
        }
        while self.calls.last().is_some_and(Option::is_none) {
            self.calls.pop();
        }
    }

    fn call(&mut self, id: usize) -> Option<&mut Call> {
        self.calls.get_mut(id)?.as_mut()
    }

    /// Puts an idle lane with a request behind the others.
    fn take_turn(&mut self, lane: usize) {
        let waits = |lane: &Lane| lane.current.is_none() && !lane.queue.is_empty();
        if self.lanes.get(lane).is_some_and(waits) && !self.turns.contains(&lane) {
            self.turns.push_back(lane);
        }
    }

    /// Starts as many requests as may be in flight, lanes by turns.
    fn start(&mut self) {
        while self.in_flight < IN_FLIGHT {
            let Some(turn) = self.turns.pop_front() else { return };
            let Some(lane) = self.lanes.get_mut(turn) else { continue };
            if lane.current.is_some() {
                continue;
            }
            let Some(id) = lane.queue.pop_front() else { continue };
            lane.current = Some(id);
            self.in_flight += 1;
            self.queued -= 1;
            if let Some(call) = self.calls.get_mut(id).and_then(Option::as_mut) {
                self.queued_bytes -= call.frame.as_deref().map_or(0, str::len);
                call.phase = Phase::Starting;
            }
            self.outgoing.push_back(id);
        }
    }

    /// Nothing more comes for a call in flight: its lane is free for the next.
    fn finish(&mut self, id: usize, wakers: &mut Wakers) {
        let Some(call) = self.calls.get_mut(id).and_then(Option::as_mut) else { return };
        let lane = call.lane;
        call.phase = Phase::Done;
        call.resend = None;
        if call.full_since.take().is_some() {
            self.full -= 1;
        }
        match &mut call.reader {
            Reader::Here(waker) => wakers.take(waker),
            Reader::Gone { .. } => self.unread -= 1,
            Reader::Hopeless => self.hopeless -= 1,
        }
        let is_read = call.is_read();
        self.in_flight -= 1;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.current = None;
            self.steers.forget_left(lane.name.as_ref().map(LaneName::as_str));
        }
        if !is_read {
            self.remove(id);
        }
        self.take_turn(lane);
        self.start();
    }

    /// Ends a call in flight with an error, behind what has come of it.
    fn fail(&mut self, id: usize, error: Error, wakers: &mut Wakers) {
        if let Some(call) = self.call(id) {
            call.error.get_or_insert(error);
        }
        self.finish(id, wakers);
    }

    /// Ends the requests of these lanes that the server does not have.
    fn refuse_unsent(
        &mut self,
        refused: impl Fn(usize) -> bool,
        why: Retired,
        wakers: &mut Wakers,
    ) {
        for (index, lane) in self.lanes.iter_mut().enumerate().filter(|(lane, _)| refused(*lane)) {
            for id in std::mem::take(&mut lane.queue) {
                let Some(call) = self.calls.get_mut(id).and_then(Option::as_mut) else { continue };
                self.queued -= 1;
                self.queued_bytes -= call.frame.take().as_deref().map_or(0, str::len);
                call.phase = Phase::Done;
                call.error = Some(why.error());
                if let Reader::Here(waker) = &mut call.reader {
                    wakers.take(waker);
                }
            }
            self.turns.retain(|turn| *turn != index);
        }
        let starting = self.in_flight().filter(|(_, call)| call.phase == Phase::Starting);
        let starting = starting.filter(|(_, call)| refused(call.lane));
        for id in starting.map(|(id, _)| id).collect::<Vec<_>>() {
            self.outgoing.retain(|call| *call != id);
            self.fail(id, why.error(), wakers);
        }
    }

    /// A response that nobody reads does not come to its end: no more requests are put behind it.
    fn give_up(&mut self, id: usize, wakers: &mut Wakers) {
        let Some(call) = self.calls.get_mut(id).and_then(Option::as_mut) else { return };
        call.reader = Reader::Hopeless;
        let stuck = call.lane;
        self.unread -= 1;
        self.hopeless += 1;
        self.retired.get_or_insert(Retired::Unread);
        self.refuse_unsent(|lane| lane == stuck, Retired::Unread, wakers);
    }

    /// A lane has held the others up for too long.
    fn fail_stalled(&mut self, id: usize, wakers: &mut Wakers) {
        let Limits { buffer, stall, .. } = self.limits;
        let name = self.call(id).map(|call| call.lane).and_then(|lane| {
            self.lanes.get(lane)?.name.as_ref().map(|name| format!("the lane `{name}`"))
        });
        let name = name.unwrap_or_else(|| "the default lane".into());
        let Some(call) = self.calls.get_mut(id).and_then(Option::as_mut) else { return };
        if call.clear() {
            self.full -= 1;
        }
        call.error = Some(Error::new(
            ErrorKind::TooLarge,
            format!(
                "{name} held {buffer} bytes or more that nobody read, and held the other lanes up \
                 for {stall:?}: read each stream as it comes, or set `lane_buffer`"
            ),
        ));
        if let Reader::Here(waker) = &mut call.reader {
            wakers.take(waker);
        }
        // Its reader gets the error; what is still to come is swallowed.
        let (lane, begun) = (call.lane, call.begun.max(1));
        call.phase = Phase::Done;
        let unread = self.add(Call { begun, ..Call::unasked(lane) }).0;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.current = Some(unread);
        }
        self.unread += 1;
    }

    fn in_flight(&self) -> impl Iterator<Item = (usize, &Call)> {
        let calls = self.lanes.iter().filter_map(|lane| lane.current);
        calls.filter_map(|id| Some((id, self.calls.get(id)?.as_ref()?)))
    }

    /// When a call has to be ended that holds the others up, or is given up that nobody reads.
    fn call_deadline(&self, call: &Call) -> Option<Instant> {
        match (&call.reader, call.full_since) {
            (Reader::Here(_), Some(since)) if self.in_flight + self.queued > 1 => {
                Some(since + self.limits.stall)
            }
            (Reader::Gone { since, .. }, _) => Some(*since + self.limits.unread_time),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
