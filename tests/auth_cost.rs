//! What credentials at hand cost: no allocation beside that of the header itself. A process of its
//! own, and one test, because the allocator is the process's.

use std::alloc::System;
use std::convert::Infallible;
use std::future::{Ready, ready};

use futures_util::FutureExt;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};
use tower_openai::layers::AuthLayer;
use tower_openai::layers::auth::{Bearer, Cached, ChatGpt, Credentials, Token, token_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many allocations one call makes, once everything is warm.
fn allocations<S: Service<Request<()>>>(service: &mut S) -> usize {
    let request = || {
        let builder = Request::get("https://gw.test/responses");
        builder.header("accept", "x").header("content-type", "x").body(()).unwrap()
    };
    for _ in 0..2 {
        drop(service.call(request()).now_or_never().expect("never pending"));
    }
    let request = request();
    let region = Region::new(ALLOCATOR);
    drop(service.call(request).now_or_never().expect("never pending"));
    region.change().allocations
}

/// The same of a stack with these credentials, which are for `origin`.
fn with<C: Credentials<()> + Clone>(credentials: C, origin: &str) -> usize {
    let layer = AuthLayer::new(credentials).for_origin(origin).unwrap();
    allocations(&mut layer.layer(service_fn(answer)))
}

fn answer(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    ready(Ok(Response::new(())))
}

#[test]
fn credentials_at_hand_allocate_no_more_than_their_header() {
    const ORIGIN: &str = "https://gw.test";
    let key = HeaderValue::from_static("Bearer t");
    let bare = allocations(&mut service_fn(move |mut request: Request<()>| {
        request.headers_mut().insert(AUTHORIZATION, key.clone());
        answer(request)
    }));
    let bearer = Bearer::new("t").unwrap();
    assert_eq!(with(bearer.clone(), ORIGIN), bare);
    assert_eq!(with(ChatGpt::new(bearer.clone()), ORIGIN), bare);
    assert_eq!(with(Cached::new(token_fn(|| ready(Token::new("t")))), ORIGIN), bare);
    // Where it does not go there is not even the header.
    assert_eq!(with(bearer, "https://other.test"), 0);
}
