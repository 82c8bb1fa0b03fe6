//! Scripts on WebSockets: refused handshakes, frames of every kind, and how a socket ends.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};
use tower_openai::testing::{Frame, Outcome, Script, Server};

use crate::sockets::{create, turn};
use crate::support::*;

#[tokio::test]
async fn a_handshake_takes_what_answers_it_and_leaves_the_rest_to_turns() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().text("one"));
    server.enqueue(Script::status(503).header("retry-after", "2").json(json!({"own": 1})));
    server.enqueue(Script::status(429).header("retry-after", "3").after_handshake());
    server.enqueue(Script::handshake().header("x-models-etag", "e1"));
    let response = knock(&server, handshake(&server, "responses")).await.unwrap_err();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"2".parse().unwrap())
    );
    let (mut socket, response) = knock(&server, handshake(&server, "responses")).await.unwrap();
    assert_eq!(response.headers()["x-models-etag"], "e1");
    let events = turn(&mut socket, create("x")).await;
    assert!(events[events.len() - 1].to_string().contains("\"text\":\"one\""));
    let event = turn(&mut socket, create("x")).await.remove(0);
    assert_eq!((&event["status"], &event["headers"]["retry-after"]), (&json!(429), &json!("3")));
    assert_eq!(event["error"]["code"], "rate_limit_exceeded");
    assert_eq!(server.queued(), 0);
}

#[tokio::test]
async fn a_header_names_the_script_of_the_handshake_or_of_every_turn() {
    let server = Server::start().await.unwrap();
    let with = |name: &'static str| {
        let mut request = handshake(&server, "responses");
        request.headers_mut().insert("x-script", name.parse().unwrap());
        request
    };
    assert_eq!(knock(&server, with("426")).await.unwrap_err().status(), 426);
    assert_eq!(knock(&server, with("nope")).await.unwrap_err().status(), 400);
    let (mut socket, _) = knock(&server, with("failed")).await.unwrap();
    for _ in 0..2 {
        let events = turn(&mut socket, create("x")).await;
        assert_eq!(events[events.len() - 1]["type"], "response.failed");
    }
    let (mut socket, _) = knock(&server, with("close-1011")).await.unwrap();
    say(&mut socket, create("x")).await;
    let close = hear_close(&mut socket).await;
    assert_eq!(close, Some((1011, "internal error".into())));
}

#[tokio::test]
async fn every_named_script_of_a_socket_does_something() {
    let server = Server::start().await.unwrap();
    for (name, _) in Script::socket_names().filter(|(name, _)| *name != "bad-accept") {
        let mut request = handshake(&server, "responses");
        request.headers_mut().insert("x-script", name.parse().unwrap());
        let Ok((mut socket, _)) = knock(&server, request).await else {
            assert_eq!(name, "426");
            continue;
        };
        say(&mut socket, create("x")).await;
        soon(socket.next()).await.expect(name).ok();
    }
    let (status, body) = sent(named_post(&server, "not-json")).await;
    assert_eq!(status, 400);
    assert!(body.to_string().contains("WebSockets"), "{body}");
}

fn named_post(server: &Server, name: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = post(server, STREAM);
    request.headers_mut().insert("x-script", name.parse().unwrap());
    request
}

#[tokio::test]
async fn frames_are_said_as_they_are() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::frames([
        Frame::wait_for(2),
        json!({"type": "own"}).into(),
        Frame::fragments("fragmented", 3),
        Frame::ping("p"),
        Frame::pong("q").after(Duration::from_millis(1)),
        Frame::binary(&b"\x00"[..]),
    ]));
    let mut socket = open(&server, "responses").await;
    for _ in 0..2 {
        say(&mut socket, json!({"not": "answered"})).await;
    }
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(soon(socket.next()).await.unwrap().unwrap());
    }
    let expected = [
        Message::text(r#"{"type":"own"}"#),
        Message::text("fragmented"),
        Message::Ping("p".into()),
        Message::Pong("q".into()),
        Message::binary(&b"\x00"[..]),
    ];
    assert_eq!(seen, expected);
    let events = turn(&mut socket, create("x")).await;
    assert_eq!(events[0]["type"], "response.created", "goes on as the API does");
}

