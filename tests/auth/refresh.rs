//! One refresh and one more attempt after a 401.

use std::future::{Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{advance, sleep, timeout};
use tokio_test::assert_pending;
use tower::{Layer, Service, ServiceExt};
use tower_openai::layers::AuthLayer;
use tower_openai::layers::auth::{
    Cached, ChatGpt, Credentials, CredentialsError, RefreshCredentials, Refreshed, RefreshingAuth,
    RejectedCredential, Token, token_fn,
};
use tower_openai::{ErrorKind, RequestBody, Stage};

use crate::support::{Gate, Numbered, ORIGIN, get, ours, own_error};

type Stack = RefreshingAuth<Gate, Cached<Numbered>>;

fn stack(source: &Numbered, gate: &Gate) -> Stack {
    let auth = AuthLayer::new(Cached::new(source.clone())).for_origin(ORIGIN).unwrap();
    auth.refresh_on_unauthorized().layer(gate.clone())
}

/// A stack that holds `token-1`, and a gate that has stopped to take it.
async fn rejecting(source: &Numbered) -> (Stack, Gate) {
    let gate = Gate::taking("token-1");
    let service = stack(source, &gate);
    assert_eq!(service.clone().oneshot(ours()).await.unwrap().status(), 200);
    gate.take_only("token-2");
    (service, gate)
}

#[tokio::test]
async fn row_25_a_401_is_answered_with_one_refresh_and_one_more_attempt() {
    let source = Numbered::default();
    let (mut service, gate) = rejecting(&source).await;
    // `Gate` panics unless the service is ready before each of the two calls.
    let ready = ServiceExt::<Request<RequestBody>>::ready(&mut service).await.unwrap();
    let response = ready.call(ours()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(gate.tokens(), ["token-1", "token-1", "token-2"]);
    assert_eq!(source.counts(), (2, 2));
    // The second attempt is the same request, but for the credential.
    let [.., first, second] = &gate.seen()[..] else { panic!("three requests") };
    assert_eq!((first.len(), second.len()), (1, 1));
}

#[tokio::test]
async fn the_second_401_is_the_answer_and_is_returned_whole() {
    let source = Numbered::default();
    let gate = Gate::taking("nothing");
    let response = stack(&source, &gate).oneshot(ours()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "refused");
    assert_eq!(gate.tokens(), ["token-1", "token-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_brings_the_same_is_not_followed_by_another_attempt() {
    let source = Numbered::default();
    source.repeat();
    let (service, gate) = rejecting(&source).await;
    for round in 1..=2 {
        let response = service.clone().oneshot(ours()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "refused");
        assert_eq!((gate.seen().len(), source.counts().0), (1 + round, 1 + round));
        advance(Duration::from_secs(31)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_no_other_token_is_left_alone_for_a_while() {
    let source = Numbered::default();
    source.repeat();
    let (service, gate) = rejecting(&source).await;
    for _ in 0..20 {
        let response = service.clone().oneshot(ours()).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "refused");
    }
    assert_eq!((gate.seen().len(), source.counts().0), (21, 2));
    // Then it is asked, and what it has is used.
    advance(Duration::from_secs(31)).await;
    source.take(Duration::from_secs(1));
    gate.take_only("token-1");
    assert_eq!(service.clone().oneshot(ours()).await.unwrap().status(), 200);
    assert_eq!(source.counts().0, 2, "not while the token is taken");
    gate.take_only("token-2");
    let calls = (0..20).map(|_| service.clone().oneshot(ours()));
    for response in join_all(calls).await {
        assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(source.counts().0, 3, "once for all");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_401s_make_one_refresh() {
    let source = Numbered::taking(Duration::from_secs(1));
    let (service, gate) = rejecting(&source).await;
    // All have been sent before the first is answered.
    let gate = gate.delay(Duration::from_secs(1));
    let calls = (0..100).map(|_| service.clone().oneshot(ours()));
    for response in join_all(calls).await {
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(source.counts(), (2, 2));
    assert_eq!(gate.seen().len(), 1 + 2 * 100);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_fails_all_who_wait_and_is_asked_for_once() {
    for (error, kind) in [
        (CredentialsError::transient("away"), ErrorKind::Transport),
        (CredentialsError::build("gone"), ErrorKind::Build),
    ] {
        let source = Numbered::taking(Duration::from_secs(1));
        let (service, gate) = rejecting(&source).await;
        let gate = gate.delay(Duration::from_secs(1));
        source.fail(Some(error));
        let calls = (0..20).map(|_| service.clone().oneshot(ours()));
        for result in join_all(calls).await {
            let error = own_error(result.unwrap_err());
            // The server has seen this one.
            assert_eq!((error.kind(), error.stage()), (kind, Stage::Sent));
        }
        assert_eq!((source.counts(), gate.seen().len()), ((2, 2), 21));
        // What was rejected is not sent again; what comes next asks again.
        let error = own_error(service.clone().oneshot(ours()).await.unwrap_err());
        assert_eq!((error.kind(), error.stage()), (kind, Stage::NotSent));
        assert_eq!((source.counts(), gate.seen().len()), ((3, 3), 21));
        source.fail(None);
        gate.take_only("token-4");
        assert_eq!(service.oneshot(ours()).await.unwrap().status(), 200);
    }
}

/// A key that can be had so many times.
#[derive(Clone)]
struct Scarce(Arc<AtomicUsize>);

impl Credentials<RequestBody> for Scarce {
    type Future = Ready<Result<Request<RequestBody>, CredentialsError>>;

    fn authorize(&self, mut request: Request<RequestBody>) -> Self::Future {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 0 {
            return ready(Err(CredentialsError::build("no other key")));
        }
        let mut key = HeaderValue::from_static("hidden");
        key.set_sensitive(true);
        request.headers_mut().insert("x-key", key);
        ready(Ok(request))
    }
}

impl RefreshCredentials for Scarce {
    type Future = Ready<Result<Refreshed, CredentialsError>>;

    fn refresh(&self, _: RejectedCredential) -> Self::Future {
        ready(Ok(Refreshed::Replaced))
    }
}

/// Answers 401 to one request; then it is not ready, or fails.
#[derive(Clone)]
struct Closing {
    ready: bool,
    called: Arc<AtomicUsize>,
}

impl Service<Request<RequestBody>> for Closing {
    type Response = http::Response<()>;
    type Error = std::io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        let closed = !self.ready && self.called.load(Ordering::Relaxed) > 0;
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        std::task::Poll::Ready(if closed { Err(refused) } else { Ok(()) })
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        if self.called.fetch_add(1, Ordering::Relaxed) > 0 {
            return ready(Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        }
        let refused = http::Response::builder().status(StatusCode::UNAUTHORIZED).body(());
        ready(Ok(refused.unwrap()))
    }
}

#[tokio::test]
async fn what_fails_after_a_401_says_that_the_server_has_seen_the_request() {
    for (keys, ready, kind, calls) in [
        (1, true, ErrorKind::Build, 1),
        (2, false, ErrorKind::Connect, 1),
        (2, true, ErrorKind::Connect, 2),
    ] {
        let auth = AuthLayer::new(Scarce(Arc::new(AtomicUsize::new(keys))));
        let auth = auth.for_origin(ORIGIN).unwrap().refresh_on_unauthorized();
        let called = Arc::new(AtomicUsize::new(0));
        let stack = auth.layer(Closing { ready, called: Arc::clone(&called) });
        let error = own_error(stack.oneshot(ours()).await.unwrap_err());
        assert_eq!((error.kind(), error.stage()), (kind, Stage::Sent), "{error}");
        assert_eq!(called.load(Ordering::Relaxed), calls);
    }
    // Before it, nothing was sent.
    let auth = AuthLayer::new(Scarce(Arc::default())).for_origin(ORIGIN).unwrap();
    let stack = auth.refresh_on_unauthorized().layer(Gate::taking("nothing"));
    let error = own_error(stack.oneshot(ours()).await.unwrap_err());
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_dropped_hands_over() {
    let source = Numbered::taking(Duration::from_secs(10));
    let (service, gate) = rejecting(&source).await;
    let mut leader = tokio_test::task::spawn(service.clone().oneshot(ours()));
    assert_pending!(leader.poll());
    sleep(Duration::from_millis(1)).await;
    assert_pending!(leader.poll());
    assert_eq!(source.counts(), (2, 1), "the leader asks");
    let mut others: Vec<_> =
        (0..5).map(|_| tokio_test::task::spawn(service.clone().oneshot(ours()))).collect();
    for other in &mut others {
        assert_pending!(other.poll());
    }
    sleep(Duration::from_secs(1)).await;
    drop(leader);
    for other in &mut others {
        // The gate sleeps for nothing at all, but it does sleep.
        let response = timeout(Duration::from_secs(60), other).await.expect("handed over");
        assert_eq!(response.unwrap().status(), 200);
    }
    assert_eq!(source.counts(), (3, 2), "one gave up, one answered");
    assert_eq!(gate.tokens().last().unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_came_meanwhile_is_not_thrown_away() {
    let source = Numbered::default();
    let gate = Gate::taking("token-1");
    let service = stack(&source, &gate);
    service.clone().oneshot(ours()).await.unwrap();
    gate.take_only("token-2");
    // Its 401 is on the way for a long time.
    let late = stack_of(&service, gate.clone().delay(Duration::from_secs(60)));
    let mut late = tokio_test::task::spawn(late.oneshot(ours()));
    assert_pending!(late.poll());
    gate.clone().delay(Duration::ZERO);
    assert_eq!(service.clone().oneshot(ours()).await.unwrap().status(), 200);
    assert_eq!(source.counts(), (2, 2));
    advance(Duration::from_secs(61)).await;
    let response = timeout(Duration::from_secs(1), late).await.expect("the late answer");
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(source.counts(), (2, 2), "no second refresh");
    assert_eq!(gate.tokens(), ["token-1", "token-1", "token-2", "token-1", "token-2"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_asked_for_before_the_401_does_not_make_up_for_it() {
    let second = Duration::from_secs(1);
    for given_up in [false, true] {
        let source = Numbered::default().living(Duration::from_secs(60));
        let (service, gate) = rejecting(&source).await;
        // Asked early, by a call that will have its answer only after another's 401. That answer
        // was on its way before the source knew of the new token.
        advance(31 * second).await;
        source.take(4 * second);
        source.repeat_once();
        let early = tokio::spawn(service.clone().oneshot(ours()));
        sleep(second).await;
        let late = tokio::spawn(service.clone().oneshot(ours()));
        sleep(second).await;
        assert_eq!((source.counts(), gate.tokens().len()), ((2, 1), 2), "one 401, one question");
        if given_up {
            early.abort();
        } else {
            assert_eq!(early.await.unwrap().unwrap().status(), 200);
        }
        let response = timeout(60 * second, late).await.expect("an end").unwrap().unwrap();
        assert_eq!(response.status(), 200, "given up: {given_up}");
        assert_eq!(source.counts().0, 3, "once more");
        assert!(!gate.tokens()[2..].contains(&"token-1".to_owned()), "{:?}", gate.tokens());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_asked_for_before_the_401_is_taken_if_it_is_another() {
    let second = Duration::from_secs(1);
    let source = Numbered::default().living(Duration::from_secs(60));
    let (service, gate) = rejecting(&source).await;
    advance(31 * second).await;
    source.take(4 * second);
    let early = tokio::spawn(service.clone().oneshot(ours()));
    sleep(second).await;
    assert_eq!(service.oneshot(ours()).await.unwrap().status(), 200);
    assert_eq!(early.await.unwrap().unwrap().status(), 200);
    assert_eq!(source.counts(), (2, 2));
    assert_eq!(gate.tokens()[1..3], ["token-1", "token-2"]);
}

/// The same credentials over another gate.
fn stack_of(service: &Stack, gate: Gate) -> Stack {
    let mut other = service.clone();
    *other.get_mut() = gate;
    other
}

#[tokio::test]
async fn chatgpt_refreshes_what_it_wraps() {
    let source = Numbered::default();
    let gate = Gate::taking("token-2");
    let login = ChatGpt::new(Cached::new(source.clone())).account_id("acc").unwrap();
    let auth = AuthLayer::new(login).refresh_on_unauthorized().for_origin(ORIGIN).unwrap();
    let response = auth.layer(gate.clone()).oneshot(ours()).await.unwrap();
    assert_eq!((response.status().as_u16(), source.counts()), (200, (2, 2)));
    assert!(gate.seen().iter().all(|headers| headers["chatgpt-account-id"] == "acc"));
}

#[tokio::test]
async fn a_401_of_another_origin_passes_without_a_refresh() {
    let source = Numbered::default();
    let gate = Gate::taking("token-1");
    let service = stack(&source, &gate);
    let response = service.clone().oneshot(get("https://blobs.test/1")).await.unwrap();
    assert_eq!((response.status(), source.counts()), (StatusCode::UNAUTHORIZED, (0, 0)));
    assert_eq!(gate.tokens(), ["none"]);
    let error = own_error(service.oneshot(get("/relative")).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Build);
}

/// A signer: another signature each time; the key id tells which key was refused.
#[derive(Clone, Default)]
struct Signer(Arc<Mutex<(u32, Vec<RejectedCredential>)>>);

impl Credentials<RequestBody> for Signer {
    type Future = Ready<Result<Request<RequestBody>, CredentialsError>>;

    fn authorize(&self, mut request: Request<RequestBody>) -> Self::Future {
        assert!(!request.headers().contains_key("x-signature"), "signed twice");
        let key = self.0.lock().unwrap().0;
        let mut signature = HeaderValue::try_from(format!("signature by {key}")).unwrap();
        signature.set_sensitive(true);
        request.headers_mut().insert("x-signature", signature);
        request.headers_mut().insert("x-key-id", HeaderValue::from(key));
        ready(Ok(request))
    }
}

impl RefreshCredentials for Signer {
    type Future = Ready<Result<Refreshed, CredentialsError>>;

    fn refresh(&self, rejected: RejectedCredential) -> Self::Future {
        let mut state = self.0.lock().unwrap();
        state.0 += 1;
        state.1.push(rejected);
        ready(Ok(Refreshed::Replaced))
    }
}

#[tokio::test]
async fn a_refresh_is_told_the_sensitive_values_that_were_added_and_no_others() {
    let signer = Signer::default();
    let auth = AuthLayer::new(signer.clone()).for_origin(ORIGIN).unwrap();
    let mut request = ours();
    let mut cookie = HeaderValue::from_static("the caller's");
    cookie.set_sensitive(true);
    request.headers_mut().insert("cookie", cookie);
    let gate = Gate::taking("nothing");
    auth.refresh_on_unauthorized().layer(gate.clone()).oneshot(request).await.unwrap();
    let rejected = signer.0.lock().unwrap().1.clone();
    let headers: Vec<_> = rejected[0].iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(headers, [("x-signature", &HeaderValue::from_static("signature by 0"))]);
    assert!(!format!("{rejected:?}").contains("signature by"), "{rejected:?}");
    assert_eq!((rejected.len(), gate.seen()[1]["x-key-id"].clone()), (1, "1".parse().unwrap()));
}

/// Forgets to mark what it adds.
#[derive(Clone, Default)]
struct Unmarked(Arc<Mutex<Vec<RejectedCredential>>>);

impl Credentials<RequestBody> for Unmarked {
    type Future = Ready<Result<Request<RequestBody>, CredentialsError>>;

    fn authorize(&self, mut request: Request<RequestBody>) -> Self::Future {
        request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer opaque"));
        request.headers_mut().insert("x-team", HeaderValue::from_static("open"));
        ready(Ok(request))
    }
}

impl RefreshCredentials for Unmarked {
    type Future = Ready<Result<Refreshed, CredentialsError>>;

    fn refresh(&self, rejected: RejectedCredential) -> Self::Future {
        self.0.lock().unwrap().push(rejected);
        ready(Ok(Refreshed::Unchanged))
    }
}

#[tokio::test]
async fn a_refresh_is_told_a_credential_that_nobody_marked() {
    let credentials = Unmarked::default();
    let auth = AuthLayer::new(credentials.clone()).for_origin(ORIGIN).unwrap();
    let mut request = ours();
    request.headers_mut().insert("cookie", HeaderValue::from_static("the caller's"));
    let gate = Gate::taking("nothing");
    auth.refresh_on_unauthorized().layer(gate.clone()).oneshot(request).await.unwrap();
    let rejected = credentials.0.lock().unwrap().remove(0);
    let headers: Vec<_> = rejected.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(headers, [("authorization", &HeaderValue::from_static("Bearer opaque"))]);
    assert!(gate.seen()[0]["authorization"].is_sensitive());
}

#[tokio::test]
async fn the_401_is_let_go_of_before_the_service_is_asked_again() {
    // A permit per response, as a limit on open streams has it.
    let source = Numbered::default();
    let gate = Gate::taking("token-2");
    let limited = OneAtATime {
        inner: gate.clone(),
        permits: Arc::new(tokio::sync::Semaphore::new(1)),
        permit: None,
    };
    let auth = AuthLayer::new(Cached::new(source)).for_origin(ORIGIN).unwrap();
    let call = auth.refresh_on_unauthorized().layer(limited).oneshot(ours());
    let response = timeout(Duration::from_secs(5), call).await.expect("no deadlock").unwrap();
    assert_eq!(response.status(), 200);
}

/// Ready while no response is open.
struct OneAtATime {
    inner: Gate,
    permits: Arc<tokio::sync::Semaphore>,
    permit: Option<Arc<tokio::sync::OwnedSemaphorePermit>>,
}

impl Clone for OneAtATime {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), permits: Arc::clone(&self.permits), permit: None }
    }
}

impl Service<Request<RequestBody>> for OneAtATime {
    type Response = crate::support::Answer;
    type Error = std::convert::Infallible;
    type Future = futures_util::future::Map<
        <Gate as Service<Request<RequestBody>>>::Future,
        Box<
            dyn FnOnce(
                    Result<crate::support::Answer, Self::Error>,
                ) -> Result<crate::support::Answer, Self::Error>
                + Send,
        >,
    >;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        if self.permit.is_none() {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                return std::task::Poll::Pending;
            };
            self.permit = Some(Arc::new(permit));
        }
        Service::<Request<RequestBody>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        use futures_util::FutureExt;
        let permit = self.permit.take().expect("ready");
        self.inner.call(request).map(Box::new(|result| {
            result.map(|mut response| {
                response.extensions_mut().insert(permit);
                response
            })
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_it_refreshes_leaves_nothing_behind() {
    let source = Numbered::taking(Duration::from_secs(10));
    let (service, gate) = rejecting(&source).await;
    let mut call = tokio_test::task::spawn(service.clone().oneshot(ours()));
    assert_pending!(call.poll());
    drop(call);
    let response = timeout(Duration::from_secs(20), service.oneshot(ours())).await.unwrap();
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(gate.tokens().last().unwrap(), "token-2");
}

#[tokio::test]
async fn a_closure_is_a_source_too() {
    let source = token_fn(|| ready(Token::new("token-2")));
    let auth = AuthLayer::new(Cached::new(source)).for_origin(ORIGIN).unwrap();
    let service = auth.layer(Gate::taking("token-2"));
    assert_eq!(service.oneshot(ours()).await.unwrap().status(), 200);
}
