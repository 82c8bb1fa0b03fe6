//! Attempts without a call around them, the headers they carry on, and the metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_openai::extensions::Attempt;
use tower_openai::layers::telemetry::{
    AttemptInfo, AttemptLayer, CallInfo, MetricsObserver, Observe, OpenTelemetry, Propagate,
    TelemetryLayer,
};
use tower_openai::layers::{AuthLayer, Bearer};
use tower_openai::services::{Responses, ResponsesRequest, ResponsesSocketRequest};
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client, ErrorKind};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Again, Trace, answer, full, get, status, transport};

/// Keeps what it is told of attempts.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Observe for Seen {
    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        let error = attempt.error.map(ToString::to_string);
        let line = format!(
            "{} {:?} {:?} {:?} {error:?} {:?} {:?} {:?} {:?}",
            call.id(),
            attempt.outcome,
            attempt.error_kind,
            attempt.version,
            attempt.auth_header,
            attempt.request_id,
            attempt.authorization_error,
            attempt.code,
        );
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn an_observer_of_its_own_needs_no_call_around() {
    let seen = Seen::default();
    let auth = AuthLayer::new(Bearer::new("planted-token").unwrap()).for_origin("https://x.test");
    let layers = ServiceBuilder::new()
        .layer(auth.unwrap())
        .layer(AttemptLayer::new().observe(seen.clone()))
        .into_inner();
    let refused = transport(|_| {
        let mut answer = status(401, "");
        let headers = answer.headers_mut();
        headers.insert("x-request-id", HeaderValue::from_static("req_1"));
        headers.insert("x-openai-authorization-error", HeaderValue::from_static("planted-token!"));
        // {"error":{"code":"token_expired"}}
        let code = "eyJlcnJvciI6eyJjb2RlIjoidG9rZW5fZXhwaXJlZCJ9fQ==";
        headers.insert("x-error-json", HeaderValue::from_static(code));
        Ok(answer)
    });
    let broken = transport(|_| Err(BoxError::from("no route")));
    drop(layers.layer(refused).oneshot(get("https://x.test/a")).await.unwrap());
    layers.layer(broken).oneshot(get("https://other.test/b")).await.map(drop).unwrap_err();
    assert_eq!(
        *seen.0.lock().unwrap(),
        [
            "1 Status(401) Some(Auth) Some(HTTP/1.1) None Some(\"authorization\") Some(\"req_1\") \
             Some(\"[redacted]!\") Some(\"token_expired\")",
            "2 Error(Transport) Some(Transport) None Some(\"no route\") None None None None",
        ]
    );
}

#[tokio::test]
async fn alone_an_attempt_counts_by_its_extension() {
    let (trace, _guard) = Trace::start();
    let service = AttemptLayer::new().layer(transport(|_| Ok(status(200, ""))));
    let mut request = get("https://user:planted@x.test/y?sig=planted");
    request.extensions_mut().insert(Attempt::FIRST.next().next());
    drop(service.oneshot(request).await.unwrap());
    let [attempt] = &trace.spans("attempt")[..] else { panic!("one attempt") };
    assert_eq!(attempt.fields["http.request.resend_count"], "2");
    assert_eq!(attempt.fields["url.full"], "https://x.test/y");
    assert!(!trace.text().contains("planted"), "{}", trace.text());
}

// What goes on to the server.

#[tokio::test]
async fn headers_are_written_on_each_attempt_after_all_others() {
    let layer = AttemptLayer::new().propagate(|headers: &mut HeaderMap| {
        let auth = headers.contains_key("authorization");
        headers.insert("traceparent", if auth { "with-auth" } else { "bare" }.parse().unwrap());
    });
    let echo = transport(|request| {
        let mut answer = Response::new(full(""));
        *answer.headers_mut() = request.headers().clone();
        Ok(answer)
    });
    let auth = AuthLayer::new(Bearer::new("token").unwrap()).for_origin("https://x.test").unwrap();
    let stack = ServiceBuilder::new().layer(auth).layer(layer).service(echo);
    let mut request = get("https://x.test/y");
    request.headers_mut().insert("traceparent", HeaderValue::from_static("the caller's"));
    let answer = stack.oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["traceparent"], "with-auth");
}

#[test]
fn what_never_writes_says_so() {
    let writes = |headers: &mut HeaderMap| drop(headers.insert("x", HeaderValue::from_static("")));
    assert!(writes.injects() && Some(Arc::new(writes)).injects());
    assert!(!().injects() && !Arc::new(()).injects() && !Some(()).injects());
    assert!(!None::<Arc<dyn Propagate>>.injects());
}

#[tokio::test]
async fn the_trace_context_is_that_of_the_attempt() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let bridge = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(bridge);
    let _guard = tracing::subscriber::set_default(subscriber);

    let sent = Arc::new(Mutex::new(Vec::new()));
    let note = sent.clone();
    let http = transport(move |request| {
        note.lock().unwrap().push(request.headers()["traceparent"].to_str().unwrap().to_owned());
        let first = note.lock().unwrap().len() == 1;
        Ok(status(if first { 503 } else { 200 }, ""))
    });
    let attempts = AttemptLayer::new().propagate(OpenTelemetry).layer(http);
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new())
        .layer(Again)
        .service(BoxCloneSyncService::new(attempts));
    drop(stack.oneshot(get("https://x.test/y")).await.unwrap());

    let sent = sent.lock().unwrap();
    let [first, second] = &sent[..] else { panic!("two attempts: {sent:?}") };
    let parts = |text: &str| text.split('-').map(str::to_owned).collect::<Vec<_>>();
    let (first, second) = (parts(first), parts(second));
    assert_eq!(first.len(), 4);
    assert_eq!(first[1], second[1], "one trace");
    assert_ne!(first[2], second[2], "each attempt is a span");
    assert_ne!(first[1], "0".repeat(32));
}

