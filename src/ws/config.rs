//! The limits of a socket, in bytes and in time.

use std::fmt::Debug;
use std::time::Duration;

use crate::Error;

const MIB: usize = 1024 * 1024;

/// The limits of a WebSocket: sizes both ways, signs of life, and how long a close may take.
///
/// | limit | default |
/// |---|---|
/// | a message that comes in | 64 MiB |
/// | a frame that comes in | 16 MiB |
/// | a message that goes out | 16 MiB less 64 KiB |
/// | a ping after this long without a byte from the peer | 20 s |
/// | a byte from the peer after a ping, within | 10 s |
/// | the answer to a close, and before that any byte to go out | 5 s |
///
/// It is a checked value: setters refuse what cannot work, so nothing goes wrong with it later.
///
/// ```
/// use std::time::Duration;
/// use tower_openai::ws::WebSocketConfig;
///
/// let config = WebSocketConfig::default()
///     .max_message_size(1024 * 1024)?
///     .ping_interval(Some(Duration::from_secs(5)))?;
/// assert_eq!(config.pong_timeout_value(), Duration::from_secs(10));
/// assert!(WebSocketConfig::default().max_message_size(0).is_err());
/// # Ok::<(), tower_openai::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct WebSocketConfig {
    pub(super) max_message: usize,
    pub(super) max_frame: usize,
    pub(super) max_outgoing: usize,
    pub(super) ping_interval: Option<Duration>,
    pub(super) pong_timeout: Duration,
    pub(super) close_timeout: Duration,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            max_message: 64 * MIB,
            max_frame: 16 * MIB,
            // Servers close a socket over a frame of 16 MiB.
            max_outgoing: 16 * MIB - 64 * 1024,
            ping_interval: Some(Duration::from_secs(20)),
            pong_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
        }
    }
}

impl WebSocketConfig {
    /// The largest message that may come in, in bytes. A larger one ends the socket with an error
    /// of [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and the peer is told 1009.
    ///
    /// # Errors
    ///
    /// If it is not from 1 byte to 1 GiB.
    pub fn max_message_size(mut self, bytes: usize) -> Result<Self, Error> {
        self.max_message = within("max_message_size", bytes, 1, 1024 * MIB)?;
        Ok(self)
    }

    /// The largest frame that may come in, in bytes; as [`max_message_size`](Self::max_message_size).
    ///
    /// This much may be set aside as soon as a frame's head has come.
    ///
    /// # Errors
    ///
    /// If it is not from 1 byte to 1 GiB.
    pub fn max_frame_size(mut self, bytes: usize) -> Result<Self, Error> {
        self.max_frame = within("max_frame_size", bytes, 1, 1024 * MIB)?;
        Ok(self)
    }

    /// The largest message that may go out, in bytes. A larger one is refused before any of it is
    /// sent, with an error of [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge); the socket stays.
    ///
    /// A message goes out in frames of at most 256 KiB, so that the server's pings are answered in the
    /// middle of one that takes long.
    ///
    /// # Errors
    ///
    /// If it is not from 1 byte to 1 GiB.
    pub fn max_outgoing_size(mut self, bytes: usize) -> Result<Self, Error> {
        self.max_outgoing = within("max_outgoing_size", bytes, 1, 1024 * MIB)?;
        Ok(self)
    }

    /// How long the peer may be silent before it is sent a ping. `None`: no pings, and a peer that
    /// has vanished is noticed by TCP alone.
    ///
    /// # Errors
    ///
    /// If it is not from 1 ms to 365 days.
    pub fn ping_interval(mut self, interval: Option<Duration>) -> Result<Self, Error> {
        self.ping_interval = interval.map(|time| bearable("ping_interval", time)).transpose()?;
        Ok(self)
    }

    /// How long after a ping the peer may stay silent. Whatever it sends is a sign of life, and so is
    /// that it goes on reading when it has held up what is written: a long upload is not cut short.
    ///
    /// # Errors
    ///
    /// If it is not from 1 ms to 365 days.
    pub fn pong_timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.pong_timeout = bearable("pong_timeout", timeout)?;
        Ok(self)
    }

    /// How long the peer has to answer a close, counted from when our close frame has gone out.
    ///
    /// What is queued goes out first. That may take as long as it does while the peer goes on
    /// reading; once it has taken nothing for this long, it is given up, whatever it says meanwhile.
    ///
    /// # Errors
    ///
    /// If it is not from 1 ms to 365 days.
    pub fn close_timeout(mut self, timeout: Duration) -> Result<Self, Error> {
        self.close_timeout = bearable("close_timeout", timeout)?;
        Ok(self)
    }

    /// The largest message that may come in, in bytes.
    pub fn max_message_size_value(&self) -> usize {
        self.max_message
    }

    /// The largest frame that may come in, in bytes.
    pub fn max_frame_size_value(&self) -> usize {
        self.max_frame
    }

    /// The largest message that may go out, in bytes.
    pub fn max_outgoing_size_value(&self) -> usize {
        self.max_outgoing
    }

    /// How long the peer may be silent before it is sent a ping.
    pub fn ping_interval_value(&self) -> Option<Duration> {
        self.ping_interval
    }

    /// How long after a ping the peer may stay silent.
    pub fn pong_timeout_value(&self) -> Duration {
        self.pong_timeout
    }

    /// How long the peer has to answer a close.
    pub fn close_timeout_value(&self) -> Duration {
        self.close_timeout
    }
}

fn bearable(name: &str, time: Duration) -> Result<Duration, Error> {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    within(name, time, Duration::from_millis(1), LONGEST)
}

fn within<T: PartialOrd + Debug>(name: &str, value: T, least: T, most: T) -> Result<T, Error> {
    if least <= value && value <= most {
        return Ok(value);
    }
    Err(Error::build(format!("`{name}` is {value:?}; it must be from {least:?} to {most:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let config = WebSocketConfig::default;
        for (name, result) in [
            ("max_message_size", config().max_message_size(0)),
            ("max_frame_size", config().max_frame_size(usize::MAX)),
            ("max_outgoing_size", config().max_outgoing_size(0)),
            ("ping_interval", config().ping_interval(Some(Duration::ZERO))),
            ("pong_timeout", config().pong_timeout(Duration::MAX)),
            ("close_timeout", config().close_timeout(Duration::ZERO)),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Build);
            assert!(error.to_string().contains(name), "{error}");
        }
        assert_eq!(config().ping_interval(None).unwrap().ping_interval_value(), None);
    }
}
