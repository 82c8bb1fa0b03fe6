//! One socket as a state machine: reads, writes, pings and deadlines in the same poll.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{Liveness, Sign, Timer};
use super::config::WebSocketConfig;
use super::engine::{Engine, Failure, Incoming, Transport};
use super::message::{CloseCode, CloseFrame};
use super::protocol::{End, Protocol, Side, Wakers};
use crate::extensions::Call;
use crate::{Error, ErrorKind};

/// How many turns of reading and writing one poll takes before it lets others run.
const TURNS: usize = 64;

/// How many such polls in a row put off the protocol's deadlines while there is more to read.
const BUSY_POLLS: usize = 256;

/// How soon a deadline is looked at again that did not move when it had passed.
const NAG: Duration = Duration::from_millis(1);

/// A socket that is open, or about to be over.
pub(super) struct Connection {
    engine: Engine,
    phase: Phase,
    config: WebSocketConfig,
    liveness: Liveness,
    timer: Timer,
    /// The protocol has no room for what could be read.
    stalled: bool,
    /// Writing has failed. What the peer said before that may still be there to read.
    write_failure: Option<Failure>,
    busy_polls: usize,
    end: Option<End>,
    /// Of the handshake: what is secret of it.
    pub(super) call: Option<Call>,
    /// Whether somebody polls until the very end.
    driven: bool,
}

#[derive(Debug)]
enum Phase {
    Open,
    /// We want it closed.
    Closing {
        /// What it is closed with, until the engine has it: what is queued goes first.
        frame: Option<CloseFrame>,
        /// All is out, so the peer knows: what comes now may be its answer.
        said: bool,
        /// For the answer, and before that for any byte to go out.
        until: Instant,
    },
    /// All is said; what is left to write is written, and then the peer is to hang up.
    Leaving {
        until: Instant,
        /// It does not follow the protocol, so it is shown that we have gone.
        shuns: bool,
    },
}

/// How far a turn came.
enum Turn {
    Moved,
    Stuck,
    Over,
}

impl Connection {
    pub(super) fn new(io: Box<dyn Transport>, config: &WebSocketConfig, driven: bool) -> Self {
        Self {
            engine: Engine::new(io, config),
            phase: Phase::Open,
            config: config.clone(),
            liveness: Liveness::new(config.ping_interval, config.pong_timeout),
            timer: Timer::default(),
            stalled: false,
            write_failure: None,
            busy_polls: 0,
            end: None,
            call: None,
            driven,
        }
    }

    /// Whether reading stopped for want of room.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Whether something is due before the timer fires, so that the connection has to be polled.
    pub(super) fn outruns_timer<P: Protocol>(&self, protocol: &P) -> bool {
        let own = match self.phase {
            Phase::Open if self.stalled => None,
            Phase::Open => self.liveness.due(),
            Phase::Closing { until, .. } | Phase::Leaving { until, .. } => Some(until),
        };
        let due = own.into_iter().chain(protocol.deadline()).min();
        due.is_some_and(|due| !self.timer.fires_by(due))
    }

