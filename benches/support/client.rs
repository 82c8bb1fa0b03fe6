//! The clients that are compared, all over hyper's pooled client and one HTTP/1.1 connection per
//! stream.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{EventStream, Eventsource};
use futures_util::StreamExt;
use http_body_util::{BodyDataStream, BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use sse_stream::SseStream;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_openai::layers::{IdleTimeout, IdleTimeoutLayer, ProviderLayer, WithProvider};
use tower_openai::model::ResponseEvent;
use tower_openai::provider::Provider;
use tower_openai::services::{HttpService, Responses, ResponsesRequest};
use tower_openai::sse::{EventSource, ResponseStream, SseSource};
use tower_openai::transport::HyperTransport;
use tower_openai::{Client as Preset, RequestBody};

use super::server::Answer;
use super::workload;

/// What was read of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Events, or bytes for a client that does not look at them.
    pub read: usize,
    /// Bytes of text in deltas.
    pub text: usize,
    pub completed: bool,
}

impl Tally {
    fn event(&mut self, kind: &str, delta: Option<&str>) {
        self.read += 1;
        self.text += delta.map_or(0, str::len);
        self.completed = kind == "response.completed";
    }
}

/// One way of reading a stream.
pub trait Client: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    /// Whether it sees events; else bytes.
    const TYPED: bool = true;
    type Stream: Send + 'static;

    /// A client of the server at `origin` that asks for this answer.
    fn new(origin: &str, answer: Answer) -> Self;

    /// Sends the request; ready when the head has come.
    fn open(&self) -> impl Future<Output = Self::Stream> + Send;

    /// Reads until so many events, or bytes, have come or the stream ends.
    fn read(stream: &mut Self::Stream, limit: usize) -> impl Future<Output = Tally> + Send;

    /// Reads all, one stream after the other, and checks that it was all.
    fn read_all(self, streams: u32, expected: Expected) -> impl Future<Output = ()> + Send {
        async move {
            for _ in 0..streams {
                let mut stream = self.open().await;
                expected.check::<Self>(Self::read(&mut stream, usize::MAX).await);
                drop(stream);
                // Lets the connection's task give it back to the pool.
                tokio::task::yield_now().await;
            }
        }
    }
}

/// What a client must have seen of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    events: usize,
    bytes: usize,
    text: usize,
}

impl Expected {
    pub fn of(answer: Answer) -> Self {
        let events = answer.events();
        let bytes = events.iter().map(String::len).sum();
        Self { events: events.len(), bytes, text: workload::text_length(answer.deltas()) }
    }

    /// How much a client reads of it, as it counts.
    pub fn amount<C: Client>(&self) -> usize {
        if C::TYPED { self.events } else { self.bytes }
    }

    pub fn events(&self) -> usize {
        self.events
    }

    pub fn check<C: Client>(&self, tally: Tally) {
        let text = if C::TYPED { self.text } else { 0 };
        let expected = Tally { read: self.amount::<C>(), text, completed: C::TYPED };
        assert_eq!(tally, expected, "{}", C::NAME);
    }
}

type HyperClient = legacy::Client<HttpConnector, Full<Bytes>>;

/// Hyper's client and the request that the others send too.
#[derive(Clone)]
pub struct Hyper {
    client: HyperClient,
    uri: http::Uri,
    body: Bytes,
}

impl Hyper {
    /// `None` is hyper's default: a read buffer that grows.
    fn new(origin: &str, answer: Answer, read_buffer: Option<usize>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        if let Some(bytes) = read_buffer {
            builder.http1_read_buf_exact_size(bytes);
        }
        let uri = format!("{origin}{}/responses", answer.path());
        Self {
            client: builder.build(tcp),
            uri: uri.parse().expect("a URI"),
            body: Bytes::from_static(
                br#"{"model":"gpt-5.2","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}],"stream":true}"#,
            ),
        }
    }

    async fn open(&self) -> Incoming {
        let request = http::Request::post(self.uri.clone())
            .header("accept", "text/event-stream")
            .header("content-type", "application/json")
            .body(Full::new(self.body.clone()))
            .expect("a request");
        self.client.request(request).await.expect("a response").into_body()
    }
}

async fn drain(body: &mut Incoming, limit: usize) -> Tally {
    let mut tally = Tally::default();
    while tally.read < limit {
        let Some(frame) = body.frame().await else { break };
        tally.read += frame.expect("a frame").data_ref().map_or(0, Bytes::len);
    }
    tally
}

/// Throws the bytes away: what the transport costs. Hyper's own read buffer.
#[derive(Clone)]
pub struct Drain(Hyper);

impl Client for Drain {
    const NAME: &'static str = "hyper, bytes only";
    const TYPED: bool = false;
    type Stream = Incoming;

    fn new(origin: &str, answer: Answer) -> Self {
        Self(Hyper::new(origin, answer, None))
    }

    async fn open(&self) -> Incoming {
        self.0.open().await
    }

    async fn read(stream: &mut Incoming, limit: usize) -> Tally {
        drain(stream, limit).await
    }
}

