//! The `responses` example: what it tries again, and what it tells of it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::Instant;
use tower_openai::testing::{Script, Server};

use crate::run::{File, Ran, example, run};

/// What it prints of these answers, in this order, and how many requests came.
async fn told<const N: usize>(scripts: [Script; N], flags: &[&str]) -> (Ran, u64) {
    let server = Server::start().await.unwrap();
    for script in scripts {
        server.enqueue(script);
    }
    let all = [&["--base-url", server.base_url(), "--events", "hi"], flags].concat();
    let ran = run(example("responses", &all)).await;
    (ran, server.received())
}

fn busy() -> Script {
    Script::status(503)
}

/// A policy whose waits are short.
const QUICK: &str = r#"{"default": {"retry": {"base_ms": 1, "cap_ms": 2}}}"#;

/// The lines of attempts and retries without their times, which are numbers.
#[track_caller]
fn tries(ran: &Ran) -> Vec<Value> {
    let mut tries = ran.lines();
    tries.retain(|line| {
        ["client.attempt", "client.retry"].contains(&line["type"].as_str().unwrap())
    });
    for line in &mut tries {
        let time = if line["type"] == "client.retry" { "delay_ms" } else { "elapsed_ms" };
        let time = line.as_object_mut().unwrap().remove(time);
        assert!(time.is_some_and(|time| time.is_u64()), "{ran:?}");
    }
    tries
}

fn attempt(number: u32, status: Option<u16>, error: Option<&str>) -> Value {
    json!({"type": "client.attempt", "attempt": number, "status": status, "error": error})
}

fn retry(number: u32, reason: &str) -> Value {
    json!({"type": "client.retry", "attempt": number, "reason": reason})
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let (ran, _) = told([busy(), Script::natural()], &[]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let expected =
        [attempt(1, Some(503), None), retry(1, "status 503"), attempt(2, Some(200), None)];
    assert_eq!(tries(&ran), expected);
    let types = ran.types();
    assert_eq!(types[..3], ["client.attempt", "client.retry", "client.attempt"], "they come first");
    assert_eq!(types[3], "response.created");
    assert_eq!(types.last().unwrap(), "client.end");
    let delay = ran.lines()[1]["delay_ms"].as_u64().unwrap();
    assert!((375..=500).contains(&delay), "{delay}");
}

#[tokio::test]
async fn without_events_nothing_is_told_of_it() {
    let server = Server::start().await.unwrap();
    server.enqueue(busy()).enqueue(Script::natural().text("Hello!"));
    let ran = run(example("responses", &["--base-url", server.base_url(), "hi"])).await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "Hello!\n", ""));
}

#[tokio::test]
async fn the_last_of_the_attempts_is_the_failure() {
    let file = File::new("exhausted", QUICK);
    let (ran, received) =
        told([busy(), busy(), busy()], &["--policy", file.path(), "--max-retries", "1"]).await;
    assert_eq!((ran.code, received), (1, 2), "{ran:?}");
    let expected =
        [attempt(1, Some(503), None), retry(1, "status 503"), attempt(2, Some(503), None)];
    assert_eq!(tries(&ran), expected);
    assert_eq!(ran.types()[3..], ["client.error"]);
    assert_eq!(ran.lines()[3]["status"], 503);

    // Two more attempts, if nothing is said.
    let (ran, received) = told([busy(), busy(), busy(), busy()], &["--policy", file.path()]).await;
    assert_eq!((ran.code, received), (1, 3), "{ran:?}");
}

