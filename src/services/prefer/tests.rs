use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::time::advance;
use tower::util::BoxCloneService;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::error::{ErrorKind, Stage};
use crate::model::ItemIds;
use crate::sse::{SseSource, StreamSettings};
use crate::ws::CloseCode;

type Frames = futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>>;
type Stream = ResponseStream<SseSource<StreamBody<Frames>>>;
type Scripted = BoxCloneService<ResponsesRequest, Stream, BoxError>;

/// What a service is to do with a request.
enum Act {
    Answer,
    Refuse(Error),
    /// Begins to answer, and ends with this.
    Break(Error),
    Hang,
}

/// Acts one by one, then answers; and the requests that came.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<(VecDeque<Act>, Vec<Value>)>>);

impl Script {
    fn then(&self, act: Act) -> &Self {
        self.0.lock().unwrap().0.push_back(act);
        self
    }

    fn calls(&self) -> Vec<Value> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    fn service(&self) -> Scripted {
        let script = self.clone();
        BoxCloneService::new(service_fn(move |request: ResponsesRequest| {
            let act = {
                let (body, _) = request.encode(ItemIds::default(), true).unwrap();
                let mut script = script.0.lock().unwrap();
                script.1.push(serde_json::from_slice(&body).unwrap());
                script.0.pop_front().unwrap_or(Act::Answer)
            };
            async move {
                let end = match act {
                    Act::Hang => std::future::pending().await,
                    Act::Refuse(error) => return Err(error.into()),
                    Act::Answer => Ok(Frame::data(Bytes::from_static(
                        b"data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n",
                    ))),
                    Act::Break(error) => Err(error.into()),
                };
                let created =
                    b"data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n";
                let frames = vec![Ok(Frame::data(Bytes::from_static(created))), end];
                let body = StreamBody::new(futures_util::stream::iter(frames));
                let settings = StreamSettings::default();
                Ok(ResponseStream::from_response(http::Response::new(body), settings))
            }
        }))
    }
}

struct Rig {
    socket: Script,
    http: Script,
    prefer: Prefer<Scripted, Scripted>,
}

impl Rig {
    fn new() -> Self {
        let (socket, http) = (Script::default(), Script::default());
        let prefer = Prefer::new(socket.service(), http.service());
        Self { socket, http, prefer }
    }

    /// Whether a request was answered on the socket.
    async fn answered(&self) -> bool {
        let stream = self.prefer.stream_request(request()).await.unwrap();
        let over_socket = stream.is_over_socket();
        stream.final_response().await.unwrap();
        over_socket
    }

    async fn error(&self) -> Error {
        match self.prefer.stream_request(request()).await {
            Ok(stream) => stream.final_response().await.unwrap_err(),
            Err(error) => error,
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.prefer.preference(), Preference::Http { .. })
    }
}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("m", "hello")
}

fn unsent(kind: ErrorKind) -> Error {
    Error::new(kind, "test").with_stage(Stage::NotSent)
}

fn refused(status: u16) -> Error {
    let status = StatusCode::from_u16(status).unwrap();
    Error::from_response(status, &HeaderMap::new(), Bytes::new()).with_stage(Stage::NotSent)
}

