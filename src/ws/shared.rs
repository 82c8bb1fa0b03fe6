//! One connection for many handles, and who drives it.
//!
//! Socket and protocol sit behind one lock, which is held for the length of a poll and never across
//! a wait. A handle asks the protocol for what it wants; IO is somebody's to do:
//!
//! | made by | reads, writes, pings, looks at the clock | whom IO wakes |
//! |---|---|---|
//! | [`Shared::driven`] | the [`Driver`], a future of the application's | the task of the driver |
//! | [`Shared::inline`] | every handle that is polled | every task that waits, by [`Hub`] |
//!
//! Tasks are woken when the lock is free, since a waker may run anything.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::config::WebSocketConfig;
use super::connection::Connection;
use super::engine::Transport;
use super::protocol::{End, Protocol, Waiting, Wakers};
use crate::extensions::Call;
use crate::{Error, ErrorKind};

/// A handle of a connection. Dropping the last one closes it.
pub(crate) struct Shared<P: Protocol> {
    core: Arc<Core<P>>,
}

struct Core<P> {
    state: Mutex<State<P>>,
    /// Without a driver: who waits.
    hub: Option<(Arc<Hub>, Waker)>,
}

struct State<P> {
    protocol: P,
    /// `None` once it is over.
    connection: Option<Connection>,
    end: Option<End>,
    handles: usize,
    driver: Option<Waker>,
}

impl<P: Protocol> State<P> {
    /// Does the IO that is possible now.
    fn drive(&mut self, how: How, cx: &mut Context<'_>, wakers: &mut Wakers) {
        let Some(connection) = &mut self.connection else { return };
        let abandoned = self.handles == 0;
        let driven = match how {
            How::OnTime => connection.poll_drive(&mut self.protocol, abandoned, cx, wakers),
            How::Once => connection.push(&mut self.protocol, abandoned, cx, wakers),
        };
        if let Poll::Ready(end) = driven {
            self.end = Some(end);
            self.connection = None;
        }
    }

    /// Does what follows from a change, without a driver. A timer is set by those who wait, so if it
    /// has to be set anew they are all woken.
    fn follow(&mut self, hub: &Hub, waker: &Waker, wakers: &mut Wakers) {
        self.drive(How::Once, &mut Context::from_waker(waker), wakers);
        let connection = self.connection.as_ref();
        if connection.is_some_and(|connection| connection.outruns_timer(&self.protocol)) {
            hub.waiting().wake(wakers);
        }
    }

    /// Whether reading has stopped for want of room, and there is room again.
    fn has_made_room(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_stalled) && self.protocol.has_room()
    }
}

#[derive(Clone, Copy)]
enum How {
    /// With an eye on the clock.
    OnTime,
    Once,
}

impl<P> Core<P> {
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Protocol> Shared<P> {
    fn new(
        io: Box<dyn Transport>,
        config: &WebSocketConfig,
        protocol: P,
        hub: Option<Arc<Hub>>,
    ) -> Self {
        let connection = Some(Connection::new(io, config, hub.is_none()));
        let state = State { protocol, connection, end: None, handles: 1, driver: None };
        let hub = hub.map(|hub| (Arc::clone(&hub), Waker::from(hub)));
        Self { core: Arc::new(Core { state: Mutex::new(state), hub }) }
    }

    /// A connection that goes on while it is used, and only then.
    pub(crate) fn inline(io: Box<dyn Transport>, config: &WebSocketConfig, protocol: P) -> Self {
        Self::new(io, config, protocol, Some(Arc::default()))
    }

    /// Keeps the secrets of the call whose answer has these extensions out of how the socket ends,
    /// if the server quotes them.
    pub(crate) fn keep_secrets_of(&self, extensions: &http::Extensions) {
        if let Some(connection) = &mut self.core.lock().connection {
            connection.call = extensions.get::<Call>().cloned();
        }
    }

    /// Looks at the protocol.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&P) -> R) -> R {
        look(&self.core.lock().protocol)
    }

