//! One response on a socket: from its request to its last event.

use std::collections::VecDeque;
use std::task::Waker;

use tokio::time::Instant;

use crate::Error;
use crate::ws::Text;

/// Makes the request once more, whole: what is sent if the server has lost the response that it
/// continues.
pub(super) type Resend = Box<dyn FnOnce() -> Result<Text, Error> + Send>;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Its lane is busy, or the connection is.
    Queued,
    /// It has its turn; the socket has not taken it yet.
    Starting,
    /// The socket has taken it.
    Sent,
    /// Nothing more comes for it.
    Done,
}

pub(super) struct Call {
    /// Which lane it is on.
    pub(super) lane: usize,
    pub(super) phase: Phase,
    /// Until it is sent.
    pub(super) frame: Option<Text>,
    /// Until something of the answer has come.
    pub(super) resend: Option<Resend>,
    /// Responses that have begun and are not over: more than one if the server is mistaken.
    pub(super) begun: u32,
    /// The one that has begun last, if it has an id.
    pub(super) response_id: Option<Box<str>>,
    /// What has come and was not taken.
    pub(super) buffer: VecDeque<Text>,
    pub(super) bytes: usize,
    /// Since when the others wait because the buffer is full.
    pub(super) full_since: Option<Instant>,
    /// What it ends with, behind what is in the buffer.
    pub(super) error: Option<Error>,
    pub(super) reader: Reader,
}

/// Who takes what comes.
pub(super) enum Reader {
    Here(Option<Waker>),
    /// Nobody: it is thrown away, for so long.
    Gone {
        since: Instant,
        bytes: usize,
    },
    /// Nobody, and it has been too much.
    Hopeless,
}

impl Call {
    pub(super) fn new(lane: usize, frame: Text, resend: Option<Resend>) -> Self {
        Self {
            lane,
            phase: Phase::Queued,
            frame: Some(frame),
            resend,
            begun: 0,
            response_id: None,
            buffer: VecDeque::new(),
            bytes: 0,
            full_since: None,
            error: None,
            reader: Reader::Here(None),
        }
    }

    /// A response that nobody asked for.
    pub(super) fn unasked(lane: usize) -> Self {
        Self {
            phase: Phase::Sent,
            frame: None,
            begun: 1,
            reader: Reader::Gone { since: Instant::now(), bytes: 0 },
            ..Self::new(lane, Text::default(), None)
        }
    }

    /// A response has begun. Some servers say it twice of the same one.
    pub(super) fn begins(&mut self, id: Option<Box<str>>) {
        if self.begun == 0 || (id.is_some() && id != self.response_id) {
            self.begun = self.begun.saturating_add(1);
            self.response_id = id;
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self.reader, Reader::Here(_))
    }

    /// Whether its request waits or is answered, so that the end of the socket concerns it.
    pub(super) fn is_open(&self) -> bool {
        self.phase != Phase::Done
    }

    /// Lets go of what has come, and says whether it held the others up.
    pub(super) fn clear(&mut self) -> bool {
        self.buffer = VecDeque::new();
        self.bytes = 0;
        self.full_since.take().is_some()
    }
}
