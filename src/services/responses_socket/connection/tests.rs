//! Connections over an IO of memory, on a paused clock. The other end is a server's.

mod continuing;
mod limits;
mod rows;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio::time::{Instant, advance, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Raw;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::*;
use crate::extensions::StreamTimeouts;
use crate::model::{ResponseEvent, ResponseItem};
use crate::sse::EventSource;
use crate::ws::{CloseCode, Driver};

/// The server's end.
struct Peer(WebSocketStream<DuplexStream>);

impl Peer {
    async fn receive(&mut self) -> Value {
        let message = timeout(Duration::from_secs(1), self.0.next()).await;
        let message = message.expect("a message in time").expect("a message").unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Raw::text(text.into())).await.unwrap();
    }

    async fn event(&mut self, event: Value) {
        self.send(event.to_string()).await;
    }

    /// A response with this id and text, on a lane.
    async fn answer(&mut self, id: &str, text: &str, lane: Option<&str>) {
        for event in answer(id, text) {
            self.event(on(event, lane)).await;
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.0.close(Some(frame)).await.unwrap();
    }
}

fn on(mut event: Value, lane: Option<&str>) -> Value {
    if let Some(lane) = lane {
        event["stream_id"] = lane.into();
    }
    event
}

fn answer(id: &str, text: &str) -> [Value; 4] {
    let item = json!({"type": "message", "id": format!("msg_{id}"), "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]});
    [
        json!({"type": "response.created", "sequence_number": 0, "response": {"id": id}}),
        json!({"type": "response.output_text.delta", "sequence_number": 1, "item_id": format!("msg_{id}"),
            "output_index": 0, "content_index": 0, "delta": text}),
        json!({"type": "response.output_item.done", "sequence_number": 2, "output_index": 0, "item": item}),
        json!({"type": "response.completed", "sequence_number": 3, "response": {"id": id}}),
    ]
}

fn head() -> response::Parts {
    http::Response::builder()
        .status(101)
        .header("openai-model", "served")
        .header("x-models-etag", "etag")
        .header("x-reasoning-included", "true")
        .header("x-codex-primary-used-percent", "10")
        .header("x-codex-turn-state", "sticky")
        .header("x-request-id", "req_ws")
        .body(())
        .unwrap()
        .into_parts()
        .0
}

fn bare() -> response::Parts {
    http::Response::builder().status(101).body(()).unwrap().into_parts().0
}

const PIPE: usize = 64 * 1024;

async fn peer(io: DuplexStream) -> Peer {
    Peer(WebSocketStream::from_raw_socket(io, Role::Server, None).await)
}

fn lanes(settings: &ResponsesSocketSettings) -> Lanes {
    let rotate_at = settings.max_age.map(|age| Instant::now() + age);
    Lanes::new(settings.limits, rotate_at)
}

async fn inline_with(
    settings: ResponsesSocketSettings,
    head: response::Parts,
) -> (ResponsesConnection, Peer) {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let shared = Shared::inline(Box::new(ours), &settings.socket, lanes(&settings));
    let call = Call::streaming("responses", None);
    (ResponsesConnection::new(shared, settings, head, call, None), peer(theirs).await)
}

async fn inline() -> (ResponsesConnection, Peer) {
    inline_with(ResponsesSocketSettings::new(), bare()).await
}

async fn driven(settings: ResponsesSocketSettings) -> (ResponsesConnection, Peer, Driver) {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (shared, driver) = Shared::driven(Box::new(ours), &settings.socket, lanes(&settings));
    let call = Call::streaming("responses", None);
    (ResponsesConnection::new(shared, settings, bare(), call, None), peer(theirs).await, driver)
}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "hello")
}

/// A request, and what the server does about it meanwhile.
async fn ask(
    connection: &ResponsesConnection,
    request: ResponsesRequest,
    serve: impl AsyncFnOnce() -> Value,
) -> (Result<ResponseStream<SocketSource>, Error>, Value) {
    tokio::join!(connection.stream_request(request), serve())
}

async fn text(stream: ResponseStream<SocketSource>) -> String {
    stream.text().collect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_as_a_socket_takes_it() {
    let (connection, mut peer) = inline().await;
    let lane = connection.lane("side.1").unwrap();
    let asked = request()
        .client_metadata([("own", "1"), ("ws_request_header_traceparent", "overruled")])
        .header("traceparent", "00-a-b-01")
        .header("tracestate", "x=1")
        .header("x-codex-window-id", "w")
        .set("new_knob", &7);
    let (stream, sent) = ask(&lane, asked, async || {
        let sent = peer.receive().await;
        peer.answer("resp_1", "Hi", Some("side.1")).await;
        sent
    })
    .await;
    assert_eq!(text(stream.unwrap()).await, "Hi");
    assert_eq!(sent["type"], "response.create");
    assert_eq!(sent["stream_id"], "side.1");
    assert_eq!(sent["model"], "gpt-5.2");
    assert_eq!(sent["input"][0]["content"][0]["text"], "hello");
    assert_eq!(sent["new_knob"], 7);
    assert_eq!((sent.get("reasoning"), sent.get("tools")), (Some(&Value::Null), Some(&json!([]))));
    assert_eq!(
        sent["client_metadata"],
        json!({"own": "1", "ws_request_header_traceparent": "00-a-b-01",
            "ws_request_header_tracestate": "x=1", "x-codex-window-id": "w"})
    );
    for left_out in ["stream", "background", "generate", "previous_response_id"] {
        assert_eq!(sent.get(left_out), None, "{left_out}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_the_callers_own_is_sent_as_a_socket_takes_it() {
    let (connection, mut peer) = inline().await;
    let own = json!({"model": "m", "stream": true, "stream_id": "a", "background": false,
        "client_metadata": {"k": "v"}, "anything": [1], "type": "x"});
    let own = ResponsesRequest::from_body(&own).unwrap().header("tracestate", "y");
    let (stream, sent) = ask(&connection, own, async || {
        let sent = peer.receive().await;
        peer.answer("resp_1", "Hi", Some("a")).await;
        sent
    })
    .await;
    assert_eq!(text(stream.unwrap()).await, "Hi");
    assert_eq!(
        sent,
        json!({"type": "response.create", "stream_id": "a", "model": "m", "anything": [1],
            "client_metadata": {"k": "v", "ws_request_header_tracestate": "y"}})
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_on_a_socket_is_told_before_it_is() {
    let (connection, mut peer) = inline().await;
    let own = |body: Value| ResponsesRequest::from_body(&body).unwrap();
    for (request, word) in [
        (request().background(true), "`background`"),
        (own(json!({"background": true})), "`background`"),
        (request().header("x-other", "1"), "`x-other`"),
        (request().header("bad name", "1"), "`bad name`"),
        (request().stream_id("a b"), "`a b`"),
        (own(json!({"stream_id": 5})), "`stream_id`"),
        (own(json!({"client_metadata": 5})).header("tracestate", "y"), "serialise"),
    ] {
        let error = connection.stream_request(request).await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent), "{word}");
        assert!(error.to_string().contains(word), "{error}");
    }
    // Not one of them has gone out.
    let (_, sent) = ask(&connection, request().model("next"), async || {
        let sent = peer.receive().await;
        peer.answer("resp_1", "Hi", None).await;
        sent
    })
    .await;
    assert_eq!(sent["model"], "next");
}

#[tokio::test(start_paused = true)]
async fn a_17_mib_frame_is_refused_before_any_of_it_is_sent() {
    let (connection, mut peer) = inline().await;
    let large = ResponsesRequest::new("m", "x".repeat(17 * 1024 * 1024));
    let error = connection.stream_request(large).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::TooLarge, Stage::NotSent));
    assert!(error.to_string().contains("HTTP"), "{error}");
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.answer("resp_1", "Hi", None).await;
        sent
    })
    .await;
    assert_eq!(text(stream.unwrap()).await, "Hi");
}

