//! Scripts: what is said, how it is cut, and how it ends.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_openai::Client;
use tower_openai::model::{ResponseEvent, ResponseItem};
use tower_openai::services::ResponsesRequest;
use tower_openai::testing::{Ending, Event, Newline, Outcome, Script, Server};

use crate::support::*;

#[tokio::test]
async fn the_natural_stream_is_the_api_s() {
    let server = Server::start().await.unwrap();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let response = client(version).request(post(&server, STREAM)).await.unwrap();
        assert_eq!(response.version(), version);
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), "text/event-stream; charset=utf-8");
        assert!(header("x-request-id").starts_with("req_"));
        assert_eq!(header("openai-version"), "2020-10-01");
        assert_eq!(header("x-ratelimit-limit-requests"), "500");
        let events = events(&text(response).await);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number);
        }
        let first = &events[0]["response"];
        assert_eq!((&first["status"], &first["usage"]), (&json!("in_progress"), &Value::Null));
        let last = &events[events.len() - 1];
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["id"], first["id"]);
        let said = last["response"]["output"][0]["content"][0]["text"].as_str().unwrap();
        assert!(said.contains("hello"), "{said}");
    }
    let ids = server.requests();
    assert_eq!((ids.len(), server.connections()), (2, 2));
    server.shutdown().await;
}

#[tokio::test]
async fn without_stream_the_same_response_is_json() {
    let server = Server::start().await.unwrap();
    let response = send(&server, JSON).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("content-length"));
    let whole = json_of(response).await;
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(whole["usage"]["input_tokens_details"]["cached_tokens"], 0);
    for null in ["error", "incomplete_details", "instructions", "previous_response_id", "user"] {
        assert_eq!(whole.get(null), Some(&Value::Null), "{null}");
    }
}

#[tokio::test]
async fn bad_requests_get_the_api_s_errors() {
    let server = Server::builder().require_key("sk-right").start().await.unwrap();
    let client = client(Version::HTTP_11);
    let ask = async |method: &str, path: &str, key: &str, body: &'static str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", server.address()))
            .header("authorization", key)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = client.request(request).await.unwrap();
        (response.status().as_u16(), json_of(response).await)
    };
    let right = "Bearer sk-right";
    let (status, body) = ask("POST", "/v1/responses", "Bearer sk-guess", STREAM).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_api_key")));
    assert!(!body.to_string().contains("sk-guess"));
    assert_eq!(ask("POST", "/v1/respond", right, STREAM).await.0, 404);
    assert_eq!(ask("GET", "/v1/responses", right, "").await.0, 405);
    let (status, body) = ask("POST", "/v1/responses", right, r#"{"input":"x"}"#).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("model")));
    assert_eq!(ask("POST", "/v1/responses", right, "{").await.0, 400);
    assert_eq!(ask("POST", "/a/b/responses?api-version=1", right, JSON).await.0, 200);
}

#[tokio::test]
async fn compressed_requests_are_read_and_kept_as_they_came() {
    let server = Server::start().await.unwrap();
    let ask = async |encoding: &'static str, body: Vec<u8>| {
        let mut request = post(&server, body);
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        client(Version::HTTP_11).request(request).await.unwrap().status().as_u16()
    };
    let zstd = zstd::encode_all(STREAM.as_bytes(), 3).unwrap();
    let mut gzip = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(STREAM.as_bytes(), flate2::Compression::fast());
    std::io::Read::read_to_end(&mut encoder, &mut gzip).unwrap();
    assert_eq!(ask("zstd", zstd.clone()).await, 200);
    assert_eq!(ask("gzip", gzip.clone()).await, 200);
    for (seen, raw) in server.requests().iter().zip([zstd, gzip]) {
        assert_eq!(*seen.body(), raw);
        assert_eq!(seen.decoded_body().unwrap(), STREAM);
        assert_eq!(seen.json().unwrap()["stream"], true);
    }
    assert_eq!(ask("zstd", STREAM.into()).await, 400);
    assert_eq!(server.requests()[2].decoded_body(), None);
    assert_eq!(ask("br", STREAM.into()).await, 415);
    server.enqueue(Script::status(415));
    assert_eq!(ask("identity", STREAM.into()).await, 415);
    assert_eq!(ask("identity", STREAM.into()).await, 200);
}

