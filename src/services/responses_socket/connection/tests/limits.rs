//! Peers that are silent or slow, and readers that are.

use super::*;

#[tokio::test(start_paused = true)]
async fn half_open_peer() {
    // Somebody has the other end and does nothing with it, not even answer pings.
    let (ours, _theirs) = tokio::io::duplex(PIPE);
    let settings = ResponsesSocketSettings::new();
    let shared = Shared::inline(Box::new(ours), &settings.socket, lanes(&settings));
    let call = Call::streaming("responses", None);
    let connection = ResponsesConnection::new(shared, settings, bare(), call, None);
    let start = Instant::now();
    let error = connection.stream_request(request()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::IdleTimeout, Stage::Unknown));
    assert!(start.elapsed() <= Duration::from_secs(31), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ping_only_peer() {
    let timeouts = StreamTimeouts::new;
    for (own, kind, limit) in [
        (timeouts().head(Duration::from_secs(40)), ErrorKind::HeadTimeout, 40),
        (timeouts().first_event(Duration::from_secs(50)), ErrorKind::FirstEventTimeout, 50),
        (timeouts(), ErrorKind::ProgressTimeout, 300),
    ] {
        let (connection, mut peer) = inline().await;
        let serve = tokio::spawn(async move {
            let mut beats = tokio::time::interval(Duration::from_secs(7));
            loop {
                tokio::select! {
                    // Reading is what answers pings.
                    message = peer.0.next() => match message {
                        Some(Ok(_)) => {}
                        _ => return,
                    },
                    _ = beats.tick() => if peer.0.send(Raw::Ping("".into())).await.is_err() { return },
                }
            }
        });
        let start = Instant::now();
        let error = connection.stream_request(request().timeouts(own)).await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (kind, Stage::Sent));
        let limit = Duration::from_secs(limit);
        assert!(start.elapsed() >= limit && start.elapsed() < limit * 2, "{:?}", start.elapsed());
        assert!(connection.is_open(), "the socket lives");
        drop(connection);
        serve.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_limit_ends_the_wait_the_queue_and_the_stream() {
    let total = StreamTimeouts::new().total(Duration::from_secs(30));
    let (connection, mut peer) = inline().await;
    let start = Instant::now();
    let (stream, mut peer) =
        tokio::join!(connection.stream_request(request().timeouts(total)), async {
            peer.receive().await;
            peer.event(answer("r", "x")[0].clone()).await;
            peer
        });
    let mut stream = stream.unwrap();
    let serve = tokio::spawn(async move {
        let delta = answer("r", "x")[1].to_string();
        while peer.0.send(Raw::text(delta.clone())).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    // One that waits for its turn has the same limit.
    let waits = connection.stream_request(request().timeouts(total));
    let (streamed, waited) = tokio::join!(
        async {
            loop {
                if let Err(error) = stream.try_next().await {
                    break error;
                }
            }
        },
        waits
    );
    assert_eq!((streamed.kind(), streamed.stage()), (ErrorKind::TotalTimeout, Stage::Streaming));
    let waited = waited.unwrap_err();
    assert_eq!((waited.kind(), waited.stage()), (ErrorKind::TotalTimeout, Stage::NotSent));
    assert!(start.elapsed() < Duration::from_secs(33), "{:?}", start.elapsed());
    serve.abort();
}

#[tokio::test(start_paused = true)]
async fn slow_reader_memory_bound() {
    let settings = ResponsesSocketSettings::new().lane_buffer(64 * 1024).unwrap();
    let (connection, mut peer, driver) = driven(settings).await;
    let _driver = tokio::spawn(driver);
    let delta = "x".repeat(1024);
    let (stream, mut peer) = tokio::join!(connection.stream_request(request()), async {
        peer.receive().await;
        peer.event(answer("r", "x")[0].clone()).await;
        peer
    });
    let mut stream = stream.unwrap();
    let mut sent = 0;
    let event = answer("r", &delta)[1].clone();
    while timeout(Duration::from_secs(60), peer.event(event.clone())).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "nothing holds the server back");
    }
    // The buffer of the lane, that of the pipe and those of both ends.
    assert!((64..400).contains(&sent), "{sent} KiB");
    // The other end goes on when the reader does.
    let finish = async {
        for event in &answer("r", "x")[2..] {
            peer.event(event.clone()).await;
        }
    };
    let (text, ()) = tokio::join!(
        async {
            let mut text = 0;
            while let Some(event) = stream.try_next().await.unwrap() {
                if let ResponseEvent::OutputTextDelta(event) = event {
                    text += event.delta.len();
                }
            }
            text
        },
        finish
    );
    assert!(text >= sent * 1024, "{text} bytes of {sent} KiB");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_lane_never_blocks_the_others_for_good() {
    let settings = ResponsesSocketSettings::new().lane_buffer(16 * 1024).unwrap();
    let (connection, mut peer, driver) = driven(settings).await;
    let _driver = tokio::spawn(driver);
    let slow = connection.lane("slow").unwrap();
    let large = answer("slow", &"x".repeat(20 * 1024))[1].clone();
    let (stalled, mut peer) = tokio::join!(slow.stream_request(request()), async {
        peer.receive().await;
        peer.event(on(large.clone(), Some("slow"))).await;
        peer
    });
    let mut stalled = stalled.unwrap();
    let serve = tokio::spawn(async move {
        for _ in 0..10 {
            peer.event(on(large.clone(), Some("slow"))).await;
        }
        peer.receive().await;
        peer.answer("quick", "quick", None).await;
        peer
    });
    let start = Instant::now();
    let other = timeout(Duration::from_secs(60), connection.stream_request(request())).await;
    assert_eq!(text(other.unwrap().unwrap()).await, "quick");
    assert!(start.elapsed() >= Duration::from_secs(10), "{:?}", start.elapsed());
    let error = loop {
        match stalled.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("`slow`"), "{error}");
    drop(serve.await.unwrap());
}