#[tokio::test(start_paused = true)]
async fn what_the_handshake_said_comes_first_in_every_stream() {
    let turn = TurnState::new();
    let settings = ResponsesSocketSettings::new();
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let shared = Shared::inline(Box::new(ours), &settings.socket, lanes(&settings));
    let call = Call::streaming("responses", None);
    let connection = ResponsesConnection::new(shared, settings, head(), call, Some(&turn));
    let mut peer = peer(theirs).await;
    assert_eq!(turn.get(), Some("sticky"));
    assert!(connection.headers().get("x-codex-turn-state").is_none());

    for round in 0..2 {
        let other = TurnState::new();
        let (stream, _) = ask(&connection, request().turn_state(other.clone()), async || {
            let sent = peer.receive().await;
            peer.event(
                json!({"type": "response.metadata", "headers": {"x-codex-turn-state": "own"}}),
            )
            .await;
            peer.answer("resp_1", "Hi", None).await;
            sent
        })
        .await;
        let mut stream = stream.unwrap();
        assert_eq!(stream.meta().request_id(), Some("req_ws"));
        let mut first = Vec::new();
        while let Some(event) = stream.try_next().await.unwrap() {
            first.push(event);
        }
        assert_eq!(first.remove(0), ResponseEvent::ServerModel("served".into()));
        let limits = matches!(first[0], ResponseEvent::RateLimits(_));
        assert_eq!(limits, round == 0, "what was told once is not told again");
        if limits {
            first.remove(0);
        }
        assert_eq!(first[0], ResponseEvent::ModelsEtag("etag".into()));
        assert_eq!(first[1], ResponseEvent::ServerReasoningIncluded(true));
        // A turn that begins later has a note of its own, or none.
        assert_eq!(other.get(), Some("own"));
    }
}

