//! A call that is dropped, in each of its phases: everything below is cancelled, and telemetry
//! tells so once.

use tokio::time::timeout;
use tower_openai::layers::telemetry::AttemptOutcome;

use crate::support::{Play, Settings, Stack, both, done, request, seconds, status, with};

/// One permit, so that one that is not given back is missed.
const ONE: Settings = Settings {
    total: std::time::Duration::ZERO,
    head: std::time::Duration::ZERO,
    in_flight: Some(1),
    plain: false,
};

/// Gives up a call after a second.
async fn dropped_after_a_second(stack: &Stack) {
    let call = stack.responses.stream_request(request());
    assert!(timeout(seconds(1), call).await.is_err(), "{}: still under way", stack.name);
}

/// Nothing is left over of the call, and the next has the permit.
async fn is_gone(stack: &Stack, told: &[&str]) {
    assert_eq!(stack.wire.open(), 0, "{}", stack.name);
    assert_eq!(stack.credentials.refreshing(), 0, "{}", stack.name);
    let lines = stack.log.take();
    assert_eq!(lines[1..], *told, "{}", stack.name);
    assert_eq!(lines.iter().filter(|line| line.contains("end ")).count(), 1, "{}", stack.name);

    let sent = stack.wire.calls();
    // Long enough for anything that was left to come back.
    tokio::time::sleep(seconds(3600)).await;
    assert_eq!(stack.wire.calls(), sent, "{}: nothing is sent any more", stack.name);
    assert!(stack.log.take().is_empty(), "{}: nothing is told any more", stack.name);
    let next = timeout(seconds(1), stack.responses.stream_request(request())).await;
    next.expect("a free permit").unwrap().final_response().await.unwrap();
}

/// Readiness comes before the call: what was not begun is not told.
#[tokio::test(start_paused = true)]
async fn waiting_for_the_first_permit() {
    for stack in both(ONE, [Play::Open]) {
        let mut open = stack.responses.stream_request(request()).await.unwrap();
        open.next().await.unwrap().unwrap();
        stack.log.take();
        dropped_after_a_second(&stack).await;
        assert_eq!((stack.wire.calls(), stack.wire.open()), (1, 1), "{}", stack.name);
        assert!(stack.log.take().is_empty(), "{}", stack.name);
        drop(open);
        assert_eq!(stack.log.take(), ["1: end dropped: 1 sent, 0 waits"], "{}", stack.name);
        drop(stack.responses.stream_request(request()).await.unwrap());
    }
}

/// A further attempt waits for its permit within the call.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_further_permit() {
    for stack in both(ONE, [with(503, "retry-after", "2"), Play::Open]) {
        let call = timeout(seconds(5), stack.responses.stream_request(request()));
        let (waiting, open) = tokio::join!(call, async {
            tokio::time::sleep(seconds(1)).await;
            stack.responses.stream_request(request()).await.unwrap()
        });
        assert!(waiting.is_err(), "{}: the other has the permit", stack.name);
        let told = stack.log.take();
        let ends: Vec<_> = told.iter().filter(|line| line.contains("end ")).collect();
        assert_eq!(ends, ["1: end dropped: 1 sent, 1 waits"], "{}", stack.name);
        assert_eq!((stack.wire.calls(), stack.wire.open()), (2, 1), "{}", stack.name);
        drop(open);
        let told = stack.log.take();
        assert_eq!(told, ["2: end dropped: 1 sent, 0 waits"], "{}", stack.name);
        drop(stack.responses.stream_request(request()).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn during_an_attempt() {
    for stack in both(ONE, [Play::Hang]) {
        dropped_after_a_second(&stack).await;
        let dropped = format!("1: attempt 1/1 {:?}", AttemptOutcome::Dropped);
        is_gone(&stack, &[&dropped, "1: end dropped: 1 sent, 0 waits"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn during_a_wait() {
    for stack in both(ONE, [with(503, "retry-after", "2")]) {
        dropped_after_a_second(&stack).await;
        let told = [
            "1: attempt 1/1 Status(503)",
            "1: retry status 503 after 2s",
            "1: end dropped: 1 sent, 1 waits",
        ];
        is_gone(&stack, &told).await;
    }
}

#[tokio::test(start_paused = true)]
async fn during_a_refresh() {
    for stack in both(ONE, [status(401), done()]) {
        stack.credentials.refreshing_in(seconds(60));
        dropped_after_a_second(&stack).await;
        let told = ["1: attempt 1/1 Status(401)", "1: end dropped: 1 sent, 0 waits"];
        is_gone(&stack, &told).await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_middle_of_the_stream() {
    for stack in both(ONE, [Play::Open]) {
        let mut stream = stack.responses.stream_request(request()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        assert!(timeout(seconds(1), stream.next()).await.is_err());
        assert_eq!(stack.wire.open(), 1, "{}", stack.name);
        drop(stream);
        let told = [
            "1: attempt 1/1 Status(200)",
            "1: head 200",
            "1: response.created",
            "1: end dropped: 1 sent, 0 waits",
        ];
        is_gone(&stack, &told).await;
    }
}
