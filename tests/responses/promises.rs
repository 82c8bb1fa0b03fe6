//! What callers may rely on at compile time: where the public types can go, and how large they are.

use bytes::Bytes;
use http_body_util::Full;
use tower_openai::client::{BoxHttpService, ClientBuilder};
use tower_openai::layers::{
    Auth, AuthLayer, Bearer, IdleTimeout, IdleTimeoutLayer, ProviderLayer, WithProvider,
};
use tower_openai::model::{Response, ResponseEvent, ResponseItem};
use tower_openai::provider::Provider;
use tower_openai::services::{
    ResponseMeta, Responses, ResponsesFuture, ResponsesLayer, ResponsesOptions, ResponsesRequest,
    TurnState,
};
use tower_openai::sse::{
    Decoder, RawEvent, RawEvents, ResponseAccumulator, ResponseStream, SseSource, StreamSettings,
    TextStream,
};
use tower_openai::transport::{HyperTransport, TransportError};
use tower_openai::{Client, Error, ErrorKind, RequestBody, ResponseBody, Stage};

const fn value<T: Clone + Send + Sync + Unpin + 'static>() {}
const fn moves<T: Send + Unpin + 'static>() {}
const fn travels<T: Send + Sync + 'static>() {}

const _: () = {
    value::<Client>();
    value::<BoxHttpService>();
    value::<Provider>();
    value::<RequestBody>();
    value::<ResponsesRequest>();
    value::<ResponsesOptions>();
    value::<TurnState>();
    value::<ResponseMeta>();
    value::<ResponseEvent>();
    value::<ResponseItem>();
    value::<Response>();
    value::<RawEvent>();
    value::<ResponseAccumulator>();
    value::<StreamSettings>();
    value::<ErrorKind>();
    value::<Stage>();
    // Layers and services, over a service of any kind.
    value::<ResponsesLayer>();
    value::<Responses<BoxHttpService>>();
    value::<Responses<HyperTransport>>();
    value::<WithProvider<HyperTransport>>();
    value::<ProviderLayer>();
    value::<Auth<HyperTransport, Bearer>>();
    value::<AuthLayer<Bearer>>();
    value::<IdleTimeout<HyperTransport>>();
    value::<IdleTimeoutLayer>();
    value::<HyperTransport>();
    // Streams and bodies.
    moves::<ResponseBody>();
    moves::<ResponseStream>();
    moves::<ResponseStream<SseSource<Full<Bytes>>>>();
    moves::<TextStream<SseSource<ResponseBody>>>();
    moves::<RawEvents<SseSource<ResponseBody>>>();
    moves::<Decoder>();
    moves::<ClientBuilder>();
    // Errors.
    travels::<Error>();
    travels::<TransportError>();
    assert!(size_of::<Error>() <= 16);
    assert!(size_of::<Result<(), Error>>() <= 16);
};

#[test]
fn futures_can_be_spawned() {
    fn spawnable<F: Future + Send + 'static>(_: &F) {}
    let client = Client::builder().base_url("http://127.0.0.1:1/v1").build().unwrap();
    let responses = client.responses();
    spawnable(&tower::ServiceExt::oneshot(responses.clone(), ResponsesRequest::new("m", "x")));
    spawnable(&async move {
        let stream = responses.stream_request(ResponsesRequest::new("m", "x")).await?;
        stream.final_response().await
    });
}

#[test]
fn futures_of_the_endpoint_box_nothing() {
    // The inner future lies within; what is added is bounded.
    type Inner = std::future::Ready<Result<http::Response<Full<Bytes>>, std::convert::Infallible>>;
    let added = size_of::<ResponsesFuture<Inner, Full<Bytes>>>() - size_of::<Inner>();
    assert!(added <= 512, "{added} bytes");
}
