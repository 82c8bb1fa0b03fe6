//! Rows of faults.md that need a connection: the preset against the loopback server.

use std::sync::Arc;
use std::time::Duration;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tower_openai::model::ResponseEvent;
use tower_openai::sse::{Limits, StreamSettings};
use tower_openai::testing::{Outcome, Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{Client, ErrorKind, Stage};

use crate::support::{completed, created, delta, kinds, read, request, serving, soon, sse, text};

/// The events of one answer, and the error at its end; it is asked for once.
async fn served(
    script: Script,
) -> (Vec<tower_openai::model::ResponseEvent>, Option<tower_openai::Error>) {
    let (server, client) = serving(script).await;
    let stream = soon(client.responses().stream_request(request())).await.unwrap();
    let outcome = soon(read(stream)).await;
    assert_eq!(server.received(), 1);
    server.shutdown().await;
    outcome
}

#[tokio::test]
async fn row_33_a_reset_or_a_missing_last_chunk_is_a_broken_transport() {
    let script = || Script::natural().cut_after(6);
    for script in [script().then_truncate(), script().then_reset()] {
        let (events, error) = served(script).await;
        assert_eq!(events.len(), 6);
        let error = error.unwrap();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Transport, Stage::Streaming));
        assert!(error.response_id().is_some() && error.sequence_number() == Some(5), "{error:?}");
        assert!(!error.is_retryable(), "content was handed out");
        assert!(error.chain().count() > 1, "{error:?}");
    }
    let (events, error) = served(script().cut_after(1).then_truncate()).await;
    assert_eq!(kinds(&events), ["response.created"]);
    assert!(error.unwrap().is_retryable(), "nothing of the answer was handed out");
}

#[tokio::test]
async fn row_34_an_http2_stream_that_is_reset_is_the_same() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(6).then_reset());
    let transport = HyperTransport::builder().http2_only().build().unwrap();
    let client =
        Client::builder().base_url(server.base_url()).transport(transport).build().unwrap();
    let stream = soon(client.responses().stream_request(request())).await.unwrap();
    assert_eq!(stream.meta().status(), 200);
    let (events, error) = soon(read(stream)).await;
    assert_eq!(events.len(), 6);
    let error = error.unwrap();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Transport, Stage::Streaming));
    assert!(error.response_id().is_some() && error.sequence_number() == Some(5), "{error:?}");
    assert!(!error.is_retryable() && error.chain().count() > 1, "{error:?}");
    assert_eq!(server.received(), 1);
    assert_eq!(server.requests()[0].version(), http::Version::HTTP_2);
    server.shutdown().await;
}

/// An event without the seconds at which the server made it.
fn without_times(event: &ResponseEvent) -> Value {
    let mut event = serde_json::to_value(event).unwrap();
    if let Some(Value::Object(response)) = event.get_mut("response") {
        response.retain(|name, _| !name.ends_with("_at"));
    }
    event
}

#[tokio::test]
async fn row_38_one_byte_per_chunk_gives_the_same_events() {
    let mut all = Vec::new();
    for script in [Script::natural(), Script::natural().chunk_size(1)] {
        // Of the same seed, so with the same ids.
        let server = Server::builder().seed(7).start().await.unwrap();
        server.enqueue(script.text("caf\u{e9} \u{1F600} one two three"));
        let client = Client::builder().base_url(server.base_url()).build().unwrap();
        let stream = soon(client.responses().stream_request(request())).await.unwrap();
        let (events, error) = soon(read(stream)).await;
        assert!(error.is_none());
        assert_eq!(text(&events), "caf\u{e9} \u{1F600} one two three");
        all.push(events.iter().map(without_times).collect::<Vec<_>>());
        server.shutdown().await;
    }
    assert_eq!(all[0], all[1]);
}

