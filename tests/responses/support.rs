//! What the tests of this binary share: bodies they feed, services that answer with them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::{Service, service_fn};
use tower_openai::model::ResponseEvent;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::sse::{EventSource, ResponseStream, SseSource, StreamSettings};
use tower_openai::testing::{Script, Server};
use tower_openai::{BoxError, Client, Error, RequestBody};

/// A header of an answer.
pub(crate) type Header = (&'static str, &'static str);

/// A body that yields what is sent to it, and ends when the sender is dropped.
pub(crate) struct Fed(mpsc::UnboundedReceiver<Result<Bytes, BoxError>>);

/// The other end of [`Fed`].
pub(crate) struct Feed(mpsc::UnboundedSender<Result<Bytes, BoxError>>);

impl Feed {
    pub(crate) fn new() -> (Self, Fed) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Fed(receiver))
    }

    pub(crate) fn text(&self, text: impl Into<Bytes>) {
        self.0.send(Ok(text.into())).expect("the body is open");
    }

    pub(crate) fn event(&self, event: &Value) {
        self.text(sse([event]));
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
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// Events as they are on the wire.
pub(crate) fn sse<'a>(events: impl IntoIterator<Item = &'a Value>) -> String {
    events
        .into_iter()
        .map(|event| {
            format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or("message"))
        })
        .collect()
}

pub(crate) fn created() -> Value {
    json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}})
}

pub(crate) fn delta(text: &str) -> Value {
    json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
        "content_index": 0, "delta": text})
}

pub(crate) fn item_done(text: &str) -> Value {
    json!({"type": "response.output_item.done", "output_index": 0, "item": {"id": "msg_1",
        "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]}})
}

pub(crate) fn completed() -> Value {
    json!({"type": "response.completed", "response": {"id": "resp_1", "usage": null}})
}

pub(crate) fn failed(error: Value) -> Value {
    json!({"type": "response.failed", "response": {"id": "resp_1", "error": error}})
}

/// An answer with this head and body.
pub(crate) fn response<B>(status: u16, headers: &[Header], body: B) -> Response<B> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

/// An HTTP service that has this one answer.
pub(crate) fn once<B>(
    answer: Response<B>,
) -> impl Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
where
    B: Send,
{
    let answer = Arc::new(Mutex::new(Some(answer)));
    service_fn(move |_: Request<RequestBody>| {
        std::future::ready(Ok(answer.lock().unwrap().take().expect("one request")))
    })
}

/// What one call to the endpoint over an HTTP service with this one answer gives.
pub(crate) async fn call<B>(
    settings: StreamSettings,
    request: ResponsesRequest,
    answer: Response<B>,
) -> Result<ResponseStream<SseSource<B>>, Error>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send,
{
    Responses::new(once(answer)).settings(settings).stream_request(request).await
}

pub(crate) fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "hello")
}

/// An open stream, and what feeds it.
pub(crate) async fn fed(settings: StreamSettings) -> (Feed, ResponseStream<SseSource<Fed>>) {
    let (feed, body) = Feed::new();
    let stream = call(settings, request(), response(200, &[], body)).await.unwrap();
    (feed, stream)
}

/// A stream of a whole body under a head with these headers.
pub(crate) async fn stream(
    headers: &[Header],
    body: impl Into<Bytes>,
) -> ResponseStream<SseSource<Full<Bytes>>> {
    stream_with(StreamSettings::default(), headers, body).await
}

pub(crate) async fn stream_with(
    settings: StreamSettings,
    headers: &[Header],
    body: impl Into<Bytes>,
) -> ResponseStream<SseSource<Full<Bytes>>> {
    call(settings, request(), response(200, headers, Full::new(body.into()))).await.unwrap()
}

/// All events, and the error that ended them.
pub(crate) async fn read<Src>(
    mut stream: ResponseStream<Src>,
) -> (Vec<ResponseEvent>, Option<Error>)
where
    Src: EventSource + Unpin,
{
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "an error is the end");
                return (events, Some(error));
            }
        }
    }
    assert!(stream.next().await.is_none(), "the end is the end");
    (events, None)
}

/// The events of a body.
pub(crate) async fn events_of(body: impl Into<Bytes>) -> (Vec<ResponseEvent>, Option<Error>) {
    read(stream(&[], body).await).await
}

/// The error that a body ends with.
pub(crate) async fn error_of(body: impl Into<Bytes>) -> Error {
    events_of(body).await.1.expect("an error")
}

/// The wire types of events.
pub(crate) fn kinds(events: &[ResponseEvent]) -> Vec<&str> {
    events.iter().map(ResponseEvent::kind).collect()
}

/// The text of all text deltas.
pub(crate) fn text(events: &[ResponseEvent]) -> String {
    let deltas = events.iter().filter_map(|event| match event {
        ResponseEvent::OutputTextDelta(event) => Some(event.delta.as_str()),
        _ => None,
    });
    deltas.collect()
}

/// A head and body of a request as it reached HTTP.
pub(crate) struct Sent {
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Sent {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What the endpoint makes of `request`; an error is one that came before anything was sent.
pub(crate) async fn sent(request: ResponsesRequest) -> Result<Sent, Error> {
    sent_by(Responses::layer(), request).await
}

pub(crate) async fn sent_by(
    layer: tower_openai::services::ResponsesLayer,
    request: ResponsesRequest,
) -> Result<Sent, Error> {
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let http = service_fn(move |request: Request<RequestBody>| {
        *note.lock().unwrap() = Some(request);
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) }
    });
    let mut responses = tower::Layer::layer(&layer, http);
    let result = responses.call(request).await;
    let seen = seen.lock().unwrap().take();
    let Some(request) = seen else { return Err(result.map(drop).expect_err("not sent")) };
    let (parts, body) = request.into_parts();
    Ok(Sent {
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(body.as_bytes().unwrap()).unwrap(),
    })
}

/// A server that answers with `script`, and a client for it.
pub(crate) async fn serving(script: Script) -> (Server, Client) {
    let server = Server::start().await.unwrap();
    server.enqueue(script);
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    (server, client)
}

/// Fails a test that would hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(30), future).await.expect("within 30 s")
}
