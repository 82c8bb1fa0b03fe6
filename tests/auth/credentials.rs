//! What credentials send, and where they do not go.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tokio_test::assert_pending;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::auth::{
    Bearer, ChatGpt, Credentials, CredentialsError, HeaderCredentials, credentials_fn,
};
use tower_openai::layers::{ApiKey, AuthLayer, ProviderLayer, RetryLayer, RetryPolicy};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::{BoxError, Error, ErrorKind, RequestBody, Stage};

use crate::support::{Gate, ORIGIN, get, ours, own_error};

fn bearer(token: &str) -> Bearer {
    Bearer::new(token).unwrap()
}

fn slow_key(key: &'static str) -> impl Credentials<RequestBody, Future: Send> + Clone + Send {
    credentials_fn(move |mut request: Request<RequestBody>| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut value = HeaderValue::from_static(key);
        value.set_sensitive(true);
        request.headers_mut().insert("x-key", value);
        Ok(request)
    })
}

/// What `credentials` make of a request to our origin.
async fn headers_of<C>(credentials: C) -> Result<http::HeaderMap, BoxError>
where
    C: Credentials<RequestBody> + Clone,
{
    let gate = Gate::taking("none");
    let layer = AuthLayer::new(credentials).for_origin(ORIGIN)?;
    layer.layer(gate.clone()).oneshot(ours()).await?;
    Ok(gate.seen().remove(0))
}

#[tokio::test]
async fn header_credentials_send_what_they_hold_marked_as_sensitive() {
    let own = HeaderCredentials::new("x-gateway-key", "Scheme hidden").unwrap();
    let own = own.header("x-team", "hidden").unwrap();
    assert!(!format!("{own:?}").contains("hidden"));
    let headers = headers_of(own).await.unwrap();
    assert_eq!(headers["x-gateway-key"], "Scheme hidden");
    assert!(headers["x-gateway-key"].is_sensitive() && headers["x-team"].is_sensitive());

    for (name, value) in [("no name", "x"), ("x", ""), ("x", " "), ("x", "a\n"), ("x", "a\u{1}b")] {
        let error = HeaderCredentials::new(name, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build, "{name} {value:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn chatgpt_sends_the_account_beside_any_token() {
    let login = ChatGpt::new(bearer("hidden")).account_id("acc-hidden").unwrap().fedramp(true);
    assert!(!format!("{login:?}").contains("hidden"));
    let headers = headers_of(login).await.unwrap();
    assert_eq!(headers["authorization"], "Bearer hidden");
    assert_eq!(headers["chatgpt-account-id"], "acc-hidden");
    assert!(headers["chatgpt-account-id"].is_sensitive());
    assert_eq!(headers["x-openai-fedramp"], "true");

    let headers = headers_of(ChatGpt::new(bearer("t"))).await.unwrap();
    assert!(!headers.contains_key("chatgpt-account-id"));
    assert!(!headers.contains_key("x-openai-fedramp"));
    // A token that takes time.
    let slow = ChatGpt::new(slow_key("k")).account_id("acc").unwrap();
    let headers = headers_of(slow).await.unwrap();
    assert_eq!(
        (&headers["x-key"], &headers["chatgpt-account-id"]),
        (&"k".parse().unwrap(), &"acc".parse().unwrap())
    );
    assert!(ChatGpt::new(bearer("t")).account_id("a b").is_err());
}

#[tokio::test]
async fn a_credential_that_nobody_marked_is_kept_out_of_print_and_errors() {
    const KEY: &str = "opaque-4711-planted";
    let credentials = credentials_fn(|mut request: Request<RequestBody>| async move {
        let value = HeaderValue::try_from(format!("Bearer {KEY}")).unwrap();
        request.headers_mut().insert("authorization", value);
        request.headers_mut().insert("x-session-token", HeaderValue::from_static(KEY));
        request.headers_mut().insert("x-team", HeaderValue::from_static("open"));
        Ok(request)
    });
    let headers = headers_of(credentials).await.unwrap();
    assert!(!format!("{headers:?}").contains(KEY), "{headers:?}");
    assert!(!headers["x-team"].is_sensitive());

    let server = service_fn(|_: Request<RequestBody>| async {
        let body = format!(r#"{{"error":{{"message":"bad key {KEY}"}}}}"#);
        Ok::<_, Infallible>(Response::builder().status(401).body(Full::from(body)).unwrap())
    });
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::openai()))
        .layer(AuthLayer::new(credentials))
        .service(server);
    let error = stack.oneshot(ResponsesRequest::new("gpt", "hi")).await.unwrap_err();
    assert!(error.to_string().contains("bad key"), "{error}");
    assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
}

#[tokio::test]
async fn a_401_passes_whole_and_is_sent_once_without_refresh() {
    for status in [400, 401, 403, 404, 422] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let server = service_fn(move |_: Request<RequestBody>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut response = Response::new("whole");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            ready(Ok::<_, Infallible>(response))
        });
        let layer = AuthLayer::new(bearer("t")).for_origin(ORIGIN).unwrap();
        let response = layer.layer(server).oneshot(ours()).await.unwrap();
        assert_eq!((response.status().as_u16(), *response.body()), (status, "whole"));
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{status}");
    }
}