#[tokio::test]
async fn the_queue_goes_first_and_the_header_before_it() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(429).header("retry-after", "2").json(json!({"own": 1})));
    let mut request = post(&server, STREAM);
    request.headers_mut().insert("x-script", "500".parse().unwrap());
    let response = client(Version::HTTP_11).request(request).await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(json_of(response).await["error"]["type"], "server_error");
    assert_eq!(server.queued(), 1);

    let response = send(&server, STREAM).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    assert_eq!(json_of(response).await, json!({"own": 1}));
    assert_eq!(send(&server, STREAM).await.status(), 200);

    let mut request = post(&server, STREAM);
    request.headers_mut().insert("x-script", "nope".parse().unwrap());
    let response = client(Version::HTTP_11).request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(json_of(response).await["error"]["message"].as_str().unwrap().contains("429-quota"));
}

#[tokio::test]
async fn chunks_are_cut_as_told() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().chunk_size(97));
    let (answer, _) = raw(&server).await;
    let (_, mut rest) = split(&answer, b"\r\n\r\n");
    let (mut sizes, mut read) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let (size, after) = split(rest, b"\r\n");
        let size = usize::from_str_radix(std::str::from_utf8(size).unwrap(), 16).unwrap();
        read.extend_from_slice(&after[..size]);
        sizes.push(size);
        rest = &after[size + 2..];
    }
    assert_eq!(sizes.pop(), Some(0));
    assert!(sizes.pop() <= Some(97));
    assert!(sizes.iter().all(|size| *size == 97), "{sizes:?}");
    let events = events(std::str::from_utf8(&read).unwrap());
    assert_eq!(events[events.len() - 1]["type"], "response.completed");
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> (&'a [u8], &'a [u8]) {
    let found = bytes.windows(at.len()).position(|window| window == at).expect("a separator");
    (&bytes[..found], &bytes[found + at.len()..])
}

#[tokio::test]
async fn own_events_bodies_and_headers_go_out_as_they_are() {
    let server = Server::start().await.unwrap();
    server.enqueue(
        Script::events([
            Event::comment("hi"),
            json!({"type": "a"}).into(),
            Event::data_only(json!(1)),
            Event::raw("data: [DONE]\n\n").after(Duration::from_millis(5)),
        ])
        .newline(Newline::CrLf)
        .with_status(206),
    );
    let response = send(&server, STREAM).await;
    assert_eq!(response.status(), 206);
    let expected =
        ": hi\r\n\r\nevent: a\r\ndata: {\"type\":\"a\"}\r\n\r\ndata: 1\r\n\r\ndata: [DONE]\n\n";
    assert_eq!(text(response).await, expected);

    server.enqueue(Script::pieces(["a", "b"]).header("x-raw", b"caf\xe9").header("x-raw", "2"));
    let response = send(&server, STREAM).await;
    let raw: Vec<_> = response.headers().get_all("x-raw").iter().collect();
    assert_eq!((raw[0].as_bytes(), raw[1].as_bytes()), (&b"caf\xe9"[..], &b"2"[..]));
    assert_eq!(text(response).await, "ab");
}

#[tokio::test]
async fn every_ending_delivers_what_came_before_it() {
    let server = Server::start().await.unwrap();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (ending, whole) in
            [(Ending::Complete, true), (Ending::Truncate, false), (Ending::Reset, false)]
        {
            server.enqueue(Script::natural().cut_after(5).ending(ending));
            let response = client(version).request(post(&server, STREAM)).await.unwrap();
            let (read, clean) = soon(read_all(response.into_body())).await;
            assert_eq!(clean, whole, "{version:?} {ending:?}");
            assert_eq!(events(&read).len(), 5, "{version:?} {ending:?}");
            let seen = server.requests().pop().unwrap();
            let expected = if whole { Outcome::Complete } else { Outcome::BrokenOff };
            assert_eq!(soon(seen.closed()).await, expected, "{version:?} {ending:?}");
            assert_eq!(seen.bytes_written(), read.len() as u64);
        }
    }
}