#[tokio::test(start_paused = true)]
async fn a_failed_connect_goes_to_http_at_once() {
    for error in [
        unsent(ErrorKind::HeadTimeout),
        unsent(ErrorKind::Timeout),
        unsent(ErrorKind::Connect),
        unsent(ErrorKind::Tls),
        unsent(ErrorKind::Proxy),
        unsent(ErrorKind::Transport),
        unsent(ErrorKind::Protocol),
        unsent(ErrorKind::Closed),
        unsent(ErrorKind::ConnectionExpired),
        unsent(ErrorKind::TooLarge).with_close(Some(CloseCode::TOO_LARGE.into())),
        refused(403),
        refused(404),
        refused(405),
        refused(426),
        unsent(ErrorKind::Protocol).under_head(StatusCode::SWITCHING_PROTOCOLS, &HeaderMap::new()),
        refused(200),
        refused(204),
        refused(301),
        refused(501),
        refused(502),
        refused(504),
    ] {
        let rig = Rig::new();
        let (kind, status) = (error.kind(), error.status());
        rig.socket.then(Act::Refuse(error));
        assert!(!rig.answered().await, "{kind} {status:?}");
        let Preference::Http { remaining, probing, kind: told, status: of, .. } =
            rig.prefer.preference()
        else {
            panic!("{kind}");
        };
        assert_eq!((remaining, probing, told, of), (Duration::from_secs(60), false, kind, status));
        // The next one does not try.
        assert!(!rig.answered().await);
        assert_eq!((rig.socket.calls().len(), rig.http.calls().len()), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_http_would_not_help_stays_an_error() {
    for error in [refused(401), refused(429), refused(500), refused(503), unsent(ErrorKind::Auth)] {
        let rig = Rig::new();
        let (kind, status) = (error.kind(), error.status());
        rig.socket.then(Act::Refuse(error));
        let error = rig.error().await;
        assert_eq!((error.kind(), error.status()), (kind, status));
        assert!(!rig.is_down() && rig.http.calls().is_empty(), "{kind}");
        assert!(rig.answered().await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_sent_is_not_sent_again() {
    for stage in [Stage::Sent, Stage::Unknown, Stage::Streaming] {
        for kind in [ErrorKind::Closed, ErrorKind::Transport, ErrorKind::HeadTimeout] {
            let rig = Rig::new();
            rig.socket.then(Act::Refuse(Error::new(kind, "test").with_stage(stage)));
            let error = rig.error().await;
            assert_eq!((error.kind(), error.stage()), (kind, stage));
            assert!(!rig.is_down() && rig.http.calls().is_empty());
        }
        // A status that would be about the handshake is about the request here.
        let rig = Rig::new();
        rig.socket.then(Act::Refuse(refused(404).with_stage(stage)));
        assert_eq!(rig.error().await.kind(), ErrorKind::NotFound);
        assert!(!rig.is_down() && rig.http.calls().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_go_on_a_socket_goes_over_http_alone() {
    for kind in [ErrorKind::TooLarge, ErrorKind::Build, ErrorKind::Overloaded] {
        let rig = Rig::new();
        rig.socket.then(Act::Refuse(unsent(kind)));
        assert!(!rig.answered().await);
        assert!(!rig.is_down());
        assert!(rig.answered().await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_a_socket_takes_is_left_out_over_http() {
    let own = json!({"model": "m", "generate": true, "stream_id": "a", "x": 1});
    for request in [
        request().generate(true).stream_id("a").set("x", &1),
        ResponsesRequest::from_body(&own).unwrap(),
    ] {
        let rig = Rig::new();
        rig.socket.then(Act::Refuse(unsent(ErrorKind::Connect)));
        for _ in 0..2 {
            drop(rig.prefer.stream_request(request.clone()).await.unwrap());
        }
        let calls = rig.socket.calls();
        assert_eq!((&calls[0]["generate"], &calls[0]["stream_id"]), (&json!(true), &json!("a")));
        for call in rig.http.calls() {
            assert_eq!((call.get("generate"), call.get("stream_id")), (None, None));
            assert_eq!(call["x"], 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_is_not_answered_over_http() {
    let rig = Rig::new();
    rig.socket.then(Act::Refuse(unsent(ErrorKind::Connect)));
    let warm_up = || rig.prefer.stream_request(request().generate(false));
    assert_eq!(warm_up().await.unwrap_err().kind(), ErrorKind::Connect);
    let error = warm_up().await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    assert!(error.to_string().contains("generate"), "{error}");
    assert!(rig.http.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sockets_are_tried_again_by_one_request_at_a_time() {
    let rig = Rig::new();
    rig.socket.then(Act::Refuse(unsent(ErrorKind::Connect))).then(Act::Hang);
    assert!(!rig.answered().await);
    advance(Duration::from_secs(59)).await;
    assert!(!rig.answered().await);
    assert_eq!(rig.socket.calls().len(), 1);
    advance(Duration::from_secs(1)).await;

    let mut probe = tokio_test::task::spawn(rig.prefer.stream_request(request()));
    assert!(probe.poll().is_pending());
    assert!(matches!(rig.prefer.preference(), Preference::Http { probing: true, .. }));
    assert!(!rig.answered().await, "others do not wait for it");
    assert_eq!(rig.socket.calls().len(), 1);
    // Dropped, it has said nothing: the next one tries.
    drop(probe);
    assert!(matches!(rig.prefer.preference(), Preference::Http { probing: false, .. }));
    assert!(rig.answered().await);
    assert_eq!(rig.prefer.preference(), Preference::Socket);
    assert!(rig.answered().await);
}

#[tokio::test(start_paused = true)]
async fn each_try_that_fails_doubles_the_cooldown() {
    let rig = Rig::new();
    for cooldown in [60, 120, 240, 480, 900, 900] {
        rig.socket.then(Act::Refuse(unsent(ErrorKind::Connect)));
        assert!(!rig.answered().await);
        let Preference::Http { remaining, .. } = rig.prefer.preference() else { panic!() };
        assert_eq!(remaining, Duration::from_secs(cooldown));
        advance(remaining).await;
    }
    assert!(rig.answered().await);
    // What has worked begins anew.
    rig.socket.then(Act::Refuse(unsent(ErrorKind::Connect)));
    assert!(!rig.answered().await);
    let Preference::Http { remaining, .. } = rig.prefer.preference() else { panic!() };
    assert_eq!(remaining, Duration::from_secs(60));
    rig.prefer.handle().reset();
    assert!(rig.answered().await);
}

#[tokio::test(start_paused = true)]
async fn a_socket_closed_with_1009_is_left_alone_from_the_next_request_on() {
    let closed =
        || Error::new(ErrorKind::TooLarge, "test").with_close(Some(CloseCode::TOO_LARGE.into()));
    for act in [Act::Break(closed()), Act::Refuse(closed().with_stage(Stage::Unknown))] {
        let rig = Rig::new();
        rig.socket.then(act);
        let error = rig.error().await;
        assert_eq!(error.close_code(), Some(CloseCode::TOO_LARGE));
        assert!(rig.http.calls().is_empty(), "it may have been sent");
        let Preference::Http { close_code, .. } = rig.prefer.preference() else { panic!() };
        assert_eq!(close_code, Some(CloseCode::TOO_LARGE));
        assert!(!rig.answered().await);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off_in_a_row_turn_to_http() {
    let broken = || Act::Break(Error::new(ErrorKind::Transport, "test"));
    let rig = Rig::new();
    rig.socket.then(broken()).then(broken()).then(Act::Answer).then(broken()).then(broken());
    for _ in 0..2 {
        rig.error().await;
    }
    assert!(rig.answered().await, "this one was read to its end");
    for _ in 0..2 {
        rig.error().await;
        assert!(!rig.is_down());
    }
    let waits = Error::new(ErrorKind::ProgressTimeout, "test").with_stage(Stage::Sent);
    rig.socket.then(Act::Refuse(waits));
    assert_eq!(rig.error().await.kind(), ErrorKind::ProgressTimeout);
    assert!(rig.is_down());
    assert!(!rig.answered().await);
    // An answer that says no is an answer.
    let rig = Rig::new();
    for _ in 0..5 {
        rig.socket.then(Act::Refuse(refused(429).with_stage(Stage::Sent)));
        rig.error().await;
    }
    assert!(!rig.is_down());
}

#[tokio::test(start_paused = true)]
async fn a_try_that_breaks_off_is_one_that_failed() {
    for stage in [Stage::Sent, Stage::Unknown] {
        let rig = Rig::new();
        rig.socket.then(Act::Refuse(unsent(ErrorKind::Connect)));
        assert!(!rig.answered().await);
        for cooldown in [120, 240] {
            let Preference::Http { remaining, .. } = rig.prefer.preference() else { panic!() };
            advance(remaining).await;
            let broken = Error::new(ErrorKind::Closed, "test").with_stage(stage);
            rig.socket.then(Act::Refuse(broken));
            assert_eq!(rig.error().await.kind(), ErrorKind::Closed);
            let Preference::Http { remaining, .. } = rig.prefer.preference() else { panic!() };
            assert_eq!(remaining, Duration::from_secs(cooldown));
            assert!(!rig.answered().await, "the next one is no try");
        }
        // One that the server refuses has reached it.
        let Preference::Http { remaining, .. } = rig.prefer.preference() else { panic!() };
        advance(remaining).await;
        rig.socket.then(Act::Refuse(refused(429).with_stage(Stage::Sent)));
        rig.error().await;
        assert!(rig.answered().await);
        assert_eq!(rig.prefer.preference(), Preference::Socket);
    }
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_off_during_a_cooldown_do_not_hide_those_after_it() {
    let broken = || Act::Break(Error::new(ErrorKind::Transport, "test"));
    let rig = Rig::new();
    let mut older = Vec::new();
    for _ in 0..4 {
        rig.socket.then(broken());
        older.push(rig.prefer.stream_request(request()).await.unwrap());
    }
    rig.socket.then(Act::Refuse(unsent(ErrorKind::Connect)));
    assert!(!rig.answered().await);
    for stream in older {
        stream.final_response().await.unwrap_err();
    }
    advance(Duration::from_secs(60)).await;
    // Taken, a try begins anew.
    for n in 0..3 {
        assert!(!rig.is_down() || n == 0, "{n}");
        rig.socket.then(broken());
        rig.error().await;
    }
    assert!(rig.is_down());
    assert!(!rig.answered().await);
}

#[tokio::test(start_paused = true)]
async fn without_a_number_of_failures_answers_that_break_off_turn_nothing_away() {
    let (socket, http) = (Script::default(), Script::default());
    let policy = PreferPolicy::new().max_failures(0);
    let prefer = Prefer::with_policy(socket.service(), http.service(), policy);
    let rig = Rig { socket, http, prefer };
    for _ in 0..5 {
        rig.socket.then(Act::Break(Error::new(ErrorKind::Transport, "test")));
        rig.error().await;
        assert!(!rig.is_down());
    }
}

#[tokio::test(start_paused = true)]
async fn the_requests_own_total_limit_is_no_failure_of_the_socket() {
    let rig = Rig::new();
    rig.socket.then(Act::Refuse(unsent(ErrorKind::TotalTimeout)));
    let error = rig.error().await;
    assert_eq!((error.kind(), error.stage()), (ErrorKind::TotalTimeout, Stage::NotSent));
    assert!(rig.http.calls().is_empty() && !rig.is_down());
    // That of a handshake is.
    let handshake = unsent(ErrorKind::TotalTimeout).with_source("the layer's error");
    rig.socket.then(Act::Refuse(handshake));
    assert!(!rig.answered().await);
    assert!(rig.is_down());
}

/// Never ready.
#[derive(Clone)]
struct Closed;

impl Service<ResponsesRequest> for Closed {
    type Response = Stream;
    type Error = Error;
    type Future = std::future::Pending<Result<Stream, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Err(unsent(ErrorKind::Closed)))
    }

    fn call(&mut self, _: ResponsesRequest) -> Self::Future {
        panic!("it is not ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_does_not_become_ready_is_one_that_failed() {
    let http = Script::default();
    let prefer = Prefer::new(Closed, http.service());
    for _ in 0..2 {
        let stream = prefer.clone().oneshot(request()).await.unwrap();
        assert!(!stream.is_over_socket());
    }
    assert!(matches!(prefer.preference(), Preference::Http { kind: ErrorKind::Closed, .. }));
}

#[test]
fn a_policy_that_cannot_work_is_refused() {
    let policy = PreferPolicy::new;
    for (first, longest) in [(0, 1), (2, 1), (1, u64::MAX / 2)] {
        let (first, longest) = (Duration::from_secs(first), Duration::from_secs(longest));
        let error = policy().cooldown(first, longest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
    }
    assert!(
        policy().max_failures(0).cooldown(Duration::from_secs(1), Duration::from_secs(1)).is_ok()
    );
}
