//! Telemetry that nobody listens to costs nothing, nor does a clock that never has to wait. A process
//! of its own, because it counts all allocations, and without a subscriber.

use std::alloc::System;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_openai::layers::IdleTimeoutLayer;
use tower_openai::layers::telemetry::{AttemptLayer, Observe, TelemetryLayer};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: usize = 100;

fn answer(_: Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::from("text"))))
}

/// How many allocations `CALLS` calls make, their bodies read.
fn allocations<S, RB>(mut service: S) -> usize
where
    S: Service<Request<()>, Response = Response<RB>>,
    RB: Body + Unpin,
{
    let mut call = || {
        let Ok(response) = service.call(Request::new(())).now_or_never().expect("ready") else {
            panic!("no error")
        };
        let mut body = response.into_body();
        while let Some(frame) = body.frame().now_or_never().expect("ready") {
            assert!(black_box(frame).is_ok());
        }
    };
    call();
    let region = Region::new(ALLOCATOR);
    for _ in 0..CALLS {
        call();
    }
    region.change().allocations
}

/// Wants to know.
#[derive(Clone)]
struct Curious;

impl Observe for Curious {}

// One test: others would allocate beside it.
#[test]
fn without_anyone_listening_nothing_is_allocated() {
    let transport = || service_fn(answer);
    assert_eq!(allocations(transport()), 0, "the transport itself");
    assert_eq!(allocations(TelemetryLayer::new().layer(transport())), 0);
    assert_eq!(allocations(TelemetryLayer::new().observe(None::<Curious>).layer(transport())), 0);
    assert_eq!(allocations(AttemptLayer::new().layer(transport())), 0);
    let both = ServiceBuilder::new()
        .layer(TelemetryLayer::new().record_content(true))
        .layer(AttemptLayer::new())
        .service(transport());
    assert_eq!(allocations(both), 0);

    // Neither does a clock before the first wait.
    let minute = Duration::from_secs(60);
    assert_eq!(allocations(IdleTimeoutLayer::new(minute).layer(transport())), 0);
    assert_eq!(allocations(IdleTimeoutLayer::disabled().layer(transport())), 0);

    // What is counted can be counted.
    assert!(allocations(TelemetryLayer::new().observe(Curious).layer(transport())) >= CALLS);
    assert!(allocations(AttemptLayer::new().observe(Curious).layer(transport())) >= CALLS);
}