/// The same with the read buffer that `HyperTransport` has.
#[derive(Clone)]
pub struct DrainFixed(Hyper);

impl Client for DrainFixed {
    const NAME: &'static str = "hyper, bytes only, 16 KiB read buffer";
    const TYPED: bool = false;
    type Stream = Incoming;

    fn new(origin: &str, answer: Answer) -> Self {
        Self(Hyper::new(origin, answer, Some(16 << 10)))
    }

    async fn open(&self) -> Incoming {
        self.0.open().await
    }

    async fn read(stream: &mut Incoming, limit: usize) -> Tally {
        drain(stream, limit).await
    }
}

/// The endpoint over `http`.
#[derive(Clone)]
pub struct Ours<S>(Responses<S>);

pub fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "hello")
}

pub async fn read_typed<Src>(stream: &mut ResponseStream<Src>, limit: usize) -> Tally
where
    Src: EventSource + Unpin,
{
    let mut tally = Tally::default();
    while tally.read < limit {
        let Some(event) = stream.next().await else { break };
        match event.expect("an event") {
            ResponseEvent::OutputTextDelta(event) => tally.event("", Some(&event.delta)),
            ResponseEvent::Completed(_) => tally.event("response.completed", None),
            _ => tally.event("", None),
        }
    }
    tally
}

type Stack = WithProvider<IdleTimeout<HyperTransport>>;

impl Client for Ours<Stack> {
    const NAME: &'static str = "tower-openai";
    type Stream = ResponseStream<SseSource<<Stack as HttpService<RequestBody>>::ResponseBody>>;

    fn new(origin: &str, answer: Answer) -> Self {
        let base_url = format!("{origin}{}", answer.path());
        let provider = Provider::new("bench", &base_url).expect("a provider");
        let stack = ServiceBuilder::new()
            .layer(Responses::layer())
            .layer(ProviderLayer::new(provider))
            .layer(IdleTimeoutLayer::new(Duration::from_secs(300)))
            .service(HyperTransport::new().expect("a transport"));
        Self(stack)
    }

    async fn open(&self) -> Self::Stream {
        let mut service = self.0.clone();
        let service = service.ready().await.expect("a service");
        service.call(request()).await.expect("a response")
    }

    async fn read(stream: &mut Self::Stream, limit: usize) -> Tally {
        read_typed(stream, limit).await
    }
}

impl Client for Ours<tower_openai::client::BoxHttpService> {
    const NAME: &'static str = "tower-openai, `Client`";
    type Stream = ResponseStream;

    fn new(origin: &str, answer: Answer) -> Self {
        let base_url = format!("{origin}{}", answer.path());
        let client = Preset::builder().base_url(base_url).api_key("sk-bench").build();
        Self(client.expect("a client").responses())
    }

    async fn open(&self) -> Self::Stream {
        let mut service = self.0.clone();
        let service = service.ready().await.expect("a service");
        service.call(request()).await.expect("a response")
    }

    async fn read(stream: &mut Self::Stream, limit: usize) -> Tally {
        read_typed(stream, limit).await
    }
}

pub type OursStack = Ours<Stack>;
pub type OursPreset = Ours<tower_openai::client::BoxHttpService>;

/// The least that a hand-written client would decode of an event, borrowed where serde can.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a>(#[serde(borrow)] Cow<'a, str>);

pub fn parse(tally: &mut Tally, data: &str) {
    let event: Event<'_> = serde_json::from_str(data).expect("JSON");
    tally.event(&event.kind, event.delta.as_ref().map(|delta| &*delta.0));
}

/// `sse-stream` over hyper's body, and serde.
#[derive(Clone)]
pub struct WithSseStream(Hyper);

impl Client for WithSseStream {
    const NAME: &'static str = "hyper, sse-stream, serde_json";
    type Stream = SseStream<Incoming>;

    fn new(origin: &str, answer: Answer) -> Self {
        Self(Hyper::new(origin, answer, None))
    }

    async fn open(&self) -> Self::Stream {
        SseStream::new(self.0.open().await)
    }

    async fn read(stream: &mut Self::Stream, limit: usize) -> Tally {
        let mut tally = Tally::default();
        while tally.read < limit {
            let Some(event) = stream.next().await else { break };
            parse(&mut tally, &event.expect("an event").data.unwrap_or_default());
        }
        tally
    }
}

/// `eventsource-stream` over hyper's body, and serde.
#[derive(Clone)]
pub struct WithEventsource(Hyper);

impl Client for WithEventsource {
    const NAME: &'static str = "hyper, eventsource-stream, serde_json";
    type Stream = EventStream<BodyDataStream<Incoming>>;

    fn new(origin: &str, answer: Answer) -> Self {
        Self(Hyper::new(origin, answer, None))
    }

    async fn open(&self) -> Self::Stream {
        BodyDataStream::new(self.0.open().await).eventsource()
    }

    async fn read(stream: &mut Self::Stream, limit: usize) -> Tally {
        let mut tally = Tally::default();
        while tally.read < limit {
            let Some(event) = stream.next().await else { break };
            parse(&mut tally, &event.expect("an event").data);
        }
        tally
    }
}