/// What a raw HTTP/1.1 exchange yields, and the error it ends with.
async fn raw(server: &Server) -> (Vec<u8>, Option<std::io::ErrorKind>) {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        STREAM.len()
    );
    socket.write_all(format!("{head}{STREAM}").as_bytes()).await.unwrap();
    let mut read = Vec::new();
    let end = soon(socket.read_to_end(&mut read)).await.err().map(|error| error.kind());
    (read, end)
}

#[tokio::test]
async fn on_the_socket_truncation_is_a_fin_and_reset_a_rst() {
    use std::io::ErrorKind::ConnectionReset;
    let server = Server::start().await.unwrap();

    server.enqueue(Script::natural().cut_after(2).then_truncate());
    let (read, end) = raw(&server).await;
    assert_eq!(end, None);
    assert!(read.starts_with(b"HTTP/1.1 200 OK\r\n") && !read.ends_with(b"0\r\n\r\n"));

    server.enqueue(Script::natural().cut_after(2).then_reset());
    let (read, end) = raw(&server).await;
    assert_eq!(end, Some(ConnectionReset));
    assert!(read.windows(20).any(|text| text == b"response.in_progress"));

    server.enqueue(Script::no_head());
    assert_eq!(raw(&server).await, (Vec::new(), None));
    server.enqueue(Script::no_head().then_reset());
    assert_eq!(raw(&server).await, (Vec::new(), Some(ConnectionReset)));

    server.enqueue(Script::raw_tcp("HTTP/1.1 200 Fine\r\nbad header\r\n\r\n"));
    assert_eq!(raw(&server).await, (b"HTTP/1.1 200 Fine\r\nbad header\r\n\r\n".to_vec(), None));
    let seen = server.requests().pop().unwrap();
    assert_eq!(soon(seen.closed()).await, Outcome::Complete);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let scripts = [
        Script::natural().cut_after(3).then_stall(),
        Script::natural().then_stall(),
        Script::no_head().then_stall(),
        Script::raw_tcp("HTTP/1.1 200 OK\r\n").then_stall(),
        Script::natural().head_delay(Duration::from_secs(600)),
        Script::natural().pace(Duration::from_secs(600)),
    ];
    for script in scripts {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let server = Server::start().await.unwrap();
            server.enqueue(script.clone());
            let client = client(version);
            let request = post(&server, STREAM);
            let reading = tokio::spawn(async move {
                let response = client.request(request).await.expect("a head");
                read_all(response.into_body()).await
            });
            let seen = soon(server.wait_for_requests(1)).await.remove(0);
            assert_eq!(seen.outcome(), None, "{script:?}");
            reading.abort();
            assert_eq!(soon(seen.closed()).await, Outcome::Disconnected, "{script:?} {version:?}");
            assert_eq!(soon(server.wait_for_disconnect()).await.index(), 0);
        }
    }
}

#[tokio::test]
async fn a_slow_reader_holds_the_flood_back() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().text("flood ".repeat(100_000)));
    let response = send(&server, STREAM).await;
    let seen = server.requests().remove(0);
    let mut before = 0;
    // Until it no longer grows: what the buffers of both sides hold.
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let written = seen.bytes_written();
        if written == before {
            break;
        }
        before = written;
    }
    assert_eq!(seen.outcome(), None);
    let (read, clean) = soon(read_all(response.into_body())).await;
    assert!(clean && read.len() as u64 > before, "{} {before}", read.len());
    assert_eq!(seen.outcome(), Some(Outcome::Complete));
}

#[tokio::test]
async fn requests_are_recorded_whole() {
    let server = Server::start().await.unwrap();
    let client = client(Version::HTTP_11);
    for _ in 0..2 {
        let mut request = post(&server, JSON);
        *request.uri_mut() = format!("{}/responses?a=b", server.base_url()).parse().unwrap();
        request.headers_mut().insert("authorization", "Bearer sk-1".parse().unwrap());
        text(client.request(request).await.unwrap()).await;
    }
    let seen = server.requests();
    assert_eq!(seen[0].method(), "POST");
    assert_eq!((seen[0].target(), seen[0].path()), ("/v1/responses?a=b", "/v1/responses"));
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk-1"));
    assert_eq!((seen[0].version(), &seen[0].body()[..]), (Version::HTTP_11, JSON.as_bytes()));
    assert_eq!(seen[0].json().unwrap()["model"], "gpt-5.2");
    assert_eq!((seen[1].index(), seen[1].connection()), (1, 0), "the connection was reused");
    assert!(!format!("{seen:?}").contains("sk-1"));
}

