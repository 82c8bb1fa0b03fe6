//! Requests on a socket are watched as requests over HTTP are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::poll;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tower::{Service, ServiceExt};
use tower_openai::layers::telemetry::{
    AttemptInfo, AttemptOutcome, CallEnd, CallInfo, EventInfo, HeadInfo, Observe, Outcome,
    SequenceGap,
};
use tower_openai::services::{ResponsesRequest, ResponsesSocketRequest, ResponsesSocketSettings};
use tower_openai::sse::{EventSource, ResponseStream};
use tower_openai::testing::{Frame, Script, Server};
use tower_openai::{Client, Error};

use crate::support::{Fields, Trace};

/// Notes each hook of the calls of the endpoint `responses`, without what is a transport's own.
#[derive(Clone, Default)]
struct Hooks(Arc<Mutex<Vec<String>>>);

impl Hooks {
    fn note(&self, call: &CallInfo, line: String) {
        if call.endpoint() == Some("responses") {
            self.0.lock().unwrap().push(line);
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observe for Hooks {
    fn on_request(&self, call: &CallInfo) {
        let said = (call.model(), call.is_streaming(), call.host(), call.path());
        self.note(call, format!("request {said:?} {}", call.operation_name()));
    }

    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        let outcome = match attempt.outcome {
            AttemptOutcome::Status(status) if status.as_u16() < 400 => "answered".to_owned(),
            outcome => format!("{outcome:?}"),
        };
        let (number, sent) = (attempt.attempt.number(), attempt.sent);
        self.note(call, format!("attempt {number}/{sent} {outcome} {:?}", attempt.error_kind));
    }

    fn on_head(&self, call: &CallInfo, head: &HeadInfo<'_>) {
        let good = head.status.as_u16() < 400;
        self.note(call, format!("head {}", if good { 0 } else { head.status.as_u16() }));
    }

    fn on_first_event(&self, call: &CallInfo, _: Duration) {
        self.note(call, "first event".into());
    }

    fn on_event(&self, call: &CallInfo, event: &EventInfo<'_>) {
        self.note(call, format!("event {} {}", event.event.kind(), event.from_wire));
    }

    fn on_sequence_gap(&self, call: &CallInfo, gap: SequenceGap) {
        self.note(call, format!("{gap:?}"));
    }

    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        let error = match end.outcome {
            Outcome::Error { kind, error } => Some((kind, error.is_some())),
            _ => None,
        };
        let usage = end.usage.map(|usage| usage.total_tokens);
        let said = (end.attempts, end.retries, end.events, usage, end.model);
        let id = end.response_id.is_some();
        self.note(call, format!("end {} {error:?} {said:?} {id}", end.outcome.as_str()));
    }
}

fn client(server: &Server, observe: impl Observe) -> Client {
    let builder = Client::builder().base_url(server.base_url()).api_key("sk-example-of-a-key");
    builder.observe(observe).max_retries(0).build().unwrap()
}

fn request() -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", "planted-prompt")
}

/// What is done with a call, and with its stream.
#[derive(Clone, Copy, Debug)]
enum Reader {
    ToTheEnd,
    /// It drops the stream after so many events.
    Leaves(usize),
    /// It drops the call before there is an answer.
    Cancels,
}

/// The hooks of one call of `responses`, whatever it goes over.
async fn hooks<S, Src>(hooks: &Hooks, mut responses: S, reader: Reader) -> Vec<String>
where
    S: Service<ResponsesRequest, Response = ResponseStream<Src>, Error = Error>,
    Src: EventSource + Unpin,
{
    let mut call = Box::pin(responses.ready().await.unwrap().call(request()));
    if let Reader::Cancels = reader {
        assert!(poll!(&mut call).is_pending());
        drop(call);
        return hooks.take();
    }
    if let Ok(mut stream) = call.await {
        let most = if let Reader::Leaves(events) = reader { events } else { usize::MAX };
        for _ in 0..most {
            let Some(Ok(_)) = stream.next().await else { break };
        }
    }
    hooks.take()
}

