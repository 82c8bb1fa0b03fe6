//! Both ends over a socket in memory, against a server of another make.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Raw;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::model::realtime::codex::RealtimeAudioFrame;
use crate::model::realtime::{ClientEvent, ServerEvent};
use crate::services::realtime::{RealtimeEvents, RealtimeWriter};
use crate::ws::{CloseCode, WebSocket, WebSocketConfig};
use crate::{Error, ErrorKind, Stage};

pub(super) struct Server(pub(super) WebSocketStream<DuplexStream>);

impl Server {
    pub(super) async fn say(&mut self, event: Value) {
        self.0.send(Raw::text(event.to_string())).await.unwrap();
    }

    pub(super) async fn hear(&mut self) -> Value {
        let message = self.0.next().await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    pub(super) async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "because".into() };
        self.0.send(Raw::Close(Some(frame))).await.unwrap();
    }
}

pub(super) async fn connected() -> (RealtimeEvents, RealtimeWriter, Server) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let socket = WebSocket::inline_over(ours, &WebSocketConfig::default());
    let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    let writer = RealtimeWriter::new(socket.sender());
    (RealtimeEvents::new(socket, http::Extensions::new()), writer, Server(server))
}

/// The same with a driver, so that bytes move while nobody waits.
pub(super) async fn driven() -> (RealtimeEvents, RealtimeWriter, Server) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (socket, driver) = WebSocket::over(ours, &WebSocketConfig::default());
    tokio::spawn(driver);
    let server = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
    let writer = RealtimeWriter::new(socket.sender());
    (RealtimeEvents::new(socket, http::Extensions::new()), writer, Server(server))
}

pub(super) async fn next(events: &mut RealtimeEvents) -> ServerEvent {
    events.next().await.unwrap().unwrap()
}

pub(super) async fn fails(events: &mut RealtimeEvents) -> Error {
    events.next().await.unwrap().unwrap_err()
}

#[tokio::test]
async fn a_complaint_is_an_event_and_the_conversation_goes_on() {
    let (mut events, writer, mut server) = connected().await;
    let complaint = json!({"type": "error", "event_id": "ev_1", "error": {
        "type": "invalid_request_error", "code": "unknown_parameter", "message": "No.",
        "param": "session.hat", "event_id": "mine"
    }});
    server.say(complaint).await;
    let ServerEvent::Error(error) = next(&mut events).await else { panic!() };
    assert_eq!((error.code(), error.param()), (Some("unknown_parameter"), Some("session.hat")));
    assert_eq!(error.client_event_id().as_deref(), Some("mine"));
    writer.send(&ClientEvent::text("still there?")).await.unwrap();
    assert_eq!(server.hear().await["item"]["content"][0]["text"], "still there?");
    server.say(json!({"type": "input_audio_buffer.cleared"})).await;
    assert_eq!(next(&mut events).await.kind(), "input_audio_buffer.cleared");
}

/// Row 67 of the faults.
#[tokio::test]
async fn the_code_of_a_complaint_is_that_of_the_close_after_it() {
    let (mut events, _writer, mut server) = connected().await;
    let error = json!({"code": "beta_api_shape_disabled", "message": "The beta is gone."});
    server.say(json!({"type": "error", "error": error})).await;
    server.close(4000).await;
    assert_eq!(next(&mut events).await.kind(), "error");
    let error = fails(&mut events).await;
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Closed, Stage::Streaming));
    assert_eq!(error.code(), Some("beta_api_shape_disabled"));
    assert_eq!(
        (error.close_code(), error.close_reason()),
        (Some(CloseCode::new(4000)), Some("because"))
    );
    assert!(error.message().contains("The beta is gone."), "{error}");
    assert!(!error.is_retryable());
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_complaint_of_before_is_not_the_reason_of_a_close() {
    let (mut events, _writer, mut server) = connected().await;
    server.say(json!({"type": "error", "error": {"code": "old"}})).await;
    server.say(json!({"type": "input_audio_buffer.cleared"})).await;
    server.close(1011).await;
    next(&mut events).await;
    next(&mut events).await;
    let error = fails(&mut events).await;
    assert_eq!((error.code(), error.close_code()), (None, Some(CloseCode::SERVER_ERROR)));
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_the_next_event_follows() {
    let (mut events, _writer, mut server) = connected().await;
    server.0.send(Raw::binary(vec![1, 2])).await.unwrap();
    server.0.send(Raw::text("not json")).await.unwrap();
    server.say(json!({"type": "response.output_text.delta"})).await;
    server.say(json!({"type": "session.hummed"})).await;
    for words in ["binary", "not JSON", "`response.output_text.delta`"] {
        let error = fails(&mut events).await;
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.message().contains(words), "{error}");
    }
    assert_eq!(next(&mut events).await.kind(), "session.hummed");
}

