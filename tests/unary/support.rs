//! What the tests of this binary share: HTTP services that answer once, and what they were sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::mpsc;
use tower::{Service, service_fn};
use tower_openai::{BoxError, RequestBody};

/// A header of an answer.
pub(crate) type Header = (&'static str, &'static str);

/// An answer with this head and body.
pub(crate) fn response<B>(status: u16, headers: &[Header], body: B) -> Response<B> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

/// The same with a whole body.
pub(crate) fn whole(
    status: u16,
    headers: &[Header],
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    response(status, headers, Full::new(body.into()))
}

/// What the last request was, once there was one.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Option<Request<RequestBody>>>>);

impl Seen {
    /// The request that was sent.
    #[track_caller]
    pub(crate) fn take(&self) -> Request<RequestBody> {
        self.0.lock().unwrap().take().expect("a request was sent")
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

/// An HTTP service with this one answer.
pub(crate) fn once<B: Send>(
    answer: Response<B>,
) -> (
    impl Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync,
    Seen,
) {
    let answer = Arc::new(Mutex::new(Some(answer)));
    let seen = Seen::default();
    let note = seen.clone();
    let service = service_fn(move |request: Request<RequestBody>| {
        *note.0.lock().unwrap() = Some(request);
        std::future::ready(Ok(answer.lock().unwrap().take().expect("one request")))
    });
    (service, seen)
}

/// The whole request, as it must be to the byte.
#[track_caller]
pub(crate) fn assert_sent(
    request: &Request<RequestBody>,
    method: Method,
    uri: &str,
    headers: &[Header],
    body: &str,
) {
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&method, uri));
    let mut sent: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    sent.sort_unstable();
    assert_eq!(sent, headers, "in alphabetical order");
    let bytes = request.body().as_bytes().expect("bytes");
    assert_eq!(std::str::from_utf8(bytes).unwrap(), body);
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A body that yields what is sent to it, and ends when the sender is dropped.
pub(crate) struct Fed {
    receiver: mpsc::UnboundedReceiver<Result<Bytes, BoxError>>,
    promised: u64,
}

/// The other end of [`Fed`].
pub(crate) struct Feed(mpsc::UnboundedSender<Result<Bytes, BoxError>>);

impl Feed {
    pub(crate) fn new() -> (Self, Fed) {
        Self::promising(0)
    }

    /// For a body that says it has at least so many bytes.
    pub(crate) fn promising(promised: u64) -> (Self, Fed) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Fed { receiver, promised })
    }

    pub(crate) fn text(&self, text: impl Into<Bytes>) {
        self.0.send(Ok(text.into())).expect("the body is open");
    }

    pub(crate) fn fail(&self, error: impl Into<BoxError>) {
        self.0.send(Err(error.into())).expect("the body is open");
    }

    /// Whether the body was dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.receiver.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.promised);
        hint
    }
}
