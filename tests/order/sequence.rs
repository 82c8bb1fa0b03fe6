//! What is inside of what, by the sequence of one call.

use tokio::time::Instant;
use tower_openai::ErrorKind;

use crate::support::{Play, Settings, both, done, request, seconds, status, with};

/// The order's own case: a server that is busy, then does not know the key, then answers.
#[tokio::test(start_paused = true)]
async fn busy_then_unauthorized_then_answered() {
    let plays = [with(503, "retry-after", "2"), status(401), done()];
    for stack in both(Settings::default(), plays) {
        let name = stack.name;
        let start = Instant::now();
        let stream = stack.responses.stream_request(request()).await.unwrap();
        stream.final_response().await.unwrap();
        assert_eq!(start.elapsed(), seconds(2), "{name}");

        let seen = stack.wire.take();
        assert_eq!(seen.len(), 3, "{name}");
        let at: Vec<_> = seen.iter().map(|seen| (seen.at - start).as_secs()).collect();
        assert_eq!(at, [0, 2, 2], "{name}: the refresh has no wait");
        // Retry asks for a credential anew; the refresh replaces it.
        let keys: Vec<_> = seen.iter().map(|seen| seen.header("authorization").unwrap()).collect();
        assert_eq!(keys, ["Bearer 0-1", "Bearer 0-2", "Bearer 1-3"], "{name}");
        // Compressed once: all attempts share the bytes.
        assert!(seen.iter().all(|one| one.header("content-encoding") == Some("zstd")), "{name}");
        assert!(seen.iter().all(|one| one.body.as_ptr() == seen[0].body.as_ptr()), "{name}");
        let plain = zstd::decode_all(&*seen[0].body).unwrap();
        assert!(String::from_utf8(plain).unwrap().contains("the best of times"), "{name}");

        assert_eq!(
            stack.log.take(),
            [
                "1: request /v1/responses Some(\"api.test\")",
                "1: attempt 1/1 Status(503)",
                "1: retry status 503 after 2s",
                "1: attempt 2/2 Status(401)",
                "1: attempt 2/3 Status(200) again",
                "1: head 200",
                "1: response.completed",
                "1: end complete: 3 sent, 1 waits",
            ],
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn twice_500_then_answered_is_three_attempts_of_one_call() {
    for stack in both(Settings::default(), [status(500), status(500), done()]) {
        let stream = stack.responses.stream_request(request()).await.unwrap();
        stream.final_response().await.unwrap();
        let told = stack.log.take();
        let attempts: Vec<_> = told.iter().filter(|line| line.contains(": attempt ")).collect();
        assert_eq!(
            attempts,
            [
                "1: attempt 1/1 Status(500)",
                "1: attempt 2/2 Status(500)",
                "1: attempt 3/3 Status(200)",
            ],
            "{}",
            stack.name
        );
        assert_eq!(told.last().unwrap(), "1: end complete: 3 sent, 2 waits", "{}", stack.name);
    }
}

/// A server that does not read zstd is asked again within the call.
#[tokio::test(start_paused = true)]
async fn a_refused_encoding_is_one_call_of_telemetry() {
    for stack in both(Settings::default(), [status(415), done()]) {
        let start = Instant::now();
        let stream = stack.responses.stream_request(request()).await.unwrap();
        stream.final_response().await.unwrap();
        assert_eq!(start.elapsed(), seconds(0), "{}", stack.name);
        let seen = stack.wire.take();
        let encodings: Vec<_> = seen.iter().map(|seen| seen.header("content-encoding")).collect();
        assert_eq!(encodings, [Some("zstd"), None], "{}", stack.name);
        assert_eq!(
            stack.log.take(),
            [
                "1: request /v1/responses Some(\"api.test\")",
                "1: attempt 1/1 Status(415)",
                "1: attempt 1/2 Status(200)",
                "1: head 200",
                "1: response.completed",
                "1: end complete: 2 sent, 0 waits",
            ],
            "{}",
            stack.name
        );
    }
}

/// The limits that a failed attempt reported are known although its answer was dropped.
#[tokio::test(start_paused = true)]
async fn rate_limits_of_a_failed_attempt_are_kept() {
    let told = Play::Answer(
        429,
        vec![("x-codex-primary-used-percent", "97.5"), ("retry-after", "3")],
        "{\"error\":{\"message\":\"slow down\"}}",
    );
    for stack in both(Settings::default(), [told]) {
        let start = Instant::now();
        let call = stack.responses.stream_request(request());
        let (result, ()) = tokio::join!(call, async {
            tokio::time::sleep(seconds(1)).await;
            let limit = stack.limits.limit("codex").expect("known while the call waits");
            assert_eq!(limit.primary.unwrap().used_percent, 97.5);
        });
        drop(result.unwrap());
        assert_eq!(start.elapsed(), seconds(3), "{}", stack.name);
        assert!(stack.limits.limit("codex").is_some(), "{}", stack.name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempts_are_in_the_error() {
    let plays = [with(503, "retry-after", "2"), status(401), with(529, "retry-after", "3")];
    for stack in
        both(Settings::default(), plays.into_iter().chain([status(500)]).collect::<Vec<_>>())
    {
        let error = stack.responses.stream_request(request()).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Server, 500));
        let attempts: Vec<_> = error.attempts().iter().map(ToString::to_string).collect();
        assert_eq!(
            attempts,
            [
                "attempt 1: status 503, then 2s",
                "attempt 2: status 529, then 3s",
                "attempt 3: status 500",
            ],
            "{}: a refresh is within its attempt",
            stack.name
        );
        assert_eq!(stack.wire.calls(), 4);
        let told = stack.log.take();
        assert_eq!(told.last().unwrap(), "1: end error server: 4 sent, 2 waits");
        assert_eq!(told.iter().filter(|line| line.contains("head")).count(), 1, "{told:?}");
    }
}

/// A 401 that stays is told after one refresh, and is not retried.
#[tokio::test(start_paused = true)]
async fn a_401_that_stays_is_told_after_one_refresh() {
    for stack in both(Settings::default(), [status(401), status(401)]) {
        let error = stack.responses.stream_request(request()).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), stack.wire.calls()), (ErrorKind::Auth, 2), "{}", stack.name);
        assert!(error.attempts().is_empty());
        let told = stack.log.take();
        assert_eq!(told[1..3], ["1: attempt 1/1 Status(401)", "1: attempt 1/2 Status(401) again"]);
    }
}
