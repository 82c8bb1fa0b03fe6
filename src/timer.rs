//! One deadline for a stream that costs next to nothing per event.
//!
//! A stream that resets a timer per event, or only reads the clock, pays more for that than for the
//! event. [`Watchdog`] does neither: progress sets a mark, and a timer that runs on its own looks at
//! the mark sixteen times per limit. So it fires at the limit at the earliest, and a sixteenth of it
//! later at the latest. The owner polls its source first and the watchdog only when the source is
//! pending, so a consumer that comes late never trips it.
//!
//! Without the feature `timeout` the same type exists and never fires, so that owners need no `cfg`.
//!
//! [`Alarm`] is the other kind of deadline, one that progress does not move.

use std::time::Duration;

/// What [`Watchdog::poll_expired`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "timeout"), allow(dead_code))] // Never made there.
pub(crate) struct Elapsed {
    /// The limit that was passed.
    pub(crate) limit: Duration,
    /// How long the source had been pending; at least `limit`.
    pub(crate) waited: Duration,
}

#[cfg(feature = "timeout")]
pub(crate) use self::clock::Alarm;
pub(crate) use self::clock::Watchdog;

#[cfg(feature = "timeout")]
mod clock {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker, ready};
    use std::time::Duration;

    use tokio::task::coop;
    use tokio::time::{Instant, Sleep};

    use super::Elapsed;

    /// A longer limit never fires: no stream is watched that long, and sums stay in range.
    const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    /// How many times per limit the timer looks whether there was progress.
    const LOOKS: u32 = 16;

    /// Fires once when its source has been pending for `limit` without progress.
    ///
    /// Polling it needs a tokio runtime with its time driver on, like every tokio timer.
    #[derive(Debug)]
    pub(crate) struct Watchdog {
        limit: Option<Duration>,
        /// There was progress since the timer looked last.
        progressed: bool,
        /// Made at the first pending poll; boxed so that the owner stays `Unpin` and small.
        timer: Option<Pin<Box<Timer>>>,
    }

    impl Watchdog {
        /// `None` is off.
        pub(crate) fn new(limit: Option<Duration>) -> Self {
            let limit = limit.filter(|limit| *limit <= FOREVER);
            Self { limit, progressed: false, timer: None }
        }

        /// Changes the limit; the present wait starts anew.
        pub(crate) fn set_limit(&mut self, limit: Option<Duration>) {
            if limit != self.limit {
                *self = Self::new(limit);
            }
        }

        /// The source was ready: the next wait starts from nothing.
        #[inline]
        pub(crate) fn progress(&mut self) {
            self.progressed = true;
        }

        /// To be called when the source is pending, and only then.
        ///
        /// After it has fired, the watchdog is off.
        #[inline]
        pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Elapsed> {
            let Some(limit) = self.limit else { return Poll::Pending };
            if self.timer.as_ref().is_some_and(|timer| timer.will_wake(cx)) {
                return Poll::Pending;
            }
            self.poll_limit(limit, cx)
        }

        #[inline(never)]
        fn poll_limit(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<Elapsed> {
            let look = || (limit / LOOKS).max(Duration::from_millis(1));
            let timer = match &mut self.timer {
                Some(timer) => timer,
                None => {
                    self.progressed = false;
                    self.timer.insert(Box::pin(Timer::new(Instant::now(), look().min(limit))))
                }
            };
            loop {
                ready!(timer.as_mut().poll_look(cx));
                let now = Instant::now();
                let waited = timer.as_mut().waited(now, std::mem::take(&mut self.progressed));
                if waited >= limit {
                    *self = Self::new(None);
                    return Poll::Ready(Elapsed { limit, waited });
                }
                timer.as_mut().look_at(now + look().min(limit - waited));
            }
        }
    }

    /// How often [`Alarm::has_passed`] is asked before it reads the clock.
    const QUESTIONS: u8 = 16;

    /// A moment after which its owner must not go on, whatever progress there is.
    ///
    /// Polling it needs a runtime, as with [`Watchdog`]; asking it does not.
    #[derive(Debug)]
    pub(crate) struct Alarm {
        at: Instant,
        questions: u8,
        /// Made at the first pending poll; boxed so that the owner stays `Unpin` and small.
        timer: Option<Pin<Box<Timer>>>,
    }

    impl Alarm {
        pub(crate) fn new(at: Instant) -> Self {
            Self { at, questions: 0, timer: None }
        }

        /// Whether the moment has passed, for an owner whose source is not pending.
        ///
        /// A timer that runs knows at once. Without one the clock is read, which costs as much as
        /// a small frame: every sixteenth time.
        #[inline]
        pub(crate) fn has_passed(&mut self) -> bool {
            if self.timer.as_ref().is_some_and(|timer| timer.sleep.is_elapsed()) {
                return true;
            }
            self.questions = (self.questions + 1) % QUESTIONS;
            self.questions == 0 && Instant::now() >= self.at
        }

        /// Ready when the moment has come; to be called when the source is pending.
        #[inline]
        pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            let timer = || Box::pin(Timer::new(self.at, Duration::ZERO));
            self.timer.get_or_insert_with(timer).as_mut().poll_look(cx)
        }
    }

    pin_project_lite::pin_project! {
        /// A tokio timer that knows which waker it holds.
        #[derive(Debug)]
        struct Timer {
            #[pin]
            sleep: Sleep,
            // `None`: the timer is not registered.
            waker: Option<Waker>,
            // From when on there was no progress, as far as was looked.
            since: Instant,
        }
    }

    impl Timer {
        fn new(since: Instant, look: Duration) -> Self {
            Self { sleep: tokio::time::sleep_until(since + look), waker: None, since }
        }

        /// How long there has been no progress at the time of a look.
        fn waited(self: Pin<&mut Self>, now: Instant, progressed: bool) -> Duration {
            let since = self.project().since;
            if progressed {
                *since = now;
            }
            now.duration_since(*since)
        }

        fn look_at(self: Pin<&mut Self>, next: Instant) {
            let this = self.project();
            this.sleep.reset(next);
            *this.waker = None;
        }

        /// Whether it is not yet time to look and this task will be woken when it is.
        #[inline]
        fn will_wake(&self, cx: &Context<'_>) -> bool {
            !self.sleep.is_elapsed()
                && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
        }

        /// Ready when it is time to look.
        #[inline]
        fn poll_look(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if self.will_wake(cx) {
                return Poll::Pending;
            }
            let this = self.project();
            if this.sleep.is_elapsed() {
                return Poll::Ready(());
            }
            // Out of budget, the timer wakes the task without taking its waker, so such a poll does
            // not count as a registration.
            let registers = coop::has_budget_remaining();
            let polled = this.sleep.poll(cx);
            if polled.is_pending() {
                *this.waker = registers.then(|| cx.waker().clone());
            }
            polled
        }
    }
}

