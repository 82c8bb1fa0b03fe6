//! The limit on open responses: who has a permit, for how long, and who is next.

#[path = "support/layer.rs"]
mod layer;

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::sync::{Semaphore, mpsc};
use tokio_test::task::{Spawn, spawn};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::retry::Policy;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::{InFlightLimit, InFlightLimitBody, InFlightLimitLayer};
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::{BoxError, Error, ErrorKind};

/// A body fed by a channel.
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

fn limit(max: usize) -> InFlightLimitLayer {
    InFlightLimitLayer::new(max).unwrap()
}

/// One open response under `limit`.
async fn open(limit: &InFlightLimitLayer) -> (Feed, InFlightLimitBody<Fed>) {
    let (feed, body) = mpsc::unbounded_channel();
    let mut body = Some(Fed(body));
    let http = service_fn(move |_: layer::Sent| {
        ready(Ok::<_, io::Error>(Response::new(body.take().expect("one call"))))
    });
    (feed, limit.layer(http).oneshot(layer::get()).await.unwrap().into_body())
}

/// A service under `limit` that waits for its permit.
fn waiting(
    limit: &InFlightLimitLayer,
) -> Spawn<impl Future<Output = InFlightLimit<layer::BoxHttp>> + use<>> {
    let mut service = limit.layer(layer::BoxHttp::new(service_fn(layer::hello)));
    let mut waiting = spawn(async move {
        ServiceExt::<layer::Sent>::ready(&mut service).await.unwrap();
        service
    });
    assert_pending!(waiting.poll());
    waiting
}

/// The service, if it was woken because its permit has come.
fn fetch<F: Future>(waiting: &mut Spawn<F>) -> Option<F::Output> {
    match waiting.is_woken().then(|| waiting.poll()) {
        Some(Poll::Ready(service)) => Some(service),
        _ => None,
    }
}

#[tokio::test]
async fn a_permit_is_held_while_the_body_is_read() {
    let limit = limit(1);
    let (feed, mut body) = open(&limit).await;
    assert_eq!(limit.available_permits(), 0);
    let mut next = waiting(&limit);
    feed.send(Ok(Bytes::from_static(b"hello"))).unwrap();
    body.frame().await.unwrap().unwrap();
    assert!(fetch(&mut next).is_none(), "one frame is not the end");

    drop(feed);
    assert!(body.frame().await.is_none());
    assert!(fetch(&mut next).is_some(), "the body has ended, though it is still there");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_error_gives_the_permit_back() {
    let limit = limit(1);
    let (feed, mut body) = open(&limit).await;
    feed.send(Err(io::ErrorKind::ConnectionReset.into())).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(limit.available_permits(), 1);
    assert!(feed.is_closed(), "the connection was let go before");
    assert!(body.is_end_stream() && body.frame().await.is_none());

    let broken = service_fn(|_: layer::Sent| {
        ready(Err::<Response<Empty<Bytes>>, _>(io::Error::other("no answer")))
    });
    let error = limit.layer(broken).oneshot(layer::get()).await.map(drop).unwrap_err();
    assert!(error.is::<io::Error>(), "{error}");
    assert_eq!(limit.available_permits(), 1);
}

#[tokio::test]
async fn a_drop_gives_the_permit_back_wherever_it_is() {
    let limit = limit(1);
    // In the body,
    let (_feed, body) = open(&limit).await;
    drop(body);
    assert_eq!(limit.available_permits(), 1);

    // in the future,
    let hanging = service_fn(|_: layer::Sent| {
        std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let mut service = limit.layer(hanging);
    let mut call = spawn(service.ready().await.unwrap().call(layer::get()));
    assert_pending!(call.poll());
    assert_eq!(limit.available_permits(), 0);
    drop(call);
    assert_eq!(limit.available_permits(), 1);

    // in a service that is ready and not called.
    service.ready().await.unwrap();
    assert_eq!(limit.available_permits(), 0);
    assert_pending!(spawn(service.clone().ready()).poll());
    drop(service);
    assert_eq!(limit.available_permits(), 1);
}

#[tokio::test]
async fn error_heads_hold_a_permit_too_and_empty_bodies_none() {
    let limit = limit(1);
    let refusal = service_fn(|_: layer::Sent| {
        ready(Ok::<_, Infallible>(
            Response::builder().status(500).body(Full::<Bytes>::from("no")).unwrap(),
        ))
    });
    let answer = limit.layer(refusal).oneshot(layer::get()).await.unwrap();
    assert_eq!(limit.available_permits(), 0);
    let mut body = answer.into_body();
    assert_eq!(body.size_hint().exact(), Some(2));
    // A body that knows its length need not be asked for its end.
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert_eq!(limit.available_permits(), 1);

    let empty =
        service_fn(|_: layer::Sent| ready(Ok::<_, Infallible>(Response::new(Empty::new()))));
    let answer: Response<InFlightLimitBody<Empty<Bytes>>> =
        limit.layer(empty).oneshot(layer::get()).await.unwrap();
    assert_eq!(limit.available_permits(), 1);
    drop(answer);
    assert_eq!(limit.available_permits(), 1, "not given back twice");
}

#[tokio::test]
async fn permits_are_given_in_the_order_of_waiting() {
    let limit = limit(1);
    let (_feed, body) = open(&limit).await;
    let mut queue: Vec<_> = (0..3).map(|_| waiting(&limit)).collect();
    drop(body);
    // Nobody who comes now overtakes them.
    let mut latecomer = waiting(&limit);
    for turn in 0..3 {
        let mut first = queue.remove(0);
        let service = fetch(&mut first).unwrap_or_else(|| panic!("turn {turn}"));
        assert!(!queue.iter().any(Spawn::is_woken) && !latecomer.is_woken(), "turn {turn}");
        drop(service);
    }
    assert!(fetch(&mut latecomer).is_some());
}

#[tokio::test]
async fn who_stops_waiting_loses_no_permit() {
    let limit = limit(1);
    let (_feed, body) = open(&limit).await;
    let (cancelled, mut second, third) = (waiting(&limit), waiting(&limit), waiting(&limit));
    drop(cancelled);
    drop(body);
    assert!(second.is_woken(), "the permit is for the second");
    // It has been given and not been fetched.
    drop(third);
    let service = assert_ready(second.poll());
    assert_eq!(limit.available_permits(), 0);
    drop((service, second));
    assert_eq!(limit.available_permits(), 1);

    let (_feed, body) = open(&limit).await;
    let unfetched = waiting(&limit);
    drop(body);
    assert!(unfetched.is_woken());
    drop(unfetched);
    assert_eq!(limit.available_permits(), 1);
}

fn assert_ready<T>(polled: Poll<T>) -> T {
    match polled {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}

#[tokio::test]
async fn a_thousand_calls_never_exceed_the_limit() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&open), Arc::clone(&most));
    let http = service_fn(move |_: layer::Sent| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let now = Arc::clone(&now);
        // The response counts as open until its last frame is asked for.
        let end = futures_util::stream::once(async move {
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
        });
        ready(Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(end)))))
    });
    let limit = limit(7);
    let service = limit.layer(http);
    let calls = (0..1000).map(|_| {
        let service = service.clone();
        async move { service.oneshot(layer::get()).await.unwrap().into_body().collect().await }
    });
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    assert_eq!((most.load(Ordering::SeqCst), open.load(Ordering::SeqCst)), (7, 0));
    assert_eq!(limit.available_permits(), 7);
}

