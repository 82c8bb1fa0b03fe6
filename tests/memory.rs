//! Memory stays flat whatever the server does. A process of its own, and one test, because memory is
//! the process's.
#![cfg(target_os = "linux")]

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tower_openai::model::ResponseEvent;
use tower_openai::services::ResponsesRequest;
use tower_openai::sse::{Limits, StreamSettings};
use tower_openai::testing::{Outcome, Script, Server};
use tower_openai::{Client, ErrorKind};

/// What may be added by buffers of sockets, runtime and allocator: far below what a server sends.
const SLACK: usize = 24 << 20;

/// Memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn client(server: &Server, settings: StreamSettings) -> Client {
    let client = Client::builder().base_url(server.base_url()).stream_settings(settings);
    client.max_retries(0).build().unwrap()
}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "hello")
}

/// A body of `count` times the same piece, which is in memory once.
fn flood(piece: Vec<u8>, count: usize) -> Script {
    let piece = Bytes::from(piece);
    Script::pieces(std::iter::repeat_n(piece, count)).header("content-type", "text/event-stream")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat() {
    let server = Server::start().await.unwrap();
    // What everything needs once is not counted.
    let warm = client(&server, StreamSettings::default());
    warm.responses().stream_request(request()).await.unwrap().text().collect().await.unwrap();

    row_46_a_sleeping_consumer_holds_the_server_back(&server).await;
    row_45_an_endless_line_is_broken_off(&server).await;
    row_45_an_endless_event_is_broken_off(&server).await;
    endless_comments_are_not_kept(&server).await;
    a_huge_refusal_is_not_read_whole(&server).await;
    server.shutdown().await;
}

async fn row_46_a_sleeping_consumer_holds_the_server_back(server: &Server) {
    const EVENTS: usize = 400_000;
    let event = json!({"type": "response.output_text.delta", "delta": "x".repeat(100)});
    let piece = format!("data: {event}\n\n").repeat(100).into_bytes();
    let (before, size) = (resident(), piece.len() * EVENTS / 100);
    server.enqueue(flood(piece, EVENTS / 100).then_stall());
    let client = client(server, StreamSettings::default());
    let mut stream = client.responses().stream_request(request()).await.unwrap();
    stream.next().await.unwrap().unwrap();

    // Sleeps until the server gets no further.
    let answer = server.requests().pop().unwrap();
    let mut written = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = answer.bytes_written();
        if now == written {
            break;
        }
        written = now;
    }
    assert!(written < size as u64 / 4, "{written} of {size} bytes were taken");
    let grown = resident().saturating_sub(before);
    assert!(grown < SLACK, "asleep: {grown} bytes for {written} bytes sent");

    // Awake, it reads a part of the flood in the same memory.
    for _ in 0..EVENTS / 10 {
        let ResponseEvent::OutputTextDelta(_) = stream.next().await.unwrap().unwrap() else {
            panic!("a delta");
        };
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < SLACK, "awake: {grown} bytes");
    drop(stream);
    let closed = tokio::time::timeout(Duration::from_secs(1), answer.closed()).await;
    assert_eq!(closed.expect("closed within a second"), Outcome::Disconnected);
}

/// The error of a stream that is flooded, and how much memory it took.
async fn broken_off(server: &Server, script: Script) -> (ErrorKind, usize) {
    let mut settings = StreamSettings::default();
    settings.limits = Limits::uniform(4 << 20);
    let before = resident();
    server.enqueue(script);
    let client = client(server, settings);
    let mut stream = client.responses().stream_request(request()).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    (error.kind(), resident().saturating_sub(before))
}

async fn row_45_an_endless_line_is_broken_off(server: &Server) {
    let (kind, grown) = broken_off(server, flood(vec![b'x'; 64 << 10], 4096)).await;
    assert_eq!(kind, ErrorKind::TooLarge);
    assert!(grown < SLACK, "{grown} bytes for a line of 256 MiB");
}

async fn row_45_an_endless_event_is_broken_off(server: &Server) {
    let (kind, grown) = broken_off(server, flood("data: x\n".repeat(8192).into(), 4096)).await;
    assert_eq!(kind, ErrorKind::TooLarge);
    assert!(grown < SLACK, "{grown} bytes for an event of 256 MiB");
}

async fn endless_comments_are_not_kept(server: &Server) {
    let (kind, grown) = broken_off(server, flood(": x\n".repeat(16_384).into(), 512)).await;
    assert_eq!(kind, ErrorKind::Truncated);
    assert!(grown < SLACK, "{grown} bytes for 32 MiB of comments");
}

async fn a_huge_refusal_is_not_read_whole(server: &Server) {
    let before = resident();
    server.enqueue(flood(vec![b'x'; 64 << 10], 4096).with_status(500));
    let client = client(server, StreamSettings::default());
    let error = client.responses().stream_request(request()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.body().len()), (ErrorKind::Server, 64 << 10));
    let grown = resident().saturating_sub(before);
    assert!(grown < SLACK, "{grown} bytes for a refusal of 256 MiB");
}
