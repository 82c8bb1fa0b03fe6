//! The clock of response heads, on a paused clock.

#[path = "support/layer.rs"]
mod layer;

use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready_ok, task::spawn};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_openai::extensions::{Attempt, StreamTimeouts};
use tower_openai::layers::{HeadTimeout, HeadTimeoutError, HeadTimeoutLayer};
use tower_openai::{BoxError, Error, ErrorKind, Stage};

const LIMIT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An HTTP service whose heads take so long.
fn late(
    delay: Duration,
) -> impl Service<layer::Sent, Response = Response<()>, Error = io::Error, Future: Send> + Clone {
    service_fn(move |_: layer::Sent| async move {
        sleep(delay).await;
        Ok(Response::new(()))
    })
}

fn head_error(error: BoxError) -> HeadTimeoutError {
    *error.downcast().expect("a head timeout")
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_comes_is_an_error_at_the_limit() {
    let start = Instant::now();
    let call = HeadTimeoutLayer::new(LIMIT).layer(late(DAY)).oneshot(layer::get());
    let error = head_error(call.await.map(drop).unwrap_err());
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!((error.limit(), error.attempt()), (LIMIT, 1));
    assert_eq!(error.to_string(), "no response head within 60s, the head limit, on attempt 1");

    let error = Error::from(BoxError::from(error));
    assert_eq!((error.kind(), error.stage()), (ErrorKind::HeadTimeout, Stage::Unknown));
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn the_error_names_the_attempt() {
    let mut request = layer::get();
    request.extensions_mut().insert(Attempt::FIRST.next().next());
    let call = HeadTimeout::new(late(DAY), LIMIT).oneshot(request);
    assert_eq!(head_error(call.await.map(drop).unwrap_err()).attempt(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_there_is_taken_however_late() {
    let mut service = HeadTimeout::new(late(LIMIT - TICK), LIMIT);
    assert_ready_ok!(spawn(service.ready()).poll());
    let mut call = spawn(service.call(layer::get()));
    assert_pending!(call.poll());
    // Nobody polls while both come due.
    sleep(LIMIT * 2).await;
    assert_ready_ok!(call.poll());
}

#[tokio::test(start_paused = true)]
async fn the_body_is_not_limited() {
    let http = service_fn(async |_: layer::Sent| {
        sleep(LIMIT - TICK).await;
        Ok::<_, io::Error>(Response::new(Full::<Bytes>::from("hello")))
    });
    let answer = HeadTimeout::new(http, LIMIT).oneshot(layer::get()).await.unwrap();
    sleep(DAY).await;
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "hello");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_inside_is_passed_on() {
    let broken =
        service_fn(async |_: layer::Sent| Err::<(), _>(io::Error::other("the service's own")));
    let error = HeadTimeout::new(broken, LIMIT).oneshot(layer::get()).await.unwrap_err();
    assert!(error.is::<io::Error>(), "{error}");
}

/// Seconds until a call fails whose head does not come for a day; `None` if it is waited for.
async fn limit_of(layer: HeadTimeoutLayer, own: Option<StreamTimeouts>) -> Option<u64> {
    let mut request = layer::get();
    if let Some(own) = own {
        request.extensions_mut().insert(own);
    }
    let start = Instant::now();
    match layer.layer(late(DAY)).oneshot(request).await {
        Ok(_) => None,
        Err(error) => {
            assert_eq!(head_error(error).limit(), start.elapsed());
            Some(start.elapsed().as_secs())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_can_bring_its_own_limit() {
    let (layer, off) = (HeadTimeoutLayer::new(LIMIT), HeadTimeoutLayer::disabled());
    let own = |seconds| Some(StreamTimeouts::new().head(Duration::from_secs(seconds)));
    assert_eq!(limit_of(layer, None).await, Some(60));
    assert_eq!(limit_of(layer, own(2)).await, Some(2));
    assert_eq!(limit_of(layer, own(600)).await, Some(600));
    assert_eq!(limit_of(layer, own(0)).await, None);
    assert_eq!(limit_of(layer, own(u64::MAX)).await, None);
    // Limits of other clocks leave this one alone.
    assert_eq!(limit_of(layer, Some(StreamTimeouts::new().idle(TICK))).await, Some(60));
    assert_eq!(limit_of(off, None).await, None);
    assert_eq!(limit_of(off, own(7)).await, Some(7));
    assert_eq!(limit_of(HeadTimeoutLayer::new(Duration::ZERO), None).await, None);
}

#[test]
fn a_call_that_is_never_pending_needs_no_runtime() {
    let http = service_fn(|_: layer::Sent| async { Ok::<_, io::Error>(Response::new(())) });
    assert_ready_ok!(spawn(HeadTimeout::new(http, LIMIT).call(layer::get())).poll());
}

#[test]
fn off_needs_no_runtime_even_when_pending() {
    let http = service_fn(|_: layer::Sent| pending::<io::Result<Response<()>>>());
    let mut service = HeadTimeoutLayer::disabled().layer(http);
    assert_pending!(spawn(service.call(layer::get())).poll());
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_the_contract() {
    let limit = || HeadTimeout::layer(LIMIT);
    layer::calls_what_was_made_ready(limit()).await;
    layer::runs_calls_side_by_side(limit()).await;
    layer::cancels_by_dropping(limit()).await;
}

#[tokio::test(start_paused = true)]
async fn it_composes_with_other_layers() {
    layer::composes!(HeadTimeoutLayer::new(LIMIT));
}

#[test]
fn it_is_what_it_promises() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>(_: &T) {}
    promised(&HeadTimeoutLayer::new(LIMIT));
    promised(&HeadTimeout::new((), LIMIT));
    assert_eq!(HeadTimeout::layer(LIMIT).layer(3).into_inner(), 3);
}
