//! The seam between a socket and what is spoken over it.
//!
//! A [`Protocol`] does no IO: the socket hands it whole messages, asks it for the next one to send,
//! and tells it of time and of the end. All of it happens under the one lock of the connection, so a
//! protocol is plain state. The tasks that wait for something in it are woken through [`Wakers`],
//! which the connection wakes once the lock is free.

use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use super::message::{CloseCode, CloseFrame, Message};
use crate::extensions::Call;
use crate::{Error, ErrorKind, redaction};

/// What is spoken over a socket, without IO.
pub(crate) trait Protocol {
    /// Whether the next message may be read. While it says no, the socket is not read, so that the
    /// peer comes to a halt; it is asked again after each change by a reader.
    fn has_room(&self) -> bool;

    /// Takes one whole message.
    fn receive(&mut self, message: Message, wakers: &mut Wakers);

    /// The next message to send; asked whenever the socket can take one. A message above the limit
    /// of the [configuration](super::WebSocketConfig::max_outgoing_size) must not come this far.
    fn transmit(&mut self, wakers: &mut Wakers) -> Option<Message>;

    /// When [`expire`](Self::expire) is to be called. It may move at any time, both ways.
    fn deadline(&self) -> Option<Instant>;

    /// A deadline has passed. The socket was read as far as there was room first, so a task that
    /// comes late finds what has come in time. The deadline must have moved after it.
    fn expire(&mut self, now: Instant, wakers: &mut Wakers);

    /// Asked after each change, until it has said what to close the socket with. What there is to
    /// [`transmit`](Self::transmit) by then is sent first, or is not offered any more.
    fn closing(&mut self) -> Option<CloseFrame>;

    /// The socket is over. Nothing else is called after it, and everyone who waits is to be woken.
    fn ended(&mut self, end: &End, wakers: &mut Wakers);
}

/// The tasks to wake when the lock of a connection is free again.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// Mostly there is one, and that costs no memory.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakers {
    pub(crate) fn push(&mut self, waker: Waker) {
        match &self.first {
            None => self.first = Some(waker),
            Some(first) if first.will_wake(&waker) => {}
            Some(_) => self.rest.push(waker),
        }
    }

    /// Takes a waker that waits, if there is one.
    pub(crate) fn take(&mut self, waiting: &mut Option<Waker>) {
        if let Some(waker) = waiting.take() {
            self.push(waker);
        }
    }

    /// To be called without the lock: a waker may run anything.
    pub(crate) fn wake(self) {
        for waker in self.first.into_iter().chain(self.rest) {
            waker.wake();
        }
    }
}

/// Tasks that wait for the same thing, such as room.
///
/// Nobody says that he waits no longer. So from time to time all of them are woken instead of kept,
/// and those who still wait come back.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    tasks: Vec<Waker>,
    /// How many were woken last.
    woken: usize,
}

impl Waiting {
    /// So many are always kept.
    const FEW: usize = 256;

    pub(crate) fn register(&mut self, waker: &Waker, wakers: &mut Wakers) {
        if self.tasks.iter().any(|known| known.will_wake(waker)) {
            return;
        }
        // Twice as many as were woken: with a fixed limit, more tasks than that which really wait
        // would wake each other without end.
        if self.tasks.len() >= Self::FEW.max(self.woken.saturating_mul(2)) {
            self.wake(wakers);
        }
        self.tasks.push(waker.clone());
    }

    /// Has all of them woken.
    pub(crate) fn wake(&mut self, wakers: &mut Wakers) {
        self.woken = self.tasks.len();
        self.tasks.drain(..).for_each(|waker| wakers.push(waker));
    }
}

/// One end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Us,
    Peer,
}

/// How a socket ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// By close frames: who sent the first one, and what the peer's said. Ours had an answer without
    /// a code, or none because the peer hung up, if there is no frame and it was `Us`.
    Closed { by: Side, frame: Option<CloseFrame> },
    /// Without them: the connection broke, went silent or was not the protocol.
    Broken(Arc<Error>),
}

impl End {
    pub(crate) fn broken(error: Error) -> Self {
        Self::Broken(Arc::new(error))
    }

    /// The same without what is secret of the call, which the peer's reason may quote.
    pub(super) fn without_secrets_of(self, call: &Call) -> Self {
        let Self::Closed { by, frame: Some(frame) } = self else { return self };
        let secrets = call.kept_secrets();
        let scrubbed = redaction::scrub_known(frame.reason(), secrets.iter().map(String::as_str));
        let frame = match scrubbed {
            Some(reason) => CloseFrame::new(frame.code(), reason),
            None => frame,
        };
        Self::Closed { by, frame: Some(frame) }
    }

