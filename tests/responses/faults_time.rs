//! Rows of faults.md that are about time, on a paused clock over bodies of the test's.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, sleep, timeout};
use tower::{ServiceBuilder, ServiceExt};
use tower_openai::extensions::StreamTimeouts;
use tower_openai::layers::IdleTimeoutLayer;
use tower_openai::services::{Responses, RetrieveStream, RetrieveStreamRequest};
use tower_openai::sse::StreamSettings;
use tower_openai::{Client, ErrorKind, Stage};

use crate::support::{
    Feed, call, completed, created, delta, fed, kinds, once, read, request, response, sse, text,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings(first: Option<u64>, progress: Option<u64>) -> StreamSettings {
    let limit = |limit: Option<u64>| seconds(limit.unwrap_or_default());
    let mut settings = StreamSettings::default();
    settings.timeouts = StreamTimeouts::new().first_event(limit(first)).progress(limit(progress));
    settings
}

/// How long the stream lasts and how it ends, if nothing more comes.
async fn end_of<Src>(
    stream: &mut tower_openai::sse::ResponseStream<Src>,
) -> (Duration, tower_openai::Error)
where
    Src: tower_openai::sse::EventSource + Unpin,
{
    let start = Instant::now();
    let error = stream.next().await.expect("an error").expect_err("no event was sent");
    assert!(stream.next().await.is_none());
    (start.elapsed(), error)
}

#[tokio::test(start_paused = true)]
async fn row_16_a_slow_first_token_works_below_the_limit() {
    let (feed, mut stream) = fed(settings(None, Some(300))).await;
    let (event, ()) = tokio::join!(stream.next(), async {
        sleep(seconds(299)).await;
        feed.event(&created());
    });
    assert_eq!(event.unwrap().unwrap().kind(), "response.created");
}

/// The preset's own limits are wide enough for a model that thinks before it speaks.
#[tokio::test(start_paused = true)]
async fn row_16_a_slow_first_token_works_through_the_preset() {
    let (feed, body) = Feed::new();
    let client = Client::builder().base_url("http://127.0.0.1:1/v1");
    let client = client.transport(once(response(200, &[], body))).build().unwrap();
    let mut stream = client.responses().stream_request(request()).await.unwrap();
    feed.event(&created());
    stream.next().await.unwrap().unwrap();
    let (event, ()) = tokio::join!(stream.next(), async {
        sleep(seconds(299)).await;
        feed.event(&delta("at last"));
    });
    assert_eq!(event.unwrap().unwrap().kind(), "response.output_text.delta");
    // And no wider than they say.
    let (waited, error) = end_of(&mut stream).await;
    assert_eq!(error.kind(), ErrorKind::IdleTimeout);
    assert!((300..=300 + 300 / 16).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_event_has_a_limit_of_its_own() {
    let (feed, mut stream) = fed(settings(Some(5), Some(60))).await;
    let (waited, error) = end_of(&mut stream).await;
    assert_eq!(waited.as_secs(), 5);
    assert_eq!((error.kind(), error.stage()), (ErrorKind::FirstEventTimeout, Stage::Streaming));
    assert!(error.message().contains("5s") && error.is_retryable(), "{error}");
    assert!(feed.is_closed());

    // Once it is met, the other limit holds; and events of the head do not meet it.
    let (feed, body) = Feed::new();
    let head = [("openai-model", "m")];
    let answer = response(200, &head, body);
    let mut stream = call(settings(Some(5), Some(60)), request(), answer).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().kind(), "client.server_model");
    feed.event(&created());
    stream.next().await.unwrap().unwrap();
    let (waited, error) = end_of(&mut stream).await;
    assert_eq!((waited.as_secs(), error.kind()), (60, ErrorKind::ProgressTimeout));
}

/// What has been read before is no news.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_sent_again_does_not_meet_the_first_event_limit() {
    let (feed, body) = Feed::new();
    let retrieve = RetrieveStream::new(once(response(200, &[], body)));
    let retrieve = retrieve.settings(settings(Some(5), Some(60)));
    let request = RetrieveStreamRequest::new("resp_1").starting_after(7);
    let mut stream = retrieve.stream_request(request).await.unwrap();
    let numbered = |number: u64| {
        let mut event = delta("a");
        event["sequence_number"] = number.into();
        event
    };
    feed.event(&numbered(7));
    let (waited, error) = end_of(&mut stream).await;
    assert_eq!((waited.as_secs(), error.kind()), (5, ErrorKind::FirstEventTimeout));
    assert!(error.message().contains("5s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn row_36_a_stall_trips_the_idle_clock_at_its_limit_and_lets_go_of_the_body() {
    let (feed, body) = Feed::new();
    let responses = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(IdleTimeoutLayer::new(seconds(20)))
        .service(once(response(200, &[], body)));
    let mut stream = responses.oneshot(request()).await.unwrap();
    feed.event(&delta("a"));
    stream.next().await.unwrap().unwrap();
    let (waited, error) = end_of(&mut stream).await;
    assert_eq!((waited.as_secs(), error.kind()), (20, ErrorKind::IdleTimeout));
    assert_eq!(error.stage(), Stage::Streaming);
    assert!(!error.is_retryable(), "text was handed out");
    assert!(feed.is_closed());
}

/// A whole answer, and then empty frames without end, which are counted.
struct Endless(Option<Bytes>, Arc<AtomicUsize>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.0.take().unwrap_or_default()))))
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_after_completed_is_read_in_turns_and_left() {
    let frames = Arc::new(AtomicUsize::new(0));
    let body = Endless(Some(sse([&completed()]).into()), Arc::clone(&frames));
    let answer = response(200, &[], body);
    let mut stream = call(StreamSettings::default(), request(), answer).await.unwrap();
    let event = stream.next().await.unwrap().unwrap();
    assert_eq!(event.kind(), "response.completed");
    assert!(frames.load(Ordering::Relaxed) < 2048, "others have their turn");
    let start = Instant::now();
    let mut end = tokio_test::task::spawn(stream.next());
    while end.poll().is_pending() {
        assert!(end.is_woken(), "it is read on");
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    assert!(start.elapsed() < seconds(1), "{:?}", start.elapsed());
}

/// Sends a comment every ten seconds until the body is dropped.
async fn keep_alive(feed: &Feed) {
    while !feed.is_closed() {
        feed.text(": keepalive\n\n");
        sleep(seconds(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keepalives_every_ten_seconds_and_an_idle_limit_of_fifteen() {
    let (feed, body) = Feed::new();
    let client = Client::builder().idle_timeout(seconds(15)).stream_settings(settings(None, None));
    let client = client.transport(once(response(200, &[], body))).build();
    let mut stream = client.unwrap().responses().stream_request(request()).await.unwrap();
    let (event, ()) = tokio::join!(stream.next(), async {
        for _ in 0..100 {
            feed.text(": keepalive\n\n");
            sleep(seconds(10)).await;
        }
        feed.event(&delta("a"));
    });
    assert_eq!(text(&[event.unwrap().unwrap()]), "a");
}

#[tokio::test(start_paused = true)]
async fn row_37_comments_do_not_reset_the_progress_timer() {
    let (feed, mut stream) = fed(settings(None, Some(60))).await;
    feed.event(&delta("a"));
    stream.next().await.unwrap().unwrap();
    let ((waited, error), ()) = tokio::join!(end_of(&mut stream), keep_alive(&feed));
    assert_eq!((waited.as_secs(), error.kind()), (60, ErrorKind::ProgressTimeout));
    assert!(error.message().contains("1m") || error.message().contains("60s"), "{error}");
    assert!(!error.is_retryable(), "text was handed out");
}

#[tokio::test(start_paused = true)]
async fn row_37_the_first_event_limit_is_not_reset_by_comments_either() {
    let (feed, mut stream) = fed(settings(Some(30), None)).await;
    let ((waited, error), ()) = tokio::join!(end_of(&mut stream), keep_alive(&feed));
    assert_eq!((waited.as_secs(), error.kind()), (30, ErrorKind::FirstEventTimeout));
}

#[tokio::test(start_paused = true)]
async fn events_without_content_do_not_meet_the_first_event_limit() {
    let (feed, mut stream) = fed(settings(Some(30), None)).await;
    let ((waited, error), ()) = tokio::join!(end_of(&mut stream), async {
        for _ in 0..10 {
            if feed.is_closed() {
                break;
            }
            feed.text("data:\n\n");
            sleep(seconds(10)).await;
        }
    });
    assert_eq!((waited.as_secs(), error.kind()), (30, ErrorKind::FirstEventTimeout));
}

#[tokio::test(start_paused = true)]
async fn every_event_resets_the_progress_timer() {
    let (feed, stream) = fed(settings(None, Some(60))).await;
    let ((events, error), ()) = tokio::join!(read(stream), async {
        for _ in 0..20 {
            sleep(seconds(59)).await;
            feed.event(&delta("a"));
        }
        feed.event(&completed());
    });
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_does_not_trip_a_timer() {
    let (feed, mut stream) = fed(settings(Some(5), Some(5))).await;
    for _ in 0..3 {
        feed.event(&delta("a"));
        sleep(seconds(3600)).await;
        stream.next().await.unwrap().unwrap();
        sleep(seconds(3600)).await;
    }
    let (waited, error) = end_of(&mut stream).await;
    assert_eq!((waited.as_secs(), error.kind()), (5, ErrorKind::ProgressTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_request_overrides_the_limits_and_zero_is_off() {
    let ends = async |request| {
        let (feed, body) = Feed::new();
        let answer = response(200, &[], body);
        let mut stream = call(settings(Some(5), Some(50)), request, answer).await.unwrap();
        let ended = timeout(seconds(100_000), stream.next()).await.ok();
        drop(feed);
        ended.map(|event| event.unwrap().unwrap_err().kind())
    };
    assert_eq!(ends(request()).await, Some(ErrorKind::FirstEventTimeout));
    let longer = request().first_event_timeout(Duration::ZERO).progress_timeout(seconds(70));
    assert_eq!(ends(longer).await, Some(ErrorKind::ProgressTimeout));
    let off = request().first_event_timeout(Duration::ZERO).progress_timeout(Duration::ZERO);
    assert_eq!(ends(off).await, None);
}

#[tokio::test(start_paused = true)]
async fn row_48_the_drain_is_bounded_in_time_whatever_the_server_does() {
    for drain in [Duration::ZERO, Duration::from_millis(100), seconds(3)] {
        let mut settings = settings(None, None);
        settings.drain_timeout = drain;
        let (feed, mut stream) = fed(settings).await;
        feed.event(&completed());
        assert_eq!(kinds(&[stream.next().await.unwrap().unwrap()]), ["response.completed"]);
        let start = Instant::now();
        let (end, ()) = tokio::join!(stream.next(), async {
            while !feed.is_closed() {
                feed.text(": still here\n\n");
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(end.is_none());
        assert!(start.elapsed() <= drain + Duration::from_millis(20), "{:?}", start.elapsed());
        assert!(start.elapsed() >= drain, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn row_48_the_drain_is_bounded_in_bytes() {
    let (feed, mut stream) = fed(settings(None, None)).await;
    feed.event(&completed());
    for _ in 0..100 {
        feed.text(vec![b'x'; 16 << 10]);
    }
    assert_eq!(kinds(&[stream.next().await.unwrap().unwrap()]), ["response.completed"]);
    assert!(feed.is_closed(), "at once: there is more than is worth reading");
    let start = Instant::now();
    assert!(stream.next().await.is_none());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_drain_ends_with_the_body() {
    let (feed, mut stream) = fed(settings(None, None)).await;
    feed.event(&completed());
    stream.next().await.unwrap().unwrap();
    drop(feed);
    let start = Instant::now();
    assert!(stream.next().await.is_none());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_refusal_is_read_for_ten_seconds_at_most() {
    for drip in [false, true] {
        let (feed, body) = Feed::new();
        feed.text("half of ");
        let start = Instant::now();
        let answer = response(500, &[], body);
        let (result, ()) =
            tokio::join!(call(StreamSettings::default(), request(), answer), async {
                while drip && !feed.is_closed() {
                    feed.text("x");
                    sleep(Duration::from_millis(900)).await;
                }
            });
        let error = result.map(drop).unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 10, "drip: {drip}");
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 500));
        assert!(error.body().starts_with(b"half of "));
        assert!(error.chain().nth(1).unwrap().to_string().contains("10s"), "{error:?}");
        assert!(feed.is_closed());
    }
}
