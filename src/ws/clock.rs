//! The times of a socket: signs of life, and the one timer for all deadlines.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// Whether the peer is there: it is asked after a silence, and then has to say something.
#[derive(Debug)]
pub(super) struct Liveness {
    interval: Option<Duration>,
    timeout: Duration,
    heard: Instant,
    pinged: Option<Instant>,
}

/// What is to be done about the peer's silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing, ever.
    None,
    /// Nothing until then.
    Until(Instant),
    /// A ping is due.
    Ping,
    /// It has not answered.
    Dead,
}

impl Liveness {
    pub(super) fn new(interval: Option<Duration>, timeout: Duration) -> Self {
        Self { interval, timeout, heard: Instant::now(), pinged: None }
    }

    /// The peer is there, or is not listened to.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// When the next sign is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some(self.pinged.map_or(self.heard + interval, |pinged| pinged + self.timeout))
    }

    /// To be asked when all that has come was read.
    pub(super) fn sign(&mut self, now: Instant) -> Sign {
        let Some(due) = self.due() else { return Sign::None };
        if due > now {
            return Sign::Until(due);
        }
        let sign = if self.pinged.is_some() { Sign::Dead } else { Sign::Ping };
        // Counted from now: one who comes late has not waited for an answer yet.
        self.pinged = Some(now);
        sign
    }
}

/// A timer that is set anew at once only if that is earlier, else when it fires. So a deadline that
/// moves on with each message costs nothing.
#[derive(Debug, Default)]
pub(super) struct Timer {
    /// Made when it is first needed: that takes a runtime.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it will wake; `None`: it is not registered.
    waker: Option<Waker>,
}

impl Timer {
    /// Whether it is going to wake somebody by then.
    pub(super) fn fires_by(&self, at: Instant) -> bool {
        let set = |sleep: &Pin<Box<Sleep>>| !sleep.is_elapsed() && sleep.deadline() <= at;
        self.waker.is_some() && self.sleep.as_ref().is_some_and(set)
    }

    /// Ready at `at`.
    pub(super) fn poll_until(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                if sleep.is_elapsed() || at < sleep.deadline() {
                    sleep.as_mut().reset(at);
                    self.waker = None;
                }
                sleep
            }
            None => self.sleep.insert(Box::pin(tokio::time::sleep_until(at))),
        };
        let registered = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if registered && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        // Out of budget, the timer wakes the task without taking its waker, so such a poll does
        // not count as a registration.
        let registers = coop::has_budget_remaining();
        let polled = sleep.as_mut().poll(cx);
        self.waker = (polled.is_pending() && registers).then(|| cx.waker().clone());
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_is_asked_about_and_then_held_against_the_peer() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Some(20 * SECOND), 10 * SECOND);
        assert_eq!(liveness.sign(start), Sign::Until(start + 20 * SECOND));
        assert_eq!(liveness.sign(start + 20 * SECOND), Sign::Ping);
        assert_eq!(liveness.sign(start + 20 * SECOND), Sign::Until(start + 30 * SECOND));
        liveness.heard(start + 25 * SECOND);
        assert_eq!(liveness.sign(start + 44 * SECOND), Sign::Until(start + 45 * SECOND));
        // Nobody looked for an hour: the peer is asked first.
        assert_eq!(liveness.sign(start + 3600 * SECOND), Sign::Ping);
        assert_eq!(liveness.sign(start + 3610 * SECOND), Sign::Dead);
        assert_eq!(Liveness::new(None, SECOND).sign(start + 3600 * SECOND), Sign::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_fires_in_time_however_it_is_moved() {
        let start = Instant::now();
        let mut timer = Timer::default();
        for seconds in [9, 7, 8, 5, 6] {
            let at = start + seconds * SECOND;
            let pending =
                tokio_test::task::spawn(std::future::poll_fn(|cx| timer.poll_until(at, cx))).poll();
            assert!(pending.is_pending());
        }
        std::future::poll_fn(|cx| timer.poll_until(start + 6 * SECOND, cx)).await;
        assert_eq!(start.elapsed(), 6 * SECOND);
    }
}