/// Reads a stream to its end, whatever its source is.
async fn outcome<S: EventSource + Unpin>(
    mut stream: ResponseStream<S>,
) -> (Vec<Value>, Option<String>) {
    let mut events = Vec::new();
    loop {
        match stream.next().await {
            Some(Ok(event)) => events.push(serde_json::to_value(&event).unwrap()),
            Some(Err(error)) => {
                let facts = (error.kind(), error.code(), error.stage(), error.response_id());
                return (events, Some(format!("{facts:?} {error}")));
            }
            None => return (events, None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_script_gives_the_same_events_over_both_transports() {
    let created = || answer("r", "x")[0].clone();
    let deltas = (0..50).map(|n| {
        json!({"type": "response.output_text.delta", "sequence_number": n, "item_id": "i",
            "output_index": 0, "content_index": 0, "delta": format!("w{n} \"q\" \u{e9}")})
    });
    let scripts: Vec<Vec<Value>> = vec![
        answer("r", "Hello").into(),
        [created()].into_iter().chain(deltas).chain([answer("r", "x")[3].clone()]).collect(),
        vec![
            created(),
            json!({"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 5}}}),
            json!({"type": "response.unheard_of", "x": 1}),
            answer("r", "x")[3].clone(),
        ],
        vec![
            created(),
            json!({"type": "response.failed", "response": {"id": "r",
            "error": {"code": "rate_limit_exceeded", "message": "try again in 1.5s"}}}),
        ],
        vec![
            created(),
            json!({"type": "response.incomplete", "response": {"id": "r",
            "incomplete_details": {"reason": "max_output_tokens"}}}),
        ],
        vec![
            created(),
            json!({"type": "error", "code": "server_error", "message": "Oops", "param": null}),
        ],
        vec![created(), json!({"type": "error", "error": {"message": "nested"}})],
        vec![json!({"type": "error"})],
        vec![json!({"type": "error", "status": 200, "error": {"message": "x"}})],
        vec![created(), json!({"type": "response.output_text.delta"})],
    ];
    for script in scripts {
        let body: String = script.iter().map(|event| format!("data: {event}\n\n")).collect();
        let response = http::Response::new(Full::from(body));
        let over_sse =
            outcome(ResponseStream::from_response(response, StreamSettings::default())).await;

        let (connection, mut peer) = inline().await;
        let (stream, _) = ask(&connection, request(), async || {
            let sent = peer.receive().await;
            for event in &script {
                peer.event(event.clone()).await;
            }
            sent
        })
        .await;
        assert_eq!(outcome(stream.unwrap()).await, over_sse, "{script:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn text_that_is_no_json_is_a_typed_error_of_its_stream() {
    let (connection, mut peer) = inline().await;
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.event(answer("r", "x")[0].clone()).await;
        peer.send("nonsense").await;
        sent
    })
    .await;
    let (events, error) = outcome(stream.unwrap()).await;
    assert_eq!(events.len(), 1);
    assert!(error.unwrap().contains("is not JSON"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_error_of_the_call_and_the_socket_stays() {
    let (connection, mut peer) = inline().await;
    let (refused, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.event(json!({"type": "error", "status": 429, "error": {"message": "slow"}, "headers": {"retry-after": 3}})).await;
        sent
    })
    .await;
    let error = refused.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::RateLimited, Stage::Sent));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    // In the middle of an answer it ends the stream.
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.event(answer("r", "x")[0].clone()).await;
        peer.event(json!({"type": "error", "status": 503, "error": {"message": "over"}})).await;
        sent
    })
    .await;
    let error = stream.unwrap().final_response().await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Server, Stage::Streaming));
    assert_eq!((error.status().unwrap().as_u16(), error.response_id()), (503, Some("r")));
    assert!(connection.is_open());
}

#[tokio::test(start_paused = true)]
async fn interleaved_lanes() {
    let (connection, mut peer, driver) = driven(ResponsesSocketSettings::new()).await;
    let driver = tokio::spawn(driver);
    let names: Vec<String> = (0..8).map(|n| format!("lane{n}")).collect();
    let serve = async {
        let mut asked = BTreeSet::new();
        for _ in 0..names.len() {
            asked.insert(peer.receive().await["stream_id"].as_str().unwrap().to_owned());
        }
        assert_eq!(asked.len(), names.len());
        for step in 0..4 {
            for name in &names {
                peer.event(on(answer(name, name)[step].clone(), Some(name))).await;
            }
        }
        peer
    };
    let read = futures_util::future::join_all(names.iter().map(|name| {
        let lane = connection.lane(name).unwrap();
        async move { text(lane.stream_request(request()).await.unwrap()).await }
    }));
    let (texts, mut peer) = tokio::join!(read, serve);
    assert_eq!(texts, names);
    drop(connection);
    while peer.0.next().await.is_some_and(|message| message.is_ok()) {}
    driver.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_mid_response() {
    for (code, kind, retryable) in [
        (1011, ErrorKind::Closed, false),
        (1000, ErrorKind::Closed, false),
        (1009, ErrorKind::TooLarge, false),
    ] {
        let (connection, mut peer) = inline().await;
        let (stream, _) = ask(&connection, request(), async || {
            let sent = peer.receive().await;
            peer.event(answer("r", "x")[0].clone()).await;
            peer.event(answer("r", "kept")[1].clone()).await;
            peer.close(code, "bye").await;
            sent
        })
        .await;
        let mut stream = stream.unwrap();
        let mut events = 0;
        let error = loop {
            match stream.try_next().await {
                Ok(event) => events += usize::from(event.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!(events, 2, "what came before the close is read first");
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{code}");
        assert_eq!(error.close_code(), Some(CloseCode::new(code)));
        assert_eq!((error.close_reason(), error.response_id()), (Some("bye"), Some("r")));
        assert!(stream.next().await.is_none());
        let refused = connection.stream_request(request()).await.unwrap_err();
        assert_eq!((refused.stage(), refused.is_retryable()), (Stage::NotSent, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_mid_response() {
    let (connection, mut peer) = inline().await;
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.event(answer("r", "x")[0].clone()).await;
        sent
    })
    .await;
    drop(peer);
    let error = stream.unwrap().final_response().await.unwrap_err();
    assert_eq!(error.stage(), Stage::Streaming);
    assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_close_between_turns_is_seen_before_the_next_request() {
    let (mut connection, mut peer) = inline().await;
    peer.close(1001, "restart").await;
    let ready = std::future::poll_fn(|cx| connection.poll_ready(cx)).await;
    let error = ready.unwrap_err();
    assert_eq!((error.stage(), error.is_retryable()), (Stage::NotSent, true));
    assert_eq!(error.close_code(), Some(CloseCode::GOING_AWAY));
}

#[tokio::test(start_paused = true)]
async fn drop_mid_response_then_reuse() {
    let (connection, mut peer) = inline().await;
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.event(answer("old", "old")[0].clone()).await;
        peer.event(answer("old", "old")[1].clone()).await;
        sent
    })
    .await;
    let mut stream = stream.unwrap();
    stream.try_next().await.unwrap();
    drop(stream);
    let serve = async || {
        for event in &answer("old", "old")[2..] {
            peer.event(event.clone()).await;
        }
        let sent = peer.receive().await;
        peer.answer("new", "new", None).await;
        sent
    };
    let (stream, _) = ask(&connection, request(), serve).await;
    let response = stream.unwrap().final_response().await.unwrap();
    assert_eq!((&*response.id, response.output_text().as_str()), ("new", "new"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_retired_ends_between_responses() {
    let settings = ResponsesSocketSettings::new().max_age(Some(Duration::from_secs(60))).unwrap();
    let (connection, mut peer, driver) = driven(settings).await;
    let driver = tokio::spawn(driver);
    let (stream, mut peer) = tokio::join!(connection.stream_request(request()), async {
        peer.receive().await;
        peer.event(answer("r", "x")[0].clone()).await;
        peer
    });
    advance(Duration::from_secs(61)).await;
    let error = connection.stream_request(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::ConnectionExpired, Stage::NotSent));
    for event in &answer("r", "Hi")[1..] {
        peer.event(event.clone()).await;
    }
    assert_eq!(text(stream.unwrap()).await, "Hi");
    let Some(Ok(Raw::Close(Some(frame)))) = peer.0.next().await else { panic!("a close frame") };
    assert_eq!(u16::from(frame.code), 1000);
    drop(peer);
    driver.await.unwrap().unwrap();
}

#[test]
fn handles_and_streams_travel() {
    fn travels<T: Send + Sync + Unpin + 'static>() {}
    travels::<ResponsesConnection>();
    fn moves<T: Send + Unpin + 'static>() {}
    moves::<ResponseStream<SocketSource>>();
    moves::<SocketCall>();
    moves::<SteerCall>();
}
