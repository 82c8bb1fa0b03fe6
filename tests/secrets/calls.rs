//! What else is printed of a call: URLs, attempts, headers, refusals, skipped events.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};
use tower_openai::extensions::Attempts;
use tower_openai::layers::{ApiKey, Bearer, ProviderLayer, RetriedError};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::sse::StreamSettings;
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, Error, RequestBody};

use crate::support::*;

#[tokio::test]
async fn a_signed_url_is_in_no_error_of_the_transport() {
    let (trace, _guard) = Trace::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for base in [format!("http://127.0.0.1:{port}/v1"), "http://x.invalid/v1".to_owned()] {
        let provider = Provider::new("x", &format!("{base}?sig={TOKEN}")).unwrap();
        let client = Client::builder().provider(provider.query("key", OWN)).build().unwrap();
        clean_error(client.responses().stream_request(request()).await.map(drop).unwrap_err());
    }
    assert_clean("the trace", &trace.text());
}

/// What retry leaves with an answer or an error of the HTTP level.
#[tokio::test]
async fn attempts_show_no_secret() {
    let (trace, _guard) = Trace::start();
    let server = Server::start().await.unwrap();
    let http = |base_url: &str| {
        let provider = Provider::new("x", &format!("{base_url}?sig={TOKEN}")).unwrap();
        let client = Client::builder().provider(provider).api_key(KEY).policy(one_retry());
        client.build().unwrap().http()
    };
    let post = || Request::post("/responses").body(RequestBody::from(OWN)).unwrap();
    let quote = || telling(Script::status(500).body(format!("{KEY} {TOKEN}")));
    server.enqueue(quote()).enqueue(quote());
    let answer = http(server.base_url()).oneshot(post()).await.unwrap();
    let attempts: &Attempts = answer.extensions().get().expect("the attempts");
    assert_eq!(attempts.all().len(), 2);
    clean(attempts);
    clean(answer.body());

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = http(&format!("http://127.0.0.1:{port}/v1")).oneshot(post()).await.unwrap_err();
    let error = error.downcast::<RetriedError>().unwrap();
    assert_eq!(error.attempts().len(), 2);
    clean(&error);
    assert_clean("Display", &format!("{error} {error:#}"));
    clean_error(Error::from(BoxError::from(error)));
    let traced = trace.text();
    assert!(traced.contains("another one follows"), "retry was listened to");
    assert_clean("the trace", &traced);
}

#[tokio::test]
async fn http2_traces_no_secret_either() {
    let (trace, _guard) = Trace::start();
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural());
    let transport = HyperTransport::builder().http2_only().build().unwrap();
    let client = Client::builder().provider(provider(server.base_url())).api_key(KEY);
    let client = client.transport(transport).build().unwrap();
    assert!(call(&client.responses()).await.is_none());
    assert_eq!(server.requests()[0].version(), http::Version::HTTP_2);
    let traced = trace.text();
    assert!(traced.contains("h2::"), "HTTP/2 was listened to");
    assert_clean("the trace", &traced);
}

/// Every header that carries a credential is marked, so that other crates hide it too.
#[tokio::test]
async fn secret_headers_are_marked_where_other_layers_see_them() {
    let seen = Arc::new(Mutex::new(HeaderMap::new()));
    let note = Arc::clone(&seen);
    let transport = service_fn(move |request: Request<RequestBody>| {
        clean(&request);
        *note.lock().unwrap() = request.headers().clone();
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let client = Client::builder().provider(provider("https://gw.test/v1")).api_key(KEY);
    let client = client.transport(transport).build().unwrap();
    drop(client.responses().stream_request(request()).await.unwrap());
    let seen = seen.lock().unwrap();
    clean(&*seen);
    for name in ["authorization", "cookie", "chatgpt-account-id", "openai-organization"] {
        assert!(seen[name].is_sensitive(), "{name}");
    }
    for name in ["x-my-secret", "proxy-authorization", "x-gateway-token"] {
        assert!(seen[name].is_sensitive(), "{name}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_without_being_shown() {
    let bad = format!("{KEY}\n");
    for result in [
        Bearer::new(&bad).map(drop),
        ApiKey::new(&bad).map(drop),
        Client::builder().api_key(&bad).build().map(drop),
        Client::builder().base_url(format!("https://user:{TOKEN}@x.test/v1")).build().map(drop),
        Provider::new("x", &format!("https://x.test/v1?key={TOKEN} x")).map(drop),
        Provider::openai().header("x-secret", &bad).map(drop),
    ] {
        clean_error(result.unwrap_err());
    }
    // A base URL or query may be signed.
    let signed = Provider::new("x", &format!("https://x.test/v1?sig={TOKEN}")).unwrap();
    let signed = signed.query("key", OWN);
    clean(&signed);
    clean(&ProviderLayer::new(signed.clone()));
    clean(&Client::builder().provider(signed));
    let bad = ResponsesRequest::new("m", "x").header("x-my-secret", bad.as_str());
    clean(&bad);
    clean(&Client::builder().base_url(format!("https://user:{TOKEN}@x.test/v1")));
}

#[tokio::test]
async fn lenient_streams_trace_no_data_of_what_they_skip() {
    let (trace, _guard) = Trace::start();
    let body = format!("event: {KEY}\ndata: {{{KEY}\n\ndata: {}\n\n", completed());
    let transport = service_fn(move |_: Request<RequestBody>| {
        let body = body.clone();
        async { Ok::<_, Infallible>(Response::new(Full::from(body))) }
    });
    let mut settings = StreamSettings::default();
    settings.lenient = true;
    let responses = Responses::new(transport).settings(settings);
    let stream = responses.stream_request(ResponsesRequest::new("m", "x")).await.unwrap();
    stream.final_response().await.unwrap();
    let traced = trace.text();
    assert!(traced.contains("skipped"), "{traced}");
    assert_clean("the trace", &traced);
}

fn completed() -> Value {
    json!({"type": "response.completed", "response": {"id": "r", "usage": {"input_tokens": KEY}}})
}
