//! What was said to responses that are under way, and what the server says to that.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::inbound::SteerWord;
use crate::error::{self, Error, ErrorKind, Stage};
use crate::model::{ErrorBody, RawJson};
use crate::ws::Text;
use crate::ws::protocol::{End, Wakers};

/// Steers that a connection may have under way.
const MOST: usize = 64;

/// Bytes that are kept of what steers wait for, unless one waits for more.
const MOST_REQUIRED: usize = 1024 * 1024;

/// A steer of a connection. It is good until [`Steers::leave`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SteerId(u64);

#[derive(Default)]
pub(super) struct Steers {
    steers: VecDeque<Steer>,
    next: u64,
    /// The latest ones.
    pending: VecDeque<PendingSteer>,
}

struct Steer {
    id: SteerId,
    /// Until it is sent.
    frame: Option<Text>,
    lane: Option<String>,
    previous_response_id: String,
    word: Option<Word>,
    /// Nobody waits for the word. Until it comes it must not be taken for that of a later steer of the
    /// same response.
    left: bool,
    waker: Option<Waker>,
}

enum Word {
    Accepted(SteerAnswer),
    Failed(Error),
}

/// The server has taken what a response was steered to. It is applied when the response that takes
/// it up is created: its events come on the same stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SteerAnswer {
    /// The steer's id.
    pub id: String,
}

/// What a response was steered to waits, because the response ended with something that must be
/// answered first, such as a tool call. A request that continues the response and answers that takes
/// both up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingSteer {
    /// The steer's id.
    pub id: String,
    /// The response.
    pub previous_response_id: String,
    /// The lane, if it has a name.
    pub stream_id: Option<String>,
    /// What must be answered: a list of objects, as they came.
    pub required_input: Option<RawJson>,
}

impl PendingSteer {
    fn bytes(&self) -> usize {
        let required = self.required_input.as_ref().map_or(0, |input| input.as_str().len());
        let lane = self.stream_id.as_ref().map_or(0, String::len);
        self.id.len() + self.previous_response_id.len() + lane + required
    }
}

impl Steers {
    /// Takes a frame to send.
    ///
    /// # Errors
    ///
    /// Too many are under way.
    pub(super) fn add(
        &mut self,
        frame: Text,
        lane: Option<&str>,
        previous_response_id: String,
    ) -> Result<SteerId, Error> {
        let full = self.steers.len() >= MOST;
        let oldest = self.steers.iter().position(|steer| steer.left);
        if let Some(oldest) = oldest.filter(|_| full) {
            self.steers.remove(oldest);
        } else if full {
            let message = format!("{MOST} steers of this connection wait for the server's word");
            return Err(Error::new(ErrorKind::Overloaded, message).with_stage(Stage::NotSent));
        }
        let id = SteerId(self.next);
        self.next += 1;
        self.steers.push_back(Steer {
            id,
            frame: Some(frame),
            lane: lane.map(Into::into),
            previous_response_id,
            word: None,
            left: false,
            waker: None,
        });
        Ok(id)
    }

    pub(super) fn transmit(&mut self) -> Option<Text> {
        self.steers.iter_mut().find_map(|steer| steer.frame.take())
    }

    /// The server's word on a steer.
    pub(super) fn poll_word(
        &mut self,
        id: SteerId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SteerAnswer, Error>> {
        let Some(steer) = self.steers.iter_mut().find(|steer| steer.id == id) else {
            return Poll::Pending;
        };
        match steer.word.take() {
            Some(word) => {
                self.steers.retain(|steer| steer.id != id);
                Poll::Ready(match word {
                    Word::Accepted(answer) => Ok(answer),
                    Word::Failed(error) => Err(error),
                })
            }
            None => {
                steer.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody waits for the word any more. What was not sent is not sent.
    pub(super) fn leave(&mut self, id: SteerId) {
        self.steers.retain_mut(|steer| {
            if steer.id != id {
                return true;
            }
            let comes = steer.frame.is_none() && steer.word.is_none();
            (steer.left, steer.waker) = (true, None);
            comes
        });
    }

    /// A response of this lane is over: what nobody waits for is not waited for.
    pub(super) fn forget_left(&mut self, lane: Option<&str>) {
        self.steers.retain(|steer| !steer.left || steer.lane.as_deref() != lane);
    }

    /// Takes a message of the server's about a steer.
    pub(super) fn receive(&mut self, word: SteerWord, text: &str, wakers: &mut Wakers) {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            steer: About<'a>,
            stream_id: Option<String>,
            #[serde(borrow)]
            required_input: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct About<'a> {
            id: Option<String>,
            previous_response_id: String,
            #[serde(borrow, rename = "input")]
            _input: Option<&'a RawValue>,
        }

        let Ok(message) = serde_json::from_str::<Message<'_>>(text) else { return };
        let About { id, previous_response_id, .. } = message.steer;
        if word == SteerWord::Pending {
            let required_input = message.required_input;
            self.keep_pending(PendingSteer {
                id: id.unwrap_or_default(),
                previous_response_id,
                stream_id: message.stream_id,
                required_input: required_input.and_then(|raw| RawJson::from_text(raw.get()).ok()),
            });
            return;
        }
        let about = |steer: &&mut Steer| {
            steer.frame.is_none()
                && steer.word.is_none()
                && steer.previous_response_id == previous_response_id
                && (message.stream_id.is_none() || steer.lane == message.stream_id)
        };
        let Some(steer) = self.steers.iter_mut().find(about) else { return };
        if steer.left {
            let id = steer.id;
            self.steers.retain(|steer| steer.id != id);
            return;
        }
        steer.word = Some(match word {
            SteerWord::Accepted | SteerWord::Pending => {
                Word::Accepted(SteerAnswer { id: id.unwrap_or_default() })
            }
            SteerWord::Failed => {
                let said = ErrorBody::parse(text.as_bytes()).map(ErrorBody::into_error);
                let error = error::in_stream(said.as_ref(), "response.steer.failed", None);
                Word::Failed(error.with_stage(Stage::Sent))
            }
        });
        wakers.take(&mut steer.waker);
    }

    /// Keeps the latest, whatever a server says.
    fn keep_pending(&mut self, steer: PendingSteer) {
        self.pending.push_back(steer);
        let is_too_much = |pending: &VecDeque<PendingSteer>| {
            let bytes: usize = pending.iter().map(PendingSteer::bytes).sum();
            pending.len() > MOST || (pending.len() > 1 && bytes > MOST_REQUIRED)
        };
        while is_too_much(&self.pending) {
            self.pending.pop_front();
        }
    }

    /// The steers that wait for what must be answered first.
    pub(super) fn take_pending(&mut self) -> Vec<PendingSteer> {
        std::mem::take(&mut self.pending).into()
    }

    pub(super) fn ended(&mut self, end: &End, wakers: &mut Wakers) {
        self.steers.retain(|steer| !steer.left);
        for steer in &mut self.steers {
            let stage = if steer.frame.take().is_some() { Stage::NotSent } else { Stage::Unknown };
            let error = end.error().with_stage(stage);
            steer.word.get_or_insert(Word::Failed(error));
            wakers.take(&mut steer.waker);
        }
    }
}