#[tokio::test]
async fn what_came_before_the_close_is_read_before_the_end() {
    let (mut events, writer, mut server) = connected().await;
    for n in 0..100 {
        server.say(json!({"type": "session.hummed", "n": n})).await;
    }
    server.close(1000).await;
    for _ in 0..100 {
        assert_eq!(next(&mut events).await.kind(), "session.hummed");
    }
    assert!(events.next().await.is_none());
    let error = writer.send(&ClientEvent::response()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn what_was_said_is_sent_before_a_close_of_ours() {
    let (mut events, writer, mut server) = connected().await;
    writer.send(&ClientEvent::commit()).await.unwrap();
    let serve = async {
        assert_eq!(server.hear().await["type"], "input_audio_buffer.commit");
        server.say(json!({"type": "input_audio_buffer.committed"})).await;
        while server.0.next().await.is_some() {}
    };
    let (closed, ()) = tokio::join!(events.close(), serve);
    closed.unwrap();
    assert_eq!(next(&mut events).await.kind(), "input_audio_buffer.committed");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn audio_is_said_as_the_server_wants_it_or_not_at_all() {
    let (_events, writer, mut server) = connected().await;
    writer.send_samples(&[0, 1, -2]).await.unwrap();
    let heard = server.hear().await;
    assert_eq!(heard, json!({"type": "input_audio_buffer.append", "audio": "AAABAP7/"}));
    writer.send_frame(RealtimeAudioFrame::new("AAA=", 24_000, 1)).await.unwrap();
    assert_eq!(server.hear().await["audio"], "AAA=");
    for frame in
        [RealtimeAudioFrame::new("AAA=", 48_000, 1), RealtimeAudioFrame::new("AAA=", 24_000, 2)]
    {
        let error = writer.send_frame(frame).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains("convert it"), "{error}");
    }
    let half = RealtimeAudioFrame::new("AAAA", 24_000, 1);
    let error = writer.send_frame(half).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Build);
    assert!(error.message().contains("in the middle of a sample"), "{error}");
    let error = writer.send_samples(&vec![0; 6 * 1024 * 1024]).await.unwrap_err();
    assert!(error.message().contains("in pieces"), "{error}");
}

#[tokio::test]
async fn an_event_that_is_not_known_here_is_said_as_it_is() {
    let (_events, writer, mut server) = connected().await;
    let raw = r#"{"x":1.50,"type":"session.hum","a":null,"x2":"\u00e9"}"#;
    writer.send(&serde_json::from_str(raw).unwrap()).await.unwrap();
    let message = server.0.next().await.unwrap().unwrap();
    assert_eq!(message.to_text().unwrap(), raw);
}

#[tokio::test]
async fn events_share_the_ids_that_they_repeat() {
    let (mut events, _writer, mut server) = connected().await;
    let mut read = Vec::new();
    for _ in 0..2 {
        let delta = json!({"type": "response.output_text.delta", "event_id": "e", "response_id": "r",
            "item_id": "i", "delta": "x"});
        server.say(delta).await;
        let ServerEvent::ResponseOutputTextDelta(delta) = next(&mut events).await else { panic!() };
        read.push((delta.response_id.unwrap(), delta.item_id.unwrap()));
    }
    assert!(Arc::ptr_eq(&read[0].0, &read[1].0) && Arc::ptr_eq(&read[0].1, &read[1].1));
}

#[tokio::test]
async fn writers_wait_while_the_server_does_not_read() {
    let (_events, writer, mut server) = driven().await;
    let audio = ClientEvent::audio("A".repeat(100_000));
    let mut said = 0;
    loop {
        let mut sending = tokio_test::task::spawn(writer.send(&audio));
        match sending.poll() {
            std::task::Poll::Ready(result) => result.unwrap(),
            std::task::Poll::Pending => break,
        }
        said += 1;
        assert!(said < 30, "nothing bounds it");
    }
    let other = writer.clone();
    let (result, _) = tokio::join!(other.send(&ClientEvent::commit()), async {
        for _ in 0..said {
            server.hear().await;
        }
    });
    result.unwrap();
}

#[tokio::test]
async fn secrets_in_the_reason_of_a_close_do_not_show() {
    let (mut events, _writer, mut server) = connected().await;
    let frame = CloseFrame { code: 4001.into(), reason: "bad key sk-planted-key-1".into() };
    server.0.send(Raw::Close(Some(frame))).await.unwrap();
    let error = fails(&mut events).await;
    assert!(!format!("{error} {error:?}").contains("planted"));
}
