//! How long a call may wait, on each of its clocks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a call may wait, on each of its clocks.
///
/// # Which clock is which
///
/// | clock | what must not take longer | who watches | when it has run out |
/// |---|---|---|---|
/// | connect | one connection: name, TCP, TLS | the transport: `HyperTransportBuilder::connect_timeout` | [`ErrorKind::Connect`] |
/// | [`head`](Self::head) | one attempt, from the request to the head of its response; connecting and sending count | `HeadTimeoutLayer` | [`ErrorKind::HeadTimeout`] |
/// | [`first_event`](Self::first_event) | the first event, from the head on | the response stream | [`ErrorKind::FirstEventTimeout`] |
/// | [`progress`](Self::progress) | the wait between two *events*: heartbeat comments do not count | the response stream | [`ErrorKind::ProgressTimeout`] |
/// | [`idle`](Self::idle) | the wait between two *bytes* of the body: heartbeat comments do count | `IdleTimeoutLayer` | [`ErrorKind::IdleTimeout`] |
/// | [`total`](Self::total) | the whole call: all attempts, the waits between them, the body | `TotalTimeoutLayer` | [`ErrorKind::TotalTimeout`] |
///
/// `idle` tells whether the connection lives, `progress` whether the answer gets on. They and
/// `first_event` run only while the reader waits, so a reader that takes its time never trips them;
/// `total` runs on whatever happens.
///
/// All of them begin with the call. The wait until a service is ready to be called, for a place under
/// `InFlightLimitLayer` above all, comes before that and is on none of them: tower's
/// [`load_shed`](tower::load_shed) refuses the call in place of waiting, and a
/// `tokio::time::timeout` around the future of [`stream_request`] or `send` bounds both.
///
/// # Which value holds
///
/// Each limit is unset, off, or a time; zero is off. An unset one leaves it to the next in this
/// order:
///
/// 1. the request: [`ResponsesRequest::timeouts`], or this type as an extension of the request;
/// 2. the endpoint: [`Responses::timeouts`];
/// 3. whoever watches: the layer's own limit; for the response stream 300 s of `progress` and no
///    `first_event`.
///
/// The endpoint writes what the first two say into the extensions of the HTTP request, where layers
/// find it. A layer of yours may write it too: layers further inside obey. `first_event` and
/// `progress` are the endpoint's own, so there it is too late for them.
///
/// ```
/// use std::time::Duration;
/// use tower_openai::extensions::StreamTimeouts;
/// use tower_openai::services::{Responses, ResponsesRequest};
///
/// // An endpoint whose answers may be silent for five minutes and last for twenty,
/// let endpoint = StreamTimeouts::new()
///     .idle(Duration::from_secs(300))
///     .total(Duration::from_secs(1200));
/// let responses = Responses::layer().timeouts(endpoint);
///
/// // and one request that may last as long as it likes.
/// let own = StreamTimeouts::new().total(Duration::ZERO);
/// let request = ResponsesRequest::new("gpt-5.2", "Prove it.").timeouts(own);
///
/// let both = own.or(endpoint);
/// assert_eq!(both.idle_or(None), Some(Duration::from_secs(300)));
/// assert_eq!(both.total_or(Some(Duration::from_secs(60))), None);
/// ```
///
/// In a file they are whole milliseconds, and a key that is not known is refused:
///
/// ```
/// use std::time::Duration;
/// use tower_openai::extensions::StreamTimeouts;
///
/// let timeouts: StreamTimeouts = serde_json::from_str(r#"{"head_ms": 5000, "idle_ms": 0}"#)?;
/// assert_eq!(timeouts, StreamTimeouts::new().head(Duration::from_secs(5)).idle(Duration::ZERO));
/// assert!(serde_json::from_str::<StreamTimeouts>(r#"{"header_ms": 5000}"#).is_err());
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// [`stream_request`]: crate::services::Responses::stream_request
/// [`ErrorKind::Connect`]: crate::ErrorKind::Connect
/// [`ErrorKind::HeadTimeout`]: crate::ErrorKind::HeadTimeout
/// [`ErrorKind::FirstEventTimeout`]: crate::ErrorKind::FirstEventTimeout
/// [`ErrorKind::ProgressTimeout`]: crate::ErrorKind::ProgressTimeout
/// [`ErrorKind::IdleTimeout`]: crate::ErrorKind::IdleTimeout
/// [`ErrorKind::TotalTimeout`]: crate::ErrorKind::TotalTimeout
/// [`ResponsesRequest::timeouts`]: crate::services::ResponsesRequest::timeouts
/// [`Responses::timeouts`]: crate::services::Responses::timeouts
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct StreamTimeouts {
    // `None` is unset, zero is off.
    #[serde(rename = "head_ms", with = "milliseconds", skip_serializing_if = "Option::is_none")]
    head: Option<Duration>,
    #[serde(
        rename = "first_event_ms",
        with = "milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    first_event: Option<Duration>,
    #[serde(
        rename = "progress_ms",
        with = "milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    progress: Option<Duration>,
    #[serde(rename = "idle_ms", with = "milliseconds", skip_serializing_if = "Option::is_none")]
    idle: Option<Duration>,
    #[serde(rename = "total_ms", with = "milliseconds", skip_serializing_if = "Option::is_none")]
    total: Option<Duration>,
}