    /// Does all that can be done now. Ready when the connection is over and can be dropped.
    ///
    /// `abandoned`: nobody is there any more to read or to write.
    pub(super) fn poll_drive<P: Protocol>(
        &mut self,
        protocol: &mut P,
        abandoned: bool,
        cx: &mut Context<'_>,
        wakers: &mut Wakers,
    ) -> Poll<End> {
        self.engine.wake_with(cx.waker());
        if let Turn::Over = self.read_first(protocol, abandoned, wakers) {
            return Poll::Ready(self.over());
        }
        loop {
            let mut turns = 0;
            let busy = loop {
                match self.turn(protocol, abandoned, wakers) {
                    Turn::Moved if turns < TURNS => turns += 1,
                    Turn::Moved => break true,
                    Turn::Stuck => break false,
                    Turn::Over => return Poll::Ready(self.over()),
                }
            };
            self.busy_polls = if busy { self.busy_polls + 1 } else { 0 };
            if busy && self.busy_polls < BUSY_POLLS {
                wakers.push(cx.waker().clone());
                return Poll::Pending;
            }
            self.busy_polls = 0;
            match self.keep_time(protocol, cx, wakers) {
                Turn::Moved => {}
                Turn::Stuck => {
                    if busy {
                        wakers.push(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
                Turn::Over => return Poll::Ready(self.over()),
            }
        }
    }

    /// Does what can be done now, without a look at the clock and without being woken for more. It
    /// needs no runtime. Ready as [`poll_drive`](Self::poll_drive) is.
    pub(super) fn push<P: Protocol>(
        &mut self,
        protocol: &mut P,
        abandoned: bool,
        cx: &mut Context<'_>,
        wakers: &mut Wakers,
    ) -> Poll<End> {
        self.engine.wake_with(cx.waker());
        if let Turn::Over = self.read_first(protocol, abandoned, wakers) {
            return Poll::Ready(self.over());
        }
        for _ in 0..TURNS {
            match self.turn(protocol, abandoned, wakers) {
                Turn::Moved => {}
                Turn::Stuck => return Poll::Pending,
                Turn::Over => return Poll::Ready(self.over()),
            }
        }
        wakers.push(cx.waker().clone());
        Poll::Pending
    }

    /// Says goodbye as far as that goes at once, and whether the protocol has still to hear of the
    /// end.
    pub(super) fn hang_up(&mut self) -> bool {
        if matches!(self.phase, Phase::Open | Phase::Closing { frame: Some(_), .. }) {
            let _ = self.engine.close(&CloseCode::GOING_AWAY.into());
        }
        let _ = self.engine.poll_flush();
        self.engine.shut_down();
        self.end.is_none()
    }

    fn over(&mut self) -> End {
        self.engine.shut_down();
        match &self.end {
            Some(end) => end.clone(),
            None => End::Closed { by: Side::Us, frame: None },
        }
    }

    /// Reads what has come, so that nothing is written into a socket that the peer has closed.
    fn read_first<P: Protocol>(
        &mut self,
        protocol: &mut P,
        abandoned: bool,
        wakers: &mut Wakers,
    ) -> Turn {
        for _ in 0..TURNS {
            if !matches!(self.phase, Phase::Open) {
                break;
            }
            match self.read(protocol, abandoned, wakers) {
                Turn::Moved => {}
                turn => return turn,
            }
        }
        Turn::Moved
    }

    fn turn<P: Protocol>(
        &mut self,
        protocol: &mut P,
        abandoned: bool,
        wakers: &mut Wakers,
    ) -> Turn {
        if matches!(self.phase, Phase::Leaving { .. }) {
            return self.leave();
        }
        self.want_close(protocol, abandoned);
        let wrote = self.write(protocol, wakers);
        match self.read(protocol, abandoned, wakers) {
            Turn::Stuck if wrote => Turn::Moved,
            turn => turn,
        }
    }

    fn want_close<P: Protocol>(&mut self, protocol: &mut P, abandoned: bool) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let frame = match protocol.closing() {
            Some(frame) => frame,
            None if abandoned => CloseCode::NORMAL.into(),
            None => return,
        };
        let until = Instant::now() + self.config.close_timeout;
        self.phase = Phase::Closing { frame: Some(frame), said: false, until };
    }

    /// Writes what there is, as long as the transport takes it. Whether anything was taken up.
    fn write<P: Protocol>(&mut self, protocol: &mut P, wakers: &mut Wakers) -> bool {
        let mut wrote = false;
        for _ in 0..TURNS {
            let written = matches!(self.phase, Phase::Closing { frame: None, .. });
            if written || !self.can_send() {
                break;
            }
            let result = match (protocol.transmit(wakers), &mut self.phase) {
                (Some(message), _) => self.engine.send(message),
                (None, Phase::Closing { frame, .. }) => match frame.take() {
                    Some(frame) => self.engine.close(&frame),
                    None => break,
                },
                (None, _) => break,
            };
            wrote = true;
            self.write_failure = result.err();
        }
        self.flush();
        wrote
    }

    fn can_send(&mut self) -> bool {
        if !self.engine.can_send() {
            self.flush();
        }
        self.write_failure.is_none() && self.engine.can_send()
    }

    fn flush(&mut self) {
        if self.write_failure.is_some() {
            return;
        }
        match (self.engine.poll_flush(), &mut self.phase) {
            (Poll::Ready(Err(failure)), _) => self.write_failure = Some(failure),
            (Poll::Ready(Ok(())), Phase::Closing { frame: None, said: said @ false, until }) => {
                *said = true;
                *until = Instant::now() + self.config.close_timeout;
            }
            _ => {}
        }
    }

    /// Reads one message, if there is room for it.
    fn read<P: Protocol>(
        &mut self,
        protocol: &mut P,
        abandoned: bool,
        wakers: &mut Wakers,
    ) -> Turn {
        let open = matches!(self.phase, Phase::Open);
        let room = !abandoned && protocol.has_room();
        self.stalled = open && !room;
        if self.stalled {
            return Turn::Stuck;
        }
        match self.engine.poll_read() {
            Poll::Pending => match self.write_failure.take() {
                Some(failure) => self.fail(protocol, failure, wakers),
                None => Turn::Stuck,
            },
            Poll::Ready(Ok(Incoming::Message(message))) => {
                // Once we close, nobody is waited for: what there is no room for is lost.
                if room {
                    protocol.receive(message, wakers);
                }
                Turn::Moved
            }
            Poll::Ready(Ok(Incoming::Control)) => Turn::Moved,
            Poll::Ready(Ok(Incoming::Close(frame))) => {
                // Not ours while it waits behind other messages: the peer has not seen it.
                let ours = matches!(self.phase, Phase::Closing { said: true, .. });
                let by = if ours { Side::Us } else { Side::Peer };
                self.finish(protocol, End::Closed { by, frame }, wakers);
                self.leave_after(false)
            }
            Poll::Ready(Ok(Incoming::End)) => {
                self.finish(protocol, End::Closed { by: Side::Us, frame: None }, wakers);
                Turn::Over
            }
            Poll::Ready(Err(failure)) => self.fail(protocol, failure, wakers),
        }
    }

    fn fail<P: Protocol>(
        &mut self,
        protocol: &mut P,
        failure: Failure,
        wakers: &mut Wakers,
    ) -> Turn {
        let Failure { error, tell, hung_up } = failure;
        if hung_up && matches!(self.phase, Phase::Closing { said: true, .. }) {
            // Hanging up is an answer to a close frame too.
            self.finish(protocol, End::Closed { by: Side::Us, frame: None }, wakers);
            return Turn::Over;
        }
        self.finish(protocol, End::broken(error), wakers);
        match tell {
            Some(code) if self.engine.close(&code.into()).is_ok() => self.leave_after(true),
            _ => Turn::Over,
        }
    }

    /// Tells the protocol, once.
    fn finish<P: Protocol>(&mut self, protocol: &mut P, end: End, wakers: &mut Wakers) {
        self.stalled = false;
        let end = match &self.call {
            Some(call) => end.without_secrets_of(call),
            None => end,
        };
        protocol.ended(&end, wakers);
        self.end = Some(end);
    }

    fn leave_after(&mut self, shuns: bool) -> Turn {
        let until = match self.phase {
            Phase::Closing { until, .. } => until,
            _ => Instant::now() + self.config.close_timeout,
        };
        self.phase = Phase::Leaving { until, shuns };
        Turn::Moved
    }

    /// Writes what is left, and waits until the server hangs up: if we did, and there were bytes
    /// left to read, it might never see our close frame.
    fn leave(&mut self) -> Turn {
        match self.engine.poll_flush() {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Turn::Over,
            Poll::Pending => return Turn::Stuck,
        }
        if !self.driven {
            return Turn::Over;
        }
        if matches!(self.phase, Phase::Leaving { shuns: true, .. }) {
            self.engine.shut_down();
        }
        match self.engine.poll_discard() {
            Poll::Ready(true) => Turn::Moved,
            Poll::Ready(false) => Turn::Over,
            Poll::Pending => Turn::Stuck,
        }
    }

    /// Looks at the clock. [`Turn::Moved`] if something was due, [`Turn::Stuck`] if the timer is set.
    fn keep_time<P: Protocol>(
        &mut self,
        protocol: &mut P,
        cx: &mut Context<'_>,
        wakers: &mut Wakers,
    ) -> Turn {
        let now = Instant::now();
        let moved = self.engine.take_moved();
        if self.engine.take_heard() || moved || self.stalled {
            self.liveness.heard(now);
        }
        if let Phase::Closing { said: false, until, .. } = &mut self.phase {
            if moved {
                *until = now + self.config.close_timeout;
            }
        }
        let mut next = match self.phase {
            Phase::Leaving { until, .. } if until <= now => return Turn::Over,
            Phase::Leaving { until, .. } => return self.wait(until, cx),
            Phase::Closing { until, said, .. } if until <= now => {
                self.finish(protocol, self.unanswered(said), wakers);
                return Turn::Over;
            }
            Phase::Closing { until, .. } => Some(until),
            Phase::Open if self.stalled => None,
            Phase::Open => match self.liveness.sign(now) {
                Sign::None => None,
                Sign::Until(at) => Some(at),
                Sign::Ping => {
                    self.write_failure = self.write_failure.take().or(self.engine.ping().err());
                    return Turn::Moved;
                }
                Sign::Dead => {
                    self.finish(protocol, self.silent(), wakers);
                    return Turn::Over;
                }
            },
        };
        if let Some(at) = protocol.deadline() {
            if at <= now {
                protocol.expire(now, wakers);
                if protocol.deadline().is_none_or(|at| at > now) {
                    return Turn::Moved;
                }
            }
            // One that stays behind must not keep us here.
            let at = at.max(now + NAG);
            next = next.map_or(Some(at), |next| Some(next.min(at)));
        }
        match next {
            Some(at) => self.wait(at, cx),
            None => Turn::Stuck,
        }
    }

    fn wait(&mut self, until: Instant, cx: &mut Context<'_>) -> Turn {
        match self.timer.poll_until(until, cx) {
            Poll::Ready(()) => Turn::Moved,
            Poll::Pending => Turn::Stuck,
        }
    }

    fn unanswered(&self, said: bool) -> End {
        let failing = match said {
            true => "did not answer the close frame",
            false => "took nothing of what is to be sent before the socket is closed",
        };
        let message = format!("the server {failing} within {:?}", self.config.close_timeout);
        End::broken(Error::new(ErrorKind::Timeout, message))
    }

    fn silent(&self) -> End {
        let error = Error::new(
            ErrorKind::IdleTimeout,
            format!(
                "the server is silent: nothing came from it within {:?} of a ping",
                self.config.pong_timeout
            ),
        );
        End::broken(error.with_close(Some(CloseCode::ABNORMAL.into())))
    }
}