#[cfg(not(feature = "timeout"))]
mod clock {
    use std::task::{Context, Poll};
    use std::time::Duration;

    use super::Elapsed;

    /// The watchdog of a build without timers: it never fires.
    #[derive(Debug)]
    pub(crate) struct Watchdog;

    impl Watchdog {
        pub(crate) fn new(_limit: Option<Duration>) -> Self {
            Self
        }

        pub(crate) fn set_limit(&mut self, _limit: Option<Duration>) {}

        #[inline]
        pub(crate) fn progress(&mut self) {}

        #[inline]
        pub(crate) fn poll_expired(&mut self, _cx: &mut Context<'_>) -> Poll<Elapsed> {
            Poll::Pending
        }
    }
}

#[cfg(all(test, feature = "timeout"))]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::time::{Instant, advance, sleep, timeout};
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);
    const TICK: Duration = Duration::from_millis(1);

    fn elapsed(limit: Duration, waited: Duration) -> Elapsed {
        Elapsed { limit, waited }
    }

    #[tokio::test(start_paused = true)]
    async fn fires_at_the_limit_and_only_once() {
        let mut dog = Watchdog::new(Some(LIMIT));
        let start = Instant::now();
        let fired = poll_fn(|cx| dog.poll_expired(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(fired.limit, LIMIT);
        assert!(fired.waited >= LIMIT, "{fired:?}");

        let mut again = spawn(poll_fn(|cx| dog.poll_expired(cx)));
        assert_pending!(again.poll());
        advance(LIMIT * 10).await;
        assert!(!again.is_woken());
        assert_pending!(again.poll());
    }

    #[tokio::test(start_paused = true)]
    async fn progress_postpones_to_a_full_limit_and_little_more() {
        let mut dog = Watchdog::new(Some(LIMIT));
        for _ in 0..10 {
            let mut wait = spawn(poll_fn(|cx| dog.poll_expired(cx)));
            assert_pending!(wait.poll());
            advance(LIMIT - TICK).await;
            assert_pending!(wait.poll());
            drop(wait);
            dog.progress();
        }
        let start = Instant::now();
        poll_fn(|cx| dog.poll_expired(cx)).await;
        assert!(start.elapsed() <= LIMIT + LIMIT / 16 + TICK, "{:?}", start.elapsed());
        assert!(start.elapsed() >= LIMIT, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_consumer_does_not_trip_it() {
        let mut dog = Watchdog::new(Some(LIMIT));
        assert_pending!(spawn(poll_fn(|cx| dog.poll_expired(cx))).poll());
        dog.progress();
        // The consumer holds the event for a minute; the old timer fires meanwhile.
        sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        poll_fn(|cx| dog.poll_expired(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_costs_sixteen_wake_ups_per_limit() {
        let mut dog = Watchdog::new(Some(LIMIT));
        let mut wait = spawn(());
        let mut wakes = 0;
        for _ in 0..1000 {
            wait.enter(|cx, _| assert_pending!(dog.poll_expired(cx)));
            advance(Duration::from_millis(10)).await;
            if wait.is_woken() {
                wakes += 1;
                wait.enter(|cx, _| assert_pending!(dog.poll_expired(cx)));
            }
            dog.progress();
        }
        assert!(wakes <= 33, "{wakes} wake-ups in 10 s with a limit of 5 s");
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_that_polled_last_is_woken() {
        let mut dog = Watchdog::new(Some(LIMIT));
        let (mut first, mut second) = (spawn(()), spawn(()));
        first.enter(|cx, _| assert_pending!(dog.poll_expired(cx)));
        second.enter(|cx, _| assert_pending!(dog.poll_expired(cx)));
        advance(LIMIT + TICK).await;
        assert!(second.is_woken());
        assert!(!first.is_woken());
        let fired = second.enter(|cx, _| assert_ready!(dog.poll_expired(cx)));
        assert_eq!(fired, elapsed(LIMIT, LIMIT + TICK));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_out_of_budget_is_still_woken_by_the_timer() {
        let mut dog = Watchdog::new(Some(LIMIT));
        let start = Instant::now();
        let mut drained = false;
        let fired = poll_fn(|cx| {
            if !drained {
                drained = true;
                while tokio::task::coop::has_budget_remaining() {
                    let mut step = std::pin::pin!(tokio::task::consume_budget());
                    let _ = step.as_mut().poll(cx);
                }
            }
            dog.poll_expired(cx)
        });
        timeout(LIMIT * 2, fired).await.expect("woken by the timer");
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lowered_limit_holds_for_the_present_wait() {
        let mut dog = Watchdog::new(Some(LIMIT * 10));
        assert_pending!(spawn(poll_fn(|cx| dog.poll_expired(cx))).poll());
        dog.set_limit(Some(LIMIT));
        let start = Instant::now();
        poll_fn(|cx| dog.poll_expired(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_goes_off_at_its_moment_whatever_else_happens() {
        let mut alarm = Alarm::new(Instant::now() + LIMIT);
        assert_pending!(spawn(poll_fn(|cx| alarm.poll(cx))).poll());
        advance(LIMIT - TICK).await;
        assert!(!alarm.has_passed());
        assert_pending!(spawn(poll_fn(|cx| alarm.poll(cx))).poll());
        let start = Instant::now();
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed(), TICK);
        assert!(alarm.has_passed(), "the timer knows");
        assert_ready!(spawn(poll_fn(|cx| alarm.poll(cx))).poll());
    }

    #[test]
    fn an_alarm_without_a_timer_reads_the_clock_now_and_then() {
        let mut alarm = Alarm::new(Instant::now());
        let asked = (1..).find(|_| alarm.has_passed());
        assert_eq!(asked, Some(16));
    }

    #[tokio::test(start_paused = true)]
    async fn off_and_huge_limits_never_fire() {
        for limit in [None, Some(Duration::MAX), Some(Duration::from_secs(u64::MAX / 2))] {
            let mut dog = Watchdog::new(limit);
            let mut wait = spawn(poll_fn(|cx| dog.poll_expired(cx)));
            assert_pending!(wait.poll());
            advance(Duration::from_secs(24 * 60 * 60)).await;
            assert!(matches!(wait.poll(), Poll::Pending), "{limit:?}");
        }
    }

    #[test]
    fn small_unpin_and_silent_until_polled() {
        fn promised<T: Send + Sync + Unpin>(_: &T) {}
        // Outside a runtime: no timer is made before the first pending poll.
        let mut dog = Watchdog::new(Some(LIMIT));
        dog.progress();
        promised(&dog);
        assert!(size_of::<Watchdog>() <= 32, "{}", size_of::<Watchdog>());
    }
}
