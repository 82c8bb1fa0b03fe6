//! Many tasks on one socket: no wake-up is lost, and nobody starves.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};
use tower_openai::ws::{CloseCode, Message, WebSocket, WebSocketConfig};

use super::support::{Peer, TEXT, frame, in_time, inline, soon};

const SENDERS: usize = 8;
const MESSAGES: usize = 100;

/// Each sender's messages come back, in its order.
async fn echo_for_all(mut socket: WebSocket, longest: usize) {
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| {
            let sender = socket.sender();
            tokio::spawn(async move {
                for message in 0..MESSAGES {
                    let padding = "x".repeat((number * 997 + message * 131) % longest);
                    sender.send(format!("{number} {message} {padding}")).await.unwrap();
                }
            })
        })
        .collect();
    let mut next = HashMap::new();
    for _ in 0..SENDERS * MESSAGES {
        let message = socket.next().await.unwrap().unwrap();
        let mut words = message.as_text().unwrap().split(' ');
        let number: usize = words.next().unwrap().parse().unwrap();
        let expected = next.entry(number).or_insert(0);
        assert_eq!(words.next().unwrap().parse(), Ok(*expected));
        *expected += 1;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    socket.close(CloseCode::NORMAL).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_with_a_driver() {
    for pipe in [100, 3000, 100_000] {
        let (ours, theirs) = tokio::io::duplex(pipe);
        let echo = tokio::spawn(Peer(theirs).echo());
        let (socket, driver) = WebSocket::over(ours, &WebSocketConfig::default());
        let driving = tokio::spawn(driver);
        soon(echo_for_all(socket, 5000)).await;
        soon(echo).await.unwrap();
        soon(driving).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_without_a_driver() {
    for pipe in [100, 3000, 100_000] {
        let (ours, theirs) = tokio::io::duplex(pipe);
        let echo = tokio::spawn(Peer(theirs).echo());
        let socket = WebSocket::inline_over(ours, &WebSocketConfig::default());
        soon(echo_for_all(socket, 5000)).await;
        soon(echo).await.unwrap();
    }
}

/// On one thread and a clock that jumps as soon as everybody sleeps, a lost wake-up is a hang.
#[tokio::test(start_paused = true)]
async fn no_wake_up_is_lost_on_one_thread() {
    for (pipe, longest) in [(1, 10), (100, 1000), (3000, 5000)] {
        for is_driven in [true, false] {
            let config = WebSocketConfig::default().ping_interval(None).unwrap();
            let (ours, theirs) = tokio::io::duplex(pipe);
            tokio::spawn(Peer(theirs).echo());
            let socket = if is_driven {
                let (socket, driver) = WebSocket::over(ours, &config);
                tokio::spawn(driver);
                socket
            } else {
                WebSocket::inline_over(ours, &config)
            };
            in_time(echo_for_all(socket, longest)).await;
        }
    }
}

/// A server that never stops talking does not keep others from running, nor does its reader.
#[test]
fn a_flood_leaves_time_for_others() {
    const MANY: usize = 5000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // Not in a task, so what stops is not tokio's budget.
    let guard = runtime.enter();
    let (ours, mut theirs) = tokio::io::duplex(1024 * 1024);
    let (mut socket, driver) = WebSocket::over(ours, &WebSocketConfig::default());
    let flood = frame(TEXT, b"x").repeat(MANY);
    assert_ready!(spawn(theirs.write_all(&flood)).poll()).unwrap();
    let mut driver = spawn(driver);
    assert_pending!(driver.poll());
    assert!(driver.is_woken(), "there is more to read");
    let mut read = 0;
    while spawn(socket.next()).poll().is_ready() {
        read += 1;
    }
    assert!((1..1000).contains(&read), "{read} messages in one poll");
    while driver.is_woken() {
        assert_pending!(driver.poll());
    }
    drop(guard);
    let mut in_one_poll = 0;
    let reading = async {
        while let Some(Ok(_)) = socket.next().await {
            in_one_poll += 1;
        }
    };
    runtime.block_on(async { assert_pending!(spawn(reading).poll()) });
    assert!((1..MANY / 2).contains(&in_one_poll), "{in_one_poll} messages in one poll");
}

/// A transport that counts how often it is read.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_a_message_that_goes_out_wakes_nobody() {
    for interval in [None, Some(Duration::from_secs(20))] {
        let config = WebSocketConfig::default().ping_interval(interval).unwrap();
        let (mut socket, mut peer) = inline(&config, 1024);
        let sender = socket.sender();
        let mut reading = spawn(socket.next());
        assert_pending!(reading.poll());
        for _ in 0..10 {
            assert_ready!(spawn(sender.send("x")).poll()).unwrap();
            assert_eq!(in_time(peer.receive()).await, Some((TEXT, b"x".to_vec())));
        }
        assert!(!reading.is_woken());
        peer.send(TEXT, b"answer").await;
        assert!(reading.is_woken());
        assert_eq!(assert_ready!(reading.poll()).unwrap().unwrap(), Message::from("answer"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_costs_one_read_that_finds_nothing() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let (reads, mut peer) = (Arc::default(), Peer(theirs));
    let io = Counted(ours, Arc::clone(&reads));
    let (mut socket, driver) = WebSocket::over(io, &WebSocketConfig::default());
    let mut driver = spawn(driver);
    let mut reads_of_a_poll = || {
        assert_pending!(driver.poll());
        reads.swap(0, Ordering::Relaxed)
    };
    assert_eq!(reads_of_a_poll(), 1);
    in_time(socket.send("hello")).await.unwrap();
    assert_eq!(reads_of_a_poll(), 1);
    assert_eq!(in_time(peer.receive()).await, Some((TEXT, b"hello".to_vec())));
    // What has come in one piece is read in one.
    for _ in 0..3 {
        peer.send(TEXT, b"hello").await;
    }
    assert_eq!(reads_of_a_poll(), 2);
    for _ in 0..3 {
        in_time(socket.next()).await.unwrap().unwrap();
    }
}