    /// Whether nothing is wrong with it: we closed the socket, or the peer did and says that all is
    /// well.
    pub(crate) fn is_graceful(&self) -> bool {
        match self {
            Self::Closed { by: Side::Us, .. } => true,
            Self::Closed { by: Side::Peer, frame } => frame.as_ref().is_none_or(|frame| {
                matches!(frame.code(), CloseCode::NORMAL | CloseCode::GOING_AWAY)
            }),
            Self::Broken(_) => false,
        }
    }

    /// The error of one who needed the socket to go on. Each who asks gets one.
    ///
    /// Its stage is unknown: who asks knows what was sent.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Broken(error) => Error::copy_of(error),
            Self::Closed { by: Side::Us, frame } => {
                Error::new(ErrorKind::Closed, "the socket was closed by this side")
                    .with_close(frame.clone())
            }
            Self::Closed { by: Side::Peer, frame } => Error::closed_by_peer(frame.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_gives_an_error_to_each_who_asks() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let end = End::broken(Error::new(ErrorKind::Transport, "broke").with_source(reset));
        for _ in 0..2 {
            let error = end.error();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Transport, "broke"));
            assert_eq!(error.chain().count(), 2);
            let cause = error.chain().nth(1).unwrap().to_string();
            assert!(cause.contains("reset"), "{cause}");
        }
    }

    #[test]
    fn the_code_of_a_close_says_what_it_means() {
        let by_peer = |code| End::Closed {
            by: Side::Peer,
            frame: Some(CloseFrame::new(CloseCode::new(code), "sk-planted-key-1\nbye")),
        };
        for (code, kind, retryable, graceful) in [
            (1000, ErrorKind::Closed, false, true),
            (1001, ErrorKind::Closed, true, true),
            (1002, ErrorKind::Protocol, false, false),
            (1009, ErrorKind::TooLarge, false, false),
            (1011, ErrorKind::Closed, true, false),
            (1012, ErrorKind::Closed, true, false),
            (4000, ErrorKind::Closed, false, false),
        ] {
            let end = by_peer(code);
            let error = end.error();
            assert_eq!(
                (error.kind(), error.is_retryable(), end.is_graceful()),
                (kind, retryable, graceful),
                "{code}"
            );
            assert_eq!(error.close_code(), Some(CloseCode::new(code)));
            assert_eq!(error.close_reason(), Some("[redacted] bye"));
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(&code.to_string()) && !shown.contains("planted"), "{shown}");
        }
        let silent = End::Closed { by: Side::Peer, frame: None };
        assert_eq!(silent.error().close_code(), Some(CloseCode::NO_STATUS));
        assert!(silent.is_graceful() && silent.error().is_retryable());
    }

    #[test]
    fn a_waker_is_woken_once() {
        let (waker, count) = counting();
        let mut wakers = Wakers::default();
        wakers.push(waker.clone());
        wakers.push(waker.clone());
        wakers.take(&mut None);
        wakers.wake();
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn those_who_wait_are_few_or_woken() {
        let mut waiting = Waiting::default();
        let mut wakers = Wakers::default();
        let all: Vec<_> = (0..Waiting::FEW + 1).map(|_| counting()).collect();
        for (waker, _) in &all {
            waiting.register(waker, &mut wakers);
            waiting.register(waker, &mut wakers);
        }
        wakers.wake();
        let woken = |(_, count): &&(Waker, Arc<std::sync::atomic::AtomicUsize>)| {
            count.load(std::sync::atomic::Ordering::Relaxed) == 1
        };
        assert_eq!(all.iter().filter(woken).count(), Waiting::FEW);
        assert_eq!(waiting.tasks.len(), 1);
    }

    #[test]
    fn the_limit_follows_the_number_that_waits() {
        let mut waiting = Waiting::default();
        let all: Vec<_> = (0..5 * Waiting::FEW).map(|_| counting()).collect();
        let woken = || -> usize {
            all.iter().map(|(_, count)| count.load(std::sync::atomic::Ordering::Relaxed)).sum()
        };
        // All of them come back whenever they are woken.
        for _ in 0..10 {
            for (waker, _) in &all {
                let mut wakers = Wakers::default();
                waiting.register(waker, &mut wakers);
                wakers.wake();
            }
        }
        assert_eq!(waiting.tasks.len(), all.len());
        assert!(woken() <= 2 * all.len(), "{}", woken());
        // With fewer of them the limit comes down again.
        let mut wakers = Wakers::default();
        waiting.wake(&mut wakers);
        all.iter().take(3).for_each(|(waker, _)| waiting.register(waker, &mut wakers));
        waiting.wake(&mut wakers);
        all.iter().take(Waiting::FEW + 1).for_each(|(w, _)| waiting.register(w, &mut wakers));
        assert_eq!(waiting.tasks.len(), 1);
    }

    fn counting() -> (Waker, Arc<std::sync::atomic::AtomicUsize>) {
        struct Count(Arc<std::sync::atomic::AtomicUsize>);

        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }

        let count = Arc::default();
        (Arc::new(Count(Arc::clone(&count))).into(), count)
    }
}
