//! What tower, the layers and the observers below may expect.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::StreamObservers;
use tower_openai::layers::{Resume, ResumeLayer, ResumePolicy, ResumeStream};
use tower_openai::model::ResponseEvent;
use tower_openai::services::{
    Responses, ResponsesRequest, RetrieveStream, RetrieveStreamRequest, TurnState,
};
use tower_openai::sse::{EventSource, ResponseStream, StreamEnd, StreamObserver};
use tower_openai::{BoxError, Error, ErrorKind, RequestBody};
use tower_test::mock;

use crate::support::{
    Cut, EVENTS, Play, Played, events, played, read, request, resuming, server, targets, whole,
};

fn at_once() -> ResumePolicy {
    ResumePolicy::default().backoff([Duration::ZERO; 100])
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_service_inside() {
    let (mut service, mut handle) =
        mock::spawn_with::<Request<RequestBody>, Response<Played>, _, _>(|http| {
            let retrieve = service_fn(|_: RetrieveStreamRequest| async {
                Err::<ResponseStream, _>(BoxError::from("not asked"))
            });
            Resume::new(Responses::new(http), retrieve)
        });
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = tokio_test::task::spawn(service.call(request()));
    assert_pending!(call.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    respond.send_response(Response::new(played(&events(), Cut::Clean)));
    assert_eq!(read(call.await.unwrap()).await.0, whole());
    assert_pending!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn the_service_that_retrieves_is_made_ready_before_each_call() {
    let (retrieve, mut handle) = mock::pair::<Request<RequestBody>, Response<Played>>();
    handle.allow(0);
    let (http, _) = server([Play::Cut(0, 7, Cut::Reset)]);
    let responses = Resume::new(Responses::new(http), RetrieveStream::new(retrieve));
    let mut stream = responses.policy(at_once()).oneshot(request()).await.unwrap();
    for _ in 0..7 {
        stream.try_next().await.unwrap();
    }
    // A mock panics when it is called before it is ready, as a clone is not.
    for refusal in [true, false] {
        let mut next = tokio_test::task::spawn(stream.next());
        assert_pending!(next.poll());
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_pending!(next.poll());
        handle.allow(1);
        assert_pending!(next.poll());
        let (sent, respond) = handle.next_request().await.unwrap();
        assert_eq!(sent.uri().query(), Some("stream=true&starting_after=6"));
        if refusal {
            let mut refused = Response::new(played(&[], Cut::Clean));
            *refused.status_mut() = http::StatusCode::BAD_GATEWAY;
            handle.allow(0);
            respond.send_response(refused);
            assert_pending!(next.poll());
        } else {
            respond.send_response(Response::new(played(&events()[7..], Cut::Clean)));
        }
    }
    assert_eq!(read(stream).await.0, whole()[7..]);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_beside_the_payload_goes_along() {
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(u32);
    let (http, log) = server([Play::Cut(0, 7, Cut::Reset), Play::From(7)]);
    let request = request()
        .header("x-mine", "a")
        .session_id("s")
        .turn_state(TurnState::new())
        .extension(Tenant(1))
        .include("message.output_text.logprobs")
        .set("stream_options", &serde_json::json!({"include_obfuscation": false}));
    let stream = resuming(http, at_once()).stream_request(request).await.unwrap();
    assert_eq!(read(stream).await.0, whole());
    assert_eq!(
        targets(&log),
        ["GET /responses/resp_1?stream=true&starting_after=6\
          &include=message.output_text.logprobs&include_obfuscation=false"]
    );
    let log = log.lock().unwrap();
    for sent in &*log {
        assert_eq!(sent.headers()["x-mine"], "a");
        assert_eq!(sent.headers()["session_id"], "s");
        assert_eq!(sent.extensions().get(), Some(&Tenant(1)));
    }
    assert_eq!(log[1].headers()["accept"], "text/event-stream");
}

#[tokio::test(start_paused = true)]
async fn dropping_cancels_whatever_is_under_way() {
    struct Guard(Arc<Mutex<usize>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let dropped = Arc::new(Mutex::new(0));
    let guard = Arc::clone(&dropped);
    let retrieve = service_fn(move |_: RetrieveStreamRequest| {
        let guard = Guard(Arc::clone(&guard));
        async move {
            let _guard = guard;
            std::future::pending::<Result<ResponseStream, BoxError>>().await
        }
    });
    let (http, _) = server([Play::Cut(0, 7, Cut::Reset)]);
    let responses = Resume::new(Responses::new(http), retrieve).policy(at_once());
    let mut stream = responses.oneshot(request()).await.unwrap();
    for _ in 0..7 {
        stream.try_next().await.unwrap();
    }
    // Giving up the wait for an event is no end.
    for _ in 0..3 {
        let next = tokio::time::timeout(Duration::from_secs(1), stream.next());
        assert!(next.await.is_err());
    }
    assert_eq!(*dropped.lock().unwrap(), 0);
    drop(stream);
    assert_eq!(*dropped.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_spawned_and_stacked_whatever_the_errors() {
    fn promised<A, R, F, B>(stream: ResumeStream<A, R, F, B>) -> ResumeStream<A, R, F, B>
    where
        ResumeStream<A, R, F, B>: Send + Unpin + 'static,
    {
        stream
    }
    let (http, _) = server([Play::Cut(0, 7, Cut::Reset), Play::From(7)]);
    // Layers around what retrieves and around what begins; their errors are boxed.
    let retrieve = ServiceBuilder::new()
        .boxed_clone()
        .timeout(Duration::from_secs(60))
        .layer(RetrieveStream::layer())
        .service(http.clone());
    let responses = ServiceBuilder::new()
        .concurrency_limit(3)
        .layer(ResumeLayer::new(retrieve).policy(at_once()))
        .timeout(Duration::from_secs(60))
        .layer(Responses::layer())
        .service(http);
    let stream = tokio::spawn(responses.oneshot(request())).await.unwrap().unwrap();
    let task = tokio::spawn(async move { read(promised(stream)).await.0 });
    assert_eq!(task.await.unwrap(), whole());

    let (http, _) = server([Play::Cut(0, 7, Cut::Reset), Play::From(7)]);
    let responses = resuming(http, at_once());
    let task = tokio::spawn(async move {
        let stream = responses.stream_request(request()).await?;
        stream.text().collect().await
    });
    assert!(task.await.unwrap().unwrap().ends_with("w30 "));
}

/// Whoever reads any response stream reads a resumed one.
async fn count<Src: EventSource>(stream: ResponseStream<Src>) -> Result<usize, Error>
where
    ResponseStream<Src>: Unpin,
{
    let mut stream = stream;
    let mut count = 0;
    while stream.try_next().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[tokio::test(start_paused = true)]
async fn a_resumed_stream_is_a_response_stream() {
    let (http, _) = server([Play::Cut(0, 7, Cut::Reset), Play::From(7)]);
    let stream = resuming(http, at_once()).oneshot(request()).await.unwrap();
    assert_eq!(count(stream).await.unwrap(), EVENTS);
}

/// Notes what it hears of one response.
#[derive(Clone)]
struct Ear(Arc<Mutex<Vec<String>>>, usize);

impl StreamObserver for Ear {
    fn on_open(&self) {
        self.0.lock().unwrap().push(format!("{} open", self.1));
    }

    fn on_event(&self, event: &ResponseEvent) {
        let number = event.sequence_number();
        self.0.lock().unwrap().push(format!("{} {}", self.1, number.unwrap()));
    }

    fn on_end(&self, end: StreamEnd<'_>) {
        let end = match end {
            StreamEnd::Error(error) => {
                format!("{} at {:?}", error.kind(), error.sequence_number())
            }
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(format!("{} {end}", self.1));
    }
}

/// Lets an [`Ear`] hear of each response.
#[allow(clippy::type_complexity)] // It cannot be named.
fn heard<S>(
    http: S,
) -> (
    impl Service<Request<RequestBody>, Response = Response<Played>, Error = BoxError, Future: Send>
    + Clone,
    Arc<Mutex<Vec<String>>>,
)
where
    S: Service<Request<RequestBody>, Response = Response<Played>, Error = BoxError, Future: Send>
        + Clone,
{
    let notes = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&notes);
    let calls = Arc::new(Mutex::new(0));
    let layer = tower::util::MapResponseLayer::new(move |mut response: Response<Played>| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let ear = Ear(Arc::clone(&ears), *calls);
        StreamObservers::add(response.extensions_mut(), Arc::new(ear));
        response
    });
    (layer.layer(http), notes)
}

#[tokio::test(start_paused = true)]
async fn the_observers_of_each_connection_hear_of_it_and_no_other() {
    let (http, _) = server([
        Play::Cut(0, 2, Cut::Reset),
        Play::Cut(1, 3, Cut::Clean),
        Play::Status(503, "", ""),
        Play::Cut(3, 4, Cut::Stall),
        Play::Status(404, "", ""),
    ]);
    let (http, notes) = heard(http);
    let stream = resuming(http, at_once()).stream_request(request()).await.unwrap();
    let (seen, error) = read(stream).await;
    assert_eq!((seen.len(), error.unwrap().kind()), (4, ErrorKind::NotFound));
    let heard = [
        "1 open",
        "1 0",
        "1 1",
        "1 transport at Some(1)",
        "2 open",
        "2 2", // 1 had been read
        "2 truncated at Some(2)",
        "3 open",
        "3 server at None",
        "4 open",
        "4 3",
        "4 progress_timeout at Some(3)",
        "5 open",
        "5 not_found at None",
    ];
    assert_eq!(*notes.lock().unwrap(), heard);
}

#[tokio::test(start_paused = true)]
async fn the_head_is_that_of_the_connection_that_is_read() {
    let ids = Arc::new(Mutex::new(vec!["req_3", "req_2", "req_1"]));
    let (http, _) = server([
        Play::Cut(0, 7, Cut::Reset),
        Play::Cut(7, 8, Cut::Reset),
        Play::Cut(8, 8, Cut::Reset),
    ]);
    let http = tower::util::MapResponseLayer::new(move |mut response: Response<Played>| {
        let id = ids.lock().unwrap().pop().unwrap();
        let headers = response.headers_mut();
        headers.insert("x-request-id", id.parse().unwrap());
        // Stands for an event, which is not handed out again.
        headers.insert("openai-model", "m-1".parse().unwrap());
        response
    })
    .layer(http);
    let responses = resuming(http, at_once().max_in_a_row(1));
    let mut stream = responses.stream_request(request()).await.unwrap();
    let mut seen = Vec::new();
    for (count, id) in [(8, "req_1"), (1, "req_2")] {
        for _ in 0..count {
            seen.push(stream.try_next().await.unwrap().unwrap());
        }
        assert_eq!(stream.meta().request_id(), Some(id));
    }
    assert_eq!(seen.remove(0), ResponseEvent::ServerModel("m-1".into()));
    assert_eq!(seen, whole()[..8]);
    let error = stream.try_next().await.unwrap_err();
    assert_eq!((error.request_id(), error.sequence_number()), (Some("req_3"), Some(7)));
}

#[test]
fn debug_tells_little_and_no_secret() {
    let (http, _) = server([Play::Cut(0, 7, Cut::Reset)]);
    let resume = Resume::new((), ()).policy(ResumePolicy::default());
    assert!(format!("{resume:?}").contains("max_in_a_row: 5"));
    assert!(format!("{:?}", ResumeLayer::new(())).contains("500ms"));
    let request = ResponsesRequest::new("m", "hi").header("authorization", "Bearer hidden");
    let call = resuming(http, ResumePolicy::default()).stream_request(request);
    assert!(!format!("{call:?}").contains("hidden"));
}
