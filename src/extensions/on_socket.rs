//! What layers leave on the answer to a handshake, for the requests that go on that socket.
//!
//! A layer sees one request for the whole life of a socket. Those that care for each call leave a
//! watcher here, and the socket asks it at every request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, HeaderMap, StatusCode};
use tracing::Span;

use super::Call;
use crate::Error;
use crate::sse::StreamObserver;

/// On the answer to a handshake: who watches each request on the socket, outermost first.
///
/// Absent, nobody does.
#[derive(Clone)]
pub(crate) struct SocketWatchers(Arc<[Arc<dyn SocketWatcher>]>);

impl SocketWatchers {
    /// Adds a watcher around those that are there already.
    pub(crate) fn add(extensions: &mut Extensions, watcher: Arc<dyn SocketWatcher>) {
        let all = match extensions.remove::<Self>() {
            Some(inner) => [watcher].into_iter().chain(inner.0.iter().cloned()).collect(),
            None => Arc::new([watcher]) as Arc<[_]>,
        };
        extensions.insert(Self(all));
    }

    #[cfg(feature = "ws")]
    pub(crate) fn all(&self) -> &[Arc<dyn SocketWatcher>] {
        &self.0
    }
}

/// Watches what is asked on a socket.
#[cfg_attr(not(feature = "ws"), allow(dead_code))]
pub(crate) trait SocketWatcher: Send + Sync {
    /// A request begins; `None` if nobody wants to know.
    fn begin(&self, call: &Call) -> Option<Arc<dyn RequestWatcher>>;
}

/// Watches one request, on a socket or over HTTP, until its stream is there and tells the rest.
#[cfg_attr(not(feature = "ws"), allow(dead_code))]
pub(crate) trait RequestWatcher: Send + Sync {
    /// The span to work in.
    fn span(&self) -> Span {
        Span::none()
    }

    /// This is what will be sent.
    fn encoded(&self, frame: &str) {
        let _ = frame;
    }

    /// What became of one sending of the request, so long after it began.
    fn sent(&self, came: &Came<'_>, elapsed: Duration) {
        let _ = (came, elapsed);
    }

    /// The answer has begun, or it is a refusal with a status.
    fn head(&self, status: StatusCode, headers: &HeaderMap) {
        let _ = (status, headers);
    }

    /// The stream waits for the socket; gives the span to do it in.
    fn reading(&self) -> Span {
        self.span()
    }

    /// The stream has taken so many bytes.
    fn read(&self, bytes: u64) {
        let _ = bytes;
    }

    /// Who hears of the stream, or of the end if there was none.
    fn stream_observer(self: Arc<Self>) -> Arc<dyn StreamObserver>;
}

/// What a request on a socket came to.
#[cfg_attr(not(all(feature = "ws", feature = "telemetry")), allow(dead_code))]
pub(crate) enum Came<'a> {
    /// An answer, under the status of the handshake.
    Answer(StatusCode),
    Error(&'a Error),
    Dropped,
}

/// On the answer to a handshake: what writes headers for each request on the socket, which travel in
/// its message.
///
/// Absent, there are none.
#[derive(Clone)]
#[cfg_attr(not(feature = "telemetry"), allow(dead_code))]
pub(crate) struct RequestHeaders(Arc<dyn Fn(&mut HeaderMap) + Send + Sync>);

#[cfg_attr(not(feature = "telemetry"), allow(dead_code))]
impl RequestHeaders {
    pub(crate) fn new(write: impl Fn(&mut HeaderMap) + Send + Sync + 'static) -> Self {
        Self(Arc::new(write))
    }

    /// Adds them before those that are there already, which are written last.
    pub(crate) fn add_to(self, extensions: &mut Extensions) {
        let both = match extensions.remove::<Self>() {
            Some(inner) => Self::new(move |headers| {
                self.write(headers);
                inner.write(headers);
            }),
            None => self,
        };
        extensions.insert(both);
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        (self.0)(headers);
    }
}

impl fmt::Debug for RequestHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHeaders").finish_non_exhaustive()
    }
}
