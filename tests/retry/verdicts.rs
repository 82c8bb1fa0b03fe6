//! Which ends of an attempt are followed by another one, after which wait.

use std::io;

use tower_openai::layers::RetryPolicy;
use tower_openai::layers::retry::{Action, Outcome, RetryKind, classify_fn};
use tower_openai::{Error, ErrorKind, Stage};

use crate::support::{Answer, Run, answer, fails, ms, run, status};

fn steady() -> RetryPolicy {
    RetryPolicy::default().backoff([ms(500), ms(1000)])
}

/// The wait after `first`; `None` if it is final.
async fn wait(policy: RetryPolicy, first: Answer) -> Option<u64> {
    let run = run(policy, [first]).await;
    run.delays().first().map(|delay| delay.as_millis() as u64)
}

/// And what else a server may say.
#[tokio::test(start_paused = true)]
async fn rows_17_to_20_hints_of_the_server_are_waited_for_within_the_limit() {
    type Case = (&'static [(&'static str, &'static str)], &'static str, Option<u64>);
    const NOW: (&str, &str) = ("date", "Fri, 29 Sep 2023 16:26:37 GMT");
    let cases: &[Case] = &[
        (&[("retry-after", "2")], "", Some(2000)),
        (&[("retry-after", "1.25")], "", Some(1250)),
        (&[("retry-after-ms", "1500"), ("retry-after", "9")], "", Some(1500)),
        (&[NOW, ("retry-after", "Fri, 29 Sep 2023 16:26:57 GMT")], "", Some(20_000)),
        // Less than the own backoff, which is the floor.
        (&[("retry-after-ms", "20")], "", Some(500)),
        (&[("retry-after", "0")], "", Some(500)),
        // Nothing that can be waited for.
        (&[NOW, ("retry-after", "Fri, 29 Sep 2023 16:26:17 GMT")], "", Some(500)),
        (&[("retry-after", "-5")], "", Some(500)),
        (&[("retry-after", "inf")], "", Some(500)),
        (&[("retry-after", "NaN")], "", Some(500)),
        (&[("retry-after", "in a while")], "", Some(500)),
        // The limit, and all above it.
        (&[("retry-after", "60")], "", Some(60_000)),
        (&[("retry-after", "60.001")], "", None),
        (&[("retry-after-ms", "60001")], "", None),
        (&[("retry-after", "1e300")], "", None),
        (&[("retry-after", "99999999999999999999999999")], "", None),
        (&[NOW, ("retry-after", "Fri, 29 Sep 2023 17:26:37 GMT")], "", None),
        // In words; a header says it better.
        (&[], r#"{"error":{"message":"Please try again in 1.898s."}}"#, Some(1898)),
        (&[], r#"{"error":{"message":"Please try again in 5 minutes."}}"#, None),
        (
            &[("retry-after", "3")],
            r#"{"error":{"message":"Please try again in 1.898s."}}"#,
            Some(3000),
        ),
    ];
    for (headers, body, expected) in cases {
        for status in [429, 503] {
            let waited = wait(steady(), answer(status, headers, *body)).await;
            assert_eq!(waited, *expected, "{status} {headers:?} {body}");
        }
        // The limit does not matter where hints do not count.
        let waited = wait(steady().honour_hints(false), answer(503, headers, *body)).await;
        assert_eq!(waited, Some(500), "{headers:?} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_23_25_27_statuses_say_whether_there_is_another_attempt() {
    for code in [408, 409, 429, 500, 502, 503, 504, 520, 529, 599] {
        assert_eq!(wait(steady(), status(code)).await, Some(500), "{code}");
    }
    for code in [200, 204, 301, 304, 400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 425, 499] {
        assert_eq!(wait(steady(), status(code)).await, None, "{code}");
    }
    let page = answer(502, &[("content-type", "text/html")], "<html>Bad gateway</html>");
    assert_eq!(wait(steady(), page).await, Some(500));
}

#[tokio::test(start_paused = true)]
async fn row_23_the_waits_grow_and_the_last_status_is_told() {
    let answers = [500, 502, 504].map(status);
    let run = run(RetryPolicy::default(), answers).await;
    assert_eq!(run.status(), 504);
    let delays = run.delays();
    assert_eq!(delays.len(), 2);
    assert!(delays[0] >= ms(375) && delays[0] <= ms(500), "{delays:?}");
    assert!(delays[1] >= ms(750) && delays[1] <= ms(1000), "{delays:?}");
}

/// Such an answer is final whatever else it says.
#[tokio::test(start_paused = true)]
async fn rows_21_22_codes_that_waiting_does_not_help_are_final() {
    for (status, member, code) in [
        (429, "code", "insufficient_quota"),
        (429, "type", "insufficient_quota"),
        (429, "type", "usage_limit_reached"),
        (429, "type", "usage_not_included"),
        (429, "code", "usage_not_included"),
        (500, "code", "context_length_exceeded"),
        (503, "code", "insufficient_quota"),
        (409, "code", "cyber_policy"),
    ] {
        let body = format!(r#"{{"error":{{"message":"m","{member}":"{code}"}}}}"#);
        for headers in [&[][..], &[("x-should-retry", "true"), ("retry-after", "1")]] {
            let first = answer(status, headers, body.clone());
            assert_eq!(wait(steady(), first).await, None, "{status} {body} {headers:?}");
        }
    }
    for code in ["rate_limit_exceeded", "server_error", "unheard_of"] {
        let body = format!(r#"{{"error":{{"message":"m","code":"{code}"}}}}"#);
        assert_eq!(wait(steady(), answer(429, &[], body)).await, Some(500), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_26_should_retry_stands_before_the_status() {
    let asked = |status, value| answer(status, &[("x-should-retry", value)], "");
    assert_eq!(wait(steady(), asked(404, "true")).await, Some(500));
    assert_eq!(wait(steady(), asked(500, "false")).await, None);
    assert_eq!(wait(steady(), asked(500, "True")).await, Some(500), "neither true nor false");
    assert_eq!(wait(steady(), asked(404, "yes")).await, None);
    assert_eq!(wait(steady(), asked(200, "true")).await, None, "a success is no failure");
    assert_eq!(wait(steady().honour_hints(false), asked(404, "true")).await, None);
    assert_eq!(wait(steady().honour_hints(false), asked(500, "false")).await, Some(500));
    let long = answer(429, &[("x-should-retry", "true"), ("retry-after", "61")], "");
    assert_eq!(wait(steady(), long).await, None, "the limit for hints stands before it");
}

/// Errors in place of an answer. What came after a head cannot be told from its error alone, so the
/// stage decides.
#[tokio::test(start_paused = true)]
async fn errors_in_place_of_an_answer() {
    let io = |kind| fails(io::Error::from(kind));
    assert_eq!(wait(steady(), io(io::ErrorKind::ConnectionRefused)).await, Some(500));
    assert_eq!(wait(steady(), io(io::ErrorKind::ConnectionReset)).await, Some(500));
    assert_eq!(wait(steady(), io(io::ErrorKind::TimedOut)).await, Some(500));
    let elapsed = tower::timeout::error::Elapsed::new();
    assert_eq!(wait(steady(), fails(elapsed)).await, Some(500));
    let shed = tower::load_shed::error::Overloaded::new();
    assert_eq!(wait(steady(), fails(shed)).await, None);
    assert_eq!(wait(steady().retry_transport(false), fails("reset")).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_to_build_is_final() {
    // What an `AuthLayer` says that does not know where its credential belongs.
    let auth = tower_openai::layers::AuthLayer::new(
        tower_openai::layers::Bearer::new("sk-example").unwrap(),
    );
    let service = crate::support::Scripted::default();
    let stack = tower::ServiceBuilder::new()
        .layer(tower_openai::layers::RetryLayer::new(steady()))
        .layer(auth)
        .service(service.clone());
    let error = tower::ServiceExt::oneshot(stack, crate::support::post()).await.unwrap_err();
    let error = error.downcast::<Error>().expect("the error itself, not wrapped");
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    assert_eq!(service.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_the_callers_goes_first() {
    let policy = || {
        steady().classify(classify_fn(|outcome: &Outcome<'_>| {
            let retry = |after| Action::Retry { kind: RetryKind::Failed, after };
            match outcome.status().map(|status| status.as_u16()) {
                Some(202) => retry(Some(ms(700))),
                Some(404) if outcome.body() == b"deploying" => retry(outcome.retry_after()),
                Some(503) => Action::Forbid,
                None if outcome.error().is_some_and(|error| error.to_string() == "odd") => {
                    Action::Forbid
                }
                _ if outcome.kind() == Some(ErrorKind::Quota) => retry(None),
                _ => Action::Pass,
            }
        }))
    };
    assert_eq!(wait(policy(), status(202)).await, Some(700));
    assert_eq!(wait(policy(), answer(404, &[], "deploying")).await, Some(500));
    let hint = answer(404, &[("retry-after", "2")], "deploying");
    assert_eq!(wait(policy(), hint).await, Some(2000));
    assert_eq!(wait(policy(), answer(404, &[], "nothing here")).await, None);
    assert_eq!(wait(policy(), status(503)).await, None);
    assert_eq!(wait(policy(), fails("odd")).await, None);
    assert_eq!(wait(policy(), fails("even")).await, Some(500));
    let quota = answer(429, &[], r#"{"error":{"code":"insufficient_quota"}}"#);
    assert_eq!(wait(policy(), quota).await, Some(500));
    assert_eq!(wait(policy(), status(429)).await, Some(500), "passed on to the standard rules");
    assert_eq!(wait(policy(), status(200)).await, None);
    // Its own wait counts as a hint.
    let slow = classify_fn(|_: &Outcome<'_>| Action::Retry {
        kind: RetryKind::Throttled,
        after: Some(ms(60_001)),
    });
    assert_eq!(wait(steady().classify(slow), status(500)).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_codex_preset_looks_at_5xx_and_errors_only() {
    let codex = RetryPolicy::codex;
    for code in [408, 409, 429] {
        assert_eq!(wait(codex(), status(code)).await, None, "{code}");
    }
    let Run { seen, result, .. } = run(codex(), (0..9).map(|_| status(500))).await;
    assert_eq!((seen.len(), result.unwrap().status().as_u16()), (5, 500));
    assert!(wait(codex(), fails("reset")).await.is_some());
    let asked = answer(500, &[("x-should-retry", "false"), ("retry-after", "100")], "");
    let waited = wait(codex(), asked).await.unwrap();
    assert!((180..=220).contains(&waited), "{waited}");
}
