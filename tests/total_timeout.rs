//! The clock of whole calls, on a paused clock.

#[path = "support/layer.rs"]
mod layer;

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, advance, sleep};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task::spawn};
use tower::retry::Policy;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::{Deadline, StreamTimeouts};
use tower_openai::layers::{TotalTimeout, TotalTimeoutBody, TotalTimeoutError, TotalTimeoutLayer};
use tower_openai::{BoxError, Error, ErrorKind, Stage};

const LIMIT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A body fed by a channel; dropping it closes the channel.
struct Fed(mpsc::UnboundedReceiver<Result<Bytes, io::Error>>);

type Feed = mpsc::UnboundedSender<Result<Bytes, io::Error>>;

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// A body that always has one more frame, and counts them.
struct Endless(Arc<AtomicU64>);

impl Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

/// The body of a call, after its head.
async fn open<B>(body: B) -> TotalTimeoutBody<B> {
    let mut body = Some(body);
    let http = service_fn(move |_: layer::Sent| {
        ready(Ok::<_, io::Error>(Response::new(body.take().expect("one call"))))
    });
    TotalTimeout::new(http, LIMIT).oneshot(layer::get()).await.unwrap().into_body()
}

async fn fed() -> (Feed, TotalTimeoutBody<Fed>) {
    let (feed, body) = mpsc::unbounded_channel();
    (feed, open(Fed(body)).await)
}

fn total_error(error: BoxError) -> TotalTimeoutError {
    *error.downcast().expect("a total timeout")
}

