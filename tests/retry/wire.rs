//! Retrying over real sockets: connections that are refused, reset or stale.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::{ProviderLayer, RetryLayer, RetryPolicy};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{Error, ErrorKind, RequestBody, Stage};

use crate::support::ms;

/// Reads an answer over `base_url` to its end; how many attempts reached the transport.
async fn text(base_url: &str) -> (Result<String, Error>, usize) {
    let attempts = Arc::new(AtomicUsize::new(0));
    let (count, transport) = (attempts.clone(), HyperTransport::new().unwrap());
    let counted = service_fn(move |request: http::Request<RequestBody>| {
        count.fetch_add(1, Ordering::Relaxed);
        transport.clone().oneshot(request)
    });
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", base_url).unwrap()))
        .layer(RetryLayer::new(RetryPolicy::default().backoff([ms(10), ms(20)])))
        .service(counted);
    let read = async {
        let stream = stack.oneshot(ResponsesRequest::new("gpt-5.2", "hello")).await?;
        stream.text().collect().await
    };
    let read = tokio::time::timeout(Duration::from_secs(30), read).await.expect("within 30 s");
    (read, attempts.load(Ordering::Relaxed))
}

#[tokio::test]
async fn row_1_a_refused_connection_is_tried_as_often_as_allowed() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (result, attempts) = text(&format!("http://{address}")).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), attempts), (ErrorKind::Connect, 3));
    assert_eq!(error.attempts().len(), 3);
}

#[tokio::test]
async fn row_4_a_name_that_cannot_be_resolved_is_tried_as_often_as_allowed() {
    let (result, attempts) = text("http://no-such-host.invalid/v1").await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), attempts), (ErrorKind::Connect, 3));
    assert_eq!(error.stage(), Stage::NotSent);
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    assert!(error.attempts().iter().all(|one| one.error_kind() == Some(ErrorKind::Connect)));
}

/// With the same body.
#[tokio::test]
async fn rows_3_14_a_reset_before_the_head_is_tried_again() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::no_head().then_reset()).enqueue(Script::raw_tcp("").then_reset());
    let (result, attempts) = text(server.base_url()).await;
    assert!(result.unwrap().contains("hello"));
    assert_eq!(attempts, 3);
    let bodies: Vec<_> = server.requests().iter().map(|request| request.body().clone()).collect();
    assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

/// Only heads are retried.
#[tokio::test]
async fn what_breaks_after_the_head_is_told() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(0).then_reset());
    let (result, attempts) = text(server.base_url()).await;
    assert!(matches!(result.unwrap_err().kind(), ErrorKind::Transport | ErrorKind::Truncated));
    assert_eq!((attempts, server.received()), (1, 1));
}

/// The small error body was read to its end, so the connection serves the next attempt.
#[tokio::test]
async fn a_retry_after_an_answer_uses_the_same_connection() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(503)).enqueue(Script::status(500));
    let (result, attempts) = text(server.base_url()).await;
    assert!(result.unwrap().contains("hello"));
    assert_eq!((attempts, server.connections()), (3, 1));
}

/// The server closes a kept connection as the next request arrives on it.
#[tokio::test]
async fn row_59_a_stale_connection_costs_an_attempt_and_the_caller_nothing() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural()).enqueue(Script::no_head().then_end());
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url()).unwrap()))
        .layer(RetryLayer::new(RetryPolicy::default().backoff([ms(10), ms(20)])))
        .service(HyperTransport::new().unwrap());
    for _ in 0..2 {
        let request = ResponsesRequest::new("gpt-5.2", "hello");
        let stream = stack.clone().oneshot(request).await.unwrap();
        assert!(stream.text().collect().await.unwrap().contains("hello"));
    }
    assert_eq!((server.received(), server.connections()), (3, 2));
}

/// What a server makes of a request whose body it does not read, frame by frame.
#[derive(Clone, Copy)]
enum Early {
    /// A head with this status, then CANCEL.
    Head(u16),
    /// CANCEL alone.
    Cancel,
    /// An answer.
    Whole,
}

/// An HTTP/2 server that plays `early`, one per request.
async fn early<const N: usize>(early: [Early; N]) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut plays = early.into_iter();
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                let mut head = http::Response::new(());
                match plays.next().unwrap() {
                    Early::Cancel => respond.send_reset(h2::Reason::CANCEL),
                    Early::Head(status) => {
                        *head.status_mut() = status.try_into().unwrap();
                        let mut stream = respond.send_response(head, false).unwrap();
                        // A reset takes back what has not been sent.
                        tokio::spawn(async move {
                            tokio::time::sleep(ms(50)).await;
                            stream.send_reset(h2::Reason::CANCEL);
                        });
                    }
                    Early::Whole => {
                        let mut stream = respond.send_response(head, false).unwrap();
                        let event = "data: {\"type\":\"response.completed\",\"response\":\
                                     {\"id\":\"r\"}}\n\n";
                        stream.send_data(event.into(), true).unwrap();
                    }
                }
            }
        }
    });
    (base_url, server)
}

/// The answer of such a server to a request that is larger than it lets in, and the attempts it took.
async fn answered_early<const N: usize>(plays: [Early; N]) -> (Result<(), Error>, usize) {
    let (base_url, server) = early(plays).await;
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = attempts.clone();
    let transport = HyperTransport::builder().http2_only().build().unwrap();
    let counted = service_fn(move |request: http::Request<RequestBody>| {
        count.fetch_add(1, Ordering::Relaxed);
        transport.clone().oneshot(request)
    });
    let stack = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", &base_url).unwrap()))
        .layer(RetryLayer::new(RetryPolicy::default().backoff([ms(10), ms(20)])))
        .service(counted);
    let request = ResponsesRequest::new("gpt-5.2", "x".repeat(1 << 20));
    let read = async { stack.oneshot(request).await?.final_response().await.map(drop) };
    let read = tokio::time::timeout(Duration::from_secs(30), read).await.expect("within 30 s");
    server.abort();
    (read, attempts.load(Ordering::Relaxed))
}

#[tokio::test]
async fn row_35_an_early_429_is_one_although_its_stream_is_cancelled() {
    let (result, attempts) = answered_early([Early::Head(429); 3]).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), attempts), (ErrorKind::RateLimited, 3));
    assert_eq!(error.status().unwrap(), 429);
    let (result, attempts) = answered_early([Early::Head(400)]).await;
    assert_eq!((result.unwrap_err().kind(), attempts), (ErrorKind::InvalidRequest, 1));
}

#[tokio::test]
async fn row_35_a_stream_that_is_cancelled_before_its_head_is_tried_again() {
    let (result, attempts) = answered_early([Early::Cancel, Early::Cancel, Early::Whole]).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(attempts, 3);
    let (result, attempts) = answered_early([Early::Cancel; 3]).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), attempts), (ErrorKind::Transport, 3));
    assert!(error.attempts().iter().all(|one| one.error_kind() == Some(ErrorKind::Transport)));
}
