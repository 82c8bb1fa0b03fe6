//! The secrets, the places they are planted in, and the places they are looked for.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use http::Request;
use serde_json::json;
use tower_openai::client::Policy;
use tower_openai::layers::telemetry::{
    AttemptInfo, CallEnd, CallInfo, HeadInfo, Observe, RetryInfo,
};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest, TurnState};
use tower_openai::testing::{Event, Script};
use tower_openai::{BoxError, Error, RequestBody};
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

// None of them may be looked at by their shape alone, but for the first, which a server quotes.
pub(crate) const KEY: &str = "sk-planted-key-4711";
pub(crate) const TOKEN: &str = "planted-token-4712";
pub(crate) const COOKIE: &str = "planted-cookie-4713";
pub(crate) const ACCOUNT: &str = "planted-account-4714";
pub(crate) const ORGANIZATION: &str = "planted-organization-4715";
pub(crate) const STATE: &str = "planted-state-4716";
pub(crate) const OWN: &str = "planted-own-4717";

pub(crate) const SECRETS: [&str; 7] = [KEY, TOKEN, COOKIE, ACCOUNT, ORGANIZATION, STATE, OWN];

#[track_caller]
pub(crate) fn assert_clean(what: &str, text: &str) {
    for secret in SECRETS {
        if let Some(at) = text.find(secret) {
            let start = (0..=at.saturating_sub(200)).rev().find(|at| text.is_char_boundary(*at));
            panic!("{what} shows {secret}: …{}", &text[start.unwrap_or(0)..at + secret.len()]);
        }
    }
}

#[track_caller]
pub(crate) fn clean(value: &impl fmt::Debug) {
    assert_clean("Debug", &format!("{value:?}"));
    assert_clean("Debug", &format!("{value:#?}"));
}

/// The error in every form it can be printed, and itself.
#[track_caller]
pub(crate) fn clean_error(error: Error) -> Error {
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
pub(crate) struct Trace(Arc<Mutex<Vec<u8>>>);

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
    pub(crate) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
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

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// A request with a secret in every place that has room for one that must not be shown.
pub(crate) fn request() -> ResponsesRequest {
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

pub(crate) fn provider(base_url: &str) -> Provider {
    Provider::new("custom", base_url)
        .and_then(|provider| provider.header("openai-organization", ORGANIZATION))
        .and_then(|provider| provider.header("x-gateway-token", TOKEN))
        .unwrap()
}

/// Headers of an answer that quote what a client should keep to itself.
pub(crate) fn telling(script: Script) -> Script {
    script
        .header("set-cookie", format!("session={COOKIE}"))
        .header("x-codex-turn-state", STATE)
        .header("x-oai-is-update", OWN)
        .header("x-request-id", "req_1")
}

/// Answers of every stage that quote the key back.
pub(crate) fn answers() -> Vec<Script> {
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
pub(crate) async fn call<S>(responses: &Responses<S>) -> Option<Error>
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
pub(crate) struct Told(Arc<Mutex<Vec<&'static str>>>);

impl Told {
    fn note(&self, hook: &'static str, call: &CallInfo, value: &impl fmt::Debug) {
        clean(call);
        clean(value);
        self.0.lock().unwrap().push(hook);
    }

    pub(crate) fn has(&self, hook: &'static str) -> bool {
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
pub(crate) fn one_retry() -> Policy {
    let json = r#"{"default": {"retry": {"max_retries": 1, "base_ms": 1, "cap_ms": 2},
        "timeouts": {"total_ms": 60000}, "compression": "zstd", "max_in_flight": 2}}"#;
    serde_json::from_str(json).unwrap()
}
