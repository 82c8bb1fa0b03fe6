//! With tower's and tower-http's own layers, on either side.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::trace::TraceLayer;
use tower_openai::layers::AuthLayer;
use tower_openai::layers::auth::{
    Bearer, Cached, Credentials, RefreshCredentials, RefreshingAuthLayer,
};
use tower_openai::{BoxError, RequestBody};

use crate::support::{Answer, Gate, Numbered, ORIGIN, ours};

const MINUTE: Duration = Duration::from_secs(60);

type Erased = BoxCloneSyncService<Request<RequestBody>, Answer, BoxError>;

/// `layer` outside of credentials that are refreshed, and inside of them.
async fn either_side<L>(layer: L)
where
    L: Layer<Erased>,
    L::Service: Service<Request<RequestBody>> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<RequestBody>>>::Response: Into<Answer>,
    <L::Service as Service<Request<RequestBody>>>::Error: Into<BoxError>,
    <L::Service as Service<Request<RequestBody>>>::Future: Send,
{
    let auth = || -> RefreshingAuthLayer<Cached<Numbered>> {
        let auth = AuthLayer::new(Cached::new(Numbered::default()));
        auth.refresh_on_unauthorized().for_origin(ORIGIN).unwrap()
    };
    let erase = |gate: &Gate| -> Erased {
        let gate = ServiceExt::<Request<RequestBody>>::map_err(gate.clone(), BoxError::from);
        BoxCloneSyncService::new(gate)
    };
    let wrap = |inner: Erased| -> Erased {
        let service = layer.layer(inner).map_response(Into::into).map_err(Into::into);
        BoxCloneSyncService::new(service)
    };
    let inside = Gate::taking("token-2");
    let outside = Gate::taking("token-2");
    let stacks: [Erased; 2] = [
        wrap(BoxCloneSyncService::new(auth().layer(erase(&outside)))),
        BoxCloneSyncService::new(auth().layer(wrap(erase(&inside)))),
    ];
    for stack in stacks {
        let calls = (0..3).map(|_| stack.clone().oneshot(ours()));
        for response in futures_util::future::join_all(calls).await {
            assert_eq!(response.unwrap().status(), 200);
        }
    }
    for gate in [inside, outside] {
        assert_eq!(gate.tokens().last().unwrap(), "token-2");
    }
}

#[tokio::test]
async fn towers_timeout() {
    either_side(TimeoutLayer::new(MINUTE)).await;
}

#[tokio::test]
async fn towers_concurrency_limit() {
    // The permit of the first attempt is back before the second one wants it.
    either_side(ConcurrencyLimitLayer::new(1)).await;
}

#[tokio::test]
async fn towers_load_shed() {
    either_side(LoadShedLayer::new()).await;
}

#[tokio::test]
async fn towers_buffer() {
    either_side(BufferLayer::<Request<RequestBody>>::new(4)).await;
}

#[tokio::test]
async fn tower_https_set_header() {
    let name = HeaderName::from_static("x-own");
    either_side(SetRequestHeaderLayer::overriding(name, HeaderValue::from_static("1"))).await;
}

#[tokio::test]
async fn tower_https_trace_and_timeout() {
    let status = StatusCode::GATEWAY_TIMEOUT;
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(AuthLayer::new(Bearer::new("t").unwrap()).for_origin(ORIGIN).unwrap())
        .layer(tower_http::timeout::TimeoutLayer::with_status_code(status, MINUTE))
        .service(Gate::taking("t"));
    assert_eq!(stack.oneshot(ours()).await.unwrap().status(), 200);
    let stack = ServiceBuilder::new()
        .layer(AuthLayer::new(Cached::new(Numbered::default())).for_origin(ORIGIN).unwrap())
        .layer(TraceLayer::new_for_http())
        .service(Gate::taking("token-1"));
    assert_eq!(stack.oneshot(ours()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_service_fn_transport_and_bodies_of_any_type() {
    fn any<B, C: Credentials<B> + RefreshCredentials>(_: &C) {}
    let cached = Cached::new(Numbered::default());
    any::<(), _>(&cached);
    any::<String, _>(&cached);
    let transport = service_fn(|request: Request<&'static str>| {
        ready(Ok::<_, Infallible>(Response::new(request.into_body())))
    });
    let auth = AuthLayer::new(cached).for_origin(ORIGIN).unwrap().refresh_on_unauthorized();
    let request = Request::get(ORIGIN).body("any body").unwrap();
    assert_eq!(*auth.layer(transport).oneshot(request).await.unwrap().body(), "any body");
}

#[tokio::test]
async fn a_call_can_be_spawned() {
    let auth = AuthLayer::new(Cached::new(Numbered::default())).for_origin(ORIGIN).unwrap();
    let stack = auth.refresh_on_unauthorized().layer(Gate::taking("token-2"));
    let call = tokio::spawn(async move { stack.oneshot(ours()).await.map(|r| r.status()) });
    assert_eq!(call.await.unwrap().unwrap(), 200);
}