    /// Changes the protocol, and gets going what follows from it.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut P, &mut Wakers) -> R) -> R {
        let mut wakers = Wakers::default();
        let mut state = self.core.lock();
        let result = change(&mut state.protocol, &mut wakers);
        match &self.core.hub {
            None => wakers.take(&mut state.driver.clone()),
            Some((hub, waker)) => state.follow(hub, waker, &mut wakers),
        }
        drop(state);
        wakers.wake();
        result
    }

    /// Polls for something that comes out of the protocol. `poll` keeps the waker of its context in
    /// the protocol if it is pending, and may make room. It is asked again after IO.
    pub(crate) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut P, &mut Context<'_>, &mut Wakers) -> Poll<R>,
    ) -> Poll<R> {
        self.poll_either(cx, poll, false)
    }

    /// Polls for a change of what is to be sent or waited for: as [`poll`](Self::poll), and when it
    /// is ready, what follows from it gets going.
    pub(crate) fn poll_change<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnMut(&mut P, &mut Context<'_>, &mut Wakers) -> Poll<R>,
    ) -> Poll<R> {
        self.poll_either(cx, poll, true)
    }

    fn poll_either<R>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut P, &mut Context<'_>, &mut Wakers) -> Poll<R>,
        changes: bool,
    ) -> Poll<R> {
        let mut wakers = Wakers::default();
        let mut state = self.core.lock();
        let mut polled = poll(&mut state.protocol, cx, &mut wakers);
        match &self.core.hub {
            None => {
                if (changes && polled.is_ready()) || state.has_made_room() {
                    wakers.take(&mut state.driver.clone());
                }
            }
            Some((hub, waker)) => {
                if polled.is_pending() {
                    hub.waiting().register(cx.waker(), &mut wakers);
                    state.drive(How::OnTime, &mut Context::from_waker(waker), &mut wakers);
                    polled = poll(&mut state.protocol, cx, &mut wakers);
                }
                if (changes && polled.is_ready()) || state.has_made_room() {
                    state.follow(hub, waker, &mut wakers);
                }
            }
        }
        drop(state);
        wakers.wake();
        polled
    }
}

impl<P: Protocol + Send + 'static> Shared<P> {
    /// A connection that the driver drives.
    pub(crate) fn driven(
        io: Box<dyn Transport>,
        config: &WebSocketConfig,
        protocol: P,
    ) -> (Self, Driver) {
        let shared = Self::new(io, config, protocol, None);
        let driver = Drive { core: Arc::clone(&shared.core) };
        (shared, Driver(Box::pin(driver)))
    }
}

impl<P: Protocol> Clone for Shared<P> {
    fn clone(&self) -> Self {
        self.core.lock().handles += 1;
        Self { core: Arc::clone(&self.core) }
    }
}

impl<P: Protocol> Drop for Shared<P> {
    fn drop(&mut self) {
        let mut wakers = Wakers::default();
        let mut state = self.core.lock();
        state.handles -= 1;
        if state.handles > 0 {
            return;
        }
        match &self.core.hub {
            None => wakers.take(&mut state.driver.clone()),
            Some(_) => {
                state.drive(How::Once, &mut Context::from_waker(Waker::noop()), &mut wakers);
            }
        }
        let connection = match &self.core.hub {
            None => None,
            Some(_) => state.connection.take(),
        };
        drop(state);
        if let Some(mut connection) = connection {
            connection.hang_up();
        }
        wakers.wake();
    }
}

impl<P: Protocol> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("driven", &self.core.hub.is_none()).finish_non_exhaustive()
    }
}

/// Drives a socket: reads and writes for all its handles, answers and sends pings, and keeps time.
///
/// Nothing happens on the socket while it is not polled, so spawn it, or join it with what uses the
/// socket. It ends when the socket is over, or soon after the last handle was dropped: the socket is
/// closed in order then, and a server that does not go along is left after a
/// [`close_timeout`](WebSocketConfig::close_timeout).
///
/// Dropping it ends the socket at once, and its handles get an error. Polling it needs a tokio runtime
/// with its timer on.
///
/// # Errors
///
/// What broke the socket, or the close of the peer that is not 1000 or 1001 and was not asked for.
#[must_use = "a socket stands still unless its driver is polled: spawn it"]
pub struct Driver(Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>);

