//! Requests that are sent again because their stream failed before anything of the answer had come.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{ServiceBuilder, ServiceExt};
use tower_openai::extensions::{Deadline, StreamObservers, StreamTimeouts};
use tower_openai::layers::stream_retry::StreamRetrySettings;
use tower_openai::layers::{
    ResumeLayer, ResumePolicy, StreamRetry, StreamRetryLayer, StreamRetryPolicy,
};
use tower_openai::model::ResponseEvent;
use tower_openai::services::{Responses, ResponsesRequest, RetrieveStream};
use tower_openai::sse::{RawEvent, ResponseStream, StreamEnd, StreamObserver};
use tower_openai::testing::{Script, Server};
use tower_openai::{Client, Error, ErrorKind, Stage};
use tower_test::mock;

use crate::support::{Cut, EVENTS, Play, events, played, read, server, whole};

const SECOND: Duration = Duration::from_secs(1);

/// A second between tries, two retries.
fn policy() -> StreamRetryPolicy {
    StreamRetryPolicy::default().backoff([SECOND; 100])
}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("m", "hi")
}

/// `response.created` of this response.
fn created(id: &str) -> Value {
    json!({"type": "response.created", "sequence_number": 0, "response": {"id": id, "output": []}})
}

/// A response that is created and fails with this code.
fn fails(code: &str) -> Play {
    let failed = json!({"type": "response.failed", "sequence_number": 1,
        "response": {"id": "resp_0", "error": {"code": code, "message": "no"}}});
    Play::Events(vec![created("resp_0"), failed], Cut::Clean)
}

