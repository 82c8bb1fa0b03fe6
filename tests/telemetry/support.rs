//! What the tests of this binary share: bodies they feed, an observer that notes each hook, a
//! subscriber that notes each span, and a small retry.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_openai::extensions::Attempt;
use tower_openai::layers::telemetry::{
    AttemptInfo, CallEnd, CallInfo, EventInfo, HeadInfo, Observe, Outcome, RetryInfo, SequenceGap,
};
use tower_openai::{BoxError, RequestBody};
use tracing::Dispatch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::layer::{self, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Http = BoxCloneSyncService<Request<RequestBody>, Response<AnyBody>, BoxError>;

pub(crate) fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::from(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A transport that answers with what `answer` makes of each request.
pub(crate) fn transport<F>(answer: F) -> Http
where
    F: Fn(&Request<RequestBody>) -> Result<Response<AnyBody>, BoxError> + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    BoxCloneSyncService::new(service_fn(move |request: Request<RequestBody>| {
        let answer = answer.clone();
        async move {
            tokio::task::yield_now().await;
            answer(&request)
        }
    }))
}

/// A body that yields what is sent to it, and ends when the sender is dropped.
pub(crate) struct Fed(mpsc::UnboundedReceiver<Result<Bytes, BoxError>>);

pub(crate) type Feed = mpsc::UnboundedSender<Result<Bytes, BoxError>>;

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map_ok(Frame::data)
    }
}

/// A transport whose one answer is fed.
pub(crate) fn fed() -> (Feed, Http) {
    let (feed, body) = mpsc::unbounded_channel();
    let body = Mutex::new(Some(Fed(body)));
    let http = transport(move |_| {
        Ok(Response::new(body.lock().unwrap().take().expect("one call").boxed_unsync()))
    });
    (feed, http)
}

pub(crate) fn sse(event: &Value) -> Bytes {
    format!("data: {event}\n\n").into()
}

pub(crate) fn delta(number: u64) -> Value {
    json!({"type": "response.output_text.delta", "delta": "Hi", "sequence_number": number})
}

