//! A script that speaks first, and the API's own words after it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::play::Play;
use super::{Act, Out, Session};
use crate::testing::script::Ending;

/// Plays frames, and then does what its ending says: go on with the session by default.
pub(super) struct Opening {
    /// `None` once the session has the word.
    play: Option<Play>,
    ending: Ending,
    reason: Arc<str>,
    session: Box<dyn Session>,
}

impl Opening {
    pub(super) fn new(
        play: Play,
        ending: Ending,
        reason: Arc<str>,
        session: Box<dyn Session>,
    ) -> Self {
        Self { play: Some(play), ending, reason, session }
    }
}

impl Session for Opening {
    fn receive(&mut self, text: &str) {
        match &mut self.play {
            Some(play) => play.hear(),
            None => self.session.receive(text),
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Act> {
        let Some(play) = &mut self.play else { return self.session.poll_next(cx) };
        match ready!(play.poll(cx)) {
            Some(Out::Close(code, reason)) => Poll::Ready(Act::End(Ending::Close(code), reason)),
            Some(out) => Poll::Ready(Act::Say(out)),
            None => match self.ending {
                Ending::Complete => {
                    self.play = None;
                    self.session.poll_next(cx)
                }
                Ending::Stall => Poll::Pending,
                ending => Poll::Ready(Act::End(ending, Arc::clone(&self.reason))),
            },
        }
    }
}
