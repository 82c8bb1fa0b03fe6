//! Which limit holds: the request's, the endpoint's or the layer's; and what the errors say.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::StreamTimeouts;
use tower_openai::layers::{HeadTimeoutLayer, IdleTimeoutLayer, TotalTimeoutLayer};
use tower_openai::services::{Responses, ResponsesLayer, ResponsesRequest};
use tower_openai::sse::StreamSettings;
use tower_openai::{BoxError, Client, Error, ErrorKind, RequestBody, Stage};

use crate::support::{Fed, Feed, call, delta, once, request, response};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn unset() -> StreamTimeouts {
    StreamTimeouts::new()
}

/// What the layers find in the request.
async fn handed_down(layer: ResponsesLayer, request: ResponsesRequest) -> Option<StreamTimeouts> {
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let http = service_fn(move |request: Request<RequestBody>| {
        *note.lock().unwrap() = Some(request.extensions().get().copied());
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let _ = tower::Layer::layer(&layer, http).call(request).await.unwrap();
    let seen = seen.lock().unwrap().take();
    seen.expect("the call was made")
}

#[tokio::test]
async fn the_request_comes_before_its_extension_and_that_before_the_endpoint() {
    assert_eq!(handed_down(Responses::layer(), request()).await, None);

    let all = |limit| unset().head(limit).idle(limit).total(limit);
    let endpoint = Responses::layer().timeouts(all(seconds(3)));
    let extended = request().extension(unset().idle(seconds(2)).total(seconds(2)));
    let own = extended.timeouts(unset().total(seconds(1)));
    let found = handed_down(endpoint, own).await.unwrap();
    assert_eq!(found, unset().head(seconds(3)).idle(seconds(2)).total(seconds(1)));
    assert_eq!(handed_down(endpoint, request()).await, Some(all(seconds(3))));

    let off = request().timeouts(unset().idle(Duration::ZERO));
    let found = handed_down(endpoint, off).await.unwrap();
    assert_eq!(found, unset().head(seconds(3)).idle(Duration::ZERO).total(seconds(3)));
}

#[tokio::test]
async fn what_is_set_later_leaves_alone_what_it_does_not_name() {
    let own = request()
        .progress_timeout(seconds(1))
        .timeouts(unset().head(seconds(2)))
        .first_event_timeout(seconds(3));
    let expected = unset().progress(seconds(1)).head(seconds(2)).first_event(seconds(3));
    assert_eq!(own.options_ref().timeouts, expected);

    let mut settings = StreamSettings::default();
    settings.timeouts = unset().progress(seconds(4));
    let endpoint =
        Responses::layer().timeouts(expected).settings(settings).timeouts(unset().idle(seconds(5)));
    let found = handed_down(endpoint, request()).await.unwrap();
    assert_eq!(found, expected.progress(seconds(4)).idle(seconds(5)));
}

/// When a silent call ends, and with which error.
async fn end_of<S, RB>(http: S, endpoint: StreamTimeouts, own: StreamTimeouts) -> (u64, ErrorKind)
where
    S: Service<Request<RequestBody>, Response = Response<RB>, Error: Into<BoxError>>,
    RB: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let start = Instant::now();
    let mut responses = Responses::new(http).timeouts(endpoint);
    let ready = responses.ready().await.unwrap();
    let error = match ready.call(request().timeouts(own)).await {
        Ok(stream) => stream.text().collect().await.unwrap_err(),
        Err(error) => error,
    };
    (start.elapsed().as_secs(), error.kind())
}

#[tokio::test(start_paused = true)]
async fn the_smallest_limit_of_a_silent_call_is_the_one_that_tells() {
    let base = unset().head(seconds(60)).idle(seconds(50)).progress(seconds(40));
    let cases = [
        // The endpoint's, the request's; when and what.
        (unset(), unset(), 300, ErrorKind::IdleTimeout),
        (unset(), unset().idle(seconds(500)), 301, ErrorKind::ProgressTimeout),
        (base, unset(), 41, ErrorKind::ProgressTimeout),
        (base, unset().progress(Duration::ZERO), 51, ErrorKind::IdleTimeout),
        (base, unset().first_event(seconds(30)), 31, ErrorKind::FirstEventTimeout),
        (base, unset().total(seconds(20)), 20, ErrorKind::TotalTimeout),
        (base.total(seconds(20)), unset().total(Duration::ZERO), 41, ErrorKind::ProgressTimeout),
    ];
    for (endpoint, own, elapsed, kind) in cases {
        let (feed, body) = Feed::new();
        let http = slow_head(seconds(1), body);
        let stack = ServiceBuilder::new()
            .layer(TotalTimeoutLayer::disabled())
            .layer(HeadTimeoutLayer::new(seconds(60)))
            .layer(IdleTimeoutLayer::new(seconds(299)))
            .service(http);
        assert_eq!(end_of(stack, endpoint, own).await, (elapsed, kind), "{endpoint:?} {own:?}");
        assert!(feed.is_closed());
    }
}

/// An HTTP service whose one head takes so long.
fn slow_head(
    delay: Duration,
    body: Fed,
) -> impl Service<Request<RequestBody>, Response = Response<Fed>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync {
    let http = once(response(200, &[], body));
    service_fn(move |request| {
        let http = http.clone();
        async move {
            sleep(delay).await;
            http.oneshot(request).await
        }
    })
}

#[tokio::test(start_paused = true)]
async fn row_15_headers_that_never_come_are_an_error_at_the_head_limit() {
    let (feed, body) = Feed::new();
    let client = Client::builder().max_retries(0).transport(slow_head(DAY, body)).build().unwrap();
    let start = Instant::now();
    let error = client.responses().stream_request(request()).await.map(drop).unwrap_err();
    assert_eq!(start.elapsed(), seconds(60));
    assert_eq!((error.kind(), error.stage()), (ErrorKind::HeadTimeout, Stage::Unknown));
    assert!(error.is_retryable());
    assert_eq!(error.message(), "no response head within 60s, the head limit, on attempt 1");
    drop(feed);
}

/// The error of a preset with these limits, after one event.
async fn after_one_event(timeouts: StreamTimeouts) -> Error {
    let (feed, body) = Feed::new();
    feed.event(&delta("a"));
    feed.text(": keepalive\n\n");
    let client = Client::builder().timeouts(timeouts).transport(once(response(200, &[], body)));
    let mut stream = client.build().unwrap().responses().stream_request(request()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let start = Instant::now();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed(), seconds(5));
    assert_eq!(error.stage(), Stage::Streaming);
    error
}

#[tokio::test(start_paused = true)]
async fn every_clock_says_which_it_is_how_long_and_how_much_had_come() {
    let bytes = crate::support::sse([&delta("a")]).len() + ": keepalive\n\n".len();
    let limit = seconds(5);

    let error = after_one_event(unset().progress(limit)).await;
    assert_eq!(error.kind(), ErrorKind::ProgressTimeout);
    let expected =
        format!("no event within 5s, the progress limit, after {bytes} bytes; events so far: 1");
    assert_eq!(error.message(), expected);

    let error = after_one_event(unset().idle(limit)).await;
    assert_eq!(error.kind(), ErrorKind::IdleTimeout);
    let expected = format!(
        "no byte within 5s, the idle limit, after {bytes} bytes in 2 frames; events so far: 1"
    );
    assert_eq!(error.message(), expected);
    assert_eq!(error.chain().count(), 1, "the cause says nothing more");

    let error = after_one_event(unset().total(limit)).await;
    assert_eq!(error.kind(), ErrorKind::TotalTimeout);
    let expected = format!(
        "no end of the call within 5s, the total limit, after {bytes} bytes in 2 frames; \
         events so far: 1"
    );
    assert_eq!(error.message(), expected);
    assert!(!error.is_retryable());

    let mut settings = StreamSettings::default();
    settings.timeouts = unset().first_event(limit);
    let (feed, body) = Feed::new();
    feed.text(": keepalive\n\n");
    let mut stream = call(settings, request(), response(200, &[], body)).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    let expected = "no event within 5s, the first-event limit, after 13 bytes; \
                    events so far: 0";
    assert_eq!(error.message(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_builder_s_limits_hold_for_layers_and_streams() {
    let own = |timeouts| {
        let (feed, body) = Feed::new();
        let client = Client::builder().idle_timeout(seconds(400)).timeouts(timeouts).max_retries(0);
        let client = client.stream_settings(StreamSettings::default());
        let http = client.transport(slow_head(seconds(1), body)).build().unwrap().http();
        (feed, http)
    };
    for (timeouts, elapsed, kind) in [
        (unset(), 301, ErrorKind::ProgressTimeout),
        (unset().head(Duration::from_millis(500)), 0, ErrorKind::HeadTimeout),
        (unset().total(seconds(30)), 30, ErrorKind::TotalTimeout),
        (unset().idle(seconds(30)), 31, ErrorKind::IdleTimeout),
    ] {
        // The bare stack: its layers know the limits without an endpoint of the client's.
        let (feed, http) = own(timeouts);
        assert_eq!(end_of(http, unset(), unset()).await, (elapsed, kind), "{timeouts:?}");
        drop(feed);
    }
}
