//! The `responses` example with `--events`: what it prints is a machine's to read.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tower_openai::testing::{Event, Script, Server};

use crate::run::{Ran, end, example, run};

/// What it prints of one answer, by default to one attempt.
async fn told(script: Script, flags: &[&str]) -> Ran {
    let server = Server::start().await.unwrap();
    server.enqueue(script);
    let base_url = server.base_url().to_owned();
    let one = ["--base-url", &base_url, "--events", "--max-retries", "0", "hi"];
    run(example("responses", &[&one, flags].concat())).await
}

#[tokio::test]
async fn each_line_is_one_event_and_the_last_one_tells_the_end() {
    let ran = told(Script::natural().header("openai-model", "m-1"), &[]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let types = ran.types();
    assert_eq!(types[..3], ["client.attempt", "client.server_model", "response.created"]);
    assert_eq!(types[types.len() - 2..], ["response.completed", "client.end"]);
    let lines = ran.lines();
    let end = lines.last().unwrap();
    assert_eq!(end["outcome"], "completed");
    assert_eq!(end["response_id"], lines[2]["response"]["id"]);
    assert_eq!(lines[1]["model"], "m-1");
}

#[tokio::test]
async fn wire_events_are_never_written_anew() {
    let odd = r#"{"z":1,"type":"response.new","a":1.50,"n":1e3,"big":12345678901234567890123,"s":"\u00e9 \/ a  b","e":"é"}"#;
    let delta = r#"{"delta":"x","obfuscation":"pad","type":"response.output_text.delta","k":0.10}"#;
    let last = r#"{"response":{"usage":null,"id":"r"},"type":"response.completed"}"#;
    // An event over two lines, as pretty printers make them.
    let split = "{\"type\":\"response.other\",\ndata: \"x\":\t[1,\ndata: 2]}";
    let events =
        [odd, delta, delta, split, last].map(|text| Event::raw(format!("data: {text}\n\n")));
    let ran = told(Script::events(events), &[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<_> = ran.out.lines().collect();
    let one_line = r#"{"type":"response.other","x":[1,2]}"#;
    assert_eq!(lines[1..6], [odd, delta, delta, one_line, last]);
}

const KEYS: [&str; 11] = [
    "type",
    "kind",
    "status",
    "code",
    "message",
    "retryable",
    "retry_after_ms",
    "request_id",
    "stage",
    "response_id",
    "sequence_number",
];

/// The last line, which has all its members.
fn failure(ran: &Ran) -> Value {
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.starts_with("responses: "), "{ran:?}");
    let last = ran.lines().pop().unwrap();
    let members = last.as_object().unwrap();
    for key in KEYS {
        assert!(members.contains_key(key), "{key} in {last}");
    }
    assert_eq!(members.len(), KEYS.len(), "{last}");
    assert_eq!(last["type"], "client.error");
    last
}

#[tokio::test]
async fn a_refusal_is_one_line_with_all_members() {
    let script = Script::status(429).header("retry-after", "7").header("x-request-id", "req_9");
    let ran = told(script, &[]).await;
    assert_eq!(ran.types(), ["client.attempt", "client.error"]);
    let error = failure(&ran);
    assert_eq!((&error["kind"], &error["status"]), (&json!("rate_limited"), &json!(429)));
    assert_eq!((&error["retryable"], &error["retry_after_ms"]), (&json!(true), &json!(7000)));
    assert_eq!((&error["request_id"], &error["stage"]), (&json!("req_9"), &json!("sent")));
    assert_eq!((&error["response_id"], &error["sequence_number"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_failure_in_the_stream_comes_behind_its_event() {
    let ran = told(Script::natural().failed("insufficient_quota", "m"), &[]).await;
    let types = ran.types();
    assert_eq!(types[types.len() - 2..], ["response.failed", "client.error"]);
    let error = failure(&ran);
    assert_eq!((&error["kind"], &error["code"]), (&json!("quota"), &json!("insufficient_quota")));
    assert_eq!((&error["stage"], &error["status"]), (&json!("streaming"), &Value::Null));
    assert!(error["response_id"].is_string() && error["sequence_number"].is_u64(), "{error}");
}

#[tokio::test]
async fn every_end_of_a_stream_has_its_kind() {
    for (name, kind) in [
        ("cut", "truncated"),
        ("truncate", "transport"),
        ("reset", "transport"),
        ("incomplete", "incomplete"),
        ("error-event", "server"),
        ("malformed", "protocol"),
        ("empty", "truncated"),
        ("html-200", "protocol"),
        ("204", "protocol"),
        ("hang-up", "transport"),
        ("503-overloaded", "overloaded"),
        ("429-usage-limit", "usage_limit"),
    ] {
        let ran = told(Script::named(name).unwrap(), &[]).await;
        assert_eq!(failure(&ran)["kind"], kind, "{name}");
    }
}

/// What the library tells apart for sockets is not on the list of kinds.
#[tokio::test]
async fn a_chain_that_is_lost_has_a_kind_of_the_list() {
    let said = json!({"code": "previous_response_not_found", "message": "m"});
    for (script, kind) in [
        (Script::status(400).json(json!({"error": said})), "invalid_request"),
        (Script::status(404).json(json!({"error": said})), "not_found"),
        (Script::events([json!({"type": "error", "error": said})]), "invalid_request"),
    ] {
        let error = failure(&told(script, &[]).await);
        assert_eq!(error["kind"], kind, "{error}");
        assert_eq!(error["code"], "previous_response_not_found", "{error}");
    }
}

#[tokio::test]
async fn a_wait_that_no_number_holds_is_the_longest() {
    let script = Script::status(429).header("retry-after", "99999999999999999999999");
    let error = failure(&told(script, &[]).await);
    assert_eq!(error["retry_after_ms"], u64::MAX, "{error}");
}

#[tokio::test]
async fn lenient_skips_what_it_cannot_decode() {
    let ran = told(Script::named("malformed").unwrap(), &["--lenient"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.types().last().unwrap(), "client.end");
    assert_eq!(ran.err, "1 event(s) could not be decoded\n");

    // Where it fails all the same, its error is the one line on stderr.
    let script = Script::named("malformed").unwrap().cut_after(6);
    let ran = told(script, &["--lenient"]).await;
    assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{ran:?}");
}

#[tokio::test]
async fn a_reader_that_has_had_enough_ends_it_quietly() {
    let server = Server::start().await.unwrap();
    let flood = || Script::natural().text("word ".repeat(100_000));
    for flags in [&["--events"][..], &[]] {
        server.enqueue(if flags.is_empty() {
            flood().pace(Duration::from_millis(1))
        } else {
            flood()
        });
        let flags = [&["--base-url", server.base_url(), "hi"], flags].concat();
        let mut child = example("responses", &flags).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = Vec::new();
        out.read_until(b' ', &mut first).await.unwrap();
        assert!(!first.is_empty());
        drop(out);
        let ran = end(child).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
        server.wait_for_disconnect().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn stdout_that_is_closed_from_the_start_is_no_panic() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    for flags in [&["--help"][..], &["hi"], &["--events", "hi"]] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        let mut command = example("responses", flags);
        command.stdout(OwnedFd::from(theirs));
        let ran = run(command).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{flags:?}");
    }
}
