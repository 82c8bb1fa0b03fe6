//! The idle clock of response bodies, on a paused clock.

#[path = "support/layer.rs"]
mod layer;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, task::spawn};
use tower::{Layer, ServiceExt, service_fn};
use tower_openai::extensions::StreamTimeouts;
use tower_openai::layers::{IdleTimeoutBody, IdleTimeoutError, IdleTimeoutLayer};

const LIMIT: Duration = Duration::from_secs(5);

/// A body fed by a channel; dropping it closes the channel.
struct Fed(mpsc::UnboundedReceiver<Result<Frame<Bytes>, io::Error>>);

type Feed = mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>;

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx)
    }
}

fn fed() -> (Feed, Fed) {
    let (feed, body) = mpsc::unbounded_channel();
    (feed, Fed(body))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn watched() -> (Feed, IdleTimeoutBody<Fed>) {
    let (feed, body) = fed();
    (feed, IdleTimeoutBody::new(body, Some(LIMIT)))
}

async fn idle_error(body: &mut IdleTimeoutBody<Fed>) -> IdleTimeoutError {
    let error = body.frame().await.expect("an error").expect_err("an error");
    *error.downcast().expect("an idle timeout")
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_fails_at_the_limit_once_and_is_dropped() {
    let (feed, mut body) = watched();
    feed.send(data("hello")).unwrap();
    feed.send(data("")).unwrap();
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();

    let start = Instant::now();
    let error = idle_error(&mut body).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!((error.limit(), error.bytes(), error.frames()), (LIMIT, 5, 2));
    assert_eq!(error.to_string(), "no byte within 5s, the idle limit, after 5 bytes in 2 frames");
    assert!(feed.is_closed(), "the body inside is dropped, which closes the connection");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn any_frame_restarts_the_wait() {
    let (feed, mut body) = watched();
    let feeder = async {
        // Heartbeats, an empty frame and trailers, each just below the limit.
        for frame in [data(": ping\n\n"), data(""), Ok(Frame::trailers(HeaderMap::new()))] {
            sleep(LIMIT - Duration::from_millis(2)).await;
            feed.send(frame).unwrap();
        }
        sleep(LIMIT - Duration::from_millis(2)).await;
        drop(feed);
    };
    let reader = async {
        let mut frames = 0;
        while let Some(frame) = body.frame().await {
            frame.unwrap();
            frames += 1;
        }
        frames
    };
    assert_eq!(tokio::join!(feeder, reader).1, 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_gets_the_frame_that_was_waiting() {
    let (feed, mut body) = watched();
    feed.send(data("a")).unwrap();
    body.frame().await.unwrap().unwrap();
    assert_pending!(spawn(body.frame()).poll());
    feed.send(data("b")).unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "b");

    // Nor does its delay count as silence afterwards.
    sleep(Duration::from_secs(60)).await;
    let start = Instant::now();
    idle_error(&mut body).await;
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_read_does_not_restart_the_wait() {
    let (_feed, mut body) = watched();
    for _ in 0..4 {
        assert_pending!(spawn(body.frame()).poll());
        advance(Duration::from_secs(1)).await;
    }
    let start = Instant::now();
    idle_error(&mut body).await;
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_body_is_passed_on_and_ends_it() {
    let (feed, mut body) = watched();
    feed.send(Err(io::ErrorKind::ConnectionReset.into())).unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    let error = error.downcast_ref::<io::Error>().expect("the error itself");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn off_means_off() {
    for limit in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let (_feed, body) = fed();
        let mut body = IdleTimeoutBody::new(body, limit);
        let mut frame = spawn(body.frame());
        assert_pending!(frame.poll());
        advance(Duration::from_secs(24 * 60 * 60)).await;
        assert_pending!(frame.poll());
    }
}

/// Seconds until the body of a silent response fails; `None` if it is still silent after a day.
async fn silence(layer: IdleTimeoutLayer, limit: Option<StreamTimeouts>) -> Option<u64> {
    let mut feeds = Vec::new();
    let (feed, body) = fed();
    feeds.push(feed);
    let mut body = Some(body);
    let service = service_fn(move |_: Request<()>| {
        let body = body.take().expect("one call");
        async move {
            // The wait for the head is not the layer's.
            sleep(Duration::from_secs(3600)).await;
            Ok::<_, io::Error>(Response::new(body))
        }
    });
    let mut request = Request::new(());
    if let Some(limit) = limit {
        request.extensions_mut().insert(limit);
    }
    let mut body = layer.layer(service).oneshot(request).await.unwrap().into_body();
    let start = Instant::now();
    tokio::select! {
        error = idle_error(&mut body) => {
            assert_eq!(error.limit().as_secs(), start.elapsed().as_secs());
            Some(start.elapsed().as_secs())
        }
        () = sleep(Duration::from_secs(24 * 60 * 60)) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_can_bring_its_own_limit() {
    let (layer, off) = (IdleTimeoutLayer::new(LIMIT), IdleTimeoutLayer::disabled());
    let own = |seconds| Some(StreamTimeouts::new().idle(Duration::from_secs(seconds)));
    assert_eq!(silence(layer, None).await, Some(5));
    assert_eq!(silence(layer, own(2)).await, Some(2));
    assert_eq!(silence(layer, own(1200)).await, Some(1200));
    assert_eq!(silence(layer, own(0)).await, None);
    assert_eq!(silence(off, None).await, None);
    assert_eq!(silence(off, own(7)).await, Some(7));
    assert_eq!(silence(IdleTimeoutLayer::new(Duration::ZERO), None).await, None);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_the_contract() {
    let limit = || IdleTimeoutLayer::new(LIMIT);
    layer::calls_what_was_made_ready(limit()).await;
    layer::runs_calls_side_by_side(limit()).await;
    layer::cancels_by_dropping(limit()).await;
}

#[tokio::test(start_paused = true)]
async fn it_composes_with_other_layers() {
    layer::composes!(IdleTimeoutLayer::new(LIMIT));
}

#[test]
fn the_body_forwards_hints_and_stays_small_and_unpin() {
    fn promised<T: Send + Unpin>(_: &T) {}
    let body = IdleTimeoutBody::new(Full::new(Bytes::from_static(b"hello")), Some(LIMIT));
    promised(&body);
    assert_eq!(SizeHint::exact(&body.size_hint()), Some(5));
    assert!(!body.is_end_stream());
    assert!(IdleTimeoutBody::new(Full::<Bytes>::default(), None).is_end_stream());
    assert!(size_of::<IdleTimeoutBody<()>>() <= 64, "{}", size_of::<IdleTimeoutBody<()>>());
}

#[test]
fn a_body_that_is_never_pending_needs_no_runtime() {
    let mut body = IdleTimeoutBody::new(Full::new(Bytes::from_static(b"hello")), Some(LIMIT));
    let mut read = spawn(poll_fn(|cx| pin!(&mut body).poll_frame(cx)));
    assert!(matches!(read.poll(), Poll::Ready(Some(Ok(_)))));
}