#[tokio::test]
async fn row_47_a_dropped_stream_closes_the_connection_within_a_second() {
    let script = Script::natural().cut_after(3).then_stall();
    let flood = Script::natural().text("word ".repeat(200_000));
    for script in [script, flood] {
        let (server, client) = serving(script).await;
        let mut stream = soon(client.responses().stream_request(request())).await.unwrap();
        for _ in 0..3 {
            soon(stream.try_next()).await.unwrap().unwrap();
        }
        let request = server.requests().remove(0);
        assert_eq!(request.outcome(), None);
        drop(stream);
        let closed = tokio::time::timeout(Duration::from_secs(1), request.closed()).await;
        assert_eq!(closed.expect("within a second"), Outcome::Disconnected);
        server.shutdown().await;
    }
}

#[tokio::test]
async fn row_36_the_idle_clock_closes_the_socket() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(3).then_stall());
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test");
    let client = client.idle_timeout(Duration::from_millis(300)).build().unwrap();
    let mut stream = soon(client.responses().stream_request(request())).await.unwrap();
    let error = loop {
        match soon(stream.next()).await {
            Some(Ok(_)) => {}
            end => break end.unwrap().unwrap_err(),
        }
    };
    assert_eq!(error.kind(), ErrorKind::IdleTimeout);
    // Though the stream is still held.
    let request = server.requests().remove(0);
    assert_eq!(soon(request.closed()).await, Outcome::Disconnected);
    drop(stream);
    server.shutdown().await;
}

#[tokio::test]
async fn row_47_so_does_a_dropped_call_that_waits_for_the_head() {
    let (server, client) = serving(Script::no_head().then_stall()).await;
    let responses = client.responses();
    let call =
        tokio::time::timeout(Duration::from_millis(200), responses.stream_request(request()));
    assert!(call.await.is_err());
    let request = soon(server.wait_for_disconnect()).await;
    assert_eq!(request.outcome(), Some(Outcome::Disconnected));
    server.shutdown().await;
}

#[tokio::test]
async fn row_47_and_a_stream_that_is_cancelled_within_its_task() {
    let (server, client) = serving(Script::natural().cut_after(3).then_stall()).await;
    let task = tokio::spawn(async move {
        let stream = client.responses().stream_request(request()).await.unwrap();
        stream.text().collect().await
    });
    soon(server.wait_for_requests(1)).await;
    task.abort();
    let request = soon(server.wait_for_disconnect()).await;
    assert_eq!(request.outcome(), Some(Outcome::Disconnected));
    server.shutdown().await;
}

#[tokio::test]
async fn row_48_completed_ends_the_stream_although_the_socket_stays_open() {
    let (server, client) = serving(Script::natural().then_stall()).await;
    let stream = soon(client.responses().stream_request(request())).await.unwrap();
    let (events, error) = tokio::time::timeout(Duration::from_secs(5), read(stream)).await.unwrap();
    assert!(error.is_none());
    assert!(events.last().unwrap().is_terminal());
    let request = server.requests().remove(0);
    assert_eq!(soon(request.closed()).await, Outcome::Disconnected);
    server.shutdown().await;
}

