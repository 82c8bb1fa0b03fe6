//! What is read of an error body, what is left of it, and what a request's body costs.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_openai::extensions::{Deadline, RetryOverride};
use tower_openai::layers::retry::{Action, Outcome, classify_fn};
use tower_openai::layers::{RetryBody, RetryLayer, RetryPolicy};
use tower_openai::{BoxError, RequestBody};

use crate::support::ms;

type Sent = Result<Frame<Bytes>, BoxError>;

/// A body fed by a channel, which counts what is read of it.
struct Fed {
    frames: mpsc::UnboundedReceiver<Sent>,
    read: Arc<AtomicUsize>,
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Sent>> {
        let frame = self.frames.poll_recv(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let read = frame.data_ref().map_or(0, Bytes::len);
            self.read.fetch_add(read, Ordering::Relaxed);
        }
        frame
    }
}

struct Feed {
    frames: mpsc::UnboundedSender<Sent>,
    read: Arc<AtomicUsize>,
}

impl Feed {
    fn data(&self, data: impl Into<Bytes>) {
        self.frames.send(Ok(Frame::data(data.into()))).unwrap();
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }
}

fn fed() -> (Feed, Fed) {
    let (frames, body) = mpsc::unbounded_channel();
    let read = Arc::new(AtomicUsize::new(0));
    (Feed { frames, read: read.clone() }, Fed { frames: body, read })
}

