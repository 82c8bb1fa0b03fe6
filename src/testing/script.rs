//! What a test says about one answer.

mod event;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

#[cfg(feature = "ws")]
pub(super) use self::event::Text;
pub use self::event::{Event, Newline};
pub(super) use self::event::{comment, render};
use super::turn::{Finish, Said};

/// How one request is answered.
///
/// A script starts as one of the constructors ([`natural`](Self::natural),
/// [`status`](Self::status), [`events`](Self::events), [`pieces`](Self::pieces),
/// [`no_head`](Self::no_head), [`raw_tcp`](Self::raw_tcp), [`named`](Self::named)) and is changed
/// by the methods. Something impossible in it, such as an invalid header name, does not panic
/// here: the request gets a 500 that says what is wrong, and the test fails when the
/// [`Server`](super::Server) is dropped.
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use tower_openai::testing::Script;
///
/// let too_many = Script::status(429).header("retry-after", "2");
/// let slow = Script::natural().pace(Duration::from_millis(30));
/// let cut = Script::natural().cut_after(6).then_reset();
/// let own = Script::events([
///     json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}}),
/// ])
/// .chunk_size(7)
/// .then_stall();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Script {
    pub(super) content: Content,
    /// The paths it is meant for, if not for any.
    pub(super) path: Option<String>,
    pub(super) status: Option<StatusCode>,
    pub(super) headers: HeaderMap,
    pub(super) head_delay: Duration,
    pub(super) first_delay: Duration,
    pub(super) delay: Duration,
    pub(super) pace: Option<Duration>,
    pub(super) chunk_sizes: Vec<usize>,
    pub(super) cut_after: Option<usize>,
    pub(super) malformed: Option<usize>,
    pub(super) comments: bool,
    pub(super) newline: Newline,
    pub(super) ending: Ending,
    /// No handshake takes it.
    #[cfg(feature = "ws")]
    pub(super) after_handshake: bool,
    /// What the ending says to a WebSocket, if it says anything.
    #[cfg(feature = "ws")]
    pub(super) reason: Arc<str>,
    pub(super) problem: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// What the API would answer.
    Natural {
        said: Option<Said>,
        finish: Finish,
    },
    /// The API's error body for the status.
    Error,
    Events(Vec<Event>),
    Pieces(Vec<Bytes>),
    NoHead,
    RawTcp(Bytes),
    /// What a WebSocket says, frame by frame.
    #[cfg(feature = "ws")]
    Frames(Vec<super::Frame>),
}

/// What follows the last byte of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The body ends as HTTP says; the connection may be reused.
    ///
    /// After [`Script::cut_after`] this is a clean end before the terminal event.
    #[default]
    Complete,
    /// Silence: the body does not end and the socket stays open until the client leaves.
    Stall,
    /// The connection is closed without the end of the body: on HTTP/1.1 the last chunk or the
    /// rest of `content-length` is missing.
    Truncate,
    /// The connection is reset (TCP RST); on HTTP/2 the stream is (`RST_STREAM`).
    Reset,
    /// A WebSocket is closed with this code. Any other answer is truncated.
    #[cfg(feature = "ws")]
    Close(u16),
    /// A WebSocket goes dead: it stays open and answers nothing any more, pings included. Any other
    /// answer stalls.
    #[cfg(feature = "ws")]
    Freeze,
}

impl Ending {
    /// What it comes to where there is no WebSocket.
    pub(super) fn over_http(self) -> Self {
        match self {
            #[cfg(feature = "ws")]
            Self::Close(_) => Self::Truncate,
            #[cfg(feature = "ws")]
            Self::Freeze => Self::Stall,
            other => other,
        }
    }
}

impl Default for Script {
    /// Same as [`Script::natural`].
    fn default() -> Self {
        Self::natural()
    }
}

