//! The `endpoints` example: JSON in, JSON out, errors as JSON, exit codes.

use http::Method;
use serde_json::{Value, json};
use tower_openai::testing::{Script, Server};

use crate::run::{File, Ran, end, example, run, run_with_input};

async fn asked(server: &Server, arguments: &[&str]) -> Ran {
    let base_url = server.base_url().to_owned();
    run(example("endpoints", &[&["--base-url", &base_url], arguments].concat())).await
}

async fn scripted() -> Server {
    Server::builder().scripted_only().start().await.unwrap()
}

fn search_body() -> Value {
    json!({"id": "s", "model": "m", "commands": {"time": [{"utc_offset": "+00:00"}]}, "new": 1})
}

#[tokio::test]
async fn help_names_every_command_and_flag() {
    for flag in ["--help", "-h"] {
        let ran = run(example("endpoints", &[flag])).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        for word in [
            "compact",
            "memories",
            "models",
            "list-models",
            "retrieve-model ID",
            "image",
            "search",
            "upload FILE",
            "retrieve ID",
            "resume ID",
            "cancel ID",
            "delete ID",
            "input-items ID",
            "count-tokens",
            "--base-url",
            "--api-key",
            "--header",
            "--body",
            "--client-version",
            "--etag",
        ] {
            assert!(ran.out.contains(word), "{word} in {}", ran.out);
        }
    }
    let mut child = example("endpoints", &["--help"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(end(child).await.code, 0, "help for nobody is no failure");
}

#[tokio::test]
async fn wrong_usage_is_2_and_says_nothing_on_stdout() {
    let server = scripted().await;
    let (array, broken) = (File::new("e-array", "[1]"), File::new("e-broken", "{\"id\": "));
    let headless = File::new("e-headless", r#"{"model":"m"}"#);
    for arguments in [
        &[][..],
        &["nonsense"],
        &["--nonsense", "models"],
        &["-x", "models"],
        &["models", "word"],
        &["models", "--body", "-"],
        &["models", "--client-version"],
        &["retrieve-model"],
        &["retrieve-model", "a", "b"],
        &["search"],
        &["compact"],
        &["search", "--etag", "x", "--body", "-"],
        &["search", "--body", "/no/such/file"],
        &["search", "--body", array.path()],
        &["search", "--body", broken.path()],
        &["search", "--body", headless.path()],
        &["memories", "--body", array.path()],
        &["compact", "--body", broken.path()],
        &["compact", "--body", array.path()],
        &["count-tokens", "--body", array.path()],
        &["models", "--header", "no-colon"],
        &["models", "--header", "bad name: x"],
        &["models", "--header", "x: a\nb"],
        &["models", "--base-url", "ftp://x.test"],
        &["models", "--api-key", "a\nb"],
    ] {
        let ran = asked(&server, arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.starts_with("endpoints: "), "{arguments:?}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{ran:?}");
    }
    assert_eq!(server.received(), 0, "nothing was sent");
    let ran = run(example("endpoints", &["nonsense"])).await;
    assert!(ran.err.contains("compact, memories, models"), "{}", ran.err);
}

#[tokio::test]
async fn what_goes_in_is_sent_and_what_comes_is_printed() {
    let server = scripted().await;
    let input = json!({"model": "m", "input": "hi", "instructions": null, "new": [1.5]});
    let compact = File::new("e-compact", &input.to_string());
    let traces = json!({"model": "m", "traces": [{"id": "t", "metadata": {"source_path": "p"},
        "items": [{"a": 1}]}]});
    let memories = File::new("e-memories", &traces.to_string());
    let search = File::new("e-search", &search_body().to_string());
    for (command, target, body, answer) in [
        (
            ["compact", "--body", compact.path()],
            "/v1/responses/compact",
            input,
            json!({"id": "resp_1", "output": [{"type": "not_known_yet", "b": 1}], "x": null}),
        ),
        (
            ["memories", "--body", memories.path()],
            "/v1/memories/trace_summarize",
            traces,
            json!({"output": [{"trace_summary": "t", "memory_summary": "m"}]}),
        ),
        (
            ["search", "--body", search.path()],
            "/v1/alpha/search",
            search_body(),
            json!({"output": "found", "results": [{"url": "u"}]}),
        ),
    ] {
        server.enqueue(Script::status(200).json(answer.clone()));
        let flags = ["--api-key", "sk-1", "--header", "x-a: 1", "--header", "X-A:2"];
        let ran = asked(&server, &[&command[..], &flags].concat()).await;
        assert_eq!((ran.code, ran.lines(), ran.err.as_str()), (0, vec![answer], ""));
        let request = server.requests().pop().unwrap();
        assert_eq!((request.method(), request.target()), (&Method::POST, target));
        assert_eq!(request.json().unwrap(), body);
        assert_eq!(request.header("authorization"), Some("Bearer sk-1"));
        let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
    }
}

#[tokio::test]
async fn a_body_comes_from_stdin_too() {
    let server = scripted().await;
    server.enqueue(Script::status(200).json(json!({"output": ""})));
    let arguments = ["--body", "-", "--base-url", server.base_url(), "search"];
    let body = search_body().to_string();
    let ran = run_with_input(example("endpoints", &arguments), body.as_bytes()).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "{\"output\":\"\"}\n"), "{ran:?}");
    assert_eq!(server.requests()[0].json().unwrap(), search_body());
}

#[tokio::test]
async fn models_are_listed_in_every_way() {
    let server = scripted().await;
    let entry = json!({"slug": "m", "display_name": "M", "supported_reasoning_levels": [],
        "shell_type": "default", "visibility": "list", "supported_in_api": true, "priority": 1,
        "base_instructions": "", "supports_reasoning_summaries": true, "support_verbosity": false,
        "truncation_policy": {"mode": "bytes", "limit": 1}, "supports_parallel_tool_calls": true,
        "experimental_supported_tools": []});
    let models = json!([{"slug": "odd"}, entry]);
    let catalog = Script::status(200).json(json!({"models": models})).header("etag", "W/\"7\"");
    server.enqueue(catalog);
    let ran = asked(&server, &["models", "--client-version", "1.2.3"]).await;
    assert_eq!((ran.code, ran.lines()), (0, vec![json!({"etag": "W/\"7\"", "models": models})]));

    server.enqueue(Script::status(304));
    let ran = asked(&server, &["models", "--etag", "W/\"7\""]).await;
    assert_eq!((ran.code, ran.lines()), (0, vec![json!({"not_modified": true, "etag": null})]));

    server.enqueue(Script::status(304));
    let ran = asked(&server, &["models", "--header", "If-None-Match: W/\"7\""]).await;
    assert_eq!((ran.code, ran.lines()), (0, vec![json!({"not_modified": true, "etag": null})]));

    // Nobody asked whether anything has changed.
    let unasked = scripted().await;
    unasked.enqueue(Script::status(304));
    let ran = asked(&unasked, &["models"]).await;
    assert_eq!((ran.code, &ran.lines()[0]["kind"]), (1, &json!("protocol")), "{ran:?}");

    // However the server writes it, it is one line.
    let list =
        json!({"object": "list", "data": [{"id": "m", "owned_by": "me", "odd": {"x": [1]}}]});
    let indented = serde_json::to_string_pretty(&list).unwrap();
    server.enqueue(Script::status(200).header("content-type", "application/json").body(indented));
    let ran = asked(&server, &["list-models"]).await;
    assert_eq!((ran.code, ran.lines()), (0, vec![list]));

    server.enqueue(Script::status(200).json(json!({"id": "a/b"})));
    let ran = asked(&server, &["retrieve-model", "a/b"]).await;
    assert_eq!((ran.code, ran.lines()), (0, vec![json!({"id": "a/b"})]));

    let requests = server.requests();
    let targets: Vec<_> = requests.iter().map(|request| request.target()).collect();
    let own = concat!("/v1/models?client_version=", env!("CARGO_PKG_VERSION"));
    let first = "/v1/models?client_version=1.2.3";
    assert_eq!(targets, [first, own, own, "/v1/models", "/v1/models/a%2Fb"]);
    for request in &requests[1..3] {
        assert_eq!(request.header("if-none-match"), Some("W/\"7\""));
    }
}

#[tokio::test]
async fn an_error_is_json_too() {
    let server = scripted().await;
    let refusal = json!({"error": {"message": "no such model", "code": "model_not_found"}});
    server.enqueue(Script::status(404).json(refusal).header("x-request-id", "req_1"));
    let ran = asked(&server, &["retrieve-model", "m", "--api-key", "sk-secret"]).await;
    let line = json!({"type": "client.error", "kind": "not_found", "status": 404,
        "code": "model_not_found", "message": "no such model", "retryable": false,
        "retry_after_ms": null, "request_id": "req_1", "stage": "sent", "response_id": null,
        "sequence_number": null});
    assert_eq!((ran.code, ran.lines()), (1, vec![line]));
    assert!(ran.err.starts_with("endpoints: no such model"), "{}", ran.err);

    server.enqueue(Script::status(200).body("<html>").header("content-type", "text/html"));
    let ran = asked(&server, &["list-models"]).await;
    assert_eq!((ran.code, ran.types()), (1, vec!["client.error".to_owned()]));
    assert_eq!(ran.lines()[0]["kind"], "protocol");

    // Nobody there.
    let gone = server.base_url().to_owned();
    server.shutdown().await;
    let ran = run(example("endpoints", &["--base-url", &gone, "list-models"])).await;
    assert_eq!((ran.code, ran.lines()[0]["kind"].as_str()), (1, Some("connect")));
    assert_eq!(ran.lines()[0]["stage"], "not_sent");
}

#[tokio::test]
async fn the_environment_says_what_no_flag_says() {
    let server = scripted().await;
    server.enqueue(Script::status(200).json(json!({"data": []})));
    let mut command = example("endpoints", &["list-models"]);
    command.env("OPENAI_BASE_URL", server.base_url()).env("OPENAI_API_KEY", "sk-env");
    let ran = run(command).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "{\"data\":[]}\n"));
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer sk-env"));
}

#[tokio::test]
async fn an_embedded_server_answers_if_nobody_else_is_named() {
    let search = File::new("e-embedded", &search_body().to_string());
    let compact = File::new("e-embedded-compact", r#"{"model":"m","input":"hi"}"#);
    let traces = File::new("e-embedded-traces", r#"{"model":"m","traces":[]}"#);
    for (arguments, member) in [
        (&["models"][..], "models"),
        (&["list-models"], "data"),
        (&["retrieve-model", "gpt-5.2"], "id"),
        (&["search", "--body", search.path()], "output"),
        (&["compact", "--body", compact.path()], "output"),
        (&["memories", "--body", traces.path()], "output"),
    ] {
        let ran = run(example("endpoints", arguments)).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}: {ran:?}");
        assert!(!ran.lines()[0][member].is_null(), "{arguments:?}: {ran:?}");
    }
}

#[tokio::test]
async fn output_that_nobody_takes_is_no_failure() {
    let server = scripted().await;
    server.enqueue(Script::status(200).json(json!({"data": []})));
    let arguments = ["--base-url", server.base_url(), "list-models"];
    let mut child = example("endpoints", &arguments).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(end(child).await.code, 0);
}
