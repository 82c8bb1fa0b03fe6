//! A planted secret is printed nowhere: by no `Debug` or `Display`, in no chain of causes, in no
//! trace of any crate in the stack. A process of its own, because it listens to all tracing.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::trace::TraceLayer;
use tower_openai::client::Policy;
use tower_openai::extensions::{Attempts, Call};
use tower_openai::layers::auth::{
    Cached, ChatGpt, CommandToken, Credentials, CredentialsError, HeaderCredentials, Token,
    token_fn,
};
use tower_openai::layers::telemetry::{
    AttemptInfo, CallEnd, CallInfo, HeadInfo, Observe, RetryInfo,
};
use tower_openai::layers::{
    ApiKey, AttemptLayer, AuthLayer, Bearer, CompressionLayer, HeadTimeoutLayer, IdleTimeoutLayer,
    InFlightLimitLayer, ProviderLayer, RateLimitLayer, RetriedError, RetryLayer, RetryPolicy,
    TelemetryLayer, TotalTimeoutLayer,
};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest, TurnState};
use tower_openai::sse::StreamSettings;
use tower_openai::testing::{Event, Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, Error, RequestBody};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

// None of them may be looked at by their shape alone, but for the first, which a server quotes.
const KEY: &str = "sk-planted-key-4711";
const TOKEN: &str = "planted-token-4712";
const COOKIE: &str = "planted-cookie-4713";
const ACCOUNT: &str = "planted-account-4714";
const ORGANIZATION: &str = "planted-organization-4715";
const STATE: &str = "planted-state-4716";
const OWN: &str = "planted-own-4717";

const SECRETS: [&str; 7] = [KEY, TOKEN, COOKIE, ACCOUNT, ORGANIZATION, STATE, OWN];

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    for secret in SECRETS {
        if let Some(at) = text.find(secret) {
            let start = (0..=at.saturating_sub(200)).rev().find(|at| text.is_char_boundary(*at));
            panic!("{what} shows {secret}: …{}", &text[start.unwrap_or(0)..at + secret.len()]);
        }
    }
}

#[track_caller]
fn clean(value: &impl fmt::Debug) {
    assert_clean("Debug", &format!("{value:?}"));
    assert_clean("Debug", &format!("{value:#?}"));
}

/// The error in every form it can be printed, and itself.
#[track_caller]
fn clean_error(error: Error) -> Error {
    clean(&error);
    assert_clean("Display", &format!("{error} {error:#}"));
    let chain: Vec<_> =
        error.chain().map(|cause| format!("{cause} {cause:?} {cause:#?}")).collect();
    assert_clean("the chain", &chain.join("\n"));
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        assert_clean("a source", &format!("{error} {error:?}"));
        cause = error.source();
    }
    for text in [error.message(), error.code().unwrap_or(""), error.param().unwrap_or("")] {
        assert_clean("an accessor", text);
    }
    let boxed = Error::from(BoxError::from(error));
    clean(&boxed);
    boxed
}

/// Everything that is traced, at the lowest level.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<u8>>>);

