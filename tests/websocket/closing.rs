//! Row 61: how a socket ends, told apart.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};
use tower_openai::ws::{CloseCode, CloseFrame, Message, WebSocket, WebSocketConfig};
use tower_openai::{Error, ErrorKind};

use super::support::{
    CLOSE, FINAL, PING, Peer, TEXT, assert_kind, close, driven, failure, frame, in_time, inline,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn row_61_the_peer_closes_in_order() {
    let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    peer.send(TEXT, b"last").await;
    peer.send(CLOSE, &close(1000, "bye")).await;
    assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(1000, "bye"))));
    // What came before is still there.
    assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::from("last"));
    assert!(in_time(socket.next()).await.is_none());
    assert!(!driving.is_finished(), "the server hangs up first");
    drop(peer);
    in_time(driving).await.unwrap().unwrap();
    let error = in_time(socket.send("late")).await.unwrap_err();
    assert_kind(&error, ErrorKind::Closed, Some(1000));
    in_time(socket.close(CloseCode::NORMAL)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn row_61_the_peer_closes_because_it_failed() {
    for is_driven in [true, false] {
        let config = WebSocketConfig::default();
        let (mut socket, driving, mut peer) = if is_driven {
            let (socket, driving, peer) = driven(&config, 1024);
            (socket, Some(driving), peer)
        } else {
            let (socket, peer) = inline(&config, 1024);
            (socket, None, peer)
        };
        peer.send(CLOSE, &close(1011, "sk-planted-key-1 broke")).await;
        let error = failure(&mut socket).await;
        assert_kind(&error, ErrorKind::Closed, Some(1011));
        assert_eq!(error.close_reason(), Some("[redacted] broke"));
        assert!(error.is_retryable());
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("1011") && !shown.contains("planted"), "{shown}");
        assert_eq!(in_time(peer.receive()).await.unwrap().0, CLOSE);
        drop(peer);
        if let Some(driving) = driving {
            let end = in_time(driving).await.unwrap().unwrap_err();
            assert_kind(&end, ErrorKind::Closed, Some(1011));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_into_a_socket_that_the_peer_has_closed() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let (socket, driver) = WebSocket::over(ours, &WebSocketConfig::default());
    let (mut driver, mut peer) = (tokio_test::task::spawn(driver), Peer(theirs));
    assert!(driver.poll().is_pending());
    peer.send(TEXT, b"last").await;
    peer.send(CLOSE, &close(1000, "")).await;
    in_time(socket.send("late")).await.unwrap();
    assert!(driver.poll().is_pending());
    assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(1000, ""))));
}