/// A request that does not say how it could be cloned.
struct Once;

#[tokio::test]
async fn credentials_at_hand_clone_neither_request_nor_service() {
    struct Only;
    impl Clone for Only {
        fn clone(&self) -> Self {
            panic!("cloned")
        }
    }
    impl Service<Request<Once>> for Only {
        type Response = Response<()>;
        type Error = Infallible;
        type Future = Ready<Result<Response<()>, Infallible>>;
        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn call(&mut self, request: Request<Once>) -> Self::Future {
            assert!(request.headers().contains_key("api-key"));
            ready(Ok(Response::new(())))
        }
    }
    let layer = AuthLayer::new(ApiKey::new("k").unwrap()).for_origin(ORIGIN).unwrap();
    let mut service = layer.layer(Only);
    let request = Request::get(ORIGIN).body(Once).unwrap();
    service.ready().await.unwrap().call(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn credentials_that_take_time_call_the_service_that_was_made_ready() {
    let gate = Gate::taking("none");
    let layer = AuthLayer::new(slow_key("k")).for_origin(ORIGIN).unwrap();
    let mut service = layer.layer(gate.clone());
    for _ in 0..2 {
        // `Gate` panics if it is not ready, and a clone is not.
        service.ready().await.unwrap().call(ours()).await.unwrap();
    }
    assert_eq!(gate.seen()[1]["x-key"], "k");
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_do_not_wait_for_one_another() {
    let gate = Gate::taking("none").delay(Duration::from_secs(1));
    let service = AuthLayer::new(slow_key("k")).for_origin(ORIGIN).unwrap().layer(gate.clone());
    let began = tokio::time::Instant::now();
    let calls = (0..50).map(|_| service.clone().oneshot(ours()));
    for result in futures_util::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn dropping_the_call_drops_what_authorises_it() {
    struct Held(Arc<()>);
    impl Credentials<RequestBody> for Held {
        type Future =
            std::pin::Pin<Box<dyn Future<Output = Result<Request<RequestBody>, CredentialsError>>>>;
        fn authorize(&self, _: Request<RequestBody>) -> Self::Future {
            let held = Arc::clone(&self.0);
            Box::pin(async move {
                let _held = held;
                pending().await
            })
        }
    }
    let held = Arc::new(());
    let layer = AuthLayer::new(Arc::new(Held(Arc::clone(&held)))).for_origin(ORIGIN).unwrap();
    let gate = Gate::taking("none");
    let mut call = tokio_test::task::spawn(layer.layer(gate.clone()).oneshot(ours()));
    assert_pending!(call.poll());
    assert_eq!(Arc::strong_count(&held), 3);
    drop(call);
    drop(layer);
    assert_eq!((Arc::strong_count(&held), gate.seen().len()), (1, 0));
}

#[tokio::test]
async fn failing_credentials_send_nothing_and_say_whether_to_try_again() {
    for (error, kind, retryable) in [
        (CredentialsError::transient("away"), ErrorKind::Transport, true),
        (CredentialsError::build("unusable"), ErrorKind::Build, false),
    ] {
        let gate = Gate::taking("none");
        let credentials = credentials_fn(|_: Request<RequestBody>| ready(Err(error.clone())));
        let layer = AuthLayer::new(credentials).for_origin(ORIGIN).unwrap();
        let found = own_error(layer.layer(gate.clone()).oneshot(ours()).await.unwrap_err());
        assert_eq!((found.kind(), found.stage()), (kind, Stage::NotSent));
        assert_eq!((found.is_retryable(), gate.seen().len()), (retryable, 0));
        let source = std::error::Error::source(&found).expect("a source");
        assert_eq!(source.downcast_ref::<CredentialsError>().unwrap().is_transient(), retryable);
    }
}

#[tokio::test]
async fn no_credentials_of_any_kind_go_to_another_origin() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let custom = credentials_fn(move |request: Request<RequestBody>| {
        counted.fetch_add(1, Ordering::SeqCst);
        ready(Ok(request))
    });
    let gate = Gate::taking("t");
    let custom = AuthLayer::new(custom).for_origin(ORIGIN).unwrap();
    let login = ChatGpt::new(bearer("t")).account_id("a").unwrap();
    let login = AuthLayer::new(login).for_origin(ORIGIN).unwrap();
    for uri in ["https://blobs.test/1", "http://gw.test/", "https://gw.test:444/"] {
        custom.layer(gate.clone()).oneshot(get(uri)).await.unwrap();
        login.layer(gate.clone()).oneshot(get(uri)).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(gate.seen().len(), 6);
    assert!(gate.seen().iter().all(http::HeaderMap::is_empty));
}

/// Follows redirects as a naive client does: the same headers to wherever it is sent.
async fn follow<S>(service: S, mut request: Request<RequestBody>) -> Vec<bool>
where
    S: Service<Request<RequestBody>, Response = Response<bool>, Error = BoxError> + Clone,
{
    let mut authorised = Vec::new();
    loop {
        let response = service.clone().oneshot(request.clone()).await.unwrap();
        authorised.push(*response.body());
        let Some(next) = response.headers().get("location") else { return authorised };
        *request.uri_mut() = next.to_str().unwrap().parse().unwrap();
    }
}

#[tokio::test]
async fn row_56_a_redirect_takes_credentials_along_within_the_origin_only() {
    let server = service_fn(|request: Request<RequestBody>| {
        let mut response = Response::new(request.headers().contains_key("api-key"));
        let next = match request.uri().to_string().as_str() {
            "https://gw.test/a" => Some("https://gw.test/b"),
            "https://gw.test/b" => Some("https://evil.test/c"),
            "https://evil.test/c" => Some("https://gw.test/d"),
            _ => None,
        };
        if let Some(next) = next {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert("location", HeaderValue::from_static(next));
        }
        ready(Ok::<_, Infallible>(response))
    });
    let provider = Provider::new("gw", ORIGIN).unwrap();
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider))
        .layer(AuthLayer::new(ApiKey::new("k").unwrap()))
        .service(server);
    assert_eq!(follow(stack, get("/a")).await, [true, true, false, true]);
}

#[tokio::test]
async fn a_request_with_too_many_headers_is_refused() {
    let mut request = ours();
    let filler = |n: usize| http::HeaderName::try_from(format!("x-{n}")).unwrap();
    let mut n = 0;
    while request.headers_mut().try_insert(filler(n), HeaderValue::from_static("1")).is_ok() {
        n += 1;
    }
    let login = ChatGpt::new(bearer("t")).account_id("a").unwrap();
    let gate = Gate::taking("t");
    let layer = AuthLayer::new(login).for_origin(ORIGIN).unwrap();
    let error: Error = own_error(layer.layer(gate.clone()).oneshot(request).await.unwrap_err());
    assert_eq!((error.kind(), gate.seen().len()), (ErrorKind::Build, 0));
}

/// Of two attempts: credentials that are away for a moment cost one, those that cannot be made end the
/// call.
#[tokio::test(start_paused = true)]
async fn credentials_that_fail_are_asked_again_if_that_may_help() {
    for (error, ok, asked, sent) in [
        (CredentialsError::transient("away"), true, 2, 1),
        (CredentialsError::build("unusable"), false, 1, 0),
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let (count, error) = (calls.clone(), std::sync::Mutex::new(Some(error)));
        let error = Arc::new(error);
        let credentials = credentials_fn(move |mut request: Request<RequestBody>| {
            count.fetch_add(1, Ordering::SeqCst);
            let value = HeaderValue::from_static("Bearer t");
            request.headers_mut().insert("authorization", value);
            ready(error.lock().unwrap().take().map_or(Ok(request), Err))
        });
        let gate = Gate::taking("t");
        let policy = RetryPolicy::default().max_retries(1).backoff([Duration::from_millis(1)]);
        let stack = ServiceBuilder::new()
            .layer(RetryLayer::new(policy))
            .layer(AuthLayer::new(credentials).for_origin(ORIGIN).unwrap())
            .service(gate.clone());
        assert_eq!(stack.oneshot(ours()).await.is_ok(), ok);
        assert_eq!((calls.load(Ordering::SeqCst), gate.seen().len()), (asked, sent));
    }
}
