//! Peers that vanish without a word, on a clock that costs no time.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::io::DuplexStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::{RetryLayer, RetryPolicy};
use tower_openai::transport::{HyperBody, HyperTransport, TransportError};
use tower_openai::{ErrorKind, RequestBody, Stage};

use super::certs::echo;

/// What `http2_ping` promises.
const BOUND: Duration = Duration::from_secs(25);

/// A transport whose first connection can lose its peer.
struct Net {
    transport: HyperTransport,
    connections: Arc<AtomicUsize>,
    vanish: Arc<Notify>,
}

impl Net {
    fn new() -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let vanish = Arc::new(Notify::new());
        let (count, gone) = (Arc::clone(&connections), Arc::clone(&vanish));
        let connector = service_fn(move |_: Uri| {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let (number, gone) = (count.fetch_add(1, Ordering::SeqCst), Arc::clone(&gone));
            tokio::spawn(async move {
                let mut served = pin!(echo(theirs));
                if number > 0 {
                    return served.await;
                }
                tokio::select! {
                    () = &mut served => {}
                    () = gone.notified() => {}
                }
                // Neither reads nor writes from here on, and does not close.
                std::future::pending().await
            });
            std::future::ready(Ok::<DuplexStream, io::Error>(ours))
        });
        let transport = HyperTransport::builder()
            .without_env()
            .http2_only()
            .connector(connector)
            .build()
            .unwrap();
        Self { transport, connections, vanish }
    }

    async fn send(&self) -> Result<Response<HyperBody>, TransportError> {
        self.transport.clone().oneshot(request()).await
    }

    async fn vanish(&self) {
        self.vanish.notify_one();
        tokio::task::yield_now().await;
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn request() -> Request<RequestBody> {
    Request::post("http://api.test/").body(RequestBody::from("hello")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_vanished_peer_fails_within_the_bound_and_the_next_one_does_not() {
    let net = Net::new();
    net.send().await.unwrap().into_body().collect().await.unwrap();
    net.vanish().await;
    let started = Instant::now();
    let err = net.send().await.unwrap_err();
    assert_eq!((err.kind(), err.stage()), (ErrorKind::Transport, Stage::Unknown), "{err:?}");
    assert!(started.elapsed() <= BOUND, "{:?}", started.elapsed());
    assert_eq!(net.connections(), 1);
    assert_eq!(net.send().await.unwrap().status(), 200);
    assert_eq!(net.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_retry_the_call_itself_succeeds() {
    let net = Net::new();
    net.send().await.unwrap().into_body().collect().await.unwrap();
    net.vanish().await;
    let started = Instant::now();
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .service(net.transport.clone());
    assert_eq!(service.oneshot(request()).await.unwrap().status(), 200);
    let backoff = Duration::from_secs(1);
    assert!(started.elapsed() <= BOUND + backoff, "{:?}", started.elapsed());
    assert_eq!(net.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_while_idle_is_not_asked_any_more() {
    let net = Net::new();
    net.send().await.unwrap().into_body().collect().await.unwrap();
    net.vanish().await;
    tokio::time::sleep(BOUND).await;
    assert_eq!(net.send().await.unwrap().status(), 200);
    assert_eq!(net.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stays_is_kept() {
    let net = Net::new();
    for _ in 0..3 {
        net.send().await.unwrap().into_body().collect().await.unwrap();
        tokio::time::sleep(BOUND).await;
    }
    assert_eq!(net.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_peer_vanishes_ends_within_the_bound() {
    let net = Net::new();
    // The answer goes on as long as the request does.
    let body = RequestBody::replayable(None, || Endless(Some("once".into())));
    let request = Request::post("http://api.test/").body(body).unwrap();
    let mut body = net.transport.clone().oneshot(request).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "once");
    net.vanish().await;
    let started = Instant::now();
    let err = body.frame().await.unwrap().unwrap_err();
    assert_eq!((err.kind(), err.stage()), (ErrorKind::Transport, Stage::Streaming), "{err:?}");
    assert!(started.elapsed() <= BOUND, "{:?}", started.elapsed());
}

/// One frame, and then nothing for ever.
struct Endless(Option<Bytes>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}
