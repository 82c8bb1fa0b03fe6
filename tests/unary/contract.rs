//! What tower and the layers may expect of the endpoints that do not stream.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::{StreamObservers, StreamTimeouts};
use tower_openai::services::{ApiResponse, Compact, CompactRequest};
use tower_openai::sse::{AnswerFacts, StreamEnd, StreamObserver};
use tower_openai::{BoxError, Error, ErrorKind, RequestBody, Stage};
use tower_test::mock;

use crate::support::{Feed, once, response, whole};

const ANSWER: &str = r#"{"id":"resp_1","output":[],
    "usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#;

fn request() -> CompactRequest {
    CompactRequest::new("m", "hi")
}

type Answer = Response<Full<Bytes>>;
type Probe = mock::Spawn<Compact<mock::Mock<Request<RequestBody>, Answer>>>;

fn probed() -> (Probe, mock::Handle<Request<RequestBody>, Answer>) {
    mock::spawn_with(Compact::new)
}

#[tokio::test]
async fn readiness_is_that_of_the_http_service() {
    let (mut endpoint, mut handle) = probed();
    handle.allow(0);
    assert_pending!(endpoint.poll_ready());
    handle.allow(1);
    assert_ready_ok!(endpoint.poll_ready());
    let call = tokio::spawn(endpoint.call(request()));
    let (sent, respond) = handle.next_request().await.unwrap();
    assert_eq!(sent.uri(), "/responses/compact");
    respond.send_response(whole(200, &[], ANSWER));
    assert_eq!(call.await.unwrap().unwrap().id.as_deref(), Some("resp_1"));
    assert_pending!(endpoint.poll_ready());
    handle.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    let error: Error = assert_ready_err!(endpoint.poll_ready());
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Connect, Stage::NotSent));
}

#[tokio::test]
async fn a_convenience_makes_its_own_clone_ready() {
    let (service, mut handle) = mock::pair::<Request<RequestBody>, Answer>();
    handle.allow(0);
    let compact = Compact::new(service);
    let mut call = tokio_test::task::spawn(compact.send(request()));
    assert_pending!(call.poll());
    handle.allow(1);
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(whole(200, &[], ANSWER));
    assert!(call.await.is_ok());
}

#[tokio::test]
async fn its_futures_can_be_spawned_whatever_the_error() {
    let http =
        service_fn(|_: Request<RequestBody>| async { Ok::<_, BoxError>(whole(200, &[], ANSWER)) });
    let compact = Compact::new(http);
    let answers = [
        tokio::spawn({
            let compact = compact.clone();
            async move { compact.send(request()).await }
        }),
        tokio::spawn(compact.clone().oneshot(request())),
        tokio::spawn(ServiceBuilder::new().boxed_clone_sync().service(compact).oneshot(request())),
    ];
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().id.as_deref(), Some("resp_1"));
    }
}