pub(crate) fn completed(number: u64) -> Value {
    json!({"type": "response.completed", "sequence_number": number, "response": {
        "id": "resp_1", "model": "gpt-5.2-2026", "status": "completed", "output": [
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": "planted-output"}]}],
        "usage": {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens_details": {"reasoning_tokens": 5}}}})
}

/// A whole answer.
pub(crate) fn answer() -> Bytes {
    [delta(1), delta(2), completed(3)].iter().flat_map(sse).collect::<Vec<_>>().into()
}

pub(crate) fn status(status: u16, body: &str) -> Response<AnyBody> {
    let mut response = Response::new(full(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

pub(crate) fn get(uri: &str) -> Request<RequestBody> {
    Request::get(uri).body(RequestBody::empty()).unwrap()
}

/// Sends a request again, at once, as long as the answer is a refusal; three times at most. As a
/// retry does, it counts the attempts, unless the answer is a 401.
#[derive(Clone, Copy)]
pub(crate) struct Again;

impl Layer<Http> for Again {
    type Service = Http;

    fn layer(&self, inner: Http) -> Http {
        BoxCloneSyncService::new(service_fn(move |mut request: Request<RequestBody>| {
            let inner = inner.clone();
            async move {
                for _ in 0..2 {
                    let result = inner.clone().oneshot(request.clone()).await;
                    let status = result.as_ref().ok().map(Response::status);
                    if status.is_some_and(|status| status.is_success()) {
                        return result;
                    }
                    if status != Some(StatusCode::UNAUTHORIZED) {
                        let next = Attempt::of(request.extensions()).next();
                        request.extensions_mut().insert(next);
                    }
                }
                inner.oneshot(request).await
            }
        }))
    }
}

/// Notes each hook as a line.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, call: &CallInfo, line: impl fmt::Display) {
        self.0.lock().unwrap().push(format!("{}: {line}", call.id()));
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observe for Log {
    fn on_request(&self, call: &CallInfo) {
        let endpoint = call.endpoint().unwrap_or("-");
        self.note(call, format_args!("request {} {} {endpoint}", call.method(), call.path()));
    }

    fn on_attempt(&self, call: &CallInfo, attempt: &AttemptInfo<'_>) {
        let (number, sent) = (attempt.attempt.number(), attempt.sent);
        let again = if attempt.after_unauthorized { " again" } else { "" };
        self.note(call, format_args!("attempt {number}/{sent} {:?}{again}", attempt.outcome));
    }

    fn on_retry(&self, call: &CallInfo, retry: &RetryInfo) {
        self.note(call, format_args!("retry {} after {:?}", retry.reason, retry.delay));
    }

    fn on_head(&self, call: &CallInfo, head: &HeadInfo<'_>) {
        self.note(call, format_args!("head {}", head.status.as_u16()));
    }

    fn on_first_event(&self, call: &CallInfo, elapsed: Duration) {
        self.note(call, format_args!("first event after {elapsed:?}"));
    }

    fn on_event(&self, call: &CallInfo, event: &EventInfo<'_>) {
        let (kind, waited) = (event.event.kind(), event.waited);
        self.note(call, format_args!("event {kind} waited {waited:?}"));
    }

    fn on_sequence_gap(&self, call: &CallInfo, gap: SequenceGap) {
        self.note(call, format_args!("gap {} {}", gap.last, gap.next));
    }

    fn on_end(&self, call: &CallInfo, end: &CallEnd<'_>) {
        let kind = match end.outcome {
            Outcome::Error { kind, error } => {
                format!(" {kind}{}", if error.is_some() { " typed" } else { "" })
            }
            _ => String::new(),
        };
        let tokens = end.usage.map_or(0, |usage| usage.total_tokens);
        let line = format!(
            "end {}{kind}: {} events, {} bytes, {tokens} tokens, {:?}",
            end.outcome.as_str(),
            end.events,
            end.bytes,
            end.response_id
        );
        self.note(call, line);
    }
}

// Spans.

/// What was traced with the target of telemetry.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Traced>>);

#[derive(Default)]
struct Traced {
    spans: BTreeMap<u64, Span>,
    events: Vec<Event>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) fields: Fields,
    pub(crate) parent: Option<&'static str>,
    pub(crate) closed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) fields: Fields,
    /// The name of the span that it is in.
    pub(crate) parent: Option<&'static str>,
}

pub(crate) type Fields = BTreeMap<&'static str, String>;

struct Collect<'a>(&'a mut Fields);

impl Visit for Collect<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Trace {
    /// Listens on this thread as long as the guard lives.
    pub(crate) fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        // As long as there is just one subscriber, `tracing` asks that of the thread that comes by a
        // span first whether anybody wants it: here another test's, which has none.
        static OTHER: OnceLock<Dispatch> = OnceLock::new();
        OTHER.get_or_init(|| Dispatch::new(NoSubscriber::default()));
        let trace = Self::default();
        let guard = tracing::subscriber::set_default(Registry::default().with(trace.clone()));
        (trace, guard)
    }

    /// All spans of this name, oldest first.
    pub(crate) fn spans(&self, name: &str) -> Vec<Span> {
        let traced = self.0.lock().unwrap();
        traced.spans.values().filter(|span| span.name == name).cloned().collect()
    }

    pub(crate) fn call(&self) -> Span {
        let [call] = <[Span; 1]>::try_from(self.spans("call")).expect("one call");
        call
    }

    /// The events with this message.
    pub(crate) fn events(&self, message: &str) -> Vec<Event> {
        let traced = self.0.lock().unwrap();
        let is_it = |event: &&Event| event.fields.get("message").is_some_and(|m| m == message);
        traced.events.iter().filter(is_it).cloned().collect()
    }

    /// All there is, as text.
    pub(crate) fn text(&self) -> String {
        let traced = self.0.lock().unwrap();
        format!("{:?} {:?}", traced.spans, traced.events)
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> layer::Layer<S> for Trace {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, cx: layer::Context<'_, S>) {
        let mut fields = Fields::new();
        span.record(&mut Collect(&mut fields));
        let parent = cx.span(id).and_then(|span| Some(span.parent()?.name()));
        let name = span.metadata().name();
        // Ids are used again after a span has closed.
        let mut traced = self.0.lock().unwrap();
        let key = traced.spans.len() as u64;
        if let Some(span) = cx.span(id) {
            span.extensions_mut().insert(key);
        }
        traced.spans.insert(key, Span { name, fields, parent, closed: false });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: layer::Context<'_, S>) {
        self.change(id, &cx, |span| values.record(&mut Collect(&mut span.fields)));
    }

    fn on_event(&self, event: &tracing::Event<'_>, cx: layer::Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Collect(&mut fields));
        let parent = cx.event_span(event).map(|span| span.name());
        self.0.lock().unwrap().events.push(Event { fields, parent });
    }

    fn on_close(&self, id: Id, cx: layer::Context<'_, S>) {
        self.change(&id, &cx, |span| span.closed = true);
    }
}

impl Trace {
    fn change<S>(&self, id: &Id, cx: &layer::Context<'_, S>, change: impl FnOnce(&mut Span))
    where
        S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    {
        let span = cx.span(id).expect("a span");
        let key = *span.extensions().get::<u64>().expect("its number");
        change(self.0.lock().unwrap().spans.get_mut(&key).expect("its note"));
    }
}
