//! Clients of one unary call: the same request and the same typed answer, over one kept connection.

use std::future::Future;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT,
};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::ServiceBuilder;
use tower_openai::Client;
use tower_openai::client::BoxHttpService;
use tower_openai::layers::{Auth, AuthLayer, Bearer, ProviderLayer, WithProvider};
use tower_openai::model::{CompactedResponse, CompactionInput, Input, ResponseItem};
use tower_openai::provider::Provider;
use tower_openai::services::Compact;
use tower_openai::transport::HyperTransport;

/// What the server answers to the path that ends so.
pub const PATH: &str = "/responses/compact";

/// The answer: one message of a few words, as long as answers to short questions are.
pub const ANSWER: &str = r#"{"id":"resp_001","object":"response.compaction","created_at":1764967971,"output":[{"id":"msg_000","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"The person asked for a poem about the sea and got one of four lines.","annotations":[]}]},{"id":"cmp_001","type":"compaction","encrypted_content":"gAAAAABpM0Yj-0123456789abcdef"}],"usage":{"input_tokens":139,"input_tokens_details":{"cached_tokens":0},"output_tokens":438,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":577}}"#;

const REQUEST: &str = r#"{"model":"gpt-5.2","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}],"parallel_tool_calls":true}"#;

/// One way of making the call.
pub trait Caller: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    /// A client of the server at `origin`.
    fn new(origin: &str) -> Self;

    /// Makes the call and reads its answer.
    fn call(&self) -> impl Future<Output = Vec<ResponseItem>> + Send;

    /// Makes so many calls, one after the other, and checks the answers.
    fn call_all(self, calls: usize) -> impl Future<Output = ()> + Send {
        async move {
            for _ in 0..calls {
                assert_eq!(self.call().await.len(), 2, "{}", Self::NAME);
            }
        }
    }
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer sk-bench"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("bench/1.0"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers
}

fn parse(body: &Bytes) -> Vec<ResponseItem> {
    serde_json::from_slice::<CompactedResponse>(body).expect("the answer").output
}

/// hyper-util's pooled client and nothing else.
#[derive(Clone)]
pub struct Hyper {
    client: legacy::Client<HttpConnector, Full<Bytes>>,
    uri: http::Uri,
}

impl Caller for Hyper {
    const NAME: &'static str = "hyper-util, serde_json";

    fn new(origin: &str) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        let uri = format!("{origin}/v1{PATH}").parse().expect("a URI");
        Self { client: builder.build(tcp), uri }
    }

    async fn call(&self) -> Vec<ResponseItem> {
        let mut request = http::Request::new(Full::from(REQUEST));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers();
        let response = self.client.request(request).await.expect("a response");
        assert!(response.status().is_success());
        parse(&response.into_body().collect().await.expect("a body").to_bytes())
    }
}

/// reqwest.
#[derive(Clone)]
pub struct Reqwest {
    client: reqwest::Client,
    url: reqwest::Url,
}

impl Caller for Reqwest {
    const NAME: &'static str = "reqwest, serde_json";

    fn new(origin: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { client, url: format!("{origin}/v1{PATH}").parse().expect("a URL") }
    }

    async fn call(&self) -> Vec<ResponseItem> {
        let request = self.client.post(self.url.clone()).headers(headers()).body(REQUEST);
        let response = request.send().await.expect("a response");
        assert!(response.status().is_success());
        parse(&response.bytes().await.expect("a body"))
    }
}

fn conversation() -> Vec<ResponseItem> {
    Input::from("hello").into()
}

/// The endpoint over the transport, with the layers that a call cannot do without.
#[derive(Clone)]
pub struct OursStack {
    compact: Compact<WithProvider<Auth<HyperTransport, Bearer>>>,
    conversation: Vec<ResponseItem>,
}

impl Caller for OursStack {
    const NAME: &'static str = "tower-openai: provider, auth";

    fn new(origin: &str) -> Self {
        let provider = Provider::new("bench", &format!("{origin}/v1")).expect("a provider");
        let stack = ServiceBuilder::new()
            .layer(Compact::layer())
            .layer(ProviderLayer::new(provider))
            .layer(AuthLayer::new(Bearer::new("sk-bench").expect("a token")))
            .service(HyperTransport::new().expect("a transport"));
        Self { compact: stack, conversation: conversation() }
    }

    async fn call(&self) -> Vec<ResponseItem> {
        let input = CompactionInput::new("gpt-5.2", &self.conversation);
        self.compact.compact_input(&input, HeaderMap::new()).await.expect("an answer")
    }
}

/// The preset, all its layers included.
#[derive(Clone)]
pub struct OursPreset {
    compact: Compact<BoxHttpService>,
    conversation: Vec<ResponseItem>,
}

impl Caller for OursPreset {
    const NAME: &'static str = "tower-openai, `Client`";

    fn new(origin: &str) -> Self {
        let client = Client::builder().base_url(format!("{origin}/v1")).api_key("sk-bench").build();
        let compact = client.expect("a client").compact();
        Self { compact, conversation: conversation() }
    }

    async fn call(&self) -> Vec<ResponseItem> {
        let input = CompactionInput::new("gpt-5.2", &self.conversation);
        self.compact.compact_input(&input, HeaderMap::new()).await.expect("an answer")
    }
}