impl Future for Driver {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

struct Drive<P: Protocol> {
    core: Arc<Core<P>>,
}

impl<P: Protocol> Future for Drive<P> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut wakers = Wakers::default();
        let mut state = self.core.lock();
        match &mut state.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            driver => *driver = Some(cx.waker().clone()),
        }
        state.drive(How::OnTime, cx, &mut wakers);
        let result = match &state.end {
            None => Poll::Pending,
            Some(end) if end.is_graceful() => Poll::Ready(Ok(())),
            Some(end) => Poll::Ready(Err(end.error())),
        };
        drop(state);
        wakers.wake();
        result
    }
}

impl<P: Protocol> Drop for Drive<P> {
    fn drop(&mut self) {
        let mut wakers = Wakers::default();
        let mut state = self.core.lock();
        let Some(mut connection) = state.connection.take() else { return };
        if connection.hang_up() {
            let error = Error::new(
                ErrorKind::Transport,
                "the `Driver` of the socket was dropped, and the socket with it",
            );
            state.protocol.ended(&End::broken(error), &mut wakers);
        }
        drop(state);
        drop(connection);
        wakers.wake();
    }
}

/// Who waits on a connection without a driver: IO wakes them all, since any of them may be the one
/// that goes on.
#[derive(Default)]
struct Hub(Mutex<Waiting>);

impl Hub {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Hub {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut wakers = Wakers::default();
        self.waiting().wake(&mut wakers);
        wakers.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;
    use crate::ws::message::{CloseFrame, Message};

    /// Says nothing, and has a deadline.
    #[derive(Default)]
    struct Silent {
        deadline: Option<Instant>,
        expired: bool,
    }

    impl Protocol for Silent {
        fn has_room(&self) -> bool {
            true
        }

        fn receive(&mut self, _: Message, _: &mut Wakers) {}

        fn transmit(&mut self, _: &mut Wakers) -> Option<Message> {
            None
        }

        fn deadline(&self) -> Option<Instant> {
            self.deadline
        }

        fn expire(&mut self, _: Instant, _: &mut Wakers) {
            self.deadline = None;
            self.expired = true;
        }

        fn closing(&mut self) -> Option<CloseFrame> {
            None
        }

        fn ended(&mut self, _: &End, _: &mut Wakers) {}
    }

    /// Without a driver the timer is set by those who wait, so they have to hear of a deadline that is
    /// sooner than what it is set to, and of no other.
    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_woken_for_an_earlier_deadline() {
        let second = Duration::from_secs(1);
        for ping_interval in [None, Some(20 * second)] {
            let (ours, _theirs) = tokio::io::duplex(64);
            let config = WebSocketConfig::default().ping_interval(ping_interval).unwrap();
            let shared = Shared::inline(Box::new(ours), &config, Silent::default());
            let due_in = |seconds| {
                let deadline = Instant::now() + seconds * second;
                shared.change(|silent, _| silent.deadline = Some(deadline));
            };
            let mut waiting = spawn(std::future::poll_fn(|cx| {
                shared.poll(cx, |silent, _, _| match silent.expired {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
            }));
            assert_pending!(waiting.poll());
            for (seconds, sooner) in [(10, true), (15, false), (10, false), (5, true)] {
                due_in(seconds);
                assert_eq!(waiting.is_woken(), sooner, "{seconds}");
                assert_pending!(waiting.poll());
            }
            let start = Instant::now();
            tokio::time::sleep(5 * second).await;
            assert!(waiting.is_woken());
            assert_ready!(waiting.poll());
            assert_eq!(start.elapsed(), 5 * second);
        }
    }
}
