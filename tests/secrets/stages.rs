//! Answers of every stage, by the preset and by a stack of one's own.

use std::time::Duration;

use tower::{Layer, ServiceBuilder};
use tower_http::trace::TraceLayer;
use tower_openai::Client;
use tower_openai::layers::{
    ApiKey, AttemptLayer, AuthLayer, Bearer, CompressionLayer, HeadTimeoutLayer, IdleTimeoutLayer,
    InFlightLimitLayer, ProviderLayer, RateLimitLayer, RetryLayer, RetryPolicy, TelemetryLayer,
    TotalTimeoutLayer,
};
use tower_openai::services::Responses;
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;

use crate::support::*;

#[tokio::test]
async fn no_secret_is_printed_or_traced_at_any_stage() {
    let (trace, _guard) = Trace::start();
    let server = Server::start().await.unwrap();

    // The preset, with a key.
    let told = Told::default();
    let builder = Client::builder().provider(provider(server.base_url())).api_key(KEY);
    let builder = builder.observe(told.clone()).policy(one_retry());
    clean(&builder);
    let client = builder.build().unwrap();
    clean(&client);
    clean(&client.http());
    clean(client.explain());
    assert_clean("Display", &client.explain().to_string());

    // The same by hand, with a bearer token and tower-http's tracing at its most talkative.
    let bearer = Bearer::new(TOKEN).unwrap();
    let layers = (
        ProviderLayer::new(provider(server.base_url())),
        AuthLayer::new(bearer.clone()),
        AuthLayer::new(ApiKey::new(OWN).unwrap()).for_origin(server.base_url()).unwrap(),
    );
    clean(&bearer);
    clean(&layers);
    let headers = tower_http::trace::DefaultMakeSpan::new().include_headers(true);
    let on_response = tower_http::trace::DefaultOnResponse::new().include_headers(true);
    let retry = RetryPolicy::default().max_retries(1).backoff([Duration::from_millis(1)]);
    clean(&retry);
    let stack = ServiceBuilder::new()
        .layer(layers.0)
        .layer(TelemetryLayer::new().observe(told.clone()))
        .layer(TotalTimeoutLayer::new(Duration::from_secs(60)))
        .layer(CompressionLayer::zstd())
        .layer(RetryLayer::new(retry))
        .layer(InFlightLimitLayer::new(2).unwrap())
        .layer(RateLimitLayer::new())
        .layer(layers.1)
        .layer(layers.2)
        .layer(AttemptLayer::new())
        .layer(TraceLayer::new_for_http().make_span_with(headers).on_response(on_response))
        .layer(HeadTimeoutLayer::new(Duration::from_secs(60)))
        .layer(IdleTimeoutLayer::new(Duration::from_secs(60)))
        .service(HyperTransport::new().unwrap());
    let by_hand = Responses::layer().layer(stack);

    let preset = client.responses();
    server.enqueue(telling(Script::natural()));
    assert!(call(&preset).await.is_none());
    for script in answers() {
        let text = format!("{script:?}");
        let script = telling(script);
        // A call takes one of them, or both if it is retried.
        server.enqueue(script.clone()).enqueue(script.clone());
        while server.queued() > 0 {
            assert!(call(&preset).await.is_some(), "{text}");
        }
        server.enqueue(script.clone()).enqueue(script);
        while server.queued() > 0 {
            assert!(call(&by_hand).await.is_some(), "{text}");
        }
    }
    for hook in ["request", "attempt", "retry", "head", "end"] {
        assert!(told.has(hook), "{hook}");
    }
    // The secrets did go out, so there was something to hide.
    let seen = server.requests();
    assert_eq!(seen[0].header("authorization"), Some(&*format!("Bearer {KEY}")));
    assert_eq!(seen[0].header("openai-organization"), Some(ORGANIZATION));
    assert_eq!(seen[0].header("cookie"), Some(COOKIE));
    assert!(seen.iter().any(|request| request.header("api-key") == Some(OWN)));

    let traced = trace.text();
    assert!(traced.contains("hyper_util::client"), "the transport was listened to");
    assert!(traced.contains("tower_http"), "the layers were listened to");
    assert!(traced.contains("tower_openai::telemetry"), "telemetry was listened to");
    assert!(traced.contains("another one follows"), "retry was listened to");
    // What tower-http prints of the answer's head is the server's to say; ours must be marked.
    let own: String = traced.lines().filter(|line| !line.contains("finished processing")).collect();
    assert_clean("the trace", &own);
}