#[tokio::test]
async fn what_breaks_the_protocol_arrives_broken() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::frames([Frame::raw(&b"\xc1\x00"[..])]));
    let mut socket = open(&server, "responses").await;
    let error = soon(socket.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::NonZeroReservedBits)), "{error}");
    server.enqueue(Script::frames([Frame::raw(&b"\x81\x02\xc3\x28"[..])]));
    let mut socket = open(&server, "responses").await;
    assert!(matches!(soon(socket.next()).await, Some(Err(Error::Utf8(_)))));
}

#[tokio::test]
async fn every_ending_says_what_came_before_it() {
    let server = Server::start().await.unwrap();
    let script = || Script::natural().cut_after(3);
    for (script, outcome) in [
        (script().then_close(4000, "why"), Outcome::Complete),
        (script().then_truncate(), Outcome::BrokenOff),
        (script().then_reset(), Outcome::BrokenOff),
    ] {
        server.enqueue(script.clone());
        let mut socket = open(&server, "responses").await;
        say(&mut socket, create("x")).await;
        for kind in ["created", "in_progress", "output_item.added"] {
            assert_eq!(hear(&mut socket).await["type"], format!("response.{kind}"), "{script:?}");
        }
        let closed = hear_close(&mut socket).await;
        let expected = (outcome == Outcome::Complete).then(|| (4000, String::from("why")));
        assert_eq!(closed, expected, "{script:?}");
        // So that the answer to the close frame leaves.
        let _ = soon(socket.next()).await;
        let seen = server.requests().pop().unwrap();
        assert_eq!(soon(seen.closed()).await, outcome, "{script:?}");
    }
}

#[tokio::test]
async fn a_stalled_turn_leaves_the_socket_alive_and_a_frozen_socket_is_dead() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(1).then_stall());
    let mut socket = open(&server, "responses").await;
    say(&mut socket, create("x")).await;
    assert_eq!(hear(&mut socket).await["type"], "response.created");
    socket.send(Message::Ping("alive?".into())).await.unwrap();
    assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::Pong("alive?".into()));

    server.enqueue(Script::natural().cut_after(1).then_freeze());
    let mut socket = open(&server, "responses").await;
    say(&mut socket, create("x")).await;
    assert_eq!(hear(&mut socket).await["type"], "response.created");
    socket.send(Message::Ping("alive?".into())).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), socket.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    let seen = server.requests().pop().unwrap();
    drop(socket);
    assert_eq!(soon(seen.closed()).await, Outcome::Disconnected);
}

#[tokio::test]
async fn a_slow_reader_holds_a_flood_back() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().text("flood ".repeat(100_000)));
    let mut socket = open(&server, "responses").await;
    say(&mut socket, create("x")).await;
    let seen = server.requests().remove(0);
    let mut before = 0;
    // Until it no longer grows: what the buffers of both sides hold.
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let written = seen.bytes_written();
        if written == before {
            break;
        }
        before = written;
    }
    let events = hear_until(&mut socket, &["response.completed"]).await;
    assert!(events.len() > 100_000 && seen.bytes_written() > before);
}

#[tokio::test]
async fn what_an_http_answer_is_shaped_by_shapes_messages() {
    let server = Server::start().await.unwrap();
    let mut socket = open(&server, "responses").await;
    server.enqueue(Script::natural().chunk_size(5).comments());
    say(&mut socket, create("x")).await;
    assert!(matches!(soon(socket.next()).await, Some(Ok(Message::Ping(_)))));
    assert_eq!(hear(&mut socket).await["type"], "response.created");
    hear_until(&mut socket, &["response.completed"]).await;
    server.enqueue(Script::events([json!({"type": "response.created"}), json!({"type": "error"})]));
    assert_eq!(types(&turn(&mut socket, create("x")).await), ["response.created", "error"]);
    server.enqueue(Script::natural().malformed(0));
    say(&mut socket, create("x")).await;
    let text = soon(socket.next()).await.unwrap().unwrap().into_text().unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{text}");
}
