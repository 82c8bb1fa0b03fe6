//! Servers and applications that behave badly.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Raw;

use super::talking::{connected, driven, fails, next};
use crate::ErrorKind;
use crate::model::realtime::{ClientEvent, ServerEvent};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn what_no_event_can_be_is_an_error_of_a_few_words() {
    let (mut events, _writer, mut server) = driven().await;
    let long = "x".repeat(2 * MIB);
    let deep = "[".repeat(100_000);
    for text in [
        "",
        " ",
        "null",
        "7",
        "[]",
        "\"x\"",
        "{}",
        "{",
        "\u{feff}{}",
        "\0",
        "{\"type\":null}",
        r#"{"type":"response.output_text.delta","delta":"\ud800"}"#,
        r#"{"type":"response.output_text.delta","delta":7}"#,
        r#"{"type":"response.output_text.delta","type":"session.hummed"}"#,
        &long,
        &deep,
        &format!(r#"{{"type":"session.created","session":{deep}"#),
        &format!(r#"{{"type":"{long}","x":}}"#),
        &format!(r#"{{"x":{deep},"type":"session.hummed"}}"#),
        &format!(r#"{{"type":"response.output_text.delta","delta":{{"{long}":"{long}"}}}}"#),
        &format!(r#"{{"type":"conversation.item.done","item":"{long}"}}"#),
    ] {
        server.0.send(Raw::text(text)).await.unwrap();
        let error = fails(&mut events).await;
        let head: String = text.chars().take(80).collect();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{head}");
        let shown = format!("{error} {error:?}");
        assert!(shown.len() < 4096, "{} bytes: {head}", shown.len());
    }
    server.say(json!({"type": "session.hummed"})).await;
    assert_eq!(next(&mut events).await.kind(), "session.hummed");
}

#[tokio::test]
async fn a_text_larger_than_the_queue_comes_whole() {
    let (mut events, writer, mut server) = driven().await;
    let long = "é".repeat(5 * MIB);
    let delta = json!({"type": "response.output_text.delta", "delta": long});
    let (_, event) = tokio::join!(server.say(delta), next(&mut events));
    assert_eq!(event.output_text_delta(), Some(&*long));
    let said = ClientEvent::text(long.as_str());
    let (sent, heard) = tokio::join!(writer.send(&said), server.hear());
    sent.unwrap();
    assert_eq!(heard["item"]["content"][0]["text"], long);
}

#[tokio::test]
async fn many_small_events_come_in_order() {
    const EVENTS: u64 = 20_000;
    let (mut events, _writer, mut server) = driven().await;
    let say = async {
        for n in 0..EVENTS {
            let delta =
                json!({"type": "response.output_text.delta", "output_index": n, "delta": "x"});
            server.0.feed(Raw::text(delta.to_string())).await.unwrap();
        }
        server.0.flush().await.unwrap();
    };
    let read = async {
        for n in 0..EVENTS {
            let ServerEvent::ResponseOutputTextDelta(delta) = next(&mut events).await else {
                panic!()
            };
            assert_eq!(delta.output_index, Some(n));
        }
    };
    tokio::join!(say, read);
}

/// For longer than a server that is gone would be noticed.
#[tokio::test(start_paused = true)]
async fn writers_go_on_without_a_reader() {
    let (events, writer, server) = driven().await;
    drop(events);
    let (mut sink, mut stream) = server.0.split();
    // The server says more than anybody has room for.
    let flood = tokio::spawn(async move {
        let event =
            Raw::text(json!({"type": "session.hummed", "x": "x".repeat(10_000)}).to_string());
        while sink.send(event.clone()).await.is_ok() {}
    });
    for _ in 0..100 {
        writer.send(&ClientEvent::commit()).await.unwrap();
        let heard = loop {
            match stream.next().await.unwrap().unwrap() {
                Raw::Text(text) => break text,
                _ => continue,
            }
        };
        assert!(heard.contains("input_audio_buffer.commit"), "{heard}");
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(!flood.is_finished());
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn writers_that_wait_are_told_of_the_end() {
    let (events, writer, server) = driven().await;
    let audio = ClientEvent::audio("A".repeat(MIB));
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (writer, audio) = (writer.clone(), audio.clone());
            tokio::spawn(async move { writer.send(&audio).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(server);
    let mut failed = 0;
    for waiting in waiting {
        failed += usize::from(waiting.await.unwrap().is_err());
    }
    assert!(failed > 10, "{failed}");
    let error = writer.send(&audio).await.unwrap_err();
    assert!(!error.message().is_empty());
    drop(events);
    assert!(writer.send(&ClientEvent::commit()).await.is_err());
    assert!(writer.send_samples(&[0]).await.is_err());
}

#[tokio::test]
async fn a_close_of_ours_ends_every_writer() {
    let (mut events, writer, mut server) = connected().await;
    let others: Vec<_> = (0..3).map(|_| writer.clone()).collect();
    let serve = async { while server.0.next().await.is_some() {} };
    let (closed, ()) = tokio::join!(events.close(), serve);
    closed.unwrap();
    for writer in others {
        let error = writer.send(&ClientEvent::commit()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    assert!(events.next().await.is_none());
    assert!(events.next().await.is_none());
    // Closed again, it stays closed.
    let _ = events.close().await;
}