#[tokio::test]
async fn the_same_calls_are_told_by_the_same_hooks_over_both_transports() {
    let refusal = || Script::status(429).json(json!({"error": {"message": "slow down"}}));
    let gap = || {
        let delta = json!({"type": "response.output_text.delta", "delta": "x"});
        let numbered = [1, 4].map(|number| {
            let mut delta = delta.clone();
            delta["sequence_number"] = number.into();
            delta
        });
        let done = json!({"type": "response.completed", "response": {"id": "resp_1"}});
        Script::events(numbered.into_iter().chain([done]))
    };
    let late = || Script::natural().head_delay(Duration::from_secs(3600));
    type Case = (&'static str, fn() -> Script, Reader);
    let cases: [Case; 7] = [
        ("success", Script::natural, Reader::ToTheEnd),
        ("failed", || Script::natural().failed("server_error", "Oops"), Reader::ToTheEnd),
        ("incomplete", || Script::natural().incomplete("max_output_tokens"), Reader::ToTheEnd),
        ("error event", || Script::natural().error_event("server_error", "m"), Reader::ToTheEnd),
        ("gap", gap, Reader::ToTheEnd),
        ("refusal", refusal, Reader::ToTheEnd),
        ("left", || Script::natural().text("many words ".repeat(99)), Reader::Leaves(4)),
    ];
    for (name, script, reader) in
        cases.into_iter().chain([("cancelled", late as _, Reader::Cancels)])
    {
        let server = Server::start().await.unwrap();
        let told = Hooks::default();
        let client = client(&server, told.clone());
        let socket = client.responses_socket();
        let connection = socket.connect_inline(ResponsesSocketRequest::new()).await.unwrap();

        server.enqueue(script());
        let over_http = hooks(&told, client.responses(), reader).await;
        server.enqueue(script().after_handshake());
        let over_socket = hooks(&told, connection, reader).await;
        assert_eq!(over_socket, over_http, "{name}");
        assert!(over_http.len() >= 3, "{name}: {over_http:?}");
    }
}

#[tokio::test]
async fn the_span_of_a_request_on_a_socket_is_that_of_a_call_and_closes_with_its_stream() {
    let (trace, _guard) = Trace::start();
    let server = Server::start().await.unwrap();
    let client = client(&server, ());
    let handshake = ResponsesSocketRequest::new();
    let connection = client.responses_socket().connect_inline(handshake).await.unwrap();
    let [opened] = &trace.spans("call")[..] else { panic!("the handshake's") };
    assert!(opened.closed);

    let outside = tracing::info_span!("outside");
    let call = tracing::Instrument::instrument(connection.stream_request(request()), outside);
    let mut stream = call.await.unwrap();
    let span = || trace.spans("call").remove(1);
    assert!(!span().closed);
    while stream.try_next().await.unwrap().is_some() {}
    assert!(span().closed, "the connection and the stream are there still");

    client.responses().stream_request(request()).await.unwrap().final_response().await.unwrap();
    let (over_socket, over_http) = (span(), trace.spans("call").remove(2));
    assert_eq!(over_socket.parent, Some("outside"));
    // The transports have these each in its own way.
    let own = ["http.request.method", "http.response.status_code", "network.protocol.name"];
    let names = |fields: &Fields| {
        let names = fields.keys().filter(|name| !own.contains(name));
        names.copied().collect::<Vec<_>>()
    };
    assert_eq!(names(&over_socket.fields), names(&over_http.fields));
    for name in [
        "otel.name",
        "gen_ai.operation.name",
        "server.port",
        "url.path",
        "openai.api.type",
        "gen_ai.response.model",
        "gen_ai.usage.output_tokens",
        "tower_openai.outcome",
        "tower_openai.attempts",
    ] {
        assert_eq!(over_socket.fields[name], over_http.fields[name], "{name}");
    }
    assert_eq!(over_socket.fields["network.protocol.name"], "websocket");
    assert!(!over_http.fields.contains_key("network.protocol.name"));
    assert!(!trace.text().contains("planted"), "{}", trace.text());

    // An error and a drop close it too.
    server.enqueue(Script::natural().failed("server_error", "planted-sentence"));
    let stream = connection.stream_request(request()).await.unwrap();
    stream.final_response().await.unwrap_err();
    drop(connection.stream_request(request()).await.unwrap());
    let [failed, dropped] = &trace.spans("call")[3..] else { panic!("two more") };
    assert!(failed.closed && dropped.closed);
    assert_eq!(failed.fields["error.type"], "server");
    assert_eq!(failed.fields["otel.status_code"], "ERROR");
    assert_eq!(dropped.fields["tower_openai.outcome"], "dropped");
    assert_eq!(trace.events("the call failed").len(), 1);
    assert!(!trace.text().contains("planted"), "{}", trace.text());
}

#[tokio::test]
async fn content_is_recorded_on_a_socket_only_on_demand() {
    use tower::ServiceBuilder;
    use tower_openai::layers::{ProviderLayer, TelemetryLayer};
    use tower_openai::provider::Provider;
    use tower_openai::services::ResponsesSocket;
    use tower_openai::transport::HyperTransport;

    let server = Server::start().await.unwrap();
    for record in [false, true] {
        let (trace, _guard) = Trace::start();
        let socket = ServiceBuilder::new()
            .layer(ResponsesSocket::layer())
            .layer(ProviderLayer::new(Provider::new("test", server.base_url()).unwrap()))
            .layer(TelemetryLayer::new().record_content(record))
            .service(HyperTransport::new().unwrap());
        let handshake = ResponsesSocketRequest::new();
        let connection = socket.connect_inline(handshake).await.unwrap();
        let stream = connection.stream_request(request()).await.unwrap();
        stream.final_response().await.unwrap();
        let fields = trace.spans("call").remove(1).fields;
        let prompt = fields.get("gen_ai.input.messages");
        assert_eq!(prompt.is_some_and(|prompt| prompt.contains("planted-prompt")), record);
        assert_eq!(fields.contains_key("gen_ai.output.messages"), record);
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_moment_ends_once() {
    let server = Server::start().await.unwrap();
    let told = Hooks::default();
    let client = client(&server, told.clone());
    let responses = client.responses_socket().reconnecting(ResponsesSocketRequest::new());
    let mut seen = std::collections::BTreeSet::new();
    for polls in 0..60 {
        let call = async {
            let mut stream = responses.stream_request(request()).await.unwrap();
            while stream.try_next().await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        };
        let mut call = Box::pin(call);
        for _ in 0..polls {
            if poll!(&mut call).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        let lines = told.take();
        let count = |hook| lines.iter().filter(|line| line.starts_with(hook)).count();
        assert_eq!(count("request"), count("end"), "{polls}: {lines:?}");
        assert!(count("request") <= 1 && count("attempt") <= 1, "{polls}: {lines:?}");
        seen.extend(lines.last().and_then(|line| line.split(' ').nth(1)).map(str::to_owned));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["complete", "dropped"]);
}

/// Retries of the caller's request are attempts of one call.
#[tokio::test]
async fn a_request_that_is_sent_again_on_another_connection_is_one_call() {
    let server = Server::start().await.unwrap();
    let old = json!({"type": "error", "error": {"code": "websocket_connection_limit_reached", "message": "old"}});
    server.enqueue(Script::frames([Frame::wait_for(1), old.into()]));
    let told = Hooks::default();
    let responses = client(&server, told.clone())
        .responses_socket()
        .reconnecting(ResponsesSocketRequest::new());
    responses.stream_request(request()).await.unwrap().final_response().await.unwrap();
    let told = told.take();
    assert_eq!(told[1], "attempt 1/1 Error(ConnectionExpired) Some(ConnectionExpired)");
    assert_eq!(told[2], "attempt 1/2 answered None");
    assert_eq!(told.iter().filter(|line| line.starts_with("request")).count(), 1, "{told:#?}");
    let ends: Vec<_> = told.iter().filter(|line| line.starts_with("end")).collect();
    assert!(ends.len() == 1 && ends[0].starts_with("end complete"), "{ends:?}");
}

#[tokio::test]
async fn a_request_that_ends_with_its_socket_or_unsent_is_told() {
    let server = Server::start().await.unwrap();
    let told = Hooks::default();
    let client = client(&server, told.clone());
    let handshake = ResponsesSocketRequest::new();
    let connection = client.responses_socket().connect_inline(handshake).await.unwrap();
    // Too large: it was not sent.
    let large = ResponsesRequest::new("m", "x".repeat(17 * 1024 * 1024));
    connection.stream_request(large).await.unwrap_err();
    let lines = told.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].starts_with("end error Some((TooLarge, true)) (0, 0, 0"), "{lines:?}");
    // Cut before anything came.
    server.enqueue(Script::natural().cut_after(0).then_close(1011, ""));
    connection.stream_request(request()).await.unwrap_err();
    let lines = told.take();
    assert_eq!(lines[1], "attempt 1/1 Error(Closed) Some(Closed)");
    assert!(lines[2].starts_with("end error Some((Closed, true)) (1, 0, 0"), "{lines:?}");
    // Nothing begins on a connection that is over.
    connection.stream_request(request()).await.unwrap_err();
    assert!(told.take().is_empty());
}

#[tokio::test]
async fn each_request_has_a_trace_context_of_its_own_in_its_message() {
    const OWN: &str = "ws_request_header_traceparent";
    let server = Server::start().await.unwrap();
    let count = Arc::new(Mutex::new(0));
    let client = Client::builder()
        .base_url(server.base_url())
        .propagate(move |headers: &mut HeaderMap| {
            let mut count = count.lock().unwrap();
            *count += 1;
            headers
                .insert("traceparent", HeaderValue::try_from(format!("00-t-{count}-01")).unwrap());
            headers.insert("tracestate", HeaderValue::from_static("a=1"));
            headers.insert("baggage", HeaderValue::from_static("b=2"));
        })
        .build()
        .unwrap();
    let settings = ResponsesSocketSettings::new().stamped(true);
    let socket = client.responses_socket().settings(settings);
    let connection = socket.connect_inline(ResponsesSocketRequest::new()).await.unwrap();
    for asked in [
        request(),
        request().client_metadata([("own", "1"), (OWN, "overruled")]),
        request().header("traceparent", "overruled"),
    ] {
        connection.stream_request(asked).await.unwrap().final_response().await.unwrap();
    }
    let seen = server.requests().remove(0);
    assert_eq!(seen.header("traceparent"), Some("00-t-1-01"));
    let sent: Vec<_> =
        seen.messages().iter().map(|message| message["client_metadata"].clone()).collect();
    for (number, metadata) in sent.iter().enumerate() {
        assert_eq!(metadata[OWN], format!("00-t-{}-01", number + 2));
        assert_eq!(metadata["ws_request_header_tracestate"], "a=1");
        let stamp = metadata["x-codex-ws-stream-request-start-ms"].as_str().unwrap();
        assert!(stamp.parse::<u64>().unwrap() > 1_600_000_000_000);
        assert_eq!(metadata.as_object().unwrap().len(), if number == 1 { 4 } else { 3 });
    }
    assert_eq!(sent[1]["own"], "1");
}

#[tokio::test]
async fn rate_limits_that_are_said_on_a_socket_are_kept() {
    let server = Server::start().await.unwrap();
    let limits = |percent: u32| {
        json!({"type": "codex.rate_limits", "plan_type": "plus",
            "rate_limits": {"primary": {"used_percent": percent, "window_minutes": 15, "reset_at": 1}}})
    };
    let done = json!({"type": "response.completed", "response": {"id": "resp_1"}});
    let client = client(&server, ());
    let handshake = ResponsesSocketRequest::new();
    let connection = client.responses_socket().connect_inline(handshake).await.unwrap();
    let used = || client.rate_limits().limit("codex").unwrap().primary.unwrap().used_percent;
    for percent in [5, 7] {
        server.enqueue(Script::events([limits(percent), done.clone()]));
        connection.stream_request(request()).await.unwrap().final_response().await.unwrap();
        assert_eq!(used(), f64::from(percent));
    }
    // And with a refusal.
    let reached = json!({"type": "error", "status": 429, "error": {"type": "usage_limit_reached", "message": "m"},
        "headers": {"x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "15"}});
    server.enqueue(Script::frames([reached]).after_handshake());
    drop(connection.stream_request(request()).await);
    assert_eq!(used(), 100.0);
}
