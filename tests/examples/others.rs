//! The other examples.

use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower_openai::Client;
use tower_openai::services::ResponsesRequest;
use tower_openai::testing::{Script, Server};

use crate::run::{end, example, run, run_with_input};

#[tokio::test]
async fn assemble_prints_an_answer() {
    let ran = run(example("assemble", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("Say hello."), "{}", ran.out);
}

#[tokio::test]
async fn tools_calls_and_goes_on() {
    let ran = run(example("tools", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines = [
        r#"get_weather({"city":"example","unit":"celsius"}) = rain in example, 12 degrees celsius"#,
        "The tool answered: rain in example, 12 degrees celsius",
        "2 requests",
    ];
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), lines);
}

#[tokio::test]
async fn structured_reads_a_struct() {
    let ran = run(example("structured", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines = ["example (Easy, 5 minutes)", "- 1 g example", "with example"];
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), lines);
}

#[tokio::test]
async fn custom_layer_shows_both_levels() {
    let ran = run(example("custom_layer", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("calling responses of Some(\"gpt-5.2\")"), "{}", ran.out);
    assert!(ran.out.contains("x-tenant: Some(\"acme\")"), "{}", ran.out);
    assert!(ran.out.contains("one short sentence"), "{}", ran.out);
}

#[tokio::test]
async fn custom_auth_refreshes_once_after_a_401() {
    let ran = run(example("custom_auth", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let count = |what| ran.out.matches(what).count();
    assert_eq!(
        (count("hands out token"), count("API: 401"), count("answer: ")),
        (2, 1, 2),
        "{ran:?}"
    );
    assert!(ran.out.contains("3 requests came"), "{}", ran.out);
}

#[tokio::test]
async fn hmac_signer_signs_the_bytes_on_the_wire() {
    let ran = run(example("hmac_signer", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let first = ran.out.lines().next().unwrap();
    let numbers = first.split_whitespace().filter_map(|word| word.parse().ok());
    let [came, plain]: [usize; 2] = numbers.collect::<Vec<_>>().try_into().unwrap();
    assert!(came < plain, "{}", ran.out);
    assert!(ran.out.contains("signature valid: true"), "{}", ran.out);
    assert!(ran.out.contains("valid for other bytes: false"), "{}", ran.out);
}

#[tokio::test]
async fn observe_prints_each_hook_in_order() {
    let ran = run(example("observe", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let firsts = [
        "request: ",
        "attempt 1: Status(503)",
        "retry: status 503 on attempt 1",
        "attempt 2: Status(200)",
        "head: 200",
        "first event",
        "event: response.created",
    ];
    assert!(ran.out.lines().count() > firsts.len(), "{}", ran.out);
    for (line, first) in ran.out.lines().zip(firsts) {
        assert!(line.starts_with(first), "{}", ran.out);
    }
    assert!(ran.out.contains("end of call 1: complete, 2 attempts"), "{}", ran.out);
}

#[tokio::test]
async fn resume_prints_the_whole_answer_twice() {
    let ran = run(example("resume", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let (itself, hand) = ran.out.split_once("--- by hand").unwrap();
    assert!(
        itself.contains("the loopback server heard you. It has no opinion of its own, but it is")
    );
    assert!(itself.contains("resumed 2 times"), "{itself}");
    let ends = hand.lines().filter(|line| line.contains(" broke off behind event ")).count();
    assert_eq!((ends, hand.contains("happy to talk.")), (2, true), "{hand}");
}

#[tokio::test]
async fn per_endpoint_policy_is_the_same_from_a_file_and_by_hand() {
    let ran = run(example("per_endpoint_policy", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("  RetryLayer           3 retries"), "{}", ran.out);
    assert!(ran.out.contains("  RetryLayer           no retries"), "{}", ran.out);
    let count = |what| ran.out.matches(what).count();
    assert_eq!(count("responses, requests sent: 2, answer: "), 2, "{}", ran.out);
    assert_eq!(count("titles, requests sent: 1, gave up: "), 2, "{}", ran.out);
}

#[tokio::test]
async fn in_axum_app_refuses_what_is_too_much_and_passes_on_who_leaves() {
    let ran = run(example("in_axum_app", &[])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let firsts = [
        "the gateway: http://127.0.0.1:",
        "through it: You said",
        "one too many: overloaded (status 503)",
        "a caller went away: the provider saw Disconnected",
        "there is room again: You said",
    ];
    assert_eq!(ran.out.lines().count(), firsts.len(), "{}", ran.out);
    for (line, first) in ran.out.lines().zip(firsts) {
        assert!(line.starts_with(first), "{}", ran.out);
    }
}

#[tokio::test]
async fn in_axum_app_does_not_go_on_without_the_key_it_was_given() {
    let mut command = example("in_axum_app", &[]);
    command.env("OPENAI_API_KEY", "sk-hush\u{1}");
    let ran = run(command).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("Error: ") && !ran.err.contains("hush"), "{}", ran.err);
}

/// What is no text is wrong usage, and may be a key.
#[cfg(unix)]
#[tokio::test]
async fn an_argument_that_is_no_text_is_wrong_usage() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    for (name, flags) in [
        ("chat", &[][..]),
        ("serve", &["--key"]),
        ("sse_dump", &["--chunk"]),
        ("sse_dump", &[]),
        ("ws_echo", &[]),
        ("endpoints", &["--api-key"]),
        ("responses", &["--api-key"]),
        ("ws", &["--header"]),
    ] {
        let mut command = example(name, flags);
        command.arg(OsStr::from_bytes(b"sk-hush\xff"));
        let ran = run(command).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{name} {flags:?}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{name} {flags:?}: {ran:?}");
        assert!(name == "sse_dump" || !ran.err.contains("hush"), "{name} {flags:?}: {ran:?}");
    }
}

/// Whoever reads an answer may have had enough of it.
#[tokio::test]
async fn nobody_has_to_read_to_the_end() {
    let folder = std::env::temp_dir().join(format!("tower-openai-{}-unread", std::process::id()));
    for (name, arguments) in [
        ("chat", &["hi"][..]),
        ("export_schema", &[folder.to_str().unwrap()]),
        ("realtime", &["--help"]),
        ("realtime", &["hi"]),
    ] {
        let mut child = example(name, arguments).spawn().unwrap();
        drop(child.stdout.take());
        let ran = end(child).await;
        assert_eq!(ran.code, 0, "{name} {arguments:?}: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{name} {arguments:?}: {ran:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn chat_answers_a_prompt_from_arguments_or_stdin() {
    let ran = run(example("chat", &["Why", "so?"])).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("Why so?"), "{}", ran.out);
    let ran = run_with_input(example("chat", &[]), b"from stdin\n").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("from stdin"), "{}", ran.out);
    let ran = run_with_input(example("chat", &[]), b"").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("Hello!"), "{}", ran.out);
}

#[tokio::test]
async fn chat_says_how_it_is_used() {
    for flag in ["--help", "-h"] {
        let ran = run(example("chat", &[flag])).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert!(ran.out.starts_with("usage: chat"), "{}", ran.out);
    }
}

#[tokio::test]
async fn chat_takes_no_option_for_a_prompt() {
    let ran = run(example("chat", &["--api-key", "sk-secret", "hi"])).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    assert!(ran.err.contains("usage: chat") && !ran.err.contains("secret"), "{ran:?}");

    let ran = run(example("chat", &["--", "--why", "though?"])).await;
    assert!(ran.code == 0 && ran.out.contains("You said \"--why though?\""), "{ran:?}");
}

#[tokio::test]
async fn chat_asks_the_server_of_the_environment() {
    let server = Server::start().await.unwrap();
    let chat = || {
        let mut command = example("chat", &["hi"]);
        command.env("OPENAI_BASE_URL", server.base_url()).env("OPENAI_API_KEY", "sk-env");
        command
    };
    assert_eq!(run(chat()).await.code, 0);
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer sk-env"));
    server.enqueue(Script::status(401));
    let ran = run(chat()).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("chat: ") && !ran.err.contains("sk-env"), "{}", ran.err);
}

#[tokio::test]
async fn sse_dump_reads_any_chunks() {
    let stream = "\u{feff}id: 7\nretry: 1500\nevent: greeting\ndata: h\u{e9}\ndata: b\r\n\r\n: c\n\ndata: x\n\ndata: cut";
    let expected = [
        json!({"event": "greeting", "data": "h\u{e9}\nb", "id": "7", "retry": 1500}),
        json!({"event": "message", "data": "x", "id": "7", "retry": null}),
        json!({"final": {"last_event_id": "7", "retry_ms": 1500}}),
    ];
    for chunk in ["1", "3", "65536", "18446744073709551615"] {
        let ran = run_with_input(example("sse_dump", &["--chunk", chunk]), stream.as_bytes()).await;
        assert_eq!((ran.code, ran.lines()), (0, expected.to_vec()), "{chunk}: {ran:?}");
    }
    for wrong in [&["--chunk", "0"][..], &["--chunk"], &["--other"]] {
        let ran = run(example("sse_dump", wrong)).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{wrong:?}");
    }
}

/// As of a stream that goes on: `curl -N … | sse_dump`.
#[tokio::test]
async fn sse_dump_shows_an_event_as_soon_as_it_is_there() {
    let mut child = example("sse_dump", &[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for data in ["1", "2"] {
        input.write_all(format!("data: {data}\n\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(60), out.read_line(&mut line));
        read.await.expect("before the stream ends").unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["data"], data);
    }
    drop(input);
    assert_eq!(end(child).await.code, 0);
}

#[tokio::test]
async fn serve_says_where_it_is_and_answers() {
    let mut child = example("serve", &["--pace", "0", "--key", "sk-1"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let base_url = line.trim();
    assert!(base_url.starts_with("http://127.0.0.1:") && base_url.ends_with("/v1"), "{line}");
    let ask = async |key: &str| {
        let client = Client::builder().base_url(base_url).api_key(key).build().unwrap();
        let request = ResponsesRequest::new("gpt-5.2", "ping");
        client.responses().stream_request(request).await?.text().collect().await
    };
    assert!(ask("sk-1").await.unwrap().contains("ping"));
    assert_eq!(ask("sk-2").await.unwrap_err().kind(), tower_openai::ErrorKind::Auth);
    child.kill().await.unwrap();
    let ran = run(example("serve", &["--nonsense"])).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
}

#[tokio::test]
async fn serve_offers_sockets_and_their_scripts() {
    let help = run(example("serve", &["--help"])).await.out;
    assert!(help.contains("  close-1011 ") && help.contains("  malformed "), "{help}");
    let mut child = example("serve", &["--pace", "0"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    let url = format!("{}/responses", line.trim().replace("http:", "ws:"));
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert("x-script", "close-1011".parse().unwrap());
    let address = url.split('/').nth(2).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let create = json!({"type": "response.create", "model": "gpt-5.2", "input": "hi"});
    socket.send(Message::text(create.to_string())).await.unwrap();
    let messages: Vec<_> = socket.by_ref().take(7).collect().await;
    assert!(messages[5].as_ref().unwrap().is_text(), "{messages:?}");
    let Ok(Message::Close(Some(close))) = &messages[6] else { panic!("{messages:?}") };
    assert_eq!(u16::from(close.code), 1011);
    child.kill().await.unwrap();
}

#[tokio::test]
async fn realtime_answers_text() {
    let ran = run(example("realtime", &["Why is", "the sky blue?"])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("You said \"Why is the sky blue?\""), "{}", ran.out);
}

#[tokio::test]
async fn realtime_writes_audio_and_reads_it() {
    let file = |name: &str| {
        let name = format!("tower-openai-{}-{name}.wav", std::process::id());
        std::env::temp_dir().join(name)
    };
    let (first, second) = (file("first"), file("second"));
    let [first_name, second_name] = [&first, &second].map(|path| path.to_str().unwrap());
    let ran = run(example("realtime", &["--out", first_name, "Sing."])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let ran = run(example("realtime", &["--in", first_name, "--out", second_name])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("heard: "), "{}", ran.out);
    let wav = hound::WavReader::open(&second).unwrap();
    assert_eq!((wav.spec().sample_rate, wav.spec().channels), (24_000, 1));
    assert!(wav.duration() > 2_400, "{}", wav.duration());

    let mut high = hound::WavWriter::create(
        &first,
        hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        },
    )
    .unwrap();
    high.write_sample(1_i16).unwrap();
    high.finalize().unwrap();
    let ran = run(example("realtime", &["--in", first_name])).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("48000 samples a second"), "{}", ran.err);
    std::fs::remove_file(first).unwrap();
    std::fs::remove_file(second).unwrap();
}

#[tokio::test]
async fn export_schema_writes_what_is_checked_in() {
    let name = format!("tower-openai-{}-schema", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let ran = run(example("export_schema", &[folder.to_str().unwrap()])).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let file = "typescript/ThreadRealtimeStartParams.ts";
    let written = std::fs::read_to_string(folder.join(file)).unwrap();
    let checked_in = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
    assert_eq!(written, std::fs::read_to_string(checked_in).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(run(example("export_schema", &[])).await.code, 2);
}
