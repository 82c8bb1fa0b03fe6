//! The `ws` example: what `responses` does, over a socket.

use std::time::Duration;

use serde_json::json;
use tower_openai::testing::{Frame, RecordedFrame, Script, Server};

use crate::run::{File, Ran, example, run};

async fn asked(server: &Server, name: &str, arguments: &[&str]) -> Ran {
    let base_url = server.base_url().to_owned();
    let all = [&["--base-url", &base_url], arguments].concat();
    run(example(name, &all)).await
}

#[tokio::test]
async fn its_usage_is_that_of_responses() {
    let help = run(example("ws", &["--help"])).await;
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("usage: ws [OPTIONS]") && help.out.contains("--prefer-ws"));
    let options = |text: &str| text.split_once("  --base-url").unwrap().1.to_owned();
    assert_eq!(options(&help.out), options(&run(example("responses", &["--help"])).await.out));
    for wrong in [&["--nonsense", "hi"][..], &["--prefer-ws=yes", "hi"], &[]] {
        let ran = run(example("ws", wrong)).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{wrong:?}: {ran:?}");
        assert!(ran.err.starts_with("ws: "), "{ran:?}");
    }
    let ran = run(example("responses", &["--prefer-ws", "hi"])).await;
    assert_eq!(ran.code, 2, "it is a flag of `ws` alone");
}

#[tokio::test]
async fn the_text_comes_over_a_socket_that_is_closed_behind_it() {
    let server = Server::builder().require_key("sk-1").start().await.unwrap();
    let body = File::new("ws-body", r#"{"model": "m-1", "input": "from a file", "store": false}"#);
    for (arguments, model, input) in [
        (&["Why", "so?"][..], "gpt-5.2", "Why so?"),
        (&["--body", body.path()], "m-1", "from a file"),
        (&["--prefer-ws", "--model", "m-2", "hi"], "m-2", "hi"),
    ] {
        let key = ["--api-key", "sk-1", "--header", "x-mine: 1"];
        let ran = asked(&server, "ws", &[&key, arguments].concat()).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.out.contains(input) && ran.out.ends_with('\n'), "{}", ran.out);
        let seen = server.requests().pop().unwrap();
        assert_eq!((seen.method().as_str(), seen.header("x-mine")), ("GET", Some("1")));
        let sent = seen.messages().remove(0);
        assert_eq!((&sent["type"], &sent["model"]), (&json!("response.create"), &json!(model)));
        assert!(sent["input"].to_string().contains(input), "{sent}");
        tokio::time::timeout(Duration::from_secs(20), seen.closed()).await.unwrap();
        let frames = seen.frames();
        assert!(matches!(frames.last(), Some(RecordedFrame::Close(_))), "{frames:?}");
    }
}

#[tokio::test]
async fn events_are_the_lines_that_responses_prints() {
    let server = Server::start().await.unwrap();
    let over_http = asked(&server, "responses", &["--events", "hi"]).await;
    for arguments in [&["--events", "hi"][..], &["--events", "--prefer-ws", "hi"]] {
        let over_socket = asked(&server, "ws", arguments).await;
        assert_eq!(over_socket.code, 0, "{over_socket:?}");
        assert_eq!(over_socket.types(), over_http.types());
        assert_eq!(over_socket.lines()[0]["status"], 101);
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_as_by_responses() {
    let server = Server::start().await.unwrap();
    let error = async |name: &str, script: Script| {
        server.enqueue(script);
        let ran = asked(&server, name, &["--events", "hi"]).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.starts_with(&format!("{name}: ")), "{ran:?}");
        let line = ran.lines().pop().unwrap();
        assert_eq!(line["type"], "client.error");
        line
    };
    for script in [
        Script::natural().failed("server_error", "no"),
        Script::natural().incomplete("max_output_tokens"),
        Script::natural().error_event("rate_limit_exceeded", "slow down"),
        Script::natural().malformed(5),
    ] {
        let lines = [error("ws", script.clone()).await, error("responses", script.clone()).await];
        // What it says of an event may name it, which a frame does not.
        for key in ["kind", "code", "status", "stage", "retryable"] {
            assert_eq!(lines[0][key], lines[1][key], "{key} of {script:?}");
        }
    }
    let closed = error("ws", Script::natural().cut_after(6).then_close(1011, "oh")).await;
    assert!(closed["message"].as_str().unwrap().contains("1011"), "{closed}");
    let refused = error("ws", Script::status(426)).await;
    assert_eq!((&refused["status"], &refused["stage"]), (&json!(426), &json!("not_sent")));
    let chain = Frame::from(json!({"type": "error", "status": 400, "error": {
        "type": "invalid_request_error", "code": "invalid_stream_id", "message": "m"}}));
    let wrapped = error("ws", Script::frames([chain]).after_handshake()).await;
    assert_eq!(wrapped["code"], "invalid_stream_id");
}

#[tokio::test]
async fn where_there_is_no_socket_it_is_http_if_that_is_wanted() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(426));
    let ran = asked(&server, "ws", &["--prefer-ws", "--header", "x-mine: 1", "hi"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let seen = server.requests();
    let methods: Vec<_> = seen.iter().map(|request| request.method().as_str()).collect();
    assert_eq!(methods, ["GET", "POST"]);
    assert!(seen.iter().all(|request| request.header("x-mine") == Some("1")));
    assert!(seen[1].json().unwrap()["input"].to_string().contains("hi"));
    let ran = run(example("ws", &["hi"])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "the embedded server has sockets");
}