#[tokio::test]
async fn it_stands_under_the_layers_of_tower() {
    let http =
        service_fn(|_: Request<RequestBody>| async { Ok::<_, BoxError>(whole(200, &[], ANSWER)) });
    let mut compact = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(2)
        .timeout(Duration::from_secs(60))
        .map_request(|prompt: &'static str| CompactRequest::new("m", prompt))
        .layer(Compact::layer())
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .service(http);
    for _ in 0..3 {
        let answer: ApiResponse<_> = compact.ready().await.unwrap().call("hi").await.unwrap();
        assert_eq!(answer.id.as_deref(), Some("resp_1"));
    }
}

#[tokio::test]
async fn limits_of_time_are_left_for_the_layers() {
    let secs = Duration::from_secs;
    let endpoint = StreamTimeouts::new().head(secs(5)).total(secs(50));
    let own = StreamTimeouts::new().total(secs(7));
    let both = own.or(endpoint);
    let (http, seen) = once(whole(200, &[], ANSWER));
    Compact::new(http).timeouts(endpoint).send(request().timeouts(own)).await.unwrap();
    assert_eq!(seen.take().extensions().get(), Some(&both));
    let (http, seen) = once(whole(200, &[], ANSWER));
    Compact::new(http).send(request()).await.unwrap();
    assert_eq!(seen.take().extensions().get::<StreamTimeouts>(), None);
}

#[tokio::test]
async fn extensions_go_down_and_come_up() {
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(u32);
    let mut answer = whole(200, &[], ANSWER);
    answer.extensions_mut().insert(Tenant(2));
    let (http, seen) = once(answer);
    let answer = Compact::new(http).send(request().extension(Tenant(1))).await.unwrap();
    assert_eq!(seen.take().extensions().get(), Some(&Tenant(1)));
    assert_eq!(answer.meta().extensions().get(), Some(&Tenant(2)));
}

/// Notes what it hears.
#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Ear {
    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl StreamObserver for Ear {
    fn on_open(&self) {
        self.note("open".into());
    }

    fn on_answer(&self, answer: &AnswerFacts<'_>) {
        let tokens = answer.usage.map(|usage| usage.total_tokens);
        self.note(format!("{:?} {tokens:?}", answer.id.unwrap()));
    }

    fn on_end(&self, end: StreamEnd<'_>) {
        self.note(match end {
            StreamEnd::Error(error) => error.kind().to_string(),
            other => format!("{other:?}"),
        });
    }
}

#[tokio::test]
async fn observers_hear_of_the_answer_and_of_its_end_once() {
    for (status, body, heard) in [
        (200, ANSWER, &["open", r#""resp_1" Some(3)"#, "Complete"][..]),
        (200, "no", &["open", "protocol"]),
        (500, "", &["open", "server"]),
    ] {
        let ears = [Arc::new(Ear::default()), Arc::new(Ear::default())];
        let mut answer = whole(status, &[], body);
        for ear in &ears {
            StreamObservers::add(answer.extensions_mut(), Arc::clone(ear) as Arc<_>);
        }
        let (http, _) = once(answer);
        let answer = Compact::new(http).send(request()).await;
        assert_eq!(ears[0].heard(), heard, "{status} {body}");
        drop(answer);
        assert_eq!(ears[0].heard(), ears[1].heard());
        assert_eq!(ears[0].heard(), heard, "nothing more when the answer goes");
    }
}

#[tokio::test]
async fn observers_hear_that_the_caller_has_gone() {
    for status in [200, 500] {
        let ear = Arc::new(Ear::default());
        let (feed, body) = Feed::new();
        let mut answer = response(status, &[], body);
        StreamObservers::add(answer.extensions_mut(), Arc::clone(&ear) as Arc<_>);
        let (http, _) = once(answer);
        let mut call = tokio_test::task::spawn(Compact::new(http).send(request()));
        feed.text("{");
        assert_pending!(call.poll());
        drop(call);
        assert_eq!(ear.heard(), ["open", "Dropped"], "{status}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let request =
        request().header("authorization", "Bearer hidden-1").turn_state(Default::default());
    assert!(!format!("{request:?}").contains("hidden"));
    let headers = [("set-cookie", "a=hidden-2"), ("x-request-id", "req_1")];
    let (http, _) = once(whole(200, &headers, ANSWER));
    let mut call = tokio_test::task::spawn(Compact::new(http).send(request.clone()));
    assert!(!format!("{call:?}").contains("hidden"));
    let answer = tokio_test::assert_ready!(call.poll()).unwrap();
    let text = format!("{answer:?}");
    assert!(
        text.contains("resp_1") && text.contains("req_1") && text.contains("set-cookie"),
        "{text}"
    );
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn the_request_is_encoded_once_and_only_when_it_is_called() {
    struct Counted(Arc<AtomicUsize>);

    impl serde::Serialize for Counted {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            serde_json::json!({"model": "m", "input": "x"}).serialize(serializer)
        }
    }

    let encoded = Arc::new(AtomicUsize::new(0));
    let request = CompactRequest::from_body(&Counted(Arc::clone(&encoded))).unwrap();
    let (http, _) = once(whole(200, &[], ANSWER));
    let mut call = tokio_test::task::spawn(Compact::new(http).send(request.clone()));
    drop(tokio_test::assert_ready!(call.poll()));
    assert_eq!(encoded.load(Ordering::Relaxed), 1);
}
