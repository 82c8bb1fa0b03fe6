//! Row 62: a peer that has vanished is noticed, and one that is only quiet is left in peace.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use tower_openai::ErrorKind;
use tower_openai::ws::{Message, WebSocketConfig};

use super::support::{
    FINAL, PING, PONG, TEXT, assert_kind, driven, failure, frame, in_time, inline,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn row_62_a_half_open_peer_is_noticed_within_the_ping_deadline() {
    let start = Instant::now();
    let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let error = failure(&mut socket).await;
    assert_eq!(start.elapsed(), 30 * SECOND);
    assert_kind(&error, ErrorKind::IdleTimeout, Some(1006));
    assert!(error.is_retryable(), "nothing was handed out");
    assert_eq!(in_time(peer.receive()).await, Some((PING, Vec::new())));
    assert_kind(&in_time(driving).await.unwrap().unwrap_err(), ErrorKind::IdleTimeout, Some(1006));
}

#[tokio::test(start_paused = true)]
async fn row_62_without_a_driver_as_well_while_it_is_used() {
    let (mut socket, _peer) = inline(&WebSocketConfig::default(), 1024);
    // Not used, not checked: the peer is asked first.
    sleep(HOUR).await;
    let start = Instant::now();
    assert_kind(&failure(&mut socket).await, ErrorKind::IdleTimeout, Some(1006));
    assert_eq!(start.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn row_62_although_there_is_something_left_to_write() {
    let start = Instant::now();
    let (mut socket, _driving, _peer) = driven(&WebSocketConfig::default(), 16);
    in_time(socket.send("x".repeat(100_000))).await.unwrap();
    assert_kind(&failure(&mut socket).await, ErrorKind::IdleTimeout, Some(1006));
    assert_eq!(start.elapsed(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn row_62_although_there_is_room_for_what_is_written() {
    let start = Instant::now();
    let (mut socket, _driving, _peer) = driven(&WebSocketConfig::default(), 1024 * 1024);
    let sender = socket.sender();
    let sending = tokio::spawn(async move {
        while sender.send("x".repeat(100)).await.is_ok() {
            sleep(SECOND).await;
        }
    });
    assert_kind(&failure(&mut socket).await, ErrorKind::IdleTimeout, Some(1006));
    assert_eq!(start.elapsed(), 30 * SECOND);
    in_time(sending).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_and_says_nothing_is_alive_until_it_stops() {
    for is_driven in [true, false] {
        let config = WebSocketConfig::default();
        let (mut socket, _driving, mut peer) = if is_driven {
            let (socket, driving, peer) = driven(&config, 1000);
            (socket, Some(driving), peer)
        } else {
            let (socket, peer) = inline(&config, 1000);
            (socket, None, peer)
        };
        let start = Instant::now();
        in_time(socket.send("x".repeat(100_000))).await.unwrap();
        let reading = tokio::spawn(async move {
            for _ in 0..50 {
                sleep(25 * SECOND).await;
                peer.0.read_exact(&mut [0; 1000]).await.unwrap();
            }
            peer
        });
        assert_kind(&failure(&mut socket).await, ErrorKind::IdleTimeout, Some(1006));
        assert_eq!(start.elapsed(), (50 * 25 + 30) * SECOND);
        drop(in_time(reading).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_only_pings_is_alive() {
    let (mut socket, _driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let pinging = tokio::spawn(async move {
        for number in 0..200_u8 {
            peer.send(PING, &[number]).await;
            assert_eq!(peer.receive().await, Some((PONG, vec![number])));
            sleep(5 * SECOND).await;
        }
        peer
    });
    assert!(timeout(900 * SECOND, socket.next()).await.is_err());
    in_time(pinging).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_only_answers_pings_is_alive() {
    for is_driven in [true, false] {
        let config = WebSocketConfig::default();
        let (mut socket, _driving, mut peer) = if is_driven {
            let (socket, driving, peer) = driven(&config, 1024);
            (socket, Some(driving), peer)
        } else {
            let (socket, peer) = inline(&config, 1024);
            (socket, None, peer)
        };
        let answering = tokio::spawn(async move {
            let mut pings = 0;
            while let Some((PING, payload)) = peer.receive().await {
                sleep(9 * SECOND).await;
                peer.send(PONG, &payload).await;
                pings += 1;
            }
            pings
        });
        assert!(timeout(HOUR, socket.next()).await.is_err());
        drop(socket);
        assert_eq!(in_time(answering).await.unwrap(), 3600 / 29);
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_in_the_middle_of_a_long_upload() {
    const LEN: usize = 4 * 1024 * 1024;
    for is_driven in [true, false] {
        let config = WebSocketConfig::default();
        let (mut socket, _driving, mut peer) = if is_driven {
            let (socket, driving, peer) = driven(&config, 1024);
            (socket, Some(driving), peer)
        } else {
            let (socket, peer) = inline(&config, 1024);
            (socket, None, peer)
        };
        let sent: String = ('a'..='z').cycle().take(LEN).collect();
        let expected = sent.clone().into_bytes();
        let server = tokio::spawn(async move {
            let (mut message, mut pongs, mut frames) = (Vec::new(), Vec::new(), 0);
            for number in 0..4 {
                peer.send(PING, &[number]).await;
                loop {
                    let (first, payload) = peer.receive_frame().await.unwrap();
                    if first == PONG {
                        pongs.extend(payload);
                        break;
                    }
                    assert!(payload.len() <= 256 * 1024, "{}", payload.len());
                    assert_eq!(first, if frames == 0 { TEXT & !FINAL } else { 0 });
                    message.extend(payload);
                    frames += 1;
                }
            }
            assert!(message.len() < LEN / 2, "{} bytes before the answers", message.len());
            while message.len() < LEN {
                let (first, payload) = peer.receive_frame().await.unwrap();
                message.extend(payload);
                assert_eq!(first, if message.len() < LEN { 0 } else { FINAL });
            }
            assert_eq!(pongs, (0..4).collect::<Vec<_>>());
            peer.send(TEXT, b"all there").await;
            (message, peer)
        });
        in_time(socket.send(sent)).await.unwrap();
        assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::from("all there"));
        assert!(server.await.unwrap().0 == expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_slowly_is_a_sign_of_life() {
    let (mut socket, _driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let sending = tokio::spawn(async move {
        for byte in frame(TEXT, b"slowly") {
            sleep(15 * SECOND).await;
            peer.0.write_all(&[byte]).await.unwrap();
        }
        peer
    });
    assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::from("slowly"));
    let mut peer = sending.await.unwrap();
    assert!(timeout(SECOND, peer.receive()).await.is_err(), "there was no need for a ping");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_listened_to_is_not_held_to_answers() {
    let (mut socket, _driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    let sending = tokio::spawn(async move {
        for _ in 0..40 {
            peer.send(TEXT, &[b'x'; 100_000]).await;
        }
        peer
    });
    // The queue is full, so nothing is read, not even pongs.
    sleep(HOUR).await;
    for _ in 0..40 {
        assert_eq!(in_time(socket.next()).await.unwrap().unwrap().len(), 100_000);
    }
    drop(sending.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn pings_can_be_left_out() {
    let config = WebSocketConfig::default().ping_interval(None).unwrap();
    let (mut socket, _driving, mut peer) = driven(&config, 1024);
    assert!(timeout(24 * HOUR, socket.next()).await.is_err());
    assert!(timeout(SECOND, peer.receive()).await.is_err());
    peer.send(TEXT, b"still here").await;
    assert_eq!(in_time(socket.next()).await.unwrap().unwrap(), Message::from("still here"));
}
