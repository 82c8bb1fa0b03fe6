//! Who watches the requests on a connection: what layers left on the answer to its handshake.

use http::{Extensions, HeaderMap, StatusCode};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::Span;

use crate::Error;
use crate::error::Stage;
use crate::extensions::{
    Call, Came, RequestHeaders, RequestWatcher, SocketWatchers, StreamObservers,
};
use crate::sse::StreamEnd;

/// What a handshake went through, as far as requests on its connection care.
#[derive(Default)]
pub(super) struct Layers {
    watchers: Option<SocketWatchers>,
    headers: Option<RequestHeaders>,
}

impl Layers {
    /// Takes it out of the extensions of the answer to the handshake.
    pub(super) fn take(extensions: &mut Extensions) -> Self {
        Self { watchers: extensions.remove(), headers: extensions.remove() }
    }

    /// Begins to watch a request.
    pub(super) fn watch(&self, call: &Call) -> Option<Watching> {
        let mut all: Vec<Arc<dyn RequestWatcher>> = Vec::new();
        for watcher in self.watchers.iter().flat_map(SocketWatchers::all) {
            // The spans of those further in are within those further out.
            let began = innermost(&all, |one| one.span()).in_scope(|| watcher.begin(call));
            all.extend(began);
        }
        (!all.is_empty()).then(|| Watching { all, began: Instant::now() })
    }

    /// The headers that are made for a request in this span.
    pub(super) fn headers(&self, span: &Span) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(layers) = &self.headers {
            span.in_scope(|| layers.write(&mut headers));
        }
        headers
    }
}

/// The innermost span that there is, of what `each` gives.
fn innermost(all: &[Arc<dyn RequestWatcher>], each: impl Fn(&dyn RequestWatcher) -> Span) -> Span {
    all.iter()
        .map(|one| each(&**one))
        .filter(|span| !span.is_none())
        .last()
        .unwrap_or_else(Span::none)
}

/// Those who watch a request until its stream is there. Dropped before that, so was the request.
pub(super) struct Watching {
    all: Vec<Arc<dyn RequestWatcher>>,
    began: Instant,
}

impl Watching {
    /// The span to work in.
    pub(super) fn span(&self) -> Span {
        innermost(&self.all, |one| one.span())
    }

    /// This is what will be sent.
    pub(super) fn encoded(&self, frame: &str) {
        self.all.iter().for_each(|one| one.encoded(frame));
    }

    /// Lets them hear of the stream with these extensions.
    pub(super) fn listen(&self, extensions: &mut Extensions) {
        for one in &self.all {
            StreamObservers::add(extensions, Arc::clone(one).stream_observer());
        }
    }

    fn sent(&self, came: &Came<'_>) {
        let elapsed = self.began.elapsed();
        self.all.iter().for_each(|one| one.sent(came, elapsed));
    }

    /// The request was dropped while the server had it.
    pub(super) fn dropped_sent(&self) {
        self.sent(&Came::Dropped);
    }

    /// The request has failed, and is sent once more.
    pub(super) fn sent_in_vain(&mut self, error: &Error) {
        if error.stage() != Stage::NotSent {
            self.sent(&Came::Error(error));
        }
        self.began = Instant::now();
    }

    /// The request has failed.
    pub(super) fn failed(mut self, error: &Error) {
        self.sent_in_vain(error);
        if let Some(status) = error.status() {
            self.all.iter().for_each(|one| one.head(status, &HeaderMap::new()));
        }
        self.end(StreamEnd::Error(error));
    }

    /// The answer has begun, with so many bytes; the stream tells the rest.
    pub(super) fn answered(
        mut self,
        status: StatusCode,
        headers: &HeaderMap,
        bytes: u64,
    ) -> Listening {
        self.sent(&Came::Answer(status));
        self.all.iter().for_each(|one| one.head(status, headers));
        let listening = Listening(std::mem::take(&mut self.all));
        listening.read(bytes);
        listening
    }

    fn end(&mut self, end: StreamEnd<'_>) {
        for one in std::mem::take(&mut self.all) {
            one.stream_observer().on_end(end);
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.end(StreamEnd::Dropped);
    }
}

/// Those who watch how a stream reads its connection.
#[derive(Default)]
pub(super) struct Listening(Vec<Arc<dyn RequestWatcher>>);

impl Listening {
    /// The stream waits; gives the span to do it in.
    pub(super) fn reading(&self) -> Span {
        innermost(&self.0, |one| one.reading())
    }

    pub(super) fn read(&self, bytes: u64) {
        self.0.iter().for_each(|one| one.read(bytes));
    }
}
