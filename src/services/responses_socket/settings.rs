//! How a Responses socket behaves.

use std::time::Duration;

use crate::Error;
use crate::model::ItemIds;
use crate::sse::StreamSettings;
use crate::ws::WebSocketConfig;

/// How the connections of a [`ResponsesSocket`](super::ResponsesSocket) behave.
///
/// | setting | default |
/// |---|---|
/// | [`stream`](Self::stream): the clocks and the leniency of streams | as over HTTP: 300 s between events |
/// | [`socket`](Self::socket): sizes, pings, the close | see [`WebSocketConfig`] |
/// | [`lane_buffer`](Self::lane_buffer): what is kept for a reader that does not read | 1 MiB per lane |
/// | [`lane_stall`](Self::lane_stall): how long that may hold up other lanes | 10 s |
/// | [`unread`](Self::unread): what is read of a response whose stream was dropped | 4 MiB, 30 s |
/// | [`queue`](Self::queue): requests that wait for their turn | 256, of 64 MiB |
/// | [`max_age`](Self::max_age): the age from which on a connection takes no more requests | 55 min, or up to a twentieth less |
/// | [`incremental`](Self::incremental): send only what is new | off |
/// | [`stamped`](Self::stamped): tell when a request began | off |
///
/// It is a checked value: setters refuse what cannot work.
#[derive(Clone, Debug)]
#[must_use]
pub struct ResponsesSocketSettings {
    pub(super) limits: Limits,
    pub(super) stream: StreamSettings,
    pub(super) socket: WebSocketConfig,
    pub(super) item_ids: ItemIds,
    pub(super) max_age: Option<Duration>,
    pub(super) incremental: bool,
    pub(super) stamped: bool,
}

/// What the state of a connection must not pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes kept for a reader.
    pub(super) buffer: usize,
    /// How long a full lane may hold others up.
    pub(super) stall: Duration,
    /// Of a response that nobody reads.
    pub(super) unread_bytes: usize,
    pub(super) unread_time: Duration,
    /// Requests that wait.
    pub(super) queue: usize,
    pub(super) queue_bytes: usize,
}

const MIB: usize = 1024 * 1024;

impl Default for ResponsesSocketSettings {
    fn default() -> Self {
        Self {
            limits: Limits {
                buffer: MIB,
                stall: Duration::from_secs(10),
                unread_bytes: 4 * MIB,
                unread_time: Duration::from_secs(30),
                queue: 256,
                queue_bytes: 64 * MIB,
            },
            stream: StreamSettings::default(),
            socket: WebSocketConfig::default(),
            item_ids: ItemIds::default(),
            max_age: Some(Duration::from_secs(55 * 60)),
            incremental: false,
            stamped: false,
        }
    }
}

impl ResponsesSocketSettings {
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the streams behave. Timeouts that are unset stay as they are. The limits of lines and events
    /// are about server-sent events; here [`socket`](Self::socket) has them.
    ///
    /// The `head` timeout is the longest wait for the first message of an answer, from when its
    /// request was sent; without it `first_event` and `progress` hold for that too.
    pub fn stream(mut self, settings: StreamSettings) -> Self {
        self.stream = settings.after(self.stream);
        self
    }

    /// Sizes, signs of life, the close.
    pub fn socket(mut self, config: WebSocketConfig) -> Self {
        self.socket = config;
        self
    }

    /// Which items of the input are sent with their ids. Default: [`ItemIds::Keep`].
    pub fn item_ids(mut self, rule: ItemIds) -> Self {
        self.item_ids = rule;
        self
    }

    /// How many bytes are kept for a lane whose stream is not read. The socket is not read on then, so
    /// that the server comes to a halt; one more message may be kept, whatever its size.
    ///
    /// # Errors
    ///
    /// If it is not from 1 byte to 1 GiB.
    pub fn lane_buffer(mut self, bytes: usize) -> Result<Self, Error> {
        self.limits.buffer = size("lane_buffer", bytes)?;
        Ok(self)
    }

