//! The `responses` example: arguments, environment, input, text, exit codes.

use serde_json::json;
use tower_openai::testing::{Script, Server};

use crate::run::{File, Ran, end, example, run, run_with_input};

async fn asked(server: &Server, arguments: &[&str]) -> Ran {
    let base_url = server.base_url().to_owned();
    let all = [&["--base-url", &base_url], arguments].concat();
    run(example("responses", &all)).await
}

#[tokio::test]
async fn help_names_every_flag() {
    for flag in ["--help", "-h"] {
        let ran = run(example("responses", &[flag])).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        for flag in [
            "--base-url",
            "--api-key",
            "--model",
            "--body",
            "--header",
            "--head-timeout-ms",
            "--idle-timeout-ms",
            "--compression",
            "--progress-timeout-ms",
            "--total-timeout-ms",
            "--max-retries",
            "--retry-429",
            "--no-retry-429",
            "--policy",
            "--lenient",
            "--events",
        ] {
            assert!(ran.out.contains(flag), "{flag} in {}", ran.out);
        }
    }
}

#[tokio::test]
async fn help_for_nobody_is_no_failure() {
    let mut child = example("responses", &["--help"]).spawn().unwrap();
    drop(child.stdout.take());
    let ran = end(child).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[tokio::test]
async fn wrong_usage_is_2_and_says_nothing_on_stdout() {
    let server = Server::start().await.unwrap();
    let array = File::new("array", "[1]");
    let broken = File::new("broken", "{\"model\": ");
    for arguments in [
        &["--nonsense", "hi"][..],
        &["-x", "hi"],
        &["--model"],
        &["--api-key"],
        &["--header", "no-colon", "hi"],
        &["--header", "bad name: x", "hi"],
        &["--header", "x: a\nb", "hi"],
        &["--progress-timeout-ms", "soon", "hi"],
        &["--progress-timeout-ms", "-1", "hi"],
        &["--head-timeout-ms", "1.5", "hi"],
        &["--idle-timeout-ms", "", "hi"],
        &["--total-timeout-ms"],
        &["--lenient=yes", "hi"],
        &["--max-retries", "-1", "hi"],
        &["--max-retries", "some", "hi"],
        &["--max-retries", "4294967296", "hi"],
        &["--max-retries"],
        &["--retry-429=no", "hi"],
        &["--policy"],
        &["--policy", "/no/such/file", "hi"],
        &["--body", "/no/such/file"],
        &["--body", array.path()],
        &["--body", broken.path()],
        &["--base-url", "ftp://x.test", "hi"],
        &["--base-url", "not a url", "hi"],
        &["--api-key", "a\nb", "hi"],
        &[],
    ] {
        for events in [&[][..], &["--events"]] {
            let ran = asked(&server, &[events, arguments].concat()).await;
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {ran:?}");
            assert!(ran.err.starts_with("responses: "), "{arguments:?}: {ran:?}");
            assert!(!ran.err.contains("panicked"), "{ran:?}");
        }
    }
    assert_eq!(server.received(), 0, "nothing was sent");
}

#[tokio::test]
async fn a_key_that_is_refused_is_not_shown() {
    let ran = run(example("responses", &["--api-key", "sk-secret\n1", "hi"])).await;
    assert_eq!(ran.code, 2);
    assert!(!ran.err.contains("secret"), "{}", ran.err);
    let ran = run(example("responses", &["--header", "x-secret-value:\u{1}hidden", "hi"])).await;
    assert_eq!(ran.code, 2);
    assert!(!ran.err.contains("hidden"), "{}", ran.err);
}

#[tokio::test]
async fn the_text_goes_to_stdout_and_ends_its_line() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().text("Because\nof \u{e9}ther."));
    let ran = asked(&server, &["Why", "is", "it?"]).await;
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, "Because\nof \u{e9}ther.\n", "")
    );
    server.enqueue(Script::natural().text("A line.\n"));
    assert_eq!(asked(&server, &["hi"]).await.out, "A line.\n");
    let sent = server.requests()[0].json().unwrap();
    assert_eq!((&sent["model"], &sent["stream"]), (&json!("gpt-5.2"), &json!(true)));
    assert!(sent.to_string().contains("Why is it?"), "{sent}");
}