/// The answer above a layer that may not retry any more, so that its body is handed on.
async fn last(policy: RetryPolicy, status: u16, body: Fed) -> Response<RetryBody<Fed>> {
    let mut body = Some(body);
    let once = service_fn(move |_: Request<()>| {
        let body = body.take().expect("one attempt");
        let response = Response::builder().status(status).body(body).unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    let policy = policy.backoff(std::iter::empty());
    RetryLayer::new(policy).layer(NoClone::over(once)).oneshot(Request::new(())).await.unwrap()
}

/// Gives a service that is called once the `Clone` that the layer asks for.
struct NoClone<S>(Option<S>);

impl<S> NoClone<S> {
    fn over(service: S) -> Self {
        Self(Some(service))
    }
}

impl<S> Clone for NoClone<S> {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl<S: tower::Service<R>, R> tower::Service<R> for NoClone<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.as_mut().expect("the original").poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.as_mut().expect("the original").call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_error_body_is_handed_on_with_its_trailers() {
    let (feed, body) = fed();
    feed.data("one ");
    feed.data("");
    feed.data("two");
    let trailers = HeaderMap::from_iter([(http::header::ETAG, "x".parse().unwrap())]);
    feed.frames.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    drop(feed);
    let response = last(RetryPolicy::default(), 503, body).await;
    let body = response.into_body();
    assert_eq!(body.size_hint().exact(), Some(7));
    assert!(!body.is_end_stream());
    assert_eq!(format!("{body:?}"), "RetryBody { read_ahead: 7, .. }");
    let collected = body.collect().await.unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "one two");
}

#[tokio::test(start_paused = true)]
async fn an_empty_error_body_is_at_its_end() {
    let (feed, body) = fed();
    drop(feed);
    let mut body = last(RetryPolicy::default(), 503, body).await.into_body();
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn row_28_of_a_huge_body_64_kib_are_read_ahead_and_nothing_is_lost() {
    let (feed, body) = fed();
    let pattern: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let pattern = Bytes::from(pattern);
    for at in (0..pattern.len()).step_by(10_000) {
        feed.data(pattern.slice(at..at + 10_000));
    }
    let response = last(RetryPolicy::default(), 500, body).await;
    assert_eq!(feed.read(), 70_000, "up to the chunk that is the 65536th byte's");
    drop(feed.frames);
    let read = response.into_body().collect().await.unwrap().to_bytes();
    assert!(read == pattern);
}

#[tokio::test(start_paused = true)]
async fn one_huge_chunk_is_not_copied() {
    let (feed, body) = fed();
    let chunk = Bytes::from(vec![7; 3_000_000]);
    feed.data(chunk.clone());
    let mut body = last(RetryPolicy::default(), 500, body).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let rest = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((first.len(), rest.len()), (65_536, 3_000_000 - 65_536));
    assert_eq!((first.as_ptr(), rest.as_ptr()), (chunk.as_ptr(), chunk[65_536..].as_ptr()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_holds_the_answer_up_for_10_s() {
    for (policy, seconds) in
        [(RetryPolicy::default(), 10), (RetryPolicy::default().peek_time(ms(3000)), 3)]
    {
        let (feed, body) = fed();
        feed.data("so far");
        let start = Instant::now();
        let mut body = last(policy, 503, body).await.into_body();
        assert_eq!(start.elapsed().as_secs(), seconds);
        feed.data(" and on");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "so far");
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), " and on");
    }
}

/// Bytes that come one by one do not make it longer.
#[tokio::test(start_paused = true)]
async fn a_body_that_drips_holds_the_answer_up_no_longer() {
    let (feed, body) = fed();
    let start = Instant::now();
    let drip = async {
        loop {
            feed.data("x");
            tokio::time::sleep(ms(900)).await;
        }
    };
    tokio::select! {
        () = drip => {}
        response = last(RetryPolicy::default(), 503, body) => assert_eq!(response.status(), 503),
    }
    // The watchdog looks sixteen times per limit.
    assert!((10_000..10_700).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_with_an_error_body_is_told_after_what_came() {
    let (feed, body) = fed();
    feed.data("so far");
    feed.frames.send(Err(io::Error::from(io::ErrorKind::ConnectionReset).into())).unwrap();
    let mut body = last(RetryPolicy::default(), 503, body).await.into_body();
    assert!(!body.is_end_stream());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "so far");
    assert!(body.frame().await.unwrap().unwrap_err().is::<io::Error>());
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn no_other_body_is_read_ahead() {
    let none = RetryPolicy::none;
    for (policy, status) in [
        (RetryPolicy::default(), 200),
        (RetryPolicy::default(), 400),
        (RetryPolicy::default(), 404),
        (RetryPolicy::codex(), 429),
        (none(), 503),
    ] {
        let (feed, body) = fed();
        feed.data("unread");
        let start = Instant::now();
        let body = last(policy, status, body).await.into_body();
        assert_eq!((feed.read(), start.elapsed()), (0, ms(0)), "{status}");
        drop(feed.frames);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "unread");
    }
}

/// Answers 503 to everything and notes where the request's bytes are.
async fn pointers(body: RequestBody, policy: RetryPolicy) -> Vec<(*const u8, usize)> {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let note = seen.clone();
    let down = service_fn(move |request: Request<RequestBody>| {
        let bytes = request.into_body().as_bytes().cloned().unwrap();
        note.lock().unwrap().push((bytes.as_ptr() as usize, bytes.len()));
        async {
            Ok::<_, Infallible>(
                Response::builder().status(503).body(Empty::<Bytes>::new()).unwrap(),
            )
        }
    });
    let stack = RetryLayer::new(policy).layer(down);
    stack.oneshot(Request::new(body)).await.unwrap();
    let seen = seen.lock().unwrap();
    seen.iter().map(|(at, len)| (*at as *const u8, *len)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_retried_body_is_not_copied() {
    let bytes = Bytes::from(vec![1; 5_000_000]);
    let seen = pointers(RequestBody::from(bytes.clone()), RetryPolicy::default()).await;
    assert_eq!(seen, [(bytes.as_ptr(), bytes.len()); 3]);
}

/// A request body that counts its clones.
#[derive(Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_not_be_retried_is_not_cloned() {
    let clones = async |layer: RetryLayer, own: Option<RetryOverride>| {
        let ok = service_fn(|_: Request<Counted>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let mut request = Request::new(Counted::default());
        let count = request.body().0.clone();
        if let Some(own) = own {
            request.extensions_mut().insert(own);
        }
        layer.layer(ok).oneshot(request).await.unwrap();
        count.load(Ordering::Relaxed)
    };
    let (off, once) = (RetryOverride::new().max_retries(0), RetryOverride::new().max_retries(1));
    assert_eq!(clones(RetryLayer::default(), None).await, 1);
    assert_eq!(clones(RetryLayer::disabled(), None).await, 0);
    assert_eq!(clones(RetryLayer::new(RetryPolicy::default().max_retries(0)), None).await, 0);
    assert_eq!(clones(RetryLayer::default(), Some(off)).await, 0);
    assert_eq!(clones(RetryLayer::disabled(), Some(once)).await, 1);
}

/// A body of nothing but empty frames, which counts them, and never ends.
struct Empties(Arc<AtomicUsize>);

impl http_body::Body for Empties {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

#[tokio::test(start_paused = true)]
async fn empty_frames_are_read_in_turns_and_not_for_ever() {
    let frames = Arc::new(AtomicUsize::new(0));
    let count = frames.clone();
    let endless = service_fn(move |_: Request<()>| {
        let response = Response::builder().status(503).body(Empties(count.clone()));
        std::future::ready(Ok::<_, Infallible>(response.unwrap()))
    });
    let policy = RetryPolicy::default().max_retries(1).backoff([ms(1)]);
    let mut call =
        tokio_test::task::spawn(RetryLayer::new(policy).layer(endless).oneshot(Request::new(())));
    assert!(call.poll().is_pending() && call.is_woken(), "others have their turn");
    assert!(frames.load(Ordering::Relaxed) <= 64);
    let response = call.await.unwrap();
    // The answer to the last retry is handed on unread.
    assert_eq!((response.status().as_u16(), frames.load(Ordering::Relaxed)), (503, 4096));
}

/// An answer whose body says nothing and does not end.
fn stalled()
-> impl tower::Service<Request<()>, Response = Response<Fed>, Error = Infallible, Future: Send> + Clone
{
    service_fn(|_: Request<()>| async {
        let (feed, frames) = mpsc::unbounded_channel();
        // Never closed.
        std::mem::forget(feed);
        let body = Fed { frames, read: Arc::default() };
        Ok(Response::builder().status(503).header("retry-after", "1e300").body(body).unwrap())
    })
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_what_is_read_ahead() {
    let start = Instant::now();
    let mut request = Request::new(());
    request.extensions_mut().insert(Deadline::at(start + ms(1000)));
    let response = RetryLayer::default().layer(stalled()).oneshot(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 503);
    assert!(start.elapsed() <= ms(1001), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_years() {
    let longest = std::time::Duration::MAX;
    let policy = RetryPolicy::default().max_retries(1).peek_time(longest).max_hint(longest);
    for own in [RetryOverride::new(), RetryOverride::new().max_hint(longest)] {
        let start = Instant::now();
        let mut request = Request::new(());
        request.extensions_mut().insert(own);
        let call = RetryLayer::new(policy.clone()).layer(stalled()).oneshot(request);
        assert_eq!(call.await.unwrap().status().as_u16(), 503);
        assert!(start.elapsed() <= ms(3_600_001), "{:?}", start.elapsed());
    }
}

/// There is nothing left to decide, but for a classifier, which is promised the body.
#[tokio::test(start_paused = true)]
async fn the_answer_to_the_last_retry_is_not_read_ahead() {
    let steady = || RetryPolicy::default().backoff([ms(0); 9]).peek_time(ms(1000));
    let passing = || steady().classify(classify_fn(|_: &Outcome<'_>| Action::Pass));
    let own = RetryOverride::new;
    for (policy, own, attempts, peeks) in [
        (steady(), own(), 3, 2),
        (steady().max_retries(1), own(), 2, 1),
        (steady(), own().max_retries(1), 2, 1),
        (steady(), own().max_retries(3), 4, 3),
        (passing(), own(), 3, 3),
        (passing(), own().max_retries(1), 2, 2),
        // Not known to be the last.
        (steady().backoff([ms(0)]), own(), 2, 2),
    ] {
        let feeds = Arc::new(std::sync::Mutex::new(Vec::new()));
        let keep = feeds.clone();
        let stalled = service_fn(move |_: Request<()>| {
            let (feed, body) = fed();
            keep.lock().unwrap().push(feed);
            std::future::ready(Ok::<_, Infallible>(
                Response::builder().status(503).body(body).unwrap(),
            ))
        });
        let mut request = Request::new(());
        request.extensions_mut().insert(own);
        let start = Instant::now();
        let stack = RetryLayer::new(policy).layer(stalled);
        assert_eq!(stack.oneshot(request).await.unwrap().status(), 503);
        assert_eq!(feeds.lock().unwrap().len(), attempts, "{own:?}");
        assert_eq!(start.elapsed().as_secs(), peeks, "{own:?}");
    }
}

/// Whatever the request says of statuses.
#[tokio::test(start_paused = true)]
async fn a_classifier_sees_the_body_of_a_status_that_is_turned_off() {
    let seen = Arc::new(AtomicUsize::new(0));
    let note = seen.clone();
    let policy = RetryPolicy::default().classify(classify_fn(move |outcome: &Outcome<'_>| {
        note.fetch_add(outcome.body().len(), Ordering::Relaxed);
        Action::Pass
    }));
    let throttled = service_fn(|_: Request<()>| async {
        let response = Response::builder().status(429).body(Full::<Bytes>::from("hello"));
        Ok::<_, Infallible>(response.unwrap())
    });
    let mut request = Request::new(());
    request.extensions_mut().insert(RetryOverride::new().retry_429(false));
    RetryLayer::new(policy).layer(throttled).oneshot(request).await.unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 5);
}