/// The setter and the getter of each limit.
macro_rules! limits {
    ($($(#[$set:meta])* $name:ident, $(#[$get:meta])* $effective:ident;)*) => {$(
        $(#[$set])*
        pub const fn $name(mut self, limit: Duration) -> Self {
            self.$name = Some(limit);
            self
        }

        $(#[$get])*
        pub fn $effective(&self, default: Option<Duration>) -> Option<Duration> {
            self.$name.or(default).filter(|limit| !limit.is_zero())
        }
    )*};
}

impl StreamTimeouts {
    /// All limits unset.
    pub const fn new() -> Self {
        Self { head: None, first_event: None, progress: None, idle: None, total: None }
    }

    limits! {
        /// The longest wait for the head of the response, for each attempt; zero is off.
        head,
        /// The limit of the head that holds, if `default` is what an unset one means; `None` is off.
        head_or;
        /// The longest wait for the first event, from the head on; zero leaves it to
        /// [`progress`](Self::progress).
        first_event,
        /// The limit of the first event that holds, if `default` is what an unset one means; `None` is
        /// off.
        first_event_or;
        /// The longest wait between two events; zero is off.
        progress,
        /// The limit between events that holds, if `default` is what an unset one means; `None` is off.
        progress_or;
        /// The longest silence of the body; zero is off.
        idle,
        /// The limit of silence that holds, if `default` is what an unset one means; `None` is off.
        idle_or;
        /// The longest that the whole call may take; zero is off. The wait until the service is ready
        /// comes [before it](Self#which-clock-is-which).
        total,
        /// The limit of the whole call that holds, if `default` is what an unset one means; `None` is
        /// off.
        total_or;
    }

    /// These limits, and those of `other` where these are unset.
    pub fn or(self, other: Self) -> Self {
        Self {
            head: self.head.or(other.head),
            first_event: self.first_event.or(other.first_event),
            progress: self.progress.or(other.progress),
            idle: self.idle.or(other.idle),
            total: self.total.or(other.total),
        }
    }

    /// Those of the request with these extensions; all unset if it has none.
    pub fn of(extensions: &http::Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }
}

/// A limit as whole milliseconds.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        limit: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        // Rounded up: a fraction of a millisecond must not become zero, which is off.
        let whole = |limit: &Duration| limit.as_nanos().div_ceil(1_000_000);
        let whole = limit.as_ref().map(|limit| u64::try_from(whole(limit)).unwrap_or(u64::MAX));
        whole.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    /// Every limit another one.
    fn all() -> StreamTimeouts {
        let limit = Duration::from_secs;
        let some = StreamTimeouts::new().head(limit(1)).first_event(limit(2)).progress(limit(3));
        some.idle(limit(4)).total(limit(5))
    }

    fn effective(timeouts: StreamTimeouts, default: Option<Duration>) -> [Option<Duration>; 5] {
        [
            timeouts.head_or(default),
            timeouts.first_event_or(default),
            timeouts.progress_or(default),
            timeouts.idle_or(default),
            timeouts.total_or(default),
        ]
    }

    #[test]
    fn unset_leaves_it_to_the_default_and_zero_is_off() {
        assert_eq!(effective(StreamTimeouts::new(), seconds(9)), [seconds(9); 5]);
        assert_eq!(effective(StreamTimeouts::new(), Some(Duration::ZERO)), [None; 5]);
        assert_eq!(effective(all(), seconds(9)), [1, 2, 3, 4, 5].map(seconds));
        let zero = Duration::ZERO;
        let off = StreamTimeouts::new().head(zero).first_event(zero).progress(zero);
        assert_eq!(effective(off.idle(zero).total(zero), seconds(9)), [None; 5]);
    }

    #[test]
    fn the_first_that_is_set_holds_and_off_is_set() {
        let own = StreamTimeouts::new().head(Duration::ZERO).total(Duration::from_secs(7));
        let both = effective(own.or(all()), seconds(9));
        assert_eq!(both, [None, seconds(2), seconds(3), seconds(4), seconds(7)]);
        assert_eq!(StreamTimeouts::new().or(all()), all());
    }

    #[test]
    fn a_file_has_milliseconds() {
        let json = r#"{"head_ms":1000,"first_event_ms":2000,"progress_ms":3000,"idle_ms":4000,"total_ms":5000}"#;
        assert_eq!(serde_json::to_string(&all()).unwrap(), json);
        assert_eq!(serde_json::from_str::<StreamTimeouts>(json).unwrap(), all());
        assert_eq!(serde_json::to_string(&StreamTimeouts::new()).unwrap(), "{}");
        let parsed = serde_json::from_str::<StreamTimeouts>(r#"{"idle_ms":null}"#).unwrap();
        assert_eq!(parsed, StreamTimeouts::new());
        for wrong in
            [r#"{"idle":1}"#, r#"{"idle_ms":-1}"#, r#"{"idle_ms":1.5}"#, r#"{"idle_ms":"5s"}"#]
        {
            assert!(serde_json::from_str::<StreamTimeouts>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fraction_of_a_millisecond_does_not_become_off() {
        let written = |limit| serde_json::to_value(StreamTimeouts::new().idle(limit)).unwrap();
        assert_eq!(written(Duration::from_nanos(1))["idle_ms"], 1);
        assert_eq!(written(Duration::from_micros(1500))["idle_ms"], 2);
        assert_eq!(written(Duration::MAX)["idle_ms"], u64::MAX);
        assert_eq!(written(Duration::ZERO)["idle_ms"], 0);
    }
}
