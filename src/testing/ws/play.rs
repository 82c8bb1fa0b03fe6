//! Plays what is to be said, when its time has come.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::Out;
use crate::testing::events::Gate;

/// Something to say, and what is waited for before it.
pub(super) struct Beat {
    pub(super) delay: Duration,
    pub(super) gate: Option<Gate>,
    /// So many messages must have come since the play began.
    pub(super) messages: u64,
    pub(super) out: Option<Out>,
}

impl From<Out> for Beat {
    fn from(out: Out) -> Self {
        Self { delay: Duration::ZERO, gate: None, messages: 0, out: Some(out) }
    }
}

pub(super) type Beats = Box<dyn Iterator<Item = Beat> + Send>;

/// Beats as they are played.
pub(super) struct Play {
    beats: Beats,
    next: Option<Beat>,
    wait: Option<Pin<Box<Sleep>>>,
    messages: u64,
}

impl Play {
    pub(super) fn new(beats: Beats) -> Self {
        Self { beats, next: None, wait: None, messages: 0 }
    }

    /// A message has come.
    pub(super) fn hear(&mut self) {
        self.messages += 1;
    }

    /// The next thing to say, or the end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Out>> {
        loop {
            if self.next.is_none() {
                self.next = self.beats.next();
                let delay = self.next.as_ref().map_or(Duration::ZERO, |beat| beat.delay);
                self.wait = (!delay.is_zero()).then(|| Box::pin(sleep(delay)));
            }
            let Some(beat) = &mut self.next else { return Poll::Ready(None) };
            if beat.messages > self.messages {
                // Whoever brings a message polls again.
                return Poll::Pending;
            }
            if let Some(gate) = &mut beat.gate {
                let happened = ready!(gate.as_mut().poll(cx));
                beat.gate = None;
                if !happened {
                    self.beats = Box::new(std::iter::empty());
                    self.next = None;
                    continue;
                }
            }
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            if let Some(out) = self.next.take().and_then(|beat| beat.out) {
                return Poll::Ready(Some(out));
            }
        }
    }
}
