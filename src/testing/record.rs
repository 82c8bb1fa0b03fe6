//! What the server received, and what became of each answer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version, header};
use serde_json::Value;
use tokio::sync::watch;

use super::encoding;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// All of it was handed to the connection. The client may still not have read it. A WebSocket
    /// was closed with a close frame, by either side.
    Complete,
    /// The script broke it off: truncated or reset.
    BrokenOff,
    /// The client went away before the end, stalls and answers that never began included.
    Disconnected,
    /// The server was stopped before the end.
    Stopped,
}

/// One request as it arrived; a clone refers to the same request.
///
/// `Debug` hides the values of headers that carry credentials and shows only the body's length;
/// [`header`](Self::header) and [`headers`](Self::headers) give everything, since tests must be
/// able to check it.
#[derive(Clone)]
pub struct RecordedRequest(Arc<Entry>);

struct Entry {
    index: u64,
    connection: u64,
    head: Head,
    body: Bytes,
    body_len: u64,
    written: AtomicU64,
    outcome: watch::Sender<Option<Outcome>>,
    #[cfg(feature = "ws")]
    frames: super::ws::FrameLog,
    log: Arc<Signals>,
}

/// The head of a request, as the log wants it.
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

impl RecordedRequest {
    /// Its number, counted from 0 over the life of the server.
    pub fn index(&self) -> u64 {
        self.0.index
    }

    /// The number of the connection it came over, counted from 0: equal numbers mean that the
    /// client reused the connection.
    pub fn connection(&self) -> u64 {
        self.0.connection
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.0.head.method
    }

    /// Path and query, for instance `/v1/responses?api-version=1`.
    pub fn target(&self) -> &str {
        self.0.head.uri.path_and_query().map_or("", |target| target.as_str())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.0.head.uri.path()
    }

    /// The HTTP version.
    pub fn version(&self) -> Version {
        self.0.head.version
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.head.headers
    }

    /// The first value of the header `name`, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.head.headers.get(name)?.to_str().ok()
    }

    /// The body as it came, compressed if it was; what had come, if the client broke it off. Of an
    /// upload of a file, only the first 64 KiB.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// How many bytes of body came.
    pub fn body_len(&self) -> u64 {
        self.0.body_len
    }

    /// The body without its `content-encoding`; `None` if it is broken, or in an encoding that this
    /// build does not read (features `compression-gzip`, `compression-zstd`).
    pub fn decoded_body(&self) -> Option<Bytes> {
        encoding::decode(self.headers(), self.body()).ok()
    }

    /// The body as JSON, decompressed if need be, or `None` if it is not.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.decoded_body()?).ok()
    }

    /// Body bytes of the answer handed to the connection so far: a figure that stops growing
    /// means that the client does not read.
    ///
    /// Some hundred KiB of them may still be in buffers.
    pub fn bytes_written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// How the answer ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<Outcome> {
        *self.0.outcome.borrow()
    }

    /// Waits until the answer has ended.
    ///
    /// There is no limit on the wait: a test that may fail here wraps it in
    /// `tokio::time::timeout`. Cancel by dropping.
    pub async fn closed(&self) -> Outcome {
        let mut outcome = self.0.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| *outcome);
        // The sender lives in the entry, which `self` holds, so the wait cannot fail.
        ended.unwrap_or(Outcome::Stopped)
    }
}

/// What came over the WebSocket that the request opened; feature `ws`.
#[cfg(feature = "ws")]
impl RecordedRequest {
    /// What the client sent, in its order: messages whole, and control frames. Empty for a request
    /// that opened no WebSocket.
    ///
    /// The last 10,000 are kept, and fewer if they come to more than 64 MiB.
    pub fn frames(&self) -> Vec<super::RecordedFrame> {
        self.0.frames.all()
    }

    /// The text messages as JSON, in their order; a text that is no JSON is left out.
    pub fn messages(&self) -> Vec<Value> {
        self.frames().iter().filter_map(super::RecordedFrame::json).collect()
    }

    /// Waits until `count` frames have come, forgotten ones included, and returns those that are
    /// kept.
    ///
    /// There is no limit on the wait; cancel by dropping.
    pub async fn wait_for_frames(&self, count: u64) -> Vec<super::RecordedFrame> {
        let found = || (self.0.frames.received() >= count).then(|| self.frames());
        self.0.log.wait_for(found).await
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("index", &self.0.index)
            .field("method", &self.0.head.method)
            .field("target", &self.target())
            .field("version", &self.0.head.version)
            .field("headers", &Redacted(&self.0.head.headers))
            .field("body", &format_args!("{} bytes", self.0.body_len))
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

/// Headers without the values of those that carry credentials.
struct Redacted<'a>(&'a HeaderMap);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.0 {
            if is_secret(name.as_str()) {
                map.entry(name, &format_args!("Sensitive"));
            } else {
                map.entry(name, value);
            }
        }
        map.finish()
    }
}

fn is_secret(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "chatgpt-account-id",
        "openai-organization",
        "openai-project",
        "x-oai-attestation",
        "x-oai-is",
        "x-codex-turn-state",
        "x-codex-turn-metadata",
        "x-codex-installation-id",
    ];
    name == header::COOKIE.as_str()
        || NAMES.contains(&name)
        || ["authorization", "api-key", "token", "secret"].iter().any(|part| name.contains(part))
}