#[tokio::test]
async fn what_waiting_does_not_cure_is_not_tried_again() {
    for name in ["400", "401", "429-quota", "429-usage-limit"] {
        let (ran, received) = told([Script::named(name).unwrap()], &[]).await;
        assert_eq!((ran.code, received), (1, 1), "{name}: {ran:?}");
        assert_eq!(ran.types(), ["client.attempt", "client.error"], "{name}");
        assert_eq!(ran.lines()[0]["status"], ran.lines()[1]["status"], "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_tried_again() {
    let (ran, received) = told([Script::natural().cut_after(4)], &[]).await;
    assert_eq!((ran.code, received), (1, 1), "{ran:?}");
    assert_eq!(tries(&ran), [attempt(1, Some(200), None)]);
}

#[tokio::test]
async fn no_retries_are_one_attempt() {
    for flags in [&["--max-retries", "0"][..], &["--max-retries=0", "--retry-429"]] {
        let (ran, received) = told([busy()], flags).await;
        assert_eq!((ran.code, received), (1, 1), "{ran:?}");
        assert_eq!(ran.types(), ["client.attempt", "client.error"]);
    }
}

#[tokio::test]
async fn the_server_says_when() {
    let start = Instant::now();
    let (ran, _) = told([busy().header("retry-after-ms", "700"), Script::natural()], &[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.lines()[1]["delay_ms"], 700);
    assert!(start.elapsed() >= Duration::from_millis(700));

    // That is longer than anyone waits.
    let (ran, received) = told([busy().header("retry-after", "61")], &[]).await;
    assert_eq!((ran.code, received), (1, 1), "{ran:?}");
    assert_eq!(ran.lines()[1]["retry_after_ms"], 61_000);
}

#[tokio::test]
async fn status_429_has_its_own_switch() {
    let limited = || Script::status(429).header("retry-after-ms", "1");
    let file =
        File::new("no-429", r#"{"responses": {"retry": {"base_ms": 1, "retry_429": false}}}"#);
    for (flags, requests) in [
        (&["--no-retry-429"][..], 1),
        (&["--retry-429", "--no-retry-429"], 1),
        (&["--policy", file.path()], 1),
        (&["--policy", file.path(), "--retry-429"], 2),
        (&[], 2),
    ] {
        let (ran, received) = told([limited()], flags).await;
        assert_eq!(received, requests, "{flags:?}: {ran:?}");
        assert_eq!(tries(&ran)[0], attempt(1, Some(429), None), "{flags:?}");
    }
    let (ran, _) = told([busy()], &["--no-retry-429"]).await;
    assert_eq!(ran.code, 0, "others are tried again: {ran:?}");
}

#[tokio::test]
async fn a_policy_file_holds_where_no_flag_is() {
    let policy = r#"{
        "default": {"retry": {"max_retries": 9, "base_ms": 1, "factor": 1}},
        "responses": {"retry": {"max_retries": 3}, "timeouts": {"head_ms": 200}, "max_in_flight": 1}
    }"#;
    let file = File::new("policy", policy);
    let all = || [busy(), busy(), busy(), busy(), busy()];
    for (flags, requests) in [(&[][..], 4), (&["--max-retries", "1"], 2)] {
        let flags = [&["--policy", file.path()], flags].concat();
        let (ran, received) = told(all(), &flags).await;
        assert_eq!((ran.code, received), (1, requests), "{ran:?}");
    }

    let late = || [Script::natural().head_delay(Duration::from_millis(600))];
    let (ran, _) = told(late(), &["--policy", file.path(), "--max-retries", "0"]).await;
    assert_eq!(ran.lines().last().unwrap()["kind"], "head_timeout");
    assert_eq!(tries(&ran), [attempt(1, None, Some("head_timeout"))]);
    let (ran, _) = told(late(), &["--policy", file.path(), "--head-timeout-ms", "0"]).await;
    assert_eq!((ran.code, tries(&ran).len()), (0, 1), "{ran:?}");

    let zstd = File::new("zstd", r#"{"responses": {"compression": "zstd"}}"#);
    let server = Server::start().await.unwrap();
    let long = "word ".repeat(1000);
    let flags = ["--base-url", server.base_url(), "--policy", zstd.path(), &long];
    assert_eq!(run(example("responses", &flags)).await.code, 0);
    assert_eq!(server.requests()[0].header("content-encoding"), Some("zstd"));
    let flags = [&flags[..], &["--compression", "gzip"]].concat();
    assert_eq!(run(example("responses", &flags)).await.code, 0);
    assert_eq!(server.requests()[1].header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn a_policy_that_cannot_be_is_wrong_usage() {
    for (number, (policy, says)) in [
        ("", "line 1"),
        ("{", "line 1"),
        ("[]", "line 1"),
        ("null", "line 1"),
        ("{\n  \"respones\": {}\n}", "unknown field `respones`"),
        ("{\n  \"responses\": {\"retries\": 1}\n}", "line 2"),
        (r#"{"responses": {"retry": {"max_retries": -1}}}"#, "line 1 column"),
        (r#"{"responses": {"retry": {"preset": "mine"}}}"#, "unknown variant `mine`"),
        (r#"{"responses": {"timeouts": {"idle": 1}}}"#, "unknown field `idle`"),
        (r#"{"responses": {"compression": "lzma"}}"#, "unknown variant `lzma`"),
        (r#"{"responses": {"max_in_flight": 0}}"#, "line 1 column"),
        (r#"{"responses": {}, "responses": {}}"#, "duplicate field `responses`"),
        (r#"{"responses": {"retry": {"base_ms": 0}}}"#, "`retry` of `responses`"),
        (r#"{"default": {"retry": {"factor": 0.5}}}"#, "`retry` of `default`"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = File::new(&format!("bad-policy-{number}"), policy);
        let (ran, received) = told([], &["--policy", file.path()]).await;
        assert_eq!((ran.code, ran.out.as_str(), received), (2, "", 0), "{policy}: {ran:?}");
        assert!(ran.err.starts_with("responses: the policy "), "{policy}: {ran:?}");
        assert!(ran.err.contains(file.path()), "{policy}: {ran:?}");
        assert!(ran.err.contains(says), "{policy}: {ran:?}");
    }
}

#[tokio::test]
async fn the_whole_call_has_its_limit() {
    let late = Script::natural().head_delay(Duration::from_secs(5));
    let (ran, _) = told([late], &["--total-timeout-ms", "200"]).await;
    assert_eq!(ran.code, 1);
    assert_eq!(tries(&ran), [attempt(1, None, Some("total_timeout"))]);
    assert_eq!(ran.lines()[1]["kind"], "total_timeout");

    // There is no time left for the wait, so there is none.
    let start = Instant::now();
    let wait = busy().header("retry-after", "20");
    let (ran, received) = told([wait], &["--total-timeout-ms", "5000"]).await;
    assert_eq!((ran.code, received), (1, 1), "{ran:?}");
    assert_eq!(ran.types(), ["client.attempt", "client.error"]);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/v1");
    let file = File::new("nobody", QUICK);
    let flags = ["--base-url", &url, "--policy", file.path(), "--events", "hi"];
    let ran = run(example("responses", &flags)).await;
    assert_eq!(ran.code, 1);
    let refused = |number| attempt(number, None, Some("connect"));
    let expected = [refused(1), retry(1, "connect"), refused(2), retry(2, "connect"), refused(3)];
    assert_eq!(tries(&ran), expected);
    let end = ran.lines().pop().unwrap();
    assert_eq!((&end["type"], &end["kind"]), (&json!("client.error"), &json!("connect")));
}

#[tokio::test]
async fn a_request_without_its_compression_is_another_attempt() {
    let (ran, _) = told([Script::status(415)], &["--compression", "zstd"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(tries(&ran), [attempt(1, Some(415), None), attempt(2, Some(200), None)]);
}

#[tokio::test]
async fn it_is_told_at_once() {
    let server = Server::start().await.unwrap();
    server.enqueue(busy().header("retry-after", "60"));
    let flags = ["--base-url", server.base_url(), "--events", "hi"];
    let mut child = example("responses", &flags).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        let line = line.expect("told while it waits").unwrap().unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    assert_eq!(next().await["type"], "client.attempt");
    assert_eq!(next().await["delay_ms"], 60_000);
    child.kill().await.unwrap();
}