#[tokio::test]
async fn a_failure_is_1_and_keeps_what_had_come() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(429).header("retry-after", "7"));
    let ran = asked(&server, &["--max-retries", "0", "hi"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.starts_with("responses: ") && ran.err.contains("429"), "{}", ran.err);

    server.enqueue(Script::natural().text("one two three four").cut_after(6));
    let ran = asked(&server, &["hi"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.out.starts_with("one") && ran.out.ends_with('\n'), "{:?}", ran.out);
    assert!(ran.err.contains("closed before completion"), "{}", ran.err);

    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/v1");
    let ran = run(example("responses", &["--base-url", &url, "--max-retries", "0", "hi"])).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
}

#[tokio::test]
async fn without_url_and_key_an_embedded_server_answers() {
    let ran = run(example("responses", &["hello", "there"])).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("hello there"), "{}", ran.out);
}

#[tokio::test]
async fn flags_beat_the_environment() {
    let (server, other) = (Server::start().await.unwrap(), Server::start().await.unwrap());
    let mut command = example("responses", &["hi"]);
    command.env("OPENAI_BASE_URL", server.base_url()).env("OPENAI_API_KEY", "sk-env");
    assert_eq!(run(command).await.code, 0);
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer sk-env"));

    let flags = ["--base-url", server.base_url(), "--api-key", "sk-flag", "hi"];
    let mut command = example("responses", &flags);
    command.env("OPENAI_BASE_URL", other.base_url()).env("OPENAI_API_KEY", "sk-env");
    assert_eq!(run(command).await.code, 0);
    assert_eq!(server.requests()[1].header("authorization"), Some("Bearer sk-flag"));
    assert_eq!(other.received(), 0);
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let server = Server::start().await.unwrap();
    for empty in ["", "  "] {
        let mut command = example("responses", &["--base-url", server.base_url(), "hi"]);
        command.env("OPENAI_API_KEY", empty);
        assert_eq!(run(command).await.code, 0);
        let mut command = example("responses", &["hi"]);
        command.env("OPENAI_API_KEY", empty).env("OPENAI_BASE_URL", empty);
        assert_eq!(run(command).await.code, 0, "the embedded server answers");
    }
    let seen = server.requests();
    assert_eq!(seen.len(), 2);
    // A base URL without a key sends none.
    assert!(seen.iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn the_prompt_may_come_on_stdin() {
    let server = Server::start().await.unwrap();
    let flags = ["--base-url", server.base_url()];
    let ran = run_with_input(example("responses", &flags), b"  from stdin\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("from stdin"), "{}", ran.out);
    for bad in [&b" \n"[..], b"\xff\xfe"] {
        let ran = run_with_input(example("responses", &flags), bad).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    }
    assert_eq!(server.received(), 1);
}

#[tokio::test]
async fn a_body_is_sent_as_it_is_but_for_stream() {
    let server = Server::start().await.unwrap();
    let own = r#"{"model":"own","input":"from the body","temperature":0.10,"stream":false,"x":{"b":1,"a":2}}"#;
    let file = File::new("body", own);
    assert_eq!(asked(&server, &["--body", file.path()]).await.code, 0);
    let flags = ["--base-url", server.base_url(), "--body", "-"];
    assert_eq!(run_with_input(example("responses", &flags), own.as_bytes()).await.code, 0);
    for request in server.requests() {
        let sent = String::from_utf8(request.body().to_vec()).unwrap();
        let expected = own.replace("\"stream\":false", "\"stream\":true");
        assert_eq!(sent, expected);
    }
    let ran =
        asked(&server, &["--body", file.path(), "--model", "other", "another", "prompt"]).await;
    assert_eq!(ran.code, 0);
    let sent = server.requests()[2].json().unwrap();
    assert_eq!((&sent["model"], &sent["input"]), (&json!("other"), &json!("another prompt")));
    assert_eq!(sent["x"], json!({"b": 1, "a": 2}));
}

#[tokio::test]
async fn headers_and_model_are_sent() {
    let server = Server::start().await.unwrap();
    let flags = ["--header", "X-One: 1", "--header", "x-two:a: b ", "--model", "m-1", "hi"];
    assert_eq!(asked(&server, &flags).await.code, 0);
    let seen = server.requests().remove(0);
    assert_eq!((seen.header("x-one"), seen.header("x-two")), (Some("1"), Some("a: b")));
    assert_eq!(seen.json().unwrap()["model"], "m-1");
}

#[tokio::test]
async fn the_request_is_compressed_if_asked() {
    let server = Server::start().await.unwrap();
    for encoding in ["zstd", "gzip"] {
        let ran = asked(&server, &["--compression", encoding, "hi"]).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(ran.out.contains("hi"), "{}", ran.out);
        let seen = server.requests().pop().unwrap();
        assert_eq!(seen.header("content-encoding"), Some(encoding));
        assert_eq!(seen.json().unwrap()["stream"], true);
        assert!(serde_json::from_slice::<serde_json::Value>(seen.body()).is_err());
    }
    assert_eq!(asked(&server, &["hi"]).await.code, 0);
    assert_eq!(server.requests()[2].header("content-encoding"), None);

    let flags = ["--compression", "gzip", "--header", "content-encoding: zstd", "hi"];
    let ran = asked(&server, &flags).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("content-encoding"), "{}", ran.err);
    assert_eq!(asked(&server, &["--compression", "lzma", "hi"]).await.code, 2);
    assert_eq!(server.received(), 3);
}

#[tokio::test]
async fn the_progress_limit_ends_a_stream_that_stalls() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(4).then_stall());
    let ran = asked(&server, &["--progress-timeout-ms", "200", "--events", "hi"]).await;
    assert_eq!(ran.code, 1);
    assert_eq!(ran.lines().last().unwrap()["kind"], "progress_timeout");
    // Zero is off.
    server.enqueue(Script::natural().first_delay(std::time::Duration::from_millis(300)));
    assert_eq!(asked(&server, &["--progress-timeout-ms", "0", "hi"]).await.code, 0);
}