/// The server's bounded history.
pub(super) struct Log {
    inner: Mutex<Inner>,
    max_requests: usize,
    signals: Arc<Signals>,
}

/// What entries and waiters share.
struct Signals {
    stopping: AtomicBool,
    /// Counts arrivals and ends, so that a waiter looks again.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<RecordedRequest>,
    bytes: usize,
    received: u64,
}

/// Bodies kept, in bytes, whatever their number.
pub(super) const MAX_HISTORY_BYTES: usize = 256 * 1024 * 1024;

impl Log {
    pub(super) fn new(max_requests: usize) -> Self {
        let signals =
            Arc::new(Signals { stopping: AtomicBool::new(false), changes: watch::Sender::new(0) });
        Self { inner: Mutex::default(), max_requests: max_requests.max(1), signals }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The sections below leave the data whole at every step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request, and drops the oldest ones that no longer fit.
    ///
    /// `body` may be less than the `body_len` bytes that came.
    pub(super) fn push(&self, connection: u64, head: Head, body: Bytes, body_len: u64) -> Delivery {
        let mut inner = self.lock();
        let request = RecordedRequest(Arc::new(Entry {
            index: inner.received,
            connection,
            head,
            body,
            body_len,
            written: AtomicU64::new(0),
            outcome: watch::Sender::new(None),
            #[cfg(feature = "ws")]
            frames: super::ws::FrameLog::default(),
            log: Arc::clone(&self.signals),
        }));
        inner.received += 1;
        inner.bytes += request.body().len();
        inner.entries.push_back(request.clone());
        while inner.entries.len() > self.max_requests
            || (inner.bytes > MAX_HISTORY_BYTES && inner.entries.len() > 1)
        {
            let Some(oldest) = inner.entries.pop_front() else { break };
            inner.bytes -= oldest.body().len();
        }
        drop(inner);
        self.signals.changed();
        Delivery { request, end: None }
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().entries.iter().cloned().collect()
    }

    pub(super) fn received(&self) -> u64 {
        self.lock().received
    }

    /// Waits until `found` yields something, looking again after every arrival and every end.
    pub(super) async fn wait_for<T>(&self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        self.signals.wait_for(|| found(self)).await
    }

    /// From here on, an answer that is dropped was stopped by the server.
    pub(super) fn stop(&self) {
        self.signals.stopping.store(true, Ordering::Relaxed);
    }
}

impl Signals {
    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Waits until `found` yields something, looking again after every change.
    async fn wait_for<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = found() {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`; should it ever go, nothing can be found any more.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The server's side of one answer. Dropping it ends the answer.
pub(super) struct Delivery {
    pub(super) request: RecordedRequest,
    end: Option<Outcome>,
}

impl Delivery {
    pub(super) fn wrote(&self, bytes: usize) {
        self.request.0.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Keeps what came over the WebSocket.
    #[cfg(feature = "ws")]
    pub(super) fn came(&self, frame: super::RecordedFrame) {
        self.request.0.frames.push(frame);
        self.request.0.log.changed();
    }

    /// Says how the answer will have ended when this is dropped.
    pub(super) fn will_end(&mut self, outcome: Outcome) {
        self.end = Some(outcome);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let entry = &self.request.0;
        let unforeseen = if entry.log.stopping.load(Ordering::Relaxed) {
            Outcome::Stopped
        } else {
            Outcome::Disconnected
        };
        entry.outcome.send_replace(Some(self.end.unwrap_or(unforeseen)));
        entry.log.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: HeaderMap) -> Head {
        let uri = Uri::from_static("/v1/responses");
        Head { method: Method::POST, uri, version: Version::HTTP_11, headers }
    }

    #[test]
    fn history_is_bounded_and_drops_the_oldest() {
        let log = Log::new(2);
        for body in ["a", "b", "c"] {
            log.push(0, head(HeaderMap::new()), Bytes::from(body), 1);
        }
        let kept: Vec<_> = log.requests().iter().map(|r| (r.index(), r.body().clone())).collect();
        assert_eq!(kept, [(1, Bytes::from("b")), (2, Bytes::from("c"))]);
        assert_eq!(log.received(), 3);
    }

    #[test]
    fn debug_hides_credentials_and_bodies_but_the_accessor_does_not() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "api-key", "x-api-key", "chatgpt-account-id", "cookie"] {
            headers.insert(name, "hush-1".parse().unwrap());
        }
        headers.insert("accept", "text/event-stream".parse().unwrap());
        let delivery = Log::new(1).push(0, head(headers), Bytes::from("hush-2"), 6);
        let text = format!("{:?}", delivery.request);
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("text/event-stream"), "{text}");
        assert_eq!(delivery.request.header("Authorization"), Some("hush-1"));
    }

    #[tokio::test]
    async fn a_dropped_delivery_is_a_disconnect_unless_the_server_stops() {
        let log = Log::new(4);
        let gone = log.push(0, head(HeaderMap::new()), Bytes::new(), 0);
        let request = gone.request.clone();
        assert_eq!(request.outcome(), None);
        drop(gone);
        assert_eq!(request.closed().await, Outcome::Disconnected);

        let stopped = log.push(0, head(HeaderMap::new()), Bytes::new(), 0);
        let request = stopped.request.clone();
        log.stop();
        drop(stopped);
        assert_eq!(request.closed().await, Outcome::Stopped);
    }
}