/// The message of the panic of dropping `server`.
fn dropped(server: Server) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(server)));
    *panic.expect_err("a panic").downcast::<String>().expect("a message")
}

#[tokio::test]
async fn dropping_the_server_fails_the_test_if_it_failed() {
    let server = Server::builder().handler(|_| panic!("handler bug")).start().await.unwrap();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        client(version).request(post(&server, STREAM)).await.unwrap_err();
    }
    let message = dropped(server);
    assert_eq!(message.matches("handler bug").count(), 2, "{message}");

    let server = Server::builder().scripted_only().start().await.unwrap();
    server.enqueue(Script::natural().chunk_size(0));
    assert!(text(send(&server, STREAM).await).await.contains("a chunk size of 0"));
    assert_eq!(send(&server, STREAM).await.status(), 500);
    let message = dropped(server);
    assert!(message.contains("chunk size") && message.contains("no script for POST"), "{message}");
}

#[tokio::test]
async fn shutdown_closes_connections_and_says_so() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(2).then_stall());
    let response = send(&server, STREAM).await;
    let seen = server.requests().remove(0);
    let address = server.address();
    soon(server.shutdown()).await;
    assert_eq!(seen.outcome(), Some(Outcome::Stopped));
    assert!(!soon(read_all(response.into_body())).await.1);
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn every_named_script_answers_both_forms() {
    let server = Server::start().await.unwrap();
    let quiet = ["slow", "slow-head", "no-head", "stall", "stay-open", "huge-line", "flood"];
    for (name, _) in Script::names().filter(|(name, _)| !quiet.contains(name)) {
        for body in [STREAM, JSON] {
            let mut request = post(&server, body);
            request.headers_mut().insert("x-script", name.parse().unwrap());
            let answer = soon(client(Version::HTTP_11).request(request)).await;
            assert_eq!(answer.is_err(), ["hang-up", "reset-head"].contains(&name), "{name}");
            let Ok(response) = answer else { continue };
            let status = response.status().as_u16();
            let expected = name.get(..3).and_then(|code| code.parse().ok());
            let expected = expected.or((name == "html").then_some(502)).unwrap_or(200);
            let expected = match (name, body) {
                ("error-event", JSON) => 500,
                _ => expected,
            };
            assert_eq!(status, expected, "{name} {body}");
            let (_, clean) = soon(read_all(response.into_body())).await;
            assert_eq!(clean, !["truncate", "reset"].contains(&name), "{name} {body}");
        }
    }
}

#[tokio::test]
async fn scripts_have_the_model_refuse_and_call() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    let ask = async || {
        let request = ResponsesRequest::new("gpt-5.2", "hi");
        let mut stream = client.responses().stream_request(request).await.unwrap();
        let mut deltas = String::new();
        while let Some(event) = stream.try_next().await.unwrap() {
            match event {
                ResponseEvent::RefusalDelta(event) => deltas.push_str(&event.delta),
                ResponseEvent::Completed(event) => return (deltas, event.response.output.clone()),
                _ => {}
            }
        }
        panic!("no end");
    };
    server.enqueue(Script::natural().refusal("I will not."));
    let (deltas, output) = ask().await;
    assert_eq!(deltas, "I will not.");
    assert!(
        matches!(&*output, [ResponseItem::Message(message)] if message.content.text().is_empty())
    );

    let calls = Script::natural().function_call("first", r#"{"a":1}"#).function_call("second", "{");
    server.enqueue(calls);
    let (_, output) = ask().await;
    let called = |item: &ResponseItem| match item {
        ResponseItem::FunctionCall(call) => (call.name.clone(), call.arguments.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        output.iter().map(called).collect::<Vec<_>>(),
        [("first".into(), r#"{"a":1}"#.into()), ("second".into(), "{".into())]
    );
}