impl io::Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Trace {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        // With a single subscriber, a test without one could settle that nobody listens.
        static OTHER: OnceLock<Dispatch> = OnceLock::new();
        OTHER.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        let trace = Self::default();
        let writer = trace.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (trace, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// A request with a secret in every place that has room for one that must not be shown.
fn request() -> ResponsesRequest {
    let state = TurnState::new();
    let request = ResponsesRequest::new("gpt-5.2", "hello")
        .turn_state(state)
        .header("cookie", COOKIE)
        .header("chatgpt-account-id", ACCOUNT)
        .header("x-my-secret", OWN)
        .header("proxy-authorization", format!("Basic {TOKEN}"))
        .header("x-codex-installation-id", OWN);
    clean(&request);
    clean(request.options_ref());
    request
}

fn provider(base_url: &str) -> Provider {
    Provider::new("custom", base_url)
        .and_then(|provider| provider.header("openai-organization", ORGANIZATION))
        .and_then(|provider| provider.header("x-gateway-token", TOKEN))
        .unwrap()
}

/// Headers of an answer that quote what a client should keep to itself.
fn telling(script: Script) -> Script {
    script
        .header("set-cookie", format!("session={COOKIE}"))
        .header("x-codex-turn-state", STATE)
        .header("x-oai-is-update", OWN)
        .header("x-request-id", "req_1")
}

/// Answers of every stage that quote the key back.
fn answers() -> Vec<Script> {
    let quote = format!("Incorrect API key provided: {KEY}. Bearer {TOKEN} is no better.");
    let said = || json!({"message": quote, "code": KEY, "type": KEY, "param": KEY});
    let error_event = json!({"type": "error", "error": said()});
    let failed = json!({"type": "response.failed", "response": {"id": "r", "error": said()}});
    let incomplete = json!({"type": "response.incomplete",
        "response": {"id": "r", "incomplete_details": {"reason": KEY}}});
    let wrong = json!({"type": "response.completed", "response": {"id": [KEY], "output": KEY}});
    let broken = format!("event: {KEY}\ndata: {{\"type\":\"x\",\"{KEY}\":\n\n");
    vec![
        Script::status(401).json(json!({"error": said()})),
        Script::status(400).body(quote.clone()),
        Script::status(500).header("content-type", "text/html").body(format!("<p>{quote}</p>")),
        Script::status(401).header("x-openai-authorization-error", KEY).json(json!({})),
        Script::status(200).header("content-type", "application/json").body(quote.clone()),
        Script::status(200).json(json!({"error": said()})),
        Script::events([error_event]),
        Script::events([failed]),
        Script::events([incomplete]),
        Script::events([wrong]),
        Script::events([Event::raw(broken)]),
        Script::events([Event::data_only(json!({"error": said()}))]),
        Script::natural().cut_after(4),
        Script::natural().cut_after(4).then_reset(),
        Script::no_head(),
        Script::no_head().then_reset(),
        Script::raw_tcp(format!("HTTP/1.1 200 {KEY}\r\nbad header {KEY}\r\n\r\n")),
    ]
}

/// Reads the answer of one call, printing all there is on the way.
async fn call<S>(responses: &Responses<S>) -> Option<Error>
where
    S: tower::Service<Request<RequestBody>> + Clone + fmt::Debug,
    S: tower_openai::services::HttpService<RequestBody>,
    <S as tower_openai::services::HttpService<RequestBody>>::ResponseBody: Unpin,
{
    clean(responses);
    let request = request();
    let state = request.options_ref().turn_state.clone();
    let result = responses.stream_request(request).await;
    let mut stream = match result {
        Ok(stream) => stream,
        Err(error) => return Some(clean_error(error)),
    };
    clean(&stream);
    clean(stream.meta());
    clean(stream.meta().headers());
    clean(&state);
    loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Some(clean_error(error)),
            None => return None,
        }
    }
}

/// Prints all it is told, and counts it.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<&'static str>>>);

impl Told {
    fn note(&self, hook: &'static str, call: &CallInfo, value: &impl fmt::Debug) {
        clean(call);
        clean(value);
        self.0.lock().unwrap().push(hook);
    }

    fn has(&self, hook: &'static str) -> bool {
        self.0.lock().unwrap().contains(&hook)
    }
}

impl Observe for Told {
    fn on_request(&self, call: &CallInfo) {
        self.note("request", call, call);
    }

    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        self.note("attempt", call, attempt);
    }

    fn on_retry(&self, call: &CallInfo, retry: &RetryInfo) {
        self.note("retry", call, retry);
    }

    fn on_head(&self, call: &CallInfo, head: &HeadInfo<'_>) {
        self.note("head", call, head);
    }

    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        self.note("end", call, end);
    }
}

/// One retry, without much of a wait.
fn one_retry() -> Policy {
    let json = r#"{"default": {"retry": {"max_retries": 1, "base_ms": 1, "cap_ms": 2},
        "timeouts": {"total_ms": 60000}, "compression": "zstd", "max_in_flight": 2}}"#;
    serde_json::from_str(json).unwrap()
}

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

/// Keys of other servers look like nothing in particular.
#[tokio::test]
async fn a_key_without_a_shape_is_not_shown_when_the_server_quotes_it() {
    const HEX: &str = "0123456789abcdef0123456789abcdef";
    let server = Server::start().await.unwrap();
    let provider = || Provider::new("custom", server.base_url()).unwrap();
    let bearer = Client::builder().provider(provider()).api_key(HEX).build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider()))
        .layer(AuthLayer::new(Bearer::new(TOKEN).unwrap()))
        .layer(AuthLayer::new(ApiKey::new(HEX).unwrap()))
        .service(HyperTransport::new().unwrap());
    let by_hand = Responses::layer().layer(stack);

    let quote = format!("Access denied for key {HEX}, Bearer {HEX}.");
    let long = format!("{} {HEX} and more of it", "x".repeat(980));
    let said = || json!({"message": quote, "code": HEX, "type": HEX, "param": HEX});
    let failed = json!({"type": "response.failed", "response": {"id": HEX, "error": said()}});
    let wrong = json!({"type": "response.completed", "response": {"id": {}, "output": HEX}});
    for script in [
        Script::status(401).header("x-request-id", HEX).json(json!({"error": said()})),
        Script::status(401).header("x-openai-authorization-error", HEX).body(quote.clone()),
        Script::status(400).json(json!({"error": {"message": long}})),
        Script::status(200).json(json!({"error": said()})),
        Script::events([json!({"type": "error", "error": said()})]),
        Script::events([failed]),
        Script::events([wrong]),
    ] {
        server.enqueue(script.clone()).enqueue(script);
        let preset = bearer.responses();
        let errors = [call(&preset).await.unwrap(), call(&by_hand).await.unwrap()];
        for error in errors {
            let mut text = format!("{error} {error:?} {error:#?}");
            for cause in error.chain() {
                text.push_str(&format!("{cause} {cause:?}"));
            }
            for accessor in [error.error_type(), error.request_id(), error.authorization_error()] {
                text.push_str(accessor.unwrap_or_default());
            }
            assert!(!text.contains("0123456789"), "{text}");
        }
    }
}

