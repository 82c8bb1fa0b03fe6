//! The spans of calls and attempts, and when they close.

use http::{Response, header};
use http_body_util::BodyExt;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_openai::layers::telemetry::{AttemptLayer, TelemetryLayer};
use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};

use crate::support::{
    Again, Fields, Trace, answer, completed, delta, fed, full, get, sse, status, transport,
};

#[track_caller]
fn assert_fields(fields: &Fields, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(fields.get(name).map(String::as_str), Some(*value), "{name} in {fields:#?}");
    }
}

#[tokio::test]
async fn the_span_has_the_names_of_the_conventions() {
    let (trace, _guard) = Trace::start();
    let http = transport(|_| Ok(Response::new(full(answer()))));
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(Provider::openai()))
        .layer(TelemetryLayer::new())
        .service(http);
    let stream = Responses::new(stack).stream_request(ResponsesRequest::new("gpt-5.2", "hello"));
    stream.await.unwrap().final_response().await.unwrap();

    let call = trace.call();
    assert!(call.closed);
    assert_fields(
        &call.fields,
        &[
            ("otel.name", "chat gpt-5.2"),
            ("otel.kind", "client"),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "gpt-5.2"),
            ("gen_ai.request.stream", "true"),
            ("openai.api.type", "responses"),
            ("server.address", "api.openai.com"),
            ("server.port", "443"),
            ("http.request.method", "POST"),
            ("url.path", "/v1/responses"),
            ("http.response.status_code", "200"),
            ("gen_ai.response.id", "resp_1"),
            ("gen_ai.response.model", "gpt-5.2-2026"),
            ("gen_ai.response.finish_reasons", "[\"stop\"]"),
            ("gen_ai.usage.input_tokens", "11"),
            ("gen_ai.usage.output_tokens", "7"),
            ("gen_ai.usage.cache_read.input_tokens", "3"),
            ("gen_ai.usage.reasoning.output_tokens", "5"),
            ("tower_openai.call.id", "1"),
            ("tower_openai.outcome", "complete"),
            ("tower_openai.attempts", "0"),
        ],
    );
    assert!(call.fields.contains_key("gen_ai.response.time_to_first_chunk"));
    assert!(!call.fields.contains_key("otel.status_code"));
    assert!(!call.fields.contains_key("error.type"));
}

#[tokio::test]
async fn the_provider_is_named_by_its_host_or_as_given() {
    for (uri, given, name) in [
        ("https://api.openai.com/v1/x", None, "openai"),
        ("https://r.openai.azure.com/openai/x", None, "azure.ai.openai"),
        ("https://gw.test/x", Some("acme"), "acme"),
        ("/x", None, "openai"),
    ] {
        let (trace, _guard) = Trace::start();
        let mut layer = TelemetryLayer::new();
        if let Some(given) = given {
            layer = layer.provider_name(given);
        }
        drop(layer.layer(transport(|_| Ok(status(200, "")))).oneshot(get(uri)).await.unwrap());
        let call = trace.call();
        assert_fields(&call.fields, &[("gen_ai.provider.name", name), ("otel.name", "request")]);
        assert!(!call.fields.contains_key("gen_ai.request.model"));
    }
}

#[tokio::test]
async fn the_span_closes_when_the_stream_ends_and_not_before() {
    let (trace, _guard) = Trace::start();
    let (feed, http) = fed();
    let stack = TelemetryLayer::new().layer(http);
    let responses = Responses::new(stack);
    let mut stream = responses.stream_request(ResponsesRequest::new("m", "x")).await.unwrap();
    assert!(!trace.call().closed);
    feed.send(Ok(sse(&delta(1)))).unwrap();
    stream.try_next().await.unwrap();
    assert!(!trace.call().closed);
    feed.send(Ok(sse(&completed(2)))).unwrap();
    stream.try_next().await.unwrap();
    // The connection stays open, and so does the stream's value.
    assert!(trace.call().closed);
    drop(stream);
}

#[tokio::test]
async fn the_span_closes_on_error_and_on_drop() {
    let (trace, _guard) = Trace::start();
    let (feed, http) = fed();
    let responses = Responses::new(TelemetryLayer::new().layer(http));
    let stream = responses.stream_request(ResponsesRequest::new("m", "x")).await.unwrap();
    assert!(!trace.call().closed);
    drop(stream);
    drop(feed);
    let call = trace.call();
    assert!(call.closed);
    assert_fields(&call.fields, &[("tower_openai.outcome", "dropped")]);

    let (trace, _guard) = Trace::start();
    let (feed, http) = fed();
    let service = TelemetryLayer::new().layer(http);
    let body = service.oneshot(get("https://x.test/y")).await.unwrap().into_body();
    feed.send(Err("reset".into())).unwrap();
    body.collect().await.map(drop).unwrap_err();
    let call = trace.call();
    assert!(call.closed);
    let fields = [("error.type", "transport"), ("otel.status_code", "ERROR")];
    assert_fields(&call.fields, &fields);
    let [failed] = &trace.events("the call failed")[..] else { panic!("one event") };
    assert_eq!(failed.parent, Some("call"));
    assert_fields(&failed.fields, &[("event.name", "gen_ai.client.operation.exception")]);
}