#[tokio::test(start_paused = true)]
async fn row_61_a_close_is_heard_although_a_ping_before_it_can_not_be_answered() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let (mut socket, driver) = WebSocket::over(ours, &WebSocketConfig::default());
    let mut peer = Peer(theirs);
    peer.send(PING, b"there?").await;
    peer.send(TEXT, b"last").await;
    peer.send(CLOSE, &close(1009, "too much")).await;
    drop(peer);
    let driving = tokio::spawn(driver);
    assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::from("last"));
    assert_kind(&failure(&mut socket).await, ErrorKind::TooLarge, Some(1009));
    in_time(driving).await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn row_61_a_ping_of_a_peer_that_has_gone_is_no_close() {
    let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    peer.send(PING, b"there?").await;
    drop(peer);
    assert_kind(&failure(&mut socket).await, ErrorKind::Transport, Some(1006));
    in_time(driving).await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn row_61_the_peer_hangs_up() {
    for cut in [Vec::new(), frame(TEXT, b"in the middle")[..5].to_vec()] {
        let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
        peer.0.write_all(&cut).await.unwrap();
        drop(peer);
        let error = failure(&mut socket).await;
        assert_kind(&error, ErrorKind::Transport, Some(1006));
        assert!(error.is_retryable());
        let end = in_time(driving).await.unwrap().unwrap_err();
        assert_kind(&end, ErrorKind::Transport, Some(1006));
    }
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_is_queued_and_waits_for_the_answer() {
    for is_driven in [true, false] {
        let config = WebSocketConfig::default();
        let (socket, driving, mut peer) = if is_driven {
            let (socket, driving, peer) = driven(&config, 64);
            (socket, Some(driving), peer)
        } else {
            let (socket, peer) = inline(&config, 64);
            (socket, None, peer)
        };
        let server = tokio::spawn(async move {
            for _ in 0..3 {
                assert_eq!(peer.receive().await.unwrap().1.len(), 1000);
            }
            assert_eq!(peer.receive().await, Some((CLOSE, close(4001, "enough"))));
            peer.send(CLOSE, &close(4001, "")).await;
        });
        for _ in 0..3 {
            in_time(socket.send("x".repeat(1000))).await.unwrap();
        }
        let frame = CloseFrame::new(CloseCode::new(4001), "enough");
        in_time(socket.close(frame)).await.unwrap();
        in_time(server).await.unwrap();
        let error = in_time(socket.send("late")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        if let Some(driving) = driving {
            in_time(driving).await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn row_61_a_refusal_is_the_peers_while_our_close_waits_behind_messages() {
    // What is sent fills the pipe, and nobody reads it: the close frame waits.
    let (socket, driving, mut peer) = driven(&WebSocketConfig::default(), 64);
    in_time(socket.send("x".repeat(4 * 1024 * 1024))).await.unwrap();
    let closing = tokio::spawn(async move { socket.close(CloseCode::NORMAL).await });
    sleep(Duration::from_millis(10)).await;
    peer.send(CLOSE, &close(1009, "too much")).await;
    let error = in_time(closing).await.unwrap().unwrap_err();
    assert_kind(&error, ErrorKind::TooLarge, Some(1009));
    drop(peer);
    in_time(driving).await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_message_is_not_sent_to_a_peer_that_has_closed() {
    const LEN: usize = 4 * 1024 * 1024;
    let (socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    in_time(socket.send("x".repeat(LEN))).await.unwrap();
    let (first, started) = in_time(peer.receive_frame()).await.unwrap();
    assert_eq!(first, TEXT & !FINAL);
    peer.send(CLOSE, &close(1009, "too much")).await;
    let mut taken = started.len();
    loop {
        match in_time(peer.receive_frame()).await.unwrap() {
            (CLOSE, reason) => break assert_eq!(reason, close(1009, "too much")),
            (first, payload) => {
                assert_eq!(first, 0);
                taken += payload.len();
            }
        }
    }
    assert!(taken <= LEN / 4, "{taken} bytes");
    drop(peer);
    assert_kind(&in_time(driving).await.unwrap().unwrap_err(), ErrorKind::TooLarge, Some(1009));
}

#[tokio::test(start_paused = true)]
async fn hanging_up_is_an_answer_to_a_close() {
    let (socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let server = tokio::spawn(async move { peer.receive().await });
    in_time(socket.close(CloseCode::NORMAL)).await.unwrap();
    assert_eq!(in_time(server).await.unwrap(), Some((CLOSE, close(1000, ""))));
    in_time(driving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_is_bounded() {
    // With room to say it, and without.
    for pipe in [1024, 16] {
        let (socket, driving, _peer) = driven(&WebSocketConfig::default(), pipe);
        in_time(socket.send("x".repeat(100))).await.unwrap();
        let start = Instant::now();
        let error = in_time(socket.close(CloseCode::NORMAL)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        in_time(driving).await.unwrap().unwrap_err();
    }
}

/// Closes a socket that has much left to send to a peer who reads 1000 bytes every four seconds, so
/// many times, and answers or does not. How that ends, and when.
async fn close_while_read(
    config: &WebSocketConfig,
    is_driven: bool,
    reads: usize,
    answers: bool,
) -> (Result<(), Error>, Duration) {
    let (socket, driving, mut peer) = if is_driven {
        let (socket, driving, peer) = driven(config, 1000);
        (socket, Some(driving), peer)
    } else {
        let (socket, peer) = inline(config, 1000);
        (socket, None, peer)
    };
    let start = Instant::now();
    let server = tokio::spawn(async move {
        for _ in 0..reads {
            sleep(4 * SECOND).await;
            peer.0.read_exact(&mut [0; 1000]).await.unwrap();
        }
        if answers {
            // The last of the message, and the close frame of eight bytes.
            sleep(4 * SECOND).await;
            peer.0.read_exact(&mut [0; 1008]).await.unwrap();
            sleep(4 * SECOND).await;
            peer.send(CLOSE, &close(1000, "")).await;
        }
        sleep(100 * SECOND).await;
    });
    // With its head it is 100,000 bytes.
    in_time(socket.send("x".repeat(99_986))).await.unwrap();
    let closed = in_time(socket.close(CloseCode::NORMAL)).await;
    let taken = start.elapsed();
    if let Some(driving) = driving {
        assert_eq!(in_time(driving).await.unwrap().is_ok(), closed.is_ok());
    }
    server.abort();
    (closed, taken)
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_not_cut_short_by_a_close_while_the_peer_goes_on_reading() {
    for is_driven in [true, false] {
        let config = WebSocketConfig::default();
        let (closed, taken) = close_while_read(&config, is_driven, 99, true).await;
        closed.unwrap();
        assert_eq!(taken, (99 + 2) * 4 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_is_left_the_close_timeout_after_it_did() {
    for is_driven in [true, false] {
        for (reads, text) in [(0, "took nothing"), (7, "took nothing"), (100, "did not answer")] {
            let config = WebSocketConfig::default();
            let (closed, taken) = close_while_read(&config, is_driven, reads, false).await;
            let error = closed.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert!(error.to_string().contains(text), "{error}");
            assert_eq!(taken, (reads as u32 * 4 + 5) * SECOND);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_but_never_reads_does_not_hold_up_a_close() {
    for interval in [None, Some(20 * SECOND)] {
        for is_driven in [true, false] {
            let config = WebSocketConfig::default().ping_interval(interval).unwrap();
            let (socket, driving, mut peer) = if is_driven {
                let (socket, driving, peer) = driven(&config, 64);
                (socket, Some(driving), peer)
            } else {
                let (socket, peer) = inline(&config, 64);
                (socket, None, peer)
            };
            let talking = tokio::spawn(async move {
                loop {
                    peer.send(TEXT, b"blah").await;
                    peer.send(PING, b"there?").await;
                    sleep(SECOND / 10).await;
                }
            });
            let start = Instant::now();
            in_time(socket.send("x".repeat(1000))).await.unwrap();
            let error = in_time(socket.close(CloseCode::NORMAL)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            assert_eq!(start.elapsed(), 5 * SECOND);
            if let Some(driving) = driving {
                in_time(driving).await.unwrap().unwrap_err();
            }
            talking.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_before_our_close_is_out_has_not_answered_it() {
    let (socket, driving, mut peer) = driven(&WebSocketConfig::default(), 64);
    in_time(socket.send("x".repeat(1000))).await.unwrap();
    let closing = tokio::spawn(async move { socket.close(CloseCode::NORMAL).await });
    peer.0.read_exact(&mut [0; 500]).await.unwrap();
    drop(peer);
    // The message was not delivered, so this is no success.
    let error = in_time(closing).await.unwrap().unwrap_err();
    assert_kind(&error, ErrorKind::Transport, Some(1006));
    in_time(driving).await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_the_socket() {
    let (socket, driving, mut peer) = driven(&WebSocketConfig::default(), 64);
    let sender = socket.sender();
    in_time(socket.send("x".repeat(200))).await.unwrap();
    drop(socket);
    in_time(sender.clone().send("still open")).await.unwrap();
    drop(sender);
    assert_eq!(in_time(peer.receive()).await.unwrap().1.len(), 200);
    assert_eq!(in_time(peer.receive()).await, Some((TEXT, b"still open".to_vec())));
    assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(1000, ""))));
    drop(peer);
    in_time(driving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_driver_does_not_outlive_its_handles_for_a_peer_that_is_silent_or_noisy() {
    for noisy in [false, true] {
        let (socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
        let start = Instant::now();
        drop(socket);
        let noise = tokio::spawn(async move {
            assert_eq!(peer.receive().await, Some((CLOSE, close(1000, ""))));
            let message = frame(TEXT, b"noise");
            if noisy {
                while peer.0.write_all(&message).await.is_ok() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
            sleep(Duration::from_secs(60)).await;
        });
        assert_eq!(in_time(driving).await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
        assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
        noise.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_a_close_and_stays_is_left_in_the_same_time() {
    let (socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let start = Instant::now();
    let server = tokio::spawn(async move {
        let told = peer.receive().await;
        sleep(Duration::from_secs(3)).await;
        peer.send(CLOSE, &close(1000, "")).await;
        (told, peer)
    });
    in_time(socket.close(CloseCode::NORMAL)).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3), "nobody waits for more than the answer");
    in_time(driving).await.unwrap().unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    drop(in_time(server).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_dropping_the_socket_says_goodbye() {
    let (socket, mut peer) = inline(&WebSocketConfig::default(), 1024);
    in_time(socket.send("hello")).await.unwrap();
    drop(socket);
    assert_eq!(in_time(peer.receive()).await, Some((TEXT, b"hello".to_vec())));
    assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(1000, ""))));
    assert_eq!(in_time(peer.receive()).await, None);
}

#[test]
fn a_socket_can_be_dropped_outside_a_runtime() {
    let (ours, theirs) = tokio::io::duplex(1024);
    drop(tower_openai::ws::WebSocket::inline_over(ours, &WebSocketConfig::default()));
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_driver_ends_the_socket_for_everyone() {
    let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let sender = socket.sender();
    let reading = tokio::spawn(async move { failure(&mut socket).await });
    sleep(Duration::from_secs(1)).await;
    driving.abort();
    let error = in_time(reading).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.to_string().contains("Driver"), "{error}");
    assert_eq!(in_time(sender.send("late")).await.unwrap_err().kind(), ErrorKind::Transport);
    assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(1001, ""))));
    assert_eq!(in_time(peer.receive()).await, None);
}