#[tokio::test]
async fn a_stream_read_to_its_end_leaves_the_connection_for_the_next() {
    let (server, client) = serving(Script::natural()).await;
    for _ in 0..3 {
        let stream = soon(client.responses().stream_request(request())).await.unwrap();
        soon(stream.text().collect()).await.unwrap();
    }
    // One that is dropped right behind its terminal event too, once the body's end has come.
    let mut stream = soon(client.responses().stream_request(request())).await.unwrap();
    while let Some(event) = soon(stream.try_next()).await.unwrap() {
        if event.is_terminal() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    drop(stream);
    assert_eq!((server.received(), server.connections()), (4, 1));
    server.shutdown().await;
}

/// The events compressed as one, with a flush after the first.
async fn compressed(encoding: &str, events: &[String; 2]) -> Vec<Vec<u8>> {
    macro_rules! compress {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(events[0].as_bytes()).await.unwrap();
            encoder.flush().await.unwrap();
            let first = encoder.get_ref().clone();
            encoder.write_all(events[1].as_bytes()).await.unwrap();
            encoder.shutdown().await.unwrap();
            let rest = encoder.into_inner().split_off(first.len());
            vec![first, rest]
        }};
    }
    match encoding {
        "gzip" => compress!(GzipEncoder),
        "zstd" => compress!(ZstdEncoder),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn row_54_a_compressed_stream_is_decoded_as_it_comes() {
    let events = [sse(&[created(), delta("Hel")]), sse(&[delta("lo"), completed()])];
    for encoding in ["gzip", "zstd"] {
        let pieces = compressed(encoding, &events).await;
        let whole = Script::pieces(pieces.clone()).header("content-encoding", encoding);
        let (seen, error) = served(whole).await;
        assert!(error.is_none(), "{encoding}: {error:?}");
        assert_eq!(text(&seen), "Hello");

        // The first half arrives although the second never does.
        let stalled = Script::pieces([pieces[0].clone()]).header("content-encoding", encoding);
        let (server, client) = serving(stalled.then_stall()).await;
        let mut stream = soon(client.responses().stream_request(request())).await.unwrap();
        soon(stream.try_next()).await.unwrap().unwrap();
        assert_eq!(text(&[soon(stream.try_next()).await.unwrap().unwrap()]), "Hel");
        drop(stream);
        server.shutdown().await;
    }
}

#[tokio::test]
async fn row_54_a_compressed_stream_that_is_cut_is_no_success() {
    // The cut is behind the terminal event's first half.
    let events = [sse(&[created(), delta("Hel")]), sse(&[delta("lo"), completed()])];
    for encoding in ["gzip", "zstd"] {
        let [first, mut rest] =
            <[Vec<u8>; 2]>::try_from(compressed(encoding, &events).await).unwrap();
        rest.truncate(rest.len() / 3);
        for pieces in [vec![first.clone()], vec![first, rest]] {
            let script = Script::pieces(pieces).header("content-encoding", encoding);
            let (seen, error) = served(script).await;
            assert!(text(&seen).starts_with("Hel"), "{encoding}");
            let error = error.unwrap();
            assert_eq!(error.stage(), Stage::Streaming, "{encoding}");
            assert!(
                matches!(error.kind(), ErrorKind::Truncated | ErrorKind::Transport),
                "{encoding}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn row_55_a_decompression_bomb_is_too_large() {
    let line = [format!("data: {}", "x".repeat(8 << 20)), "x".repeat(8 << 20)];
    let mut settings = StreamSettings::default();
    settings.limits = Limits::uniform(1 << 20);
    for encoding in ["gzip", "zstd"] {
        let bomb = compressed(encoding, &line).await.concat();
        assert!(bomb.len() < 1 << 17, "{}", bomb.len());
        let server = Server::start().await.unwrap();
        server.enqueue(Script::pieces([bomb]).header("content-encoding", encoding));
        let client = Client::builder().base_url(server.base_url()).stream_settings(settings);
        let responses = client.build().unwrap().responses();
        let stream = soon(responses.stream_request(request())).await.unwrap();
        let (events, error) = soon(read(stream)).await;
        assert!(events.is_empty());
        assert_eq!(error.unwrap().kind(), ErrorKind::TooLarge, "{encoding}");
        server.shutdown().await;
    }
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    let responses = Arc::new(client.responses());
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let responses = Arc::clone(&responses);
            tokio::spawn(async move {
                let request = tower_openai::services::ResponsesRequest::new("m", format!("<{n}>"));
                let text = responses.stream_request(request).await?.text().collect().await?;
                assert!(text.contains(&format!("<{n}>")), "{n}: {text}");
                Ok::<_, tower_openai::Error>(())
            })
        })
        .collect();
    for task in tasks {
        soon(task).await.unwrap().unwrap();
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_failure_in_the_middle_of_the_servers_turn() {
    let (events, error) = served(Script::named("failed").unwrap()).await;
    assert!(!text(&events).is_empty());
    assert_eq!(error.unwrap().kind(), ErrorKind::Server);
    let (_, error) = served(Script::named("error-event").unwrap()).await;
    assert_eq!(error.unwrap().code(), Some("server_error"));
    let (_, error) = served(Script::natural().failed("insufficient_quota", "m")).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.response_id().is_some()), (ErrorKind::Quota, true));
    assert_eq!(json!(error.stage().as_str()), "streaming");
}