#[tokio::test]
async fn spans_inside_are_children_and_the_span_outside_is_the_parent() {
    let (trace, _guard) = Trace::start();
    let (feed, http) = fed();
    let inside = http.map_response(|response| {
        tracing::info_span!("inside");
        response
    });
    let stack = ServiceBuilder::new().layer(TelemetryLayer::new()).service(inside);
    let outside = tracing::info_span!("outside");
    let call = outside.in_scope(|| stack.oneshot(get("https://x.test/y")));
    let entered = tracing::info_span!("elsewhere").entered();
    drop(entered);
    // `oneshot` calls when it is polled.
    let response = tracing::Instrument::instrument(call, outside.clone()).await.unwrap();
    drop((response, feed));
    assert_eq!(trace.call().parent, Some("outside"));
    assert_eq!(trace.spans("inside")[0].parent, Some("call"));
}

#[tokio::test]
async fn each_attempt_has_a_span_below_the_calls() {
    let (trace, _guard) = Trace::start();
    let statuses = std::sync::Mutex::new(vec![200, 503]);
    let http = transport(move |_| {
        let mut response = status(statuses.lock().unwrap().pop().unwrap(), "");
        let headers = response.headers_mut();
        headers.insert("x-request-id", "req_1".parse().unwrap());
        headers.insert("cf-ray", "ray_1".parse().unwrap());
        headers.insert(header::SET_COOKIE, "planted-cookie".parse().unwrap());
        Ok(response)
    });
    let provider = Provider::new("x", "https://gw.test:8443/v1?sig=planted-signature").unwrap();
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider))
        .layer(TelemetryLayer::new())
        .layer(Again)
        .service(tower::util::BoxCloneSyncService::new(
            ServiceBuilder::new()
                .layer(
                    AuthLayer::new(Bearer::new("planted-token").unwrap())
                        .for_origin("https://gw.test:8443")
                        .unwrap(),
                )
                .layer(AttemptLayer::new())
                .service(http),
        ));
    let response = stack.oneshot(get("/models?after=planted-query")).await.unwrap();
    drop(response);

    let [first, second] = &trace.spans("attempt")[..] else { panic!("two attempts") };
    for attempt in [first, second] {
        assert_eq!(attempt.parent, Some("call"));
        assert!(attempt.closed);
        assert_fields(
            &attempt.fields,
            &[
                ("otel.name", "GET"),
                ("http.request.method", "GET"),
                ("url.full", "https://gw.test:8443/v1/models"),
                ("server.address", "gw.test"),
                ("server.port", "8443"),
                ("network.protocol.version", "1.1"),
                ("tower_openai.auth_header", "authorization"),
                ("http.response.header.x-request-id", "req_1"),
                ("http.response.header.cf-ray", "ray_1"),
            ],
        );
    }
    assert!(!first.fields.contains_key("http.request.resend_count"));
    assert_fields(
        &first.fields,
        &[
            ("http.response.status_code", "503"),
            ("error.type", "503"),
            ("otel.status_code", "ERROR"),
        ],
    );
    assert_fields(
        &second.fields,
        &[("http.response.status_code", "200"), ("http.request.resend_count", "1")],
    );
    assert!(!second.fields.contains_key("error.type"));
    assert_fields(&trace.call().fields, &[("tower_openai.attempts", "2")]);

    let ends = trace.events("the attempt ended");
    assert_eq!(ends.len(), 2);
    assert!(ends.iter().all(|event| event.parent == Some("attempt")));
    assert!(ends[0].fields["headers"].contains("req_1"));
    let text = trace.text();
    assert!(!text.contains("planted"), "{text}");
}

#[tokio::test]
async fn a_gap_is_traced_below_the_call() {
    let (trace, _guard) = Trace::start();
    let body: Vec<u8> = [delta(1), delta(4), completed(5)].iter().flat_map(sse).collect();
    let http = transport(move |_| Ok(Response::new(full(body.clone()))));
    let responses = Responses::new(TelemetryLayer::new().layer(http));
    let stream = responses.stream_request(ResponsesRequest::new("m", "x")).await.unwrap();
    stream.final_response().await.unwrap();
    let [gap] = &trace.events("a gap in the sequence of events")[..] else { panic!("one gap") };
    assert_eq!(gap.parent, Some("call"));
    assert_fields(&gap.fields, &[("last", "1"), ("next", "4")]);
}
