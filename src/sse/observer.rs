//! Who hears of a typed stream without reading it.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use crate::Error;
use crate::extensions::StreamObservers;
use crate::model::{Response, ResponseEvent, TokenUsage};

/// Hears of the events of one response and of its end: a layer below the endpoint sees bytes, and
/// learns of events this way.
///
/// The layer leaves its observer in the response's extensions
/// ([`StreamObservers::add`](crate::extensions::StreamObservers::add)). The typed stream tells every
/// observer it finds there, in the order in which they were left. With none, it costs nothing.
///
/// The methods are called while the stream is polled or dropped: they must neither block nor panic.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use http_body_util::Full;
/// use tower_openai::extensions::StreamObservers;
/// use tower_openai::model::ResponseEvent;
/// use tower_openai::sse::{ResponseStream, StreamEnd, StreamObserver, StreamSettings};
///
/// #[derive(Default)]
/// struct Usage(AtomicU64);
///
/// impl StreamObserver for Usage {
///     fn on_event(&self, event: &ResponseEvent) {
///         let usage = event.response().and_then(|response| response.usage.as_ref());
///         self.0.fetch_add(usage.map_or(0, |usage| usage.output_tokens), Ordering::Relaxed);
///     }
///     fn on_end(&self, end: StreamEnd<'_>) {
///         assert!(matches!(end, StreamEnd::Complete));
///     }
/// }
///
/// # tokio_test::block_on(async {
/// # let body = concat!(r#"data: {"type":"response.completed","response":{"id":"resp_1","usage":
/// #     {"input_tokens":1,"output_tokens":7,"total_tokens":8}}}"#, "\n\n").replace("\n    ", "");
/// let usage = Arc::new(Usage::default());
/// let mut response = http::Response::new(Full::from(body));
/// StreamObservers::add(response.extensions_mut(), usage.clone());
/// let stream = ResponseStream::from_response(response, StreamSettings::default());
/// stream.final_response().await?;
/// assert_eq!(usage.0.load(Ordering::Relaxed), 7);
/// # Ok::<_, tower_openai::Error>(()) }).unwrap();
/// ```
pub trait StreamObserver: Send + Sync + 'static {
    /// A typed reader has taken the response: its end is told to [`on_end`](Self::on_end), whatever
    /// becomes of the body.
    fn on_open(&self) {}

    /// An event is handed out, the terminal one included. `response.failed`,
    /// `response.incomplete` and `error` are not handed out as events but as the end's error.
    fn on_event(&self, event: &ResponseEvent) {
        let _ = event;
    }

    /// An answer that is no stream has been read, whole.
    fn on_answer(&self, answer: &AnswerFacts<'_>) {
        let _ = answer;
    }

    /// The stream has ended, or the answer has been read. Called once, also when the stream or the
    /// future that reads is dropped.
    fn on_end(&self, end: StreamEnd<'_>) {
        let _ = end;
    }
}

/// What a typed answer that is no stream tells of its call; empty where it does not say.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AnswerFacts<'a> {
    /// The response, if the answer is one.
    pub response: Option<&'a Response>,
    /// The answer's id.
    pub id: Option<&'a str>,
    /// The model that served it.
    pub model: Option<&'a str>,
    /// What it cost.
    pub usage: Option<&'a TokenUsage>,
}

impl<'a> AnswerFacts<'a> {
    /// Those of an answer that is a response.
    pub(crate) fn of(response: &'a Response) -> Self {
        let said = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Self {
            response: Some(response),
            id: said(&response.id),
            model: said(&response.model),
            usage: response.usage.as_ref(),
        }
    }
}

/// How a typed stream ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum StreamEnd<'a> {
    /// With `response.completed`; an answer that is no stream: it was read.
    Complete,
    /// With this error, which the reader has too; its [`response`](Error::response) has the usage of
    /// a failed or incomplete response.
    Error(&'a Error),
    /// The reader dropped the stream before its end.
    Dropped,
}

/// The observers of a response that has been taken, until its end is told.
pub(crate) struct Audience(Option<Arc<[Arc<dyn StreamObserver>]>>);

impl Audience {
    /// Opens the stream of a response with these extensions.
    pub(crate) fn open(extensions: &http::Extensions) -> Self {
        let observers = extensions.get::<StreamObservers>().map(StreamObservers::all);
        observers.iter().flat_map(|all| all.iter()).for_each(|one| one.on_open());
        Self(observers)
    }

    /// Tells what a poll of the stream gave.
    #[inline]
    pub(super) fn tell(&mut self, polled: &Poll<Option<Result<ResponseEvent, Error>>>) {
        if self.0.is_some() {
            if let Poll::Ready(Some(item)) = polled {
                self.tell_item(item);
            }
        }
    }

    fn tell_item(&mut self, item: &Result<ResponseEvent, Error>) {
        match item {
            Ok(event) => {
                self.0.iter().flat_map(|all| all.iter()).for_each(|one| one.on_event(event));
                if matches!(event, ResponseEvent::Completed(_)) {
                    self.end(StreamEnd::Complete);
                }
            }
            Err(error) => self.end(StreamEnd::Error(error)),
        }
    }

    /// Tells of an answer that is no stream; that is the end too.
    pub(crate) fn answer(&mut self, facts: &AnswerFacts<'_>) {
        self.0.iter().flat_map(|all| all.iter()).for_each(|one| one.on_answer(facts));
        self.end(StreamEnd::Complete);
    }

    /// Tells the end, if it has not been told.
    pub(crate) fn end(&mut self, end: StreamEnd<'_>) {
        self.0.take().iter().flat_map(|all| all.iter()).for_each(|one| one.on_end(end));
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.end(StreamEnd::Dropped);
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Audience").field(&self.0.as_ref().map_or(0, |all| all.len())).finish()
    }
}