/// An endpoint under `limit` with this answer.
fn endpoint(
    limit: &InFlightLimitLayer,
    answer: &'static str,
) -> Responses<
    InFlightLimit<
        impl Service<layer::Sent, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
        + Clone,
    >,
> {
    let http = service_fn(move |_: layer::Sent| {
        ready(Ok::<_, Infallible>(Response::new(Full::from(answer))))
    });
    ServiceBuilder::new().layer(Responses::layer()).layer(limit.clone()).service(http)
}

const ANSWER: &str = concat!(
    r#"data: {"type":"response.output_text.delta","delta":"Hi!"}"#,
    "\n\n",
    r#"data: {"type":"response.completed","response":{"id":"resp_1"}}"#,
    "\n\n",
);

#[tokio::test]
async fn two_endpoints_share_one_limit_to_the_end_of_their_streams() {
    let limit = limit(1);
    let (first, second) = (endpoint(&limit, ANSWER), endpoint(&limit, ANSWER));
    let request = || ResponsesRequest::new("gpt-5.2", "hello");

    // An answer that goes on after its first event.
    let (feed, body) = mpsc::unbounded_channel();
    let mut body = Some(Fed(body));
    let open = service_fn(move |_: layer::Sent| {
        ready(Ok::<_, Infallible>(Response::new(body.take().expect("one call"))))
    });
    let mut stream = Responses::new(limit.layer(open)).oneshot(request()).await.unwrap();
    let (delta, completed) = ANSWER.split_once("\n\n").unwrap();
    feed.send(Ok(format!("{delta}\n\n").into())).unwrap();
    stream.next().await.unwrap().unwrap();

    let mut waits = spawn(second.stream_request(request()));
    assert_pending!(waits.poll());
    feed.send(Ok(completed.into())).unwrap();
    drop(feed);
    // The terminal event ends it: nobody has asked for what comes after.
    assert_eq!(stream.next().await.unwrap().unwrap().kind(), "response.completed");
    assert!(waits.is_woken());
    let answer = assert_ready_ok!(waits.poll());

    let mut waits = spawn(first.stream_request(request()));
    assert_pending!(waits.poll());
    assert_eq!(answer.text().collect().await.unwrap(), "Hi!");
    drop(assert_ready_ok!(waits.poll()));
}

