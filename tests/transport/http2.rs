//! HTTP/2.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;
use tower_openai::transport::HyperTransport;
use tower_openai::{ErrorKind, RequestBody, Stage};

use super::support::{Server, assert_error, text};

fn http2() -> HyperTransport {
    HyperTransport::builder().without_env().http2_only().build().unwrap()
}

#[tokio::test]
async fn http2_requests_share_a_connection() {
    let server = Server::start(|socket| async move {
        let echo =
            hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            });
        let io = hyper_util::rt::TokioIo::new(socket);
        let executor = hyper_util::rt::TokioExecutor::new();
        let _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, echo).await;
    })
    .await;
    let transport = http2();
    let calls = ["one", "two", "three"].map(|word| {
        let request = Request::post(format!("http://{}/", server.addr))
            .body(RequestBody::from(word))
            .unwrap();
        let transport = transport.clone();
        tokio::spawn(async move {
            let response = transport.oneshot(request).await.unwrap();
            assert_eq!(response.version(), http::Version::HTTP_2);
            assert_eq!(text(response).await.unwrap(), word);
        })
    });
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

/// Accepts HTTP/2 requests and lets `answer` deal with each.
async fn http2_server(
    answer: impl Fn(h2::server::SendResponse<Bytes>) + Clone + Send + Sync + 'static,
) -> Server {
    Server::start(move |socket| {
        let answer = answer.clone();
        async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((_, respond))) = connection.accept().await {
                answer(respond);
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_http2_stream_refused_was_not_sent() {
    let server = http2_server(|mut respond| respond.send_reset(h2::Reason::REFUSED_STREAM)).await;
    assert_error(server.get("http", http2()).await, ErrorKind::Transport, Stage::NotSent);
}

#[tokio::test]
async fn an_http2_stream_reset_leaves_the_stage_unknown() {
    let server = http2_server(|mut respond| respond.send_reset(h2::Reason::INTERNAL_ERROR)).await;
    assert_error(server.get("http", http2()).await, ErrorKind::Transport, Stage::Unknown);
}

#[tokio::test]
async fn row_35_an_answer_before_the_request_is_over_counts() {
    let server = http2_server(|mut respond| {
        let refusal = Response::builder().status(429).header("retry-after", "7").body(()).unwrap();
        respond.send_response(refusal, true).unwrap();
        tokio::spawn(async move {
            // h2 would take back a head that it has not sent yet.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            respond.send_reset(h2::Reason::CANCEL);
        });
    })
    .await;
    // More than the window lets out.
    let body = RequestBody::from(vec![b'x'; 8 * 1024 * 1024]);
    let request = Request::post(format!("http://{}/", server.addr)).body(body).unwrap();
    let response = http2().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");

    let server = http2_server(|mut respond| respond.send_reset(h2::Reason::CANCEL)).await;
    let request = Request::post(format!("http://{}/", server.addr)).body("x".into()).unwrap();
    assert_error(http2().oneshot(request).await, ErrorKind::Transport, Stage::Unknown);
}

#[tokio::test]
async fn an_http2_reset_within_the_body_is_an_error_of_the_stream() {
    let reset = Arc::new(tokio::sync::Notify::new());
    let read = Arc::clone(&reset);
    let server = http2_server(move |mut respond| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data("hello".into(), false).unwrap();
        let read = Arc::clone(&read);
        tokio::spawn(async move {
            read.notified().await;
            body.send_reset(h2::Reason::CANCEL);
        });
    })
    .await;
    let mut body = server.get("http", http2()).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    reset.notify_one();
    assert_error(body.frame().await.unwrap(), ErrorKind::Transport, Stage::Streaming);
}

#[tokio::test]
async fn an_http2_head_above_the_read_buffer_is_a_protocol_error() {
    let server = http2_server(|mut respond| {
        let head = Response::builder().header("x-fill", "x".repeat(40 * 1024)).body(()).unwrap();
        respond.send_response(head, true).unwrap();
    })
    .await;
    let message = assert_error(server.get("http", http2()).await, ErrorKind::Protocol, Stage::Sent);
    assert!(message.contains("16384 bytes"), "{message}");
}

#[tokio::test]
async fn a_peer_without_http2_is_a_protocol_error() {
    let server = Server::start(|mut socket| async move {
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(answer).await.unwrap();
        let mut sink = Vec::new();
        let _ = socket.read_to_end(&mut sink).await;
    })
    .await;
    assert_error(server.get("http", http2()).await, ErrorKind::Protocol, Stage::Sent);
}

#[tokio::test]
async fn a_vanished_http2_peer_is_noticed() {
    let server = Server::start(|mut socket| async move {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        socket.write_all(&settings).await.unwrap();
        let mut sink = Vec::new();
        let _ = socket.read_to_end(&mut sink).await;
    })
    .await;
    let transport = HyperTransport::builder()
        .without_env()
        .http2_only()
        .http2_ping(Duration::from_millis(50), Duration::from_millis(50))
        .build()
        .unwrap();
    assert_error(server.get("http", transport).await, ErrorKind::Transport, Stage::Unknown);
}