    /// How long a lane that is full may hold other lanes up. Its stream ends then, with
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and the others go on. A lane that holds
    /// nobody up may be full for ever.
    ///
    /// # Errors
    ///
    /// If it is not from 1 ms to 1 day.
    pub fn lane_stall(mut self, time: Duration) -> Result<Self, Error> {
        self.limits.stall = bearable("lane_stall", time)?;
        Ok(self)
    }

    /// How many bytes are read of a response whose stream was dropped, and for how long. A lane is
    /// free when it has ended; when it is more, the connection takes no more requests and closes as
    /// soon as the other lanes have ended.
    ///
    /// # Errors
    ///
    /// If they are not from 1 byte to 1 GiB, and from 1 ms to 1 day.
    pub fn unread(mut self, bytes: usize, time: Duration) -> Result<Self, Error> {
        self.limits.unread_bytes = size("unread", bytes)?;
        self.limits.unread_time = bearable("unread", time)?;
        Ok(self)
    }

    /// How many requests may wait for their turn, and how many bytes they may have together. Beyond
    /// that a request is refused with [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded).
    pub fn queue(mut self, requests: usize, bytes: usize) -> Self {
        self.limits.queue = requests;
        self.limits.queue_bytes = bytes;
        self
    }

    /// The age from which on a connection takes no more requests, so that none is cut short by the
    /// server's own limit of 60 minutes; `None`: only the server's. Each connection takes up to a
    /// twentieth off, by chance, so that not all are renewed at once.
    ///
    /// # Errors
    ///
    /// If it is not from 1 ms to 1 day.
    pub fn max_age(mut self, age: Option<Duration>) -> Result<Self, Error> {
        self.max_age = age.map(|age| bearable("max_age", age)).transpose()?;
        Ok(self)
    }

    /// Whether a request that repeats the one before it, and that one's answer, sends only what is new.
    ///
    /// It does if the last response of its lane was completed and read to its end, everything but
    /// `input`, `client_metadata` and `generate` is as it was, and the input begins with that of the
    /// last request and the items of the answer. Then `previous_response_id` and the rest of the input
    /// are sent. Should the server have lost that response, the whole request is sent once, on the
    /// same lane, and the reader hears nothing of it. Requests that name what they continue, and
    /// bodies of the caller's own, are sent as they are.
    pub fn incremental(mut self, incremental: bool) -> Self {
        self.incremental = incremental;
        self
    }

    /// Whether `client_metadata` tells when the request was encoded, in
    /// `x-codex-ws-stream-request-start-ms` (Codex).
    pub fn stamped(mut self, stamped: bool) -> Self {
        self.stamped = stamped;
        self
    }
}

fn size(name: &str, bytes: usize) -> Result<usize, Error> {
    match bytes {
        1..=0x4000_0000 => Ok(bytes),
        _ => Err(Error::build(format!("`{name}` is {bytes} bytes; it must be from 1 to 1 GiB"))),
    }
}

fn bearable(name: &str, time: Duration) -> Result<Duration, Error> {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
    if (Duration::from_millis(1)..=LONGEST).contains(&time) {
        return Ok(time);
    }
    Err(Error::build(format!("`{name}` is {time:?}; it must be from 1 ms to 1 day")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let settings = ResponsesSocketSettings::new;
        for (name, result) in [
            ("lane_buffer", settings().lane_buffer(0)),
            ("lane_stall", settings().lane_stall(Duration::ZERO)),
            ("unread", settings().unread(0, Duration::from_secs(1))),
            ("unread", settings().unread(1, Duration::MAX)),
            ("max_age", settings().max_age(Some(Duration::ZERO))),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Build);
            assert!(error.to_string().contains(name), "{error}");
        }
        assert_eq!(settings().max_age(None).unwrap().max_age, None);
    }
}