impl Script {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            path: None,
            status: None,
            headers: HeaderMap::new(),
            head_delay: Duration::ZERO,
            first_delay: Duration::ZERO,
            delay: Duration::ZERO,
            pace: None,
            chunk_sizes: Vec::new(),
            cut_after: None,
            malformed: None,
            comments: false,
            newline: Newline::Lf,
            ending: Ending::Complete,
            #[cfg(feature = "ws")]
            after_handshake: false,
            #[cfg(feature = "ws")]
            reason: Arc::default(),
            problem: None,
        }
    }

    /// What the API would answer, refusals of bad requests included; the methods below change
    /// how it is said.
    pub fn natural() -> Self {
        Self::new(Content::Natural { said: None, finish: Finish::Completed })
    }

    /// An answer with `status` and, until a body is given, the error body that the API has for it.
    pub fn status(status: u16) -> Self {
        Self::new(Content::Error).with_status(status)
    }

    /// A 200 with these events and nothing else: JSON values or [`Event`]s.
    pub fn events<I>(events: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Event>,
    {
        Self::new(Content::Events(events.into_iter().map(Into::into).collect()))
            .default_header(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")
    }

    /// A 200 with these bytes as its body, written piece by piece; compressed ones go with a
    /// `content-encoding` [`header`](Self::header). There is no `content-type` unless given.
    pub fn pieces<I>(pieces: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Bytes>,
    {
        Self::new(Content::Pieces(pieces.into_iter().map(Into::into).collect()))
    }

    /// No answer at all, not even a head: the connection is closed once the request was read.
    /// With [`then_reset`](Self::then_reset) it is reset, with [`then_stall`](Self::then_stall)
    /// it stays open and silent.
    pub fn no_head() -> Self {
        Self { ending: Ending::Truncate, ..Self::new(Content::NoHead) }
    }

    /// These bytes on the socket instead of an HTTP answer, for heads that no HTTP library would
    /// write. [`head_delay`](Self::head_delay) and the endings work; [`Ending::Complete`] closes
    /// the connection.
    pub fn raw_tcp(bytes: impl Into<Bytes>) -> Self {
        Self::new(Content::RawTcp(bytes.into()))
    }

    /// Sets the status.
    pub fn with_status(mut self, status: u16) -> Self {
        match StatusCode::from_u16(status) {
            // hyper treats the informational ones as no answer.
            Ok(status) if !status.is_informational() => self.status = Some(status),
            _ => self.problem(format!("{status} is not the status of a final answer")),
        }
        self
    }

    /// Adds a header. The first of a name replaces what the server would send by itself; raw
    /// bytes outside ASCII are allowed in values.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.problem(format!(
                "no HTTP header: {:?} (Script::raw_tcp writes any bytes)",
                String::from_utf8_lossy(name)
            )),
        }
        self
    }

    /// Replaces the body by `value`, as `application/json` unless a content type was given.
    pub fn json(self, value: Value) -> Self {
        self.body(value.to_string()).default_header(header::CONTENT_TYPE, "application/json")
    }

    /// Replaces the body by these bytes.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.content = Content::Pieces(vec![bytes.into()]);
        self
    }

    /// Waits before the head. Default: zero.
    pub fn head_delay(mut self, delay: Duration) -> Self {
        self.head_delay = delay;
        self
    }

    /// Waits before the first delta of a natural answer (the time to the first token), or before
    /// the first piece of another body. Default: zero.
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Waits between two pieces: between chunks if there is a chunk size, else between events.
    /// Default: zero.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits before every delta of a natural answer. Default: the server's pace.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Cuts the body's bytes anew into chunks of this size, wherever that falls.
    pub fn chunk_size(self, size: usize) -> Self {
        self.chunk_sizes([size])
    }

    /// As [`chunk_size`](Self::chunk_size), with sizes taken in turn, over and over.
    pub fn chunk_sizes(mut self, sizes: impl IntoIterator<Item = usize>) -> Self {
        self.chunk_sizes = sizes.into_iter().collect();
        if self.chunk_sizes.contains(&0) {
            self.problem("a chunk size of 0".into());
        }
        self
    }

    /// Leaves out everything after the first `events` events (or pieces). A natural answer that
    /// is not streamed loses its second half.
    pub fn cut_after(mut self, events: usize) -> Self {
        self.cut_after = Some(events);
        self
    }

    /// Breaks the JSON of event number `event`, counted from 0.
    pub fn malformed(mut self, event: usize) -> Self {
        self.malformed = Some(event);
        self
    }

    /// Puts a comment before every event, as heartbeats are.
    pub fn comments(mut self) -> Self {
        self.comments = true;
        self
    }

    /// The line ending of events, [`Event::raw`] excepted.
    pub fn newline(mut self, newline: Newline) -> Self {
        self.newline = newline;
        self
    }

    /// The message of a natural answer, in place of the one that quotes the prompt.
    pub fn text(mut self, text: impl Into<Arc<str>>) -> Self {
        if let Some((slot, _)) = self.natural_parts("a text") {
            *slot = Some(Said::Text(text.into()));
        }
        self
    }

    /// The model refuses, in these words: the message of a natural answer has a refusal in place of
    /// its text. In a realtime conversation it is said like a text.
    ///
    /// ```
    /// use tower_openai::Client;
    /// use tower_openai::services::ResponsesRequest;
    /// use tower_openai::testing::{Script, Server};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let server = Server::start().await?;
    /// server.enqueue(Script::natural().refusal("I can't help with that."));
    ///
    /// let client = Client::builder().base_url(server.base_url()).build()?;
    /// let answer = client.create_response().send(ResponsesRequest::new("gpt-5.2", "…")).await?;
    /// assert_eq!(answer.refusal(), Some("I can't help with that."));
    /// # Ok::<_, tower_openai::BoxError>(()) }).unwrap();
    /// ```
    pub fn refusal(mut self, text: impl Into<Arc<str>>) -> Self {
        if let Some((slot, _)) = self.natural_parts("a refusal") {
            *slot = Some(Said::Refusal(text.into()));
        }
        self
    }

    /// The model calls this function in place of saying something, whether or not the request has
    /// such a tool; said again, it calls several. `arguments` are text: JSON, if they are to be.
    ///
    /// ```
    /// use serde_json::json;
    /// use tower_openai::testing::Script;
    ///
    /// let script = Script::natural()
    ///     .function_call("get_weather", json!({"city": "Oslo"}).to_string())
    ///     .function_call("get_time", "{broken");
    /// # let _ = script;
    /// ```
    pub fn function_call(mut self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let call = (name.into(), arguments.into());
        match self.natural_parts("a function call") {
            Some((Some(Said::Calls(calls)), _)) => calls.push(call),
            Some((slot, _)) => *slot = Some(Said::Calls(vec![call])),
            None => {}
        }
        self
    }

    /// The turn fails half-way: `response.failed`, or a `Response` of that status.
    pub fn failed(self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.finish(Finish::Failed { code: code.into(), message: message.into() })
    }

    /// The turn is cut short by the server: `response.incomplete`, with `max_output_tokens` or
    /// `content_filter` as the API's reasons.
    pub fn incomplete(self, reason: impl Into<String>) -> Self {
        self.finish(Finish::Incomplete { reason: reason.into() })
    }

    /// The stream ends half-way with a top-level `error` event.
    pub fn error_event(self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.finish(Finish::ErrorEvent { code: code.into(), message: message.into() })
    }

    /// All events of the turn but the terminal one.
    pub fn no_terminal(self) -> Self {
        self.finish(Finish::Nothing)
    }

    /// See [`Ending::Complete`].
    pub fn then_end(self) -> Self {
        self.ending(Ending::Complete)
    }

    /// See [`Ending::Stall`].
    pub fn then_stall(self) -> Self {
        self.ending(Ending::Stall)
    }

    /// See [`Ending::Truncate`].
    pub fn then_truncate(self) -> Self {
        self.ending(Ending::Truncate)
    }

    /// See [`Ending::Reset`].
    pub fn then_reset(self) -> Self {
        self.ending(Ending::Reset)
    }

    /// What follows the last byte. Default: [`Ending::Complete`], for
    /// [`no_head`](Self::no_head) [`Ending::Truncate`].
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Whether it says how an ordinary request is answered.
    pub(super) fn answers_requests(&self) -> bool {
        match self.content {
            #[cfg(feature = "ws")]
            Content::Frames(_) => false,
            _ => true,
        }
    }

    fn finish(mut self, finish: Finish) -> Self {
        if let Some((_, slot)) = self.natural_parts("this end of a turn") {
            *slot = finish;
        }
        self
    }

    fn natural_parts(&mut self, what: &str) -> Option<(&mut Option<Said>, &mut Finish)> {
        if !matches!(self.content, Content::Natural { .. }) {
            self.problem(format!("{what} belongs to a natural answer (Script::natural)"));
        }
        match &mut self.content {
            Content::Natural { said, finish } => Some((said, finish)),
            _ => None,
        }
    }

    fn default_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.entry(name).or_insert(HeaderValue::from_static(value));
        self
    }

    fn problem(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}