/// The last line of a run with `--events` that fails.
async fn failed(server: &Server, flag: &str, limit: &str) -> serde_json::Value {
    let ran = asked(server, &[flag, limit, "--max-retries", "0", "--events", "hi"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    ran.lines().pop().unwrap()
}

#[tokio::test]
async fn each_clock_has_its_flag_and_its_kind() {
    let server = Server::start().await.unwrap();
    let late = || Script::natural().head_delay(std::time::Duration::from_millis(400));

    server.enqueue(late());
    let end = failed(&server, "--head-timeout-ms", "100").await;
    assert_eq!((&end["kind"], &end["stage"]), (&json!("head_timeout"), &json!("unknown")));
    let message = end["message"].as_str().unwrap();
    assert_eq!(message, "no response head within 100ms, the head limit, on attempt 1");

    server.enqueue(Script::natural().cut_after(4).then_stall());
    let end = failed(&server, "--idle-timeout-ms", "200").await;
    assert_eq!((&end["kind"], &end["stage"]), (&json!("idle_timeout"), &json!("streaming")));
    let message = end["message"].as_str().unwrap();
    assert!(message.starts_with("no byte within 200ms, the idle limit, after "), "{message}");
    assert!(message.ends_with("; events so far: 4"), "{message}");

    server.enqueue(Script::natural().cut_after(4).then_stall());
    let end = failed(&server, "--total-timeout-ms", "300").await;
    assert_eq!((&end["kind"], &end["stage"]), (&json!("total_timeout"), &json!("streaming")));
    let message = end["message"].as_str().unwrap();
    assert!(message.starts_with("no end of the call within 300ms, the total limit"), "{message}");
    assert!(message.ends_with("; events so far: 4"), "{message}");

    // Zero is off.
    for flag in ["--head-timeout-ms", "--idle-timeout-ms", "--total-timeout-ms"] {
        server.enqueue(late());
        assert_eq!(asked(&server, &[flag, "0", "hi"]).await.code, 0, "{flag}");
    }
}

#[tokio::test]
async fn two_runs_at_once_do_not_meet() {
    let runs = ["first", "second"].map(|word| run(example("responses", &["say", word])));
    let [first, second] = runs;
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.code, second.code), (0, 0));
    assert!(first.out.contains("say first") && second.out.contains("say second"));
}