#[tokio::test]
async fn load_is_shed_while_the_bodies_are_open() {
    let limit = limit(1);
    let (_feed, body) = open(&limit).await;
    let mut stack =
        ServiceBuilder::new().load_shed().layer(limit.clone()).service(service_fn(layer::hello));
    let error = stack.ready().await.unwrap().call(layer::get()).await.map(drop).unwrap_err();
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    drop(body);
    stack.ready().await.unwrap().call(layer::get()).await.unwrap();
}

/// Tries again at once, as long as the status is a failure.
#[derive(Clone)]
struct Again;

impl<RB> Policy<layer::Sent, Response<RB>, BoxError> for Again {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut layer::Sent,
        result: &mut Result<Response<RB>, BoxError>,
    ) -> Option<Self::Future> {
        let failed = result.as_ref().is_ok_and(|response| response.status().is_server_error());
        failed.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &layer::Sent) -> Option<layer::Sent> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn inside_retry_an_attempt_waits_for_no_permit_of_the_one_before() {
    let statuses = Arc::new(Mutex::new([503, 500, 200].into_iter()));
    let http = service_fn(move |_: layer::Sent| {
        let status = statuses.lock().unwrap().next().expect("three attempts");
        let answer = Response::builder().status(status).body(Full::<Bytes>::from("hello"));
        ready(Ok::<_, Infallible>(answer.unwrap()))
    });
    let limit = limit(1);
    let stack = ServiceBuilder::new().retry(Again).layer(limit.clone()).service(http);
    let answer = stack.oneshot(layer::get()).await.unwrap();
    assert_eq!((answer.status().as_u16(), limit.available_permits()), (200, 0));
}

#[test]
fn limits_that_let_nothing_through_are_refused() {
    for max in [0, Semaphore::MAX_PERMITS + 1, usize::MAX] {
        let errors = [
            InFlightLimitLayer::new(max).map(drop).unwrap_err(),
            InFlightLimit::layer(max).map(drop).unwrap_err(),
            InFlightLimit::new((), max).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Build);
            assert!(error.message().contains(&max.to_string()), "{error}");
        }
    }
    assert_eq!(limit(Semaphore::MAX_PERMITS).available_permits(), Semaphore::MAX_PERMITS);
}

#[tokio::test]
async fn a_semaphore_of_the_callers_can_be_closed() {
    let semaphore = Arc::new(Semaphore::new(1));
    let limit = InFlightLimitLayer::with_semaphore(Arc::clone(&semaphore));
    let (_feed, body) = open(&limit).await;
    let mut service = limit.layer(service_fn(layer::hello));
    let mut wait = spawn(async { service.ready().await.map(drop) });
    assert_pending!(wait.poll());
    semaphore.close();
    assert!(wait.is_woken());
    let error = Error::from(assert_ready(wait.poll()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Build);
    drop((wait, body));
    assert!(service.ready().await.is_err());
}

#[tokio::test]
async fn a_call_that_was_not_made_ready_is_refused() {
    let limit = limit(1);
    let mut service = limit.layer(service_fn(layer::hello));
    let error = service.call(layer::get()).await.map(drop).unwrap_err();
    assert_eq!(Error::from(error).kind(), ErrorKind::Build);
    assert_eq!(limit.available_permits(), 1);
    service.ready().await.unwrap().call(layer::get()).await.unwrap();
}

/// Fails when it is asked whether it is ready.
#[derive(Clone)]
struct Failed;

impl Service<layer::Sent> for Failed {
    type Response = layer::Answer;
    type Error = BoxError;
    type Future = std::future::Pending<Result<layer::Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("closed".into()))
    }

    fn call(&mut self, _: layer::Sent) -> Self::Future {
        std::future::pending()
    }
}

#[tokio::test]
async fn a_service_that_fails_to_be_ready_keeps_no_permit() {
    let limit = limit(1);
    let mut service = limit.layer(Failed);
    assert!(service.ready().await.is_err());
    assert_eq!(limit.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_the_contract() {
    layer::calls_what_was_made_ready(limit(8)).await;
    layer::runs_calls_side_by_side(limit(8)).await;
    layer::cancels_by_dropping(limit(1)).await;
}

#[tokio::test(start_paused = true)]
async fn it_composes_with_other_layers() {
    layer::composes!(limit(1));
}

#[test]
fn it_is_what_it_promises() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>(_: &T) {}
    fn travels<T: Send + Sync + Unpin>() {}
    let service = limit(3).layer(4);
    promised(&limit(1));
    promised(&service);
    travels::<InFlightLimitBody<Full<Bytes>>>();
    assert_eq!(service.available_permits(), 3);
    let shown = format!("{service:?}");
    assert!(shown.contains("available: 3") && shown.contains("ready: false"), "{shown}");
    assert_eq!(service.into_inner(), 4);
}
