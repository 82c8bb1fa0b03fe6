//! Row 66: sizes both ways, and memory that stays flat.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tower_openai::ws::{Message, WebSocketConfig};
use tower_openai::{ErrorKind, Stage};

use super::support::{
    BINARY, CLOSE, TEXT, assert_kind, close, driven, failure, frame, in_time, inline,
};

const MIB: usize = 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn row_66_a_message_of_17_mib_comes_through_in_frames() {
    let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 64 * 1024);
    let large = "0123456789abcdef\u{e9}".repeat(MIB);
    assert!(large.len() > 17 * MIB);
    let sent = large.clone().into_bytes();
    let sending = tokio::spawn(async move {
        let (start, rest) = sent.split_at(9 * MIB);
        peer.send(0x01, start).await;
        peer.send(0x80, rest).await;
        peer
    });
    let message = in_time(socket.next()).await.unwrap().unwrap();
    assert!(message == Message::from(large));
    drop(socket);
    let mut peer = sending.await.unwrap();
    assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(1000, ""))));
    drop(peer);
    in_time(driving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn row_66_a_larger_frame_or_message_ends_the_socket() {
    let frames = WebSocketConfig::default();
    let messages = WebSocketConfig::default().max_message_size(1000).unwrap();
    let too_large = [
        (
            &frames,
            frame(TEXT, b"").into_iter().take(1).chain([127, 0, 0, 0, 0, 1, 16, 0, 0]).collect(),
        ),
        (&frames, [&[BINARY, 127][..], &[0xff; 8]].concat()),
        (&messages, frame(TEXT, &[b'x'; 1001])),
        (&messages, [frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 401])].concat()),
    ];
    for (config, bytes) in too_large {
        let (mut socket, _driving, mut peer) = driven(config, 4096);
        peer.0.write_all(&bytes).await.unwrap();
        let error = failure(&mut socket).await;
        assert_kind(&error, ErrorKind::TooLarge, None);
        assert!(error.to_string().contains("max_message_size"), "{error}");
        assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(1009, ""))));
    }
    let (mut socket, _driving, mut peer) = driven(&messages, 4096);
    peer.send(TEXT, &[b'x'; 1000]).await;
    assert_eq!(in_time(socket.next()).await.unwrap().unwrap().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn row_66_a_message_above_our_own_limit_is_not_sent_and_the_socket_stays() {
    let config = WebSocketConfig::default().max_outgoing_size(10).unwrap();
    let (socket, _driving, mut peer) = driven(&config, 1024);
    let error = in_time(socket.send("12345678901")).await.unwrap_err();
    assert_kind(&error, ErrorKind::TooLarge, None);
    assert_eq!(error.stage(), Stage::NotSent);
    in_time(socket.send("1234567890")).await.unwrap();
    assert_eq!(in_time(peer.receive()).await, Some((TEXT, b"1234567890".to_vec())));
}

#[tokio::test(start_paused = true)]
async fn row_66_the_server_closes_over_a_message_that_it_has_not_read() {
    for pipe in [1024, 64 * 1024] {
        let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), pipe);
        in_time(socket.send("x".repeat(4 * MIB))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        // What it said is read although it has gone, and writing to it fails.
        peer.send(CLOSE, &close(1009, "too big")).await;
        drop(peer);
        let error = failure(&mut socket).await;
        assert_kind(&error, ErrorKind::TooLarge, Some(1009));
        assert_eq!(error.close_reason(), Some("too big"));
        in_time(driving).await.unwrap().unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_is_slow_stops_the_server_and_memory_stays_flat() {
    for payload in [vec![b'x'; 1000], Vec::new()] {
        let (mut socket, _driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
        let message = frame(TEXT, &payload);
        let mut taken = 0;
        let minute = Duration::from_secs(60);
        while tokio::time::timeout(minute, peer.0.write_all(&message)).await.is_ok() {
            taken += message.len() + 64;
            assert!(taken < 2 * MIB, "it takes {taken} bytes that nobody reads");
        }
        // The writer was cut off in a message, so the socket is good up to there.
        for _ in 0..taken / (message.len() + 64) {
            assert_eq!(in_time(socket.next()).await.unwrap().unwrap().len(), payload.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn senders_wait_for_a_server_that_does_not_read() {
    let (socket, _driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let mut taken = 0;
    let minute = Duration::from_secs(60);
    let message = "x".repeat(1000);
    let (sender, mut queued) = (socket.sender(), 0);
    let answering = tokio::time::timeout(Duration::from_secs(10), async {
        while sender.send(message.as_str()).await.is_ok() {
            taken += message.len();
            queued += 1;
            assert!(taken < 2 * MIB, "it takes {taken} bytes that nobody reads");
        }
    });
    assert!(answering.await.is_err(), "a full queue waits");
    let waiting = tokio::spawn(async move { sender.send("last").await });
    for _ in 0..queued {
        let (first, payload) = tokio::time::timeout(minute, peer.receive()).await.unwrap().unwrap();
        assert_eq!((first, payload.len()), (TEXT, 1000));
    }
    in_time(waiting).await.unwrap().unwrap();
    assert_eq!(in_time(peer.receive()).await, Some((TEXT, b"last".to_vec())));
}

#[tokio::test(start_paused = true)]
async fn many_senders_wait_without_waking_each_other_for_ever() {
    const COUNT: usize = 300;
    for is_driven in [true, false] {
        let config = WebSocketConfig::default().ping_interval(None).unwrap();
        let (socket, _driving, mut peer) = if is_driven {
            let (socket, driving, peer) = driven(&config, MIB / 2);
            (socket, Some(driving), peer)
        } else {
            let (socket, peer) = inline(&config, MIB / 2);
            (socket, None, peer)
        };
        // The first is stuck in the pipe, the second fills the queue.
        for _ in 0..2 {
            in_time(socket.send("x".repeat(MIB))).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let polls = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..COUNT)
            .map(|_| {
                let (sender, polls) = (socket.sender(), Arc::clone(&polls));
                tokio::spawn(async move {
                    let mut sending = pin!(sender.send("small"));
                    poll_fn(|cx| {
                        let polled = polls.fetch_add(1, Ordering::Relaxed);
                        assert!(polled < 100 * COUNT, "they spin");
                        sending.as_mut().poll(cx)
                    })
                    .await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let polled = polls.load(Ordering::Relaxed);
        assert!((COUNT..=3 * COUNT).contains(&polled), "{polled} polls, driven: {is_driven}");
        for _ in 0..2 {
            assert_eq!(in_time(peer.receive()).await.unwrap().1.len(), MIB);
        }
        for _ in 0..COUNT {
            assert_eq!(in_time(peer.receive()).await, Some((TEXT, b"small".to_vec())));
        }
        for sender in senders {
            in_time(sender).await.unwrap().unwrap();
        }
    }
}

/// Each side has more to say than the pipe and the queues hold, and the server reads last.
#[tokio::test(start_paused = true)]
async fn two_full_sides_do_not_wait_for_each_other() {
    const COUNT: usize = 64;
    for is_driven in [true, false] {
        let config = WebSocketConfig::default();
        let (mut socket, _driving, mut peer) = if is_driven {
            let (socket, driving, peer) = driven(&config, 512);
            (socket, Some(driving), peer)
        } else {
            let (socket, peer) = inline(&config, 512);
            (socket, None, peer)
        };
        let server = tokio::spawn(async move {
            for _ in 0..COUNT {
                peer.send(TEXT, &[b'y'; 100_000]).await;
            }
            for _ in 0..COUNT {
                assert_eq!(peer.receive().await.unwrap().1.len(), 100_000);
            }
        });
        let sender = socket.sender();
        let send = async {
            for _ in 0..COUNT {
                sender.send("x".repeat(100_000)).await.unwrap();
            }
        };
        let read = async {
            for _ in 0..COUNT {
                assert_eq!(socket.next().await.unwrap().unwrap().len(), 100_000);
            }
        };
        in_time(async { tokio::join!(send, read) }).await;
        if !is_driven {
            // What is queued still goes out while somebody waits for something.
            let _ = tokio::time::timeout(Duration::from_secs(5), socket.next()).await;
        }
        in_time(server).await.unwrap();
    }
}
