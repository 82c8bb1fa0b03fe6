//! Which clock spans what, and what is held meanwhile.

use tokio::time::{Instant, sleep};
use tower_openai::ErrorKind;

use crate::support::{Play, Settings, both, done, request, seconds, status, with};

#[tokio::test(start_paused = true)]
async fn the_total_limit_spans_retries_and_the_body() {
    let settings = Settings { total: seconds(5), ..Settings::default() };
    for stack in both(settings, [with(503, "retry-after", "2"), Play::Open]) {
        let start = Instant::now();
        let mut stream = stack.responses.stream_request(request()).await.unwrap();
        assert_eq!(start.elapsed(), seconds(2), "{}", stack.name);
        stream.next().await.unwrap().unwrap();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TotalTimeout, "{}", stack.name);
        assert_eq!(start.elapsed(), seconds(5), "{}", stack.name);
        assert_eq!(stack.wire.open(), 0, "{}: the body is let go of", stack.name);
        drop(stream);
        let told = stack.log.take();
        assert_eq!(told.last().unwrap(), "1: end error total_timeout: 2 sent, 1 waits");
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_limit_cuts_an_attempt_short() {
    let settings = Settings { total: seconds(5), ..Settings::default() };
    for stack in both(settings, [with(503, "retry-after", "2"), Play::Hang]) {
        let start = Instant::now();
        let error = stack.responses.stream_request(request()).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::TotalTimeout, seconds(5)));
        assert_eq!(stack.wire.open(), 0, "{}", stack.name);
        let told = stack.log.take();
        assert_eq!(told[3], "1: attempt 2/2 Dropped", "{}: {told:?}", stack.name);
        assert_eq!(told[4], "1: end error total_timeout: 2 sent, 1 waits", "{}", stack.name);
    }
}

/// A wait that would end after the limit is not begun: the answer is told at once.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_never_slept_past() {
    let settings = Settings { total: seconds(3), ..Settings::default() };
    for stack in both(settings, [with(503, "retry-after", "4")]) {
        let start = Instant::now();
        let error = stack.responses.stream_request(request()).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 503));
        assert_eq!(error.retry_after(), Some(seconds(4)), "{}", stack.name);
        assert_eq!((start.elapsed(), stack.wire.calls()), (seconds(0), 1), "{}", stack.name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_limit_is_per_attempt_and_retried() {
    let settings = Settings { head: seconds(7), ..Settings::default() };
    for stack in both(settings, [Play::Hang, Play::Hang, done()]) {
        let start = Instant::now();
        let stream = stack.responses.stream_request(request()).await.unwrap();
        stream.final_response().await.unwrap();
        let seen = stack.wire.take();
        assert_eq!(seen.len(), 3, "{}", stack.name);
        for pair in seen.windows(2) {
            let apart = pair[1].at - pair[0].at;
            assert!(apart > seconds(7) && apart < seconds(9), "{apart:?}: the limit and a wait");
        }
        assert!(start.elapsed() < seconds(7 + 7 + 2), "{:?}", start.elapsed());
        let told = stack.log.take();
        assert_eq!(told[1], "1: attempt 1/1 Error(HeadTimeout)", "{}: {told:?}", stack.name);
        assert_eq!(told.last().unwrap(), "1: end complete: 3 sent, 2 waits", "{}", stack.name);
    }
}

/// While a call waits for its next attempt, another has the only permit.
#[tokio::test(start_paused = true)]
async fn no_permit_is_held_during_a_wait() {
    let settings = Settings { in_flight: Some(1), ..Settings::default() };
    for stack in both(settings, [with(503, "retry-after", "10")]) {
        let start = Instant::now();
        let (first, second) = tokio::join!(stack.responses.stream_request(request()), async {
            sleep(seconds(1)).await;
            let stream = stack.responses.stream_request(request()).await.unwrap();
            stream.final_response().await.unwrap();
            start.elapsed()
        });
        assert_eq!(second, seconds(1), "{}: it went by the one that waits", stack.name);
        first.unwrap().final_response().await.unwrap();
        assert_eq!(start.elapsed(), seconds(10), "{}", stack.name);
    }
}

/// But it is held by an open stream, and the wait for it is within the call's total limit.
#[tokio::test(start_paused = true)]
async fn the_wait_for_a_permit_of_a_further_attempt_is_within_the_total_limit() {
    let settings = Settings { in_flight: Some(1), total: seconds(30), ..Settings::default() };
    for stack in both(settings, [status(503), Play::Open]) {
        let start = Instant::now();
        let (first, open) = tokio::join!(stack.responses.stream_request(request()), async {
            sleep(seconds(0)).await;
            stack.responses.stream_request(request()).await.unwrap()
        });
        let error = first.map(drop).unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::TotalTimeout, seconds(30)));
        assert_eq!(stack.wire.calls(), 2, "{}", stack.name);
        drop(open);
        drop(stack.responses.stream_request(request()).await.unwrap());
    }
}
