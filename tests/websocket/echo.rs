//! The example that conformance suites talk to.

use tokio::net::{TcpListener, TcpStream};

use super::run::{Ran, example, run};
use super::server::{Head, read_head};
use super::support::{BINARY, CLOSE, PING, PONG, Peer, TEXT, close};

/// Runs the example against a server that switches and then does as `script` says.
async fn against<F>(scheme: &str, script: impl FnOnce(Peer<TcpStream>) -> F) -> Ran
where
    F: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://{}/runCase?case=1", listener.local_addr().unwrap());
    let mut command = example("ws_echo", &[&url]);
    command.env("NO_PROXY", "127.0.0.1");
    let running = tokio::spawn(run(command));
    let (mut socket, _) = listener.accept().await.unwrap();
    let head: Head = read_head(&mut socket).await.unwrap();
    assert!(head.0.starts_with("GET /runCase?case=1 HTTP/1.1\r\n"), "{}", head.0);
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.switch().as_bytes()).await.unwrap();
    script(Peer(socket)).await;
    running.await.unwrap()
}

#[tokio::test]
async fn every_message_comes_back_until_the_close() {
    for scheme in ["ws", "http"] {
        let ran = against(scheme, |mut peer| async move {
            let large = "0123456789abcde\u{e9}".repeat(1024 * 1024).into_bytes();
            for (first, payload) in [(TEXT, &b"hello"[..]), (BINARY, &[0xff, 0]), (TEXT, &large)] {
                peer.send(first, payload).await;
                assert!(peer.receive().await.unwrap() == (first, payload.to_vec()));
            }
            peer.send(0x01, b"in ").await;
            peer.send(PING, b"there?").await;
            peer.send(0x80, b"pieces").await;
            assert_eq!(peer.receive().await.unwrap(), (PONG, b"there?".to_vec()));
            assert_eq!(peer.receive().await.unwrap(), (TEXT, b"in pieces".to_vec()));
            peer.send(CLOSE, &close(1000, "done")).await;
            // What comes after a close is nobody's, and does not cost the answer.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.0, &[0xff; 1000]).await;
            assert_eq!(peer.receive().await.unwrap(), (CLOSE, close(1000, "done")));
        })
        .await;
        assert_eq!((ran.code, &*ran.err), (0, "ws_echo: closed\n"));
    }
}

#[tokio::test]
async fn a_violation_is_told_both_ways() {
    let ran = against("ws", |mut peer| async move {
        peer.send(TEXT, b"\xff").await;
        assert_eq!(peer.receive().await.unwrap(), (CLOSE, close(1007, "")));
        assert_eq!(peer.receive().await, None);
    })
    .await;
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("not UTF-8"), "{}", ran.err);
}

#[tokio::test]
async fn what_does_not_open_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut command = example("ws_echo", &[&url]);
    command.env("NO_PROXY", "127.0.0.1");
    let ran = run(command).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot connect"), "{}", ran.err);
    for wrong in [&[][..], &["a", "b"], &["ftp://a.test/"]] {
        assert_ne!(run(example("ws_echo", wrong)).await.code, 0);
    }
}
