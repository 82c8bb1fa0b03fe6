//! What callers may rely on at compile time: where the public types can go, and how large they are.

use bytes::Bytes;
use http_body_util::Full;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_openai::client::{BoxHttpService, ClientBuilder};
use tower_openai::layers::{
    Auth, AuthLayer, Bearer, IdleTimeout, IdleTimeoutLayer, ProviderLayer, Resume, ResumeLayer,
    WithProvider,
};
use tower_openai::model::{Response, ResponseEvent, ResponseItem};
use tower_openai::provider::Provider;
use tower_openai::services::{
    Conversations, ResponseMeta, Responses, ResponsesFuture, ResponsesLayer, ResponsesOptions,
    ResponsesRequest, RetrieveStream, RetrieveStreamRequest, TurnState,
};
use tower_openai::sse::{
    Decoder, RawEvent, RawEvents, ResponseAccumulator, ResponseStream, SseSource, StreamSettings,
    TextStream,
};
use tower_openai::transport::{HyperTransport, TransportError};
use tower_openai::{BoxError, Client, Error, ErrorKind, RequestBody, ResponseBody, Stage};

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
    value::<RetrieveStream<BoxHttpService>>();
    value::<RetrieveStreamRequest>();
    value::<Conversations<BoxHttpService>>();
    value::<Resume<Responses<BoxHttpService>, RetrieveStream<BoxHttpService>>>();
    value::<ResumeLayer<RetrieveStream<BoxHttpService>>>();
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

fn spawnable<F: Future + Send + 'static>(_: &F) {}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("m", "x")
}

#[test]
fn calls_through_the_preset_can_be_spawned() {
    let client = Client::builder().base_url("http://127.0.0.1:1/v1").build().unwrap();
    let responses = client.responses();
    spawnable(&responses.clone().oneshot(request()));
    spawnable(&async move {
        let stream = client.responses().stream_request(request()).await?;
        let mut responses = responses;
        drop(responses.ready().await?.call(request()).await?);
        stream.final_response().await
    });
}

#[test]
fn calls_through_a_stack_of_ones_own_can_be_spawned() {
    let stack = ServiceBuilder::new()
        .concurrency_limit(8)
        .timeout(std::time::Duration::from_secs(60))
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::openai()))
        .layer(AuthLayer::new(Bearer::new("sk-1").unwrap()))
        .layer(IdleTimeoutLayer::new(std::time::Duration::from_secs(60)))
        .service(HyperTransport::new().unwrap());
    spawnable(&async move {
        let mut stack = stack;
        let mut stream = stack.ready().await?.call(request()).await?;
        while let Some(event) = stream.try_next().await? {
            drop(event);
        }
        Ok::<_, BoxError>(())
    });
    let http = ServiceBuilder::new()
        .layer(ProviderLayer::new(Provider::openai()))
        .layer(IdleTimeoutLayer::new(std::time::Duration::from_secs(60)))
        .service(HyperTransport::new().unwrap());
    let responses = Responses::new(http);
    spawnable(&async move { responses.stream_request(request()).await?.text().collect().await });
}

#[test]
fn calls_through_a_boxed_stack_can_be_spawned() {
    let client = Client::builder().base_url("http://127.0.0.1:1/v1").build().unwrap();
    let boxed: BoxCloneSyncService<_, _, BoxError> = BoxCloneSyncService::new(client.http());
    let mut responses = Responses::new(boxed);
    spawnable(&async move {
        drop(responses.ready().await?.call(request()).await?);
        responses.stream_request(request()).await?.text().collect().await
    });
}

#[test]
fn futures_of_the_endpoint_box_nothing() {
    // The inner future lies within; what is added is bounded.
    type Inner = std::future::Ready<Result<http::Response<Full<Bytes>>, std::convert::Infallible>>;
    let added = size_of::<ResponsesFuture<Inner, Full<Bytes>>>() - size_of::<Inner>();
    assert!(added <= 512, "{added} bytes");
}