/// A signature in a header, and a key that goes into the query.
#[derive(Clone)]
struct Signer;

impl Credentials<RequestBody> for Signer {
    type Future = std::future::Ready<Result<Request<RequestBody>, CredentialsError>>;

    fn authorize(&self, mut request: Request<RequestBody>) -> Self::Future {
        let mut signature = http::HeaderValue::from_static(SIGNATURE);
        signature.set_sensitive(true);
        request.headers_mut().insert("x-signature", signature);
        if let Some(call) = request.extensions().get::<Call>() {
            call.keep_secret(IN_QUERY);
        }
        std::future::ready(Ok(request))
    }
}

// Without any shape, so that only who has sent them can know them.
const REFRESHED: &str = "planted refreshed 0123456789";
const COMMAND: &str = "abcdef0123456789abcdef01";
const SIGNATURE: &str = "Scheme 9876543210fedcba";
const IN_QUERY: &str = "fedcba9876543210";

/// Of credentials that are had at run time.
#[tokio::test]
async fn row_70_tokens_from_sources_and_signatures_are_not_shown_when_the_server_quotes_them() {
    const FIRST: &str = "0123456789-first";
    const SECOND: &str = "0123456789-second";
    let (trace, _guard) = Trace::start();
    let server = Server::start().await.unwrap();
    let provider = || ProviderLayer::new(Provider::new("custom", server.base_url()).unwrap());
    // A new one for each call, so that each sends both tokens.
    let refreshing = || {
        let answers = std::sync::atomic::AtomicUsize::new(0);
        let source = token_fn(move || {
            let first = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            std::future::ready(Token::new(if first { FIRST } else { SECOND }))
        });
        AuthLayer::new(Cached::new(source)).refresh_on_unauthorized()
    };
    let command = CommandToken::new("printf").args(["%s", COMMAND]);
    let command = ChatGpt::new(Cached::new(command)).account_id(ACCOUNT).unwrap();
    let command = AuthLayer::new(command);
    let gateway = AuthLayer::new(HeaderCredentials::new("x-gateway", REFRESHED).unwrap());
    for text in [format!("{:?}", refreshing()), format!("{command:?} {gateway:?}")] {
        for secret in [FIRST, SECOND, COMMAND, ACCOUNT, REFRESHED] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    let secrets = [FIRST, SECOND, COMMAND, ACCOUNT, REFRESHED, "9876543210fedcba", IN_QUERY];
    let quote = secrets.join(", ");
    let refused = || Script::status(401).json(json!({"error": {"message": quote, "code": quote}}));
    let transport = HyperTransport::new().unwrap();
    let others = ServiceBuilder::new()
        .layer(provider())
        .layer(command)
        .layer(gateway)
        .layer(AuthLayer::new(Signer))
        .service(transport.clone());
    let others = Responses::new(others);
    let failed = json!({"type": "response.failed",
        "response": {"id": quote, "error": {"message": quote, "code": "x"}}});
    for (first, known) in [(true, &secrets[..2]), (false, &secrets[2..])] {
        for script in [refused(), Script::events([failed.clone()])] {
            let error = if first {
                server.enqueue(refused()).enqueue(script);
                let stack = ServiceBuilder::new().layer(provider()).layer(refreshing());
                let responses = Responses::new(stack.service(transport.clone()));
                responses.stream_request(ResponsesRequest::new("m", "x")).await
            } else {
                server.enqueue(script);
                others.stream_request(ResponsesRequest::new("m", "x")).await
            };
            let error = match error {
                Err(error) => error,
                Ok(mut stream) => loop {
                    if let Some(Err(error)) = stream.next().await {
                        break error;
                    }
                },
            };
            let mut text = format!("{error} {error:?} {error:#?} {:?}", error.code());
            for cause in error.chain() {
                text.push_str(&format!("{cause} {cause:?}"));
            }
            for secret in known {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
            // The server did quote: what this call never sent is there.
            assert!(text.contains("[redacted]"), "{text}");
        }
    }
    let sent = server.requests();
    assert_eq!(sent[0].header("authorization"), Some(&*format!("Bearer {FIRST}")));
    assert_eq!(sent[1].header("authorization"), Some(&*format!("Bearer {SECOND}")));
    assert_eq!(sent.last().unwrap().header("x-signature"), Some(SIGNATURE));
    let traced = trace.text();
    assert!(traced.contains("hyper_util::client"), "the transport was listened to");
    for secret in secrets {
        assert!(!traced.contains(secret), "the trace shows {secret}");
    }
}

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