/// What comes of these connections: how many events, how many retries, the error, in which time.
async fn outcome(
    plays: impl IntoIterator<Item = Play>,
    policy: StreamRetryPolicy,
    request: ResponsesRequest,
) -> (Vec<ResponseEvent>, usize, Option<Error>, Duration) {
    let (http, log) = server(plays);
    let start = Instant::now();
    let responses = StreamRetry::new(Responses::new(http)).policy(policy);
    let stream = responses.stream_request(request).await.unwrap();
    let (seen, error) = read(stream).await;
    let sent = log.lock().unwrap();
    let bodies: Vec<_> = sent.iter().map(|request| request.body().as_bytes().cloned()).collect();
    assert!(bodies.iter().all(|body| body == &bodies[0] && body.is_some()), "the same each time");
    (seen, sent.len() - 1, error, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_answer_is_made_good_by_the_next_response() {
    let error_event = json!({"type": "error", "code": "server_error", "message": "no"});
    let first = |cut| Play::Events(vec![created("resp_0")], cut);
    for (failure, before) in [
        (fails("server_error"), 1),
        (fails("rate_limit_exceeded"), 1),
        (Play::Events(vec![error_event], Cut::Clean), 0),
        (first(Cut::Clean), 1),
        (first(Cut::Reset), 1),
        (first(Cut::Stall), 1),
        (Play::Events(vec![], Cut::Clean), 0),
        (Play::Events(vec![], Cut::Stall), 0),
    ] {
        let shown = format!("{failure:?}");
        let plays = [failure, Play::From(0)];
        let request = request().timeouts(StreamTimeouts::new().progress(SECOND));
        let (seen, retries, error, _) = outcome(plays, policy(), request).await;
        assert!(error.is_none(), "{shown}: {error:?}");
        assert_eq!((seen.len(), retries), (before + EVENTS, 1), "{shown}");
        assert_eq!(seen[before..], whole(), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_once_there_is_something_of_the_answer() {
    // The fourth event adds an item.
    for (cut, kind) in [(Cut::Clean, ErrorKind::Truncated), (Cut::Reset, ErrorKind::Transport)] {
        let (seen, retries, error, _) = outcome([Play::Cut(0, 4, cut)], policy(), request()).await;
        assert_eq!((seen.len(), retries), (4, 0));
        let error = error.unwrap();
        assert_eq!((error.kind(), error.stage()), (kind, Stage::Streaming));
        assert!(!error.is_retryable(), "what was read would come twice: {error}");
    }
    let mut failed = events()[..4].to_vec();
    failed.push(json!({"type": "response.failed", "sequence_number": 4,
        "response": {"id": "resp_1", "error": {"code": "server_error", "message": "no"}}}));
    let plays = [Play::Events(failed, Cut::Clean)];
    let (seen, retries, error, _) = outcome(plays, policy(), request()).await;
    assert_eq!((seen.len(), retries), (4, 0));
    assert_eq!(error.unwrap().kind(), ErrorKind::Server);
}

#[tokio::test(start_paused = true)]
async fn what_another_try_does_not_get_past_is_the_end_at_once() {
    for (code, kind) in [
        ("context_length_exceeded", ErrorKind::ContextWindow),
        ("insufficient_quota", ErrorKind::Quota),
        ("invalid_prompt", ErrorKind::InvalidRequest),
    ] {
        let (seen, retries, error, waited) = outcome([fails(code)], policy(), request()).await;
        assert_eq!((seen.len(), retries, waited), (1, 0, Duration::ZERO), "{code}");
        assert_eq!(error.unwrap().kind(), kind);
    }
    // Nor is a refusal of the call that was sent again.
    let plays = [fails("server_error"), Play::Status(401, "", "")];
    let (_, retries, error, _) = outcome(plays, policy(), request()).await;
    assert_eq!((retries, error.unwrap().kind()), (1, ErrorKind::Auth));
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_as_often_as_the_policy_says_and_the_last_error_is_told() {
    let overloaded = || Play::Status(503, "", "");
    let plays = [fails("server_error"), fails("server_error"), overloaded()];
    let (seen, retries, error, waited) = outcome(plays, policy(), request()).await;
    assert_eq!((seen.len(), retries, waited), (2, 2, 2 * SECOND));
    assert_eq!(error.unwrap().status().unwrap().as_u16(), 503);

    let (_, retries, error, _) =
        outcome([fails("server_error")], StreamRetryPolicy::none(), request()).await;
    assert_eq!((retries, error.unwrap().kind()), (0, ErrorKind::Server));

    let once = policy().backoff([Duration::ZERO]);
    let plays = [fails("server_error"), fails("server_error")];
    assert_eq!(outcome(plays, once, request()).await.1, 1, "where the waits end, it ends");
}

#[tokio::test(start_paused = true)]
async fn the_servers_wait_counts_up_to_a_limit() {
    let hinted = |hint: &str| {
        Play::Events(
            vec![json!({"type": "error", "code": "rate_limit_exceeded",
                "message": format!("Rate limit reached. Please try again in {hint}.")})],
            Cut::Clean,
        )
    };
    let plays = [hinted("7s"), Play::From(0)];
    let (_, retries, error, waited) = outcome(plays, policy(), request()).await;
    assert!(error.is_none());
    assert_eq!((retries, waited), (1, 7 * SECOND));

    let (_, retries, error, waited) = outcome([hinted("61s")], policy(), request()).await;
    assert_eq!((retries, waited), (0, Duration::ZERO));
    assert_eq!(error.unwrap().retry_after(), Some(61 * SECOND));

    // A day at most, whatever the policy says.
    let patient = policy().max_hint(Duration::MAX);
    let (_, retries, error, waited) = outcome([hinted("172800s")], patient, request()).await;
    assert_eq!((retries, waited), (0, Duration::ZERO));
    assert_eq!(error.unwrap().retry_after(), Some(172_800 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_total_limit_holds_for_all_tries() {
    let total = request().timeouts(StreamTimeouts::new().total(SECOND / 2));
    let (_, retries, error, waited) = outcome([fails("server_error")], policy(), total).await;
    assert_eq!((retries, waited), (0, Duration::ZERO), "it would be over before");
    assert_eq!(error.unwrap().kind(), ErrorKind::Server);

    let mut callers = request();
    callers.options_mut().extensions.insert(Deadline::at(Instant::now() + SECOND / 2));
    let (_, retries, _, waited) = outcome([fails("server_error")], policy(), callers).await;
    assert_eq!((retries, waited), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_stream_tells_of_the_response_that_is_read() {
    let (http, _) = server([fails("server_error"), fails("server_error"), Play::From(0)]);
    let responses = StreamRetry::new(Responses::new(http)).policy(policy());
    let mut stream = responses.oneshot(request()).await.unwrap();
    stream.try_next().await.unwrap();
    assert_eq!((stream.response_id(), stream.retries()), (Some("resp_0"), 0));
    stream.try_next().await.unwrap();
    stream.try_next().await.unwrap();
    assert_eq!((stream.response_id(), stream.retries()), (Some("resp_1"), 2));
    assert_eq!(stream.sequence_number(), Some(0));
    let response = stream.final_response().await.unwrap();
    assert_eq!(&*response.id, "resp_1");
    assert!(response.output_text().starts_with("w0 w1 "));
}

#[tokio::test]
async fn raw_events_are_those_of_each_response() {
    let (http, _) = server([fails("server_error"), Play::From(0)]);
    let http = ServiceBuilder::new()
        .map_response(|mut response: http::Response<_>| {
            response.headers_mut().insert("openai-model", "m-1".parse().unwrap());
            response
        })
        .service(http);
    let at_once = policy().backoff([Duration::ZERO]);
    let responses = StreamRetry::new(Responses::new(http)).policy(at_once);
    let mut raw = responses.oneshot(request()).await.unwrap().into_raw();
    let (mut head, mut wire) = (0, Vec::new());
    while let Some(event) = raw.try_next().await.unwrap() {
        match event {
            RawEvent::Wire(event) => wire.push(event.parse::<Value>().unwrap()),
            event => {
                assert_eq!(event.parse::<Value>().unwrap()["model"], "m-1");
                head += 1;
            }
        }
    }
    assert_eq!(head, 2, "each has a head");
    assert_eq!(wire[0], created("resp_0"));
    assert_eq!(wire[1..], events(), "and not the failure that was made good");
}

/// Notes how each call ended.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<String>>>);

impl StreamObserver for Ends {
    fn on_end(&self, end: StreamEnd<'_>) {
        let end = match end {
            StreamEnd::Error(error) => error.kind().to_string(),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(end);
    }
}

#[tokio::test(start_paused = true)]
async fn each_try_is_a_call_of_its_own_to_those_below() {
    let ends = Ends::default();
    let (http, _) = server([fails("server_error"), Play::From(0)]);
    let seen = ends.clone();
    let http = ServiceBuilder::new()
        .map_response(move |mut response: http::Response<_>| {
            StreamObservers::add(response.extensions_mut(), Arc::new(seen.clone()));
            response
        })
        .service(http);
    let responses = StreamRetry::new(Responses::new(http)).policy(policy());
    assert!(read(responses.oneshot(request()).await.unwrap()).await.1.is_none());
    assert_eq!(*ends.0.lock().unwrap(), ["server", "Complete"]);
}

#[tokio::test(start_paused = true)]
async fn what_can_be_taken_up_is_not_sent_anew() {
    // Cut behind an event of the answer, and later by a server that knows the response no more.
    let resumed = [Play::Cut(0, 7, Cut::Reset), Play::From(7)];
    let gone = [Play::Cut(0, 3, Cut::Reset), Play::Status(503, "", ""), Play::From(0)];
    for (plays, requests, events) in [
        (resumed.to_vec(), ["POST", "GET"].as_slice(), EVENTS),
        (gone.to_vec(), &["POST", "GET", "POST"], 3 + EVENTS),
    ] {
        let (http, log) = server(plays);
        let resume = ResumePolicy::default().max_in_a_row(1).backoff([SECOND]);
        let responses = ServiceBuilder::new()
            .layer(StreamRetry::layer(policy()))
            .layer(ResumeLayer::new(RetrieveStream::new(http.clone())).policy(resume))
            .layer(Responses::layer())
            .service(http);
        let stream = responses.oneshot(request().background(true)).await.unwrap();
        let (seen, error) = read(stream).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen.len(), events);
        let log = log.lock().unwrap();
        assert!(log.iter().map(|request| request.method().as_str()).eq(requests.iter().copied()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_is_made_ready_before_each_call() {
    let (http, mut handle) = mock::pair::<http::Request<_>, http::Response<_>>();
    let responses = StreamRetry::new(Responses::new(http)).policy(policy());
    handle.allow(0);
    let mut service = tokio_test::task::spawn(responses);
    assert_pending!(service.enter(|cx, mut service| tower::Service::poll_ready(&mut *service, cx)));
    handle.allow(1);
    assert_ready_ok!(
        service.enter(|cx, mut service| tower::Service::poll_ready(&mut *service, cx))
    );
    let call = tower::Service::call(&mut *service, request());
    let mut call = tokio_test::task::spawn(call);
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(http::Response::new(played(&[created("resp_0")], Cut::Clean)));
    let mut stream = call.await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    handle.allow(0);
    // A mock panics when it is called before it is ready.
    let mut next = tokio_test::task::spawn(stream.next());
    assert_pending!(next.poll());
    tokio::time::advance(SECOND + Duration::from_millis(2)).await;
    assert_pending!(next.poll());
    handle.allow(1);
    assert_pending!(next.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(http::Response::new(played(&events(), Cut::Clean)));
    assert!(next.await.unwrap().is_ok());
    assert_eq!(read(stream).await.0, whole()[1..]);
}

/// Dropping is all it takes to end it, in the middle of a wait too.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_while_it_waits_sends_nothing_more() {
    let (http, log) = server([fails("server_error"), Play::From(0)]);
    let responses = StreamRetry::new(Responses::new(http)).policy(policy());
    let mut stream = responses.oneshot(request()).await.unwrap();
    assert_eq!(stream.try_next().await.unwrap().unwrap().kind(), "response.created");
    let mut next = tokio_test::task::spawn(stream.next());
    assert_pending!(next.poll(), "it waits for its second try");
    drop(next);
    drop(stream);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_stands_under_the_layers_of_tower() {
    fn shared<S: Clone + Send + Sync>(service: S) -> S {
        service
    }

    let (http, log) = server([fails("server_error"), Play::From(0), Play::From(0)]);
    let responses = ServiceBuilder::new()
        .buffer(1)
        .load_shed()
        .concurrency_limit(1)
        .timeout(SECOND)
        .layer(StreamRetryLayer::new(policy()))
        .layer(Responses::layer())
        .service(http);
    let responses = shared(responses);
    let stream = responses.clone().oneshot(request()).await.unwrap();
    let (seen, error) = read(stream).await;
    assert!(error.is_none(), "the timeout is for the head: {error:?}");
    assert_eq!(seen[1..], whole());
    let stream = responses.oneshot(request()).await.unwrap();
    assert_eq!(read(stream).await.0, whole());
    assert_eq!(log.lock().unwrap().len(), 3);
}

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn the_preset_has_it_by_its_policy() {
    let server = Server::start().await.unwrap();
    let failed = json!({"type": "response.failed", "response": {"id": "resp_0",
        "error": {"code": "server_error", "message": "no"}}});
    for _ in 0..3 {
        server.enqueue(Script::events([created("resp_0"), failed.clone()]));
    }
    let settings: StreamRetrySettings =
        serde_json::from_str(r#"{"max_retries": 3, "base_ms": 1, "cap_ms": 1}"#).unwrap();
    let mut policy = tower_openai::client::Policy::default();
    policy.stream_retry = settings;
    let client = Client::builder().base_url(server.base_url()).policy(policy).build().unwrap();
    let stream: ResponseStream<_> =
        assert_send(client.retrying_responses().stream_request(request())).await.unwrap();
    assert!(assert_send(stream).final_response().await.unwrap().output_text().contains("hi"));
    assert_eq!(server.requests().len(), 4);
}
