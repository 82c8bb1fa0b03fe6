//! What every layer of the HTTP level has to keep to.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_openai::{BoxError, RequestBody};

pub(crate) type Sent = Request<RequestBody>;
pub(crate) type Answer = Response<Full<Bytes>>;

/// The transport of these tests: it says `hello`.
pub(crate) async fn hello(_: Sent) -> Result<Answer, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

pub(crate) fn get() -> Sent {
    Request::get("https://api.test/v1").body(RequestBody::empty()).unwrap()
}

/// Must be made ready before each call; a clone starts unready.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Sent> for Probe {
    type Response = Answer;
    type Error = BoxError;
    type Future = Ready<Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Sent) -> Self::Future {
        let answer = std::mem::take(&mut self.ready).then(|| Response::new(Full::from("hello")));
        ready(answer.ok_or_else(|| "called before it was ready".into()))
    }
}

/// Calls the very service that was made ready, which a clone is not.
pub(crate) async fn calls_what_was_made_ready<L, RB>(layer: L)
where
    L: Layer<Probe>,
    L::Service: Service<Sent, Response = Response<RB>> + Clone,
{
    let mut service = layer.layer(Probe::default());
    for _ in 0..2 {
        assert!(service.ready().await.is_ok());
        let mut unready = service.clone();
        assert!(service.call(get()).await.is_ok());
        assert!(unready.call(get()).await.is_err(), "a clone is not ready");
    }
}

/// Calls on clones take the time of one, and each begins when it is made.
pub(crate) async fn runs_calls_side_by_side<L, RB>(layer: L)
where
    L: Layer<BoxHttp>,
    L::Service: Service<Sent, Response = Response<RB>> + Clone,
{
    let slow = service_fn(|request| async {
        sleep(Duration::from_secs(1)).await;
        hello(request).await
    });
    let service = layer.layer(BoxHttp::new(slow));
    let start = Instant::now();
    let calls = (0..8).map(|_| service.clone().oneshot(get()));
    for answer in futures_util::future::join_all(calls).await {
        assert!(answer.is_ok());
    }
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

/// Any transport.
pub(crate) type BoxHttp = tower::util::BoxCloneSyncService<Sent, Answer, Infallible>;

/// Dropping the future drops the call inside.
pub(crate) async fn cancels_by_dropping<L, RB>(layer: L)
where
    L: Layer<BoxHttp>,
    L::Service: Service<Sent, Response = Response<RB>>,
{
    let open = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&open);
    let hanging = service_fn(move |_| {
        let held = Held::new(&seen);
        async move {
            let _held = held;
            pending().await
        }
    });
    let mut service = layer.layer(BoxHttp::new(hanging));
    let Ok(service) = service.ready().await else { panic!("not ready") };
    let mut call = tokio_test::task::spawn(service.call(get()));
    assert!(call.poll().is_pending());
    assert_eq!(open.load(Ordering::Relaxed), 1);
    drop(call);
    assert_eq!(open.load(Ordering::Relaxed), 0);
}

struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stack answers twice, whole.
pub(crate) async fn answers<S, RB>(name: &str, mut stack: S)
where
    S: Service<Sent, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    for _ in 0..2 {
        let ready = stack.ready().await.map_err(Into::into);
        let answer = ready.unwrap_or_else(|e| panic!("{name}: {e}")).call(get()).await;
        let answer = answer.map_err(Into::into).unwrap_or_else(|e| panic!("{name}: {e}"));
        let body = answer.into_body().collect().await.map_err(Into::into);
        assert_eq!(body.unwrap_or_else(|e| panic!("{name}: {e}")).to_bytes(), "hello", "{name}");
    }
}

/// The layer under and over tower's and tower-http's.
macro_rules! composes {
    ($layer:expr) => {{
        use http::{HeaderValue, StatusCode, header::ACCEPT};
        use std::time::Duration;
        use tower::{ServiceBuilder, service_fn};
        use tower_http::set_header::SetRequestHeaderLayer;
        use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};
        use tower_http::trace::TraceLayer;
        use $crate::layer::{answers, hello};

        let limit = Duration::from_secs(5);
        let stack = ServiceBuilder::new;
        let http = || service_fn(hello);
        answers("alone", stack().layer($layer).service(http())).await;

        answers("timeout over", stack().timeout(limit).layer($layer).service(http())).await;
        answers("timeout under", stack().layer($layer).timeout(limit).service(http())).await;
        answers("limit over", stack().concurrency_limit(1).layer($layer).service(http())).await;
        answers("limit under", stack().layer($layer).concurrency_limit(1).service(http())).await;
        answers("shed over", stack().load_shed().layer($layer).service(http())).await;
        answers("shed under", stack().layer($layer).load_shed().service(http())).await;
        answers("buffer over", stack().buffer(1).layer($layer).service(http())).await;
        answers("buffer under", stack().layer($layer).buffer(1).service(http())).await;

        let trace = TraceLayer::new_for_http;
        answers("trace over", stack().layer(trace()).layer($layer).service(http())).await;
        answers("trace under", stack().layer($layer).layer(trace()).service(http())).await;
        let set = || SetRequestHeaderLayer::overriding(ACCEPT, HeaderValue::from_static("*/*"));
        answers("set-header over", stack().layer(set()).layer($layer).service(http())).await;
        answers("set-header under", stack().layer($layer).layer(set()).service(http())).await;
        let body = || ResponseBodyTimeoutLayer::new(limit);
        answers("body timeout over", stack().layer(body()).layer($layer).service(http())).await;
        answers("body timeout under", stack().layer($layer).layer(body()).service(http())).await;
        let head = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit);
        answers("http timeout over", stack().layer(head).layer($layer).service(http())).await;
        answers("http timeout under", stack().layer($layer).layer(head).service(http())).await;
    }};
}
pub(crate) use composes;