#[tokio::test]
async fn without_a_propagator_or_trace_nothing_is_written() {
    let echo = transport(|request| {
        let mut answer = Response::new(full(""));
        *answer.headers_mut() = request.headers().clone();
        Ok(answer)
    });
    let service = AttemptLayer::new().propagate(OpenTelemetry).layer(echo);
    let answer = service.oneshot(get("https://x.test/y")).await.unwrap();
    assert!(answer.headers().is_empty());
}

// Metrics.

/// The values of histograms by their names and labels.
#[derive(Default)]
struct Values(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

struct Value(String, Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

impl metrics::HistogramFn for Value {
    fn record(&self, value: f64) {
        self.1.lock().unwrap().entry(self.0.clone()).or_default().push(value);
    }
}

impl metrics::Recorder for Values {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        assert!(name.as_str().starts_with("gen_ai.client.") && unit.is_some());
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        unreachable!("there are only histograms")
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        unreachable!("there are only histograms")
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Histogram::from_arc(Arc::new(Value(name, self.0.clone())))
    }
}

#[tokio::test(start_paused = true)]
async fn the_four_metrics_of_the_conventions() {
    let recorder = Values::default();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let layer = TelemetryLayer::new().observe(MetricsObserver::new());

    let http = transport(|_| Ok(Response::new(full(answer()))));
    let responses = Responses::new(layer.layer(http));
    let mut stream = responses.stream_request(ResponsesRequest::new("m", "x")).await.unwrap();
    stream.try_next().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stream.final_response().await.unwrap();

    let refused = transport(|_| Ok(status(503, "")));
    let call = Responses::new(layer.layer(refused)).stream_request(ResponsesRequest::new("m", "x"));
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Server);

    let values = recorder.0.lock().unwrap();
    let lines: Vec<_> = values.iter().map(|(key, values)| format!("{key} {values:?}")).collect();
    let call = "gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m \
                openai.api.type=responses";
    let served = format!("{call} gen_ai.response.model=gpt-5.2-2026");
    assert_eq!(
        lines,
        [
            format!("gen_ai.client.operation.duration {call} error.type=server [0.0]"),
            format!("gen_ai.client.operation.duration {served} [3.0]"),
            format!("gen_ai.client.operation.time_per_output_chunk {call} [3.0, 0.0]"),
            format!("gen_ai.client.operation.time_to_first_chunk {served} [0.0]"),
            format!("gen_ai.client.token.usage {served} gen_ai.token.type=input [11.0]"),
            format!("gen_ai.client.token.usage {served} gen_ai.token.type=output [7.0]"),
        ]
    );
}

#[tokio::test]
async fn a_request_on_a_socket_has_the_same_metrics() {
    let recorder = Values::default();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).observe(MetricsObserver::new());
    let client = client.build().unwrap();
    let handshake = ResponsesSocketRequest::new();
    let connection = client.responses_socket().connect_inline(handshake).await.unwrap();
    let request = || ResponsesRequest::new("m", "x");
    connection.stream_request(request()).await.unwrap().final_response().await.unwrap();
    client.responses().stream_request(request()).await.unwrap().final_response().await.unwrap();

    const OVER_SOCKET: &str = " network.protocol.name=websocket";
    let values = recorder.0.lock().unwrap();
    let of_responses = values.keys().filter(|key| key.contains(" openai.api.type=responses "));
    let (over_socket, over_http): (Vec<_>, Vec<_>) =
        of_responses.cloned().partition(|key| key.contains(OVER_SOCKET));
    let over_socket: Vec<_> = over_socket.iter().map(|key| key.replace(OVER_SOCKET, "")).collect();
    assert_eq!(over_socket, over_http);
    assert_eq!(over_http.len(), 5);
}

/// Each attempt of the preset carries what its propagator writes, and is in its own span then.
#[tokio::test(start_paused = true)]
async fn the_preset_writes_trace_headers_on_each_attempt() {
    let (trace, _guard) = Trace::start();
    let seen = Seen::default();
    let client = Client::builder()
        .transport(transport(|request| {
            assert_eq!(request.headers()["traceparent"], "00-1-2-01");
            Ok(status(503, ""))
        }))
        .observe(seen.clone())
        .propagate(|headers: &mut HeaderMap| {
            headers.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
        })
        .max_retries(1)
        .build()
        .unwrap();
    drop(client.http().oneshot(get("https://x.test/y")).await.unwrap());
    assert!(client.explain().to_string().contains("trace headers"));
    assert_eq!(seen.0.lock().unwrap().len(), 2);
    assert_eq!(trace.spans("attempt").len(), 2);
}

/// One more layer that propagates does not count attempts twice.
#[tokio::test]
async fn two_layers_report_an_attempt_once() {
    let (trace, _guard) = Trace::start();
    let (call, own) = (Seen::default(), Seen::default());
    let inner = AttemptLayer::new().observe(own.clone()).propagate(|headers: &mut HeaderMap| {
        headers.insert("x-inner", HeaderValue::from_static("yes"));
    });
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new().observe(call.clone()))
        .layer(Again)
        .service(BoxCloneSyncService::new(
            ServiceBuilder::new().layer(AttemptLayer::new()).layer(inner).service(transport(
                |request| {
                    assert!(request.headers().contains_key("x-inner"));
                    Ok(status(503, ""))
                },
            )),
        ));
    drop(stack.oneshot(get("https://x.test/y")).await.unwrap());
    assert_eq!((call.0.lock().unwrap().len(), own.0.lock().unwrap().len()), (3, 3));
    assert_eq!(trace.spans("attempt").len(), 3);
    assert_eq!(trace.call().fields["tower_openai.attempts"], "3");
}
