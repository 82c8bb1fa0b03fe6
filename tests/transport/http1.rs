//! HTTP/1.1, and the pool.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, ServiceExt};
use tower_openai::transport::HyperTransport;
use tower_openai::{ErrorKind, RequestBody, Stage};

use super::support::{HELLO, PATIENCE, Server, assert_error, read_head, send, text, transport};

#[tokio::test]
async fn connections_are_reused_by_clones() {
    let server = Server::start(|mut socket| async move {
        while !read_head(&mut socket).await.is_empty() {
            socket.write_all(HELLO).await.unwrap();
        }
    })
    .await;
    let transport = transport();
    for _ in 0..3 {
        let response = server.get("http", transport.clone()).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "hello");
        // The connection goes back to the pool in a task of its own.
        tokio::task::yield_now().await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_protocol_error() {
    let server = Server::answering("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    let message =
        assert_error(server.get("http", transport()).await, ErrorKind::Protocol, Stage::Sent);
    assert_eq!(message, format!("what {} answered is not HTTP/1.1", server.addr));
}

#[tokio::test]
async fn a_head_above_the_read_buffer_is_too_large() {
    let fill = "x".repeat(20 * 1024);
    let answer = format!("HTTP/1.1 200 OK\r\nx-fill: {fill}\r\ncontent-length: 0\r\n\r\n");
    let server = Server::answering(answer).await;
    let message =
        assert_error(server.get("http", transport()).await, ErrorKind::TooLarge, Stage::Sent);
    assert!(message.contains("16384 bytes"), "{message}");

    let roomy = HyperTransport::builder().without_env().read_buffer(32 * 1024).build().unwrap();
    let response = server.get("http", roomy).await.unwrap();
    assert_eq!(response.headers()["x-fill"].len(), fill.len());
}

#[tokio::test]
async fn a_close_before_the_head_leaves_the_stage_unknown() {
    let server = Server::answering("").await;
    let message =
        assert_error(server.get("http", transport()).await, ErrorKind::Transport, Stage::Unknown);
    assert!(message.starts_with("the connection to 127.0.0.1:"), "{message}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_reset_before_the_head_leaves_the_stage_unknown() {
    let server = Server::start(|mut socket| async move {
        // Closing with bytes unread sends a reset.
        let _ = socket.read_u8().await;
    })
    .await;
    assert_error(server.get("http", transport()).await, ErrorKind::Transport, Stage::Unknown);
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_of_the_stream() {
    let cases =
        ["content-length: 50\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"];
    for rest in cases {
        let server = Server::answering(format!("HTTP/1.1 200 OK\r\n{rest}")).await;
        let mut body = server.get("http", transport()).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "hello");
        let second = body.frame().await.unwrap();
        assert_error(second, ErrorKind::Transport, Stage::Streaming);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_body_with_broken_framing_breaks_the_protocol() {
    for rest in ["zz\r\nhello\r\n", "5\r\nhello!\r\n", "5;\n\n", "fffffffffffffffff\r\n"] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let server = Server::answering(format!("{head}{rest}")).await;
        let mut body = server.get("http", transport()).await.unwrap().into_body();
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(_) => {}
                error => break error,
            }
        };
        assert_error(error, ErrorKind::Protocol, Stage::Streaming);
    }
}

#[tokio::test]
async fn frames_come_out_while_the_body_is_open() {
    let go = Arc::new(tokio::sync::Notify::new());
    let gone = Arc::clone(&go);
    let server = Server::start(move |mut socket| {
        let go = Arc::clone(&gone);
        async move {
            read_head(&mut socket).await;
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
            socket.write_all(head).await.unwrap();
            go.notified().await;
            socket.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let mut body = server.get("http", transport()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    go.notify_one();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn dropping_the_body_closes_the_connection() {
    let (closed, mut closes) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut socket| {
        let closed = closed.clone();
        async move {
            read_head(&mut socket).await;
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
            socket.write_all(head).await.unwrap();
            closed.send(socket.read(&mut [0; 16]).await.unwrap_or(0)).unwrap();
        }
    })
    .await;
    let mut body = server.get("http", transport()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let read = tokio::time::timeout(PATIENCE, closes.recv()).await.expect("still open");
    assert_eq!(read, Some(0));
}

/// The server closes the idle connection while the client's tasks cannot run. The request then
/// finds it in the pool, and the end of it is read before the request is.
#[tokio::test]
async fn a_stale_pooled_connection_is_replaced_unseen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (close, closing) = std::sync::mpsc::channel::<()>();
    let (closed, wait) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let answer = |socket: &mut std::net::TcpStream, until: &str| {
            let mut request = String::new();
            while !request.ends_with(until) {
                let mut bytes = [0; 1024];
                let read = socket.read(&mut bytes).unwrap();
                assert_ne!(read, 0, "closed after {request:?}");
                request.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
            socket.write_all(HELLO).unwrap();
        };
        let (mut first, _) = listener.accept().unwrap();
        answer(&mut first, "\r\n\r\n");
        closing.recv().unwrap();
        drop(first);
        closed.send(()).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        answer(&mut second, "\r\n\r\nthe same body");
    });
    let transport = transport();
    let response = send(transport.clone(), &format!("http://{addr}/")).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    tokio::task::yield_now().await;
    close.send(()).unwrap();
    wait.recv().unwrap();
    // Lets the runtime look at its sockets, before this task and then hyper's go on.
    tokio::task::yield_now().await;

    let request =
        Request::post(format!("http://{addr}/")).body(RequestBody::from("the same body")).unwrap();
    let response = transport.oneshot(request).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    server.join().unwrap();
}

#[tokio::test]
async fn it_is_always_ready() {
    let mut transport = transport();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..3 {
        assert!(transport.poll_ready(&mut cx).is_ready());
    }
}