async fn last<B>(body: &mut TotalTimeoutBody<B>) -> TotalTimeoutError
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
{
    let error = total_error(body.frame().await.expect("an error").expect_err("an error"));
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
    error
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_head_ends_at_the_limit() {
    let http = service_fn(async |_: layer::Sent| {
        sleep(DAY).await;
        Ok::<_, io::Error>(Response::new(Empty::<Bytes>::new()))
    });
    let start = Instant::now();
    let error = TotalTimeoutLayer::new(LIMIT).layer(http).oneshot(layer::get()).await.unwrap_err();
    assert_eq!(start.elapsed(), LIMIT);
    let error = total_error(error);
    assert_eq!((error.limit(), error.has_head(), error.bytes()), (LIMIT, false, 0));
    assert_eq!(
        error.to_string(),
        "no end of the call within 60s, the total limit, before a response head"
    );
    let error = Error::from(BoxError::from(error));
    assert_eq!((error.kind(), error.stage()), (ErrorKind::TotalTimeout, Stage::Unknown));
    assert!(!error.is_retryable());
}

/// Tries again for ever, each time after eleven seconds.
#[derive(Clone)]
struct Again;

impl<RB> Policy<layer::Sent, Response<RB>, BoxError> for Again {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut layer::Sent,
        result: &mut Result<Response<RB>, BoxError>,
    ) -> Option<Sleep> {
        let failed = !matches!(result, Ok(response) if response.status().is_success());
        failed.then(|| sleep(Duration::from_secs(11)))
    }

    fn clone_request(&mut self, request: &layer::Sent) -> Option<layer::Sent> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_dropped_before_the_error_is_told() {
    let held = Arc::new(());
    let alive = Arc::downgrade(&held);
    let mut held = Some(held);
    let mute = service_fn(move |_: layer::Sent| {
        let held = held.take().expect("one call");
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, io::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut call = spawn(TotalTimeout::new(mute, LIMIT).oneshot(layer::get()));
    assert_pending!(call.poll());
    advance(LIMIT + TICK).await;
    assert!(alive.upgrade().is_some());
    let error = assert_ready_err!(call.poll());
    assert!(!total_error(error).has_head());
    assert!(alive.upgrade().is_none(), "though the future is still there");
}

#[tokio::test(start_paused = true)]
async fn attempts_and_the_waits_between_them_share_the_limit() {
    let deadlines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&deadlines);
    let unwell = service_fn(move |request: layer::Sent| {
        seen.lock().unwrap().push(request.extensions().get::<Deadline>().copied());
        async {
            sleep(Duration::from_secs(5)).await;
            let answer = Response::builder().status(503).body(Empty::<Bytes>::new());
            Ok::<_, BoxError>(answer.unwrap())
        }
    });
    let start = Instant::now();
    let stack = ServiceBuilder::new().layer(TotalTimeoutLayer::new(LIMIT)).retry(Again);
    let error = stack.service(unwell).oneshot(layer::get()).await.map(drop).unwrap_err();
    assert_eq!(total_error(error).limit(), start.elapsed());
    // At 0, 16, 32 and 48 s; the wait that began at 53 s was cut short.
    assert_eq!(*deadlines.lock().unwrap(), [Some(Deadline::at(start + LIMIT)); 4]);
}

#[tokio::test(start_paused = true)]
async fn head_and_body_share_the_limit() {
    let (feed, body) = mpsc::unbounded_channel();
    let mut body = Some(Fed(body));
    let http = service_fn(move |_: layer::Sent| {
        let body = body.take().expect("one call");
        async move {
            sleep(LIMIT / 2).await;
            Ok::<_, io::Error>(Response::new(body))
        }
    });
    let start = Instant::now();
    let mut body = TotalTimeout::new(http, LIMIT).oneshot(layer::get()).await.unwrap().into_body();
    // Neither a frame nor the wait for it moves the moment.
    let (error, ()) = tokio::join!(
        async {
            for _ in 0..2 {
                body.frame().await.unwrap().unwrap();
            }
            last(&mut body).await
        },
        async {
            for text in ["hel", "lo"] {
                sleep(LIMIT / 8).await;
                feed.send(Ok(Bytes::from_static(text.as_bytes()))).unwrap();
            }
        }
    );
    assert_eq!(start.elapsed(), LIMIT);
    assert_eq!((error.limit(), error.bytes(), error.frames()), (LIMIT, 5, 2));
    assert_eq!(
        error.to_string(),
        "no end of the call within 60s, the total limit, after 5 bytes in 2 frames"
    );
    assert!(feed.is_closed(), "the body inside is dropped, which closes the connection");
    assert_eq!(Error::from(BoxError::from(error)).stage(), Stage::Streaming);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_ends_within_sixteen_frames() {
    for read_before in 0..20 {
        let polls = Arc::new(AtomicU64::new(0));
        let mut body = open(Endless(Arc::clone(&polls))).await;
        for _ in 0..read_before {
            body.frame().await.unwrap().unwrap();
        }
        // No timer runs: the body was never pending.
        advance(LIMIT).await;
        let mut late = 0;
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(_) => late += 1,
                Err(error) => break total_error(error),
            }
        };
        assert!(late < 16, "{late} frames after the moment, {read_before} before it");
        assert_eq!(error.frames(), read_before + late);
        assert_eq!(polls.load(Ordering::Relaxed), error.frames(), "no frame is thrown away");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_no_excuse() {
    let (feed, mut body) = fed().await;
    assert_pending!(spawn(body.frame()).poll());
    feed.send(Ok(Bytes::from_static(b"hello"))).unwrap();
    sleep(LIMIT + TICK).await;
    assert_eq!(last(&mut body).await.bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_in_time_is_left_alone() {
    let (feed, mut body) = fed().await;
    feed.send(Ok(Bytes::from_static(b"hello"))).unwrap();
    body.frame().await.unwrap().unwrap();
    assert_pending!(spawn(body.frame()).poll());
    drop(feed);
    assert!(body.frame().await.is_none());
    sleep(DAY).await;
    assert!(body.frame().await.is_none());

    let (feed, mut body) = fed().await;
    feed.send(Err(io::ErrorKind::ConnectionReset.into())).unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(error.is::<io::Error>(), "{error}");
    assert!(body.frame().await.is_none());
}

/// What the layers inside find, if the call is made; and how long the call takes.
async fn call(
    layer: TotalTimeoutLayer,
    timeouts: Option<StreamTimeouts>,
    deadline: Option<Instant>,
) -> (Option<Option<Deadline>>, Duration, Result<(), BoxError>) {
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let http = service_fn(move |request: layer::Sent| {
        *note.lock().unwrap() = Some(request.extensions().get().copied());
        async {
            sleep(DAY).await;
            Ok::<_, io::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut request = layer::get();
    if let Some(timeouts) = timeouts {
        request.extensions_mut().insert(timeouts);
    }
    if let Some(deadline) = deadline {
        request.extensions_mut().insert(Deadline::at(deadline));
    }
    let start = Instant::now();
    let result = layer.layer(http).oneshot(request).await.map(drop);
    let seen = seen.lock().unwrap().take();
    (seen, start.elapsed(), result)
}

#[tokio::test(start_paused = true)]
async fn the_earliest_deadline_holds_and_goes_down_with_the_request() {
    let (on, off) = (TotalTimeoutLayer::new(LIMIT), TotalTimeoutLayer::disabled());
    let own = |seconds| Some(StreamTimeouts::new().total(Duration::from_secs(seconds)));
    let cases = [
        // Layer, request, deadline of the request in seconds: seconds that hold.
        (on, None, None, Some(60)),
        (on, own(7), None, Some(7)),
        (on, own(600), None, Some(600)),
        (on, own(0), None, None),
        (on, own(u64::MAX), None, None),
        (off, None, None, None),
        (off, own(7), None, Some(7)),
        (TotalTimeoutLayer::new(Duration::ZERO), None, None, None),
        (on, None, Some(5), Some(5)),
        (on, None, Some(90), Some(60)),
        (on, own(7), Some(5), Some(5)),
        (on, own(0), Some(5), Some(5)),
        (off, None, Some(5), Some(5)),
    ];
    for (layer, own, deadline, expected) in cases {
        let start = Instant::now();
        let deadline = deadline.map(|seconds| start + Duration::from_secs(seconds));
        let (seen, elapsed, result) = call(layer, own, deadline).await;
        let expected = expected.map(Duration::from_secs);
        let below = seen.expect("the call was made").map(Deadline::instant);
        assert_eq!(below, expected.map(|limit| start + limit), "{own:?} {deadline:?}");
        assert_eq!(elapsed, expected.unwrap_or(DAY), "{own:?} {deadline:?}");
        let limit = result.err().map(|error| total_error(error).limit());
        assert_eq!(limit, expected, "{own:?} {deadline:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_too_late_is_not_sent() {
    let passed = Instant::now();
    advance(TICK).await;
    let (seen, elapsed, result) = call(TotalTimeoutLayer::new(LIMIT), None, Some(passed)).await;
    assert!(seen.is_none());
    assert_eq!(elapsed, Duration::ZERO);
    let error = Error::from(result.unwrap_err());
    assert_eq!((error.kind(), error.stage()), (ErrorKind::TotalTimeout, Stage::NotSent));
    assert!(error.message().contains("before it was sent"), "{error}");
}

#[test]
fn what_is_never_pending_needs_no_runtime() {
    let http = service_fn(|_: layer::Sent| {
        ready(Ok::<_, io::Error>(Response::new(Full::new(Bytes::from_static(b"hello")))))
    });
    let mut call = spawn(TotalTimeout::new(http, LIMIT).call(layer::get()));
    let mut body = assert_ready_ok!(call.poll()).into_body();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());
    assert!(matches!(spawn(body.frame()).poll(), Poll::Ready(Some(Ok(_)))));
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_the_contract() {
    let limit = || TotalTimeout::layer(LIMIT);
    layer::calls_what_was_made_ready(limit()).await;
    layer::runs_calls_side_by_side(limit()).await;
    layer::cancels_by_dropping(limit()).await;
}

#[tokio::test(start_paused = true)]
async fn it_composes_with_other_layers() {
    layer::composes!(TotalTimeoutLayer::new(LIMIT));
}

#[test]
fn it_is_what_it_promises() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>(_: &T) {}
    fn travels<T: Send + Sync + Unpin>() {}
    promised(&TotalTimeoutLayer::new(LIMIT));
    promised(&TotalTimeout::new((), LIMIT));
    travels::<TotalTimeoutBody<Full<Bytes>>>();
    let size = size_of::<TotalTimeoutBody<()>>();
    assert!(size <= 80, "{size}");
    assert_eq!(TotalTimeout::layer(LIMIT).layer(3).into_inner(), 3);
}
