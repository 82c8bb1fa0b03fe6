//! The request of the Responses endpoint: a payload, and options of the call.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::options::{ResponsesOptions, call_options};
use crate::Error;
use crate::error::parser_words;
use crate::extensions::StreamTimeouts;
#[cfg(feature = "retry")]
use crate::model::StreamOptions;
use crate::model::{
    Conversation, Include, Input, ItemIds, Outline, Prompt, PromptCacheRetention, RawJson,
    RawObject, Reasoning, ResponseItem, ResponsesApiRequest, ServiceTier, TextControls, Tool,
    ToolChoice, Truncation,
};

/// A request to create a response.
///
/// ```
/// use tower_openai::model::{FunctionTool, Schema};
/// use tower_openai::services::ResponsesRequest;
///
/// let weather = FunctionTool::new("get_weather", "The weather at a place")
///     .parameters(Schema::object().property("city", Schema::string()).closed())
///     .strict(true);
/// let request = ResponsesRequest::new("gpt-5.2", "What is the weather in Lisbon?")
///     .instructions("Answer in one sentence.")
///     .tool(weather)
///     .conversation_id("c1");
/// ```
///
/// A payload of one's own types goes in by [`from_body`](Self::from_body); members that this crate
/// does not know go in by [`set`](Self::set). Whatever the payload says of `stream`, the endpoint
/// decides: [`Responses`](super::Responses) sends `true`, [`CreateResponse`](super::CreateResponse)
/// `false`.
#[derive(Clone)]
#[must_use]
pub struct ResponsesRequest {
    payload: Payload,
    options: ResponsesOptions,
}

#[derive(Clone)]
pub(super) enum Payload {
    Typed(Box<ResponsesApiRequest>),
    /// The caller's own JSON.
    Json(RawObject),
}

/// A setter for a member of the payload, typed or not.
macro_rules! members {
    ($($(#[$meta:meta])* $name:ident($ty:ty), $value:ident => $typed:expr;)*) => {$(
        $(#[$meta])*
        pub fn $name(mut self, $value: $ty) -> Self {
            let value = $typed;
            match &mut self.payload {
                Payload::Typed(request) => request.$name = value,
                _ => self.set_member(stringify!($name), &value),
            }
            self
        }
    )*};
}

impl ResponsesRequest {
    /// Asks `model` to answer `input`: a text, an item, or the turns of a conversation.
    pub fn new(model: impl Into<String>, input: impl Into<Input>) -> Self {
        ResponsesApiRequest::new(model, input).into()
    }

    /// A payload of the caller's own type, sent as it serialises but for `stream`.
    ///
    /// # Errors
    ///
    /// A body that does not serialise to a JSON object ([`ErrorKind::Build`]).
    ///
    /// [`ErrorKind::Build`]: crate::ErrorKind::Build
    pub fn from_body(body: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        let object = RawJson::from_value(body).and_then(|raw| raw.parse());
        let object = object.map_err(|error| {
            Error::build("the request body does not serialise to a JSON object")
                .with_source(parser_words(&error))
        })?;
        Ok(Self { payload: Payload::Json(object), options: ResponsesOptions::default() })
    }

    /// Sets a member of the payload by its name on the wire: one that has no setter here, or that
    /// the API does not document.
    ///
    /// A value that does not serialise is an error when the request is sent.
    pub fn set(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        self.set_member(name, value);
        self
    }

    fn set_member(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let raw = match RawJson::from_value(value) {
            Ok(raw) => raw,
            Err(error) => return self.options.fail(format!("the member `{name}`: {error}")),
        };
        if let Payload::Typed(request) = &mut self.payload {
            if !ResponsesApiRequest::has_member(name) {
                request.extra.set_raw(name, raw);
                return;
            }
            // Overrides a field by its wire name.
            match overridden(request, name, raw) {
                Ok(payload) => self.payload = payload,
                Err(error) => self.options.fail(format!("the request: {error}")),
            }
            return;
        }
        if let Payload::Json(object) = &mut self.payload {
            object.set_raw(name, raw);
        }
    }

    /// Changes the typed payload, or says that `what` needs one.
    fn typed(mut self, what: &str, change: impl FnOnce(&mut ResponsesApiRequest)) -> Self {
        match &mut self.payload {
            Payload::Typed(request) => change(request),
            Payload::Json(_) => self.options.fail(format!(
                "`{what}` adds to a typed request, but this one has a body of its own: use `set`"
            )),
        }
        self
    }

    /// Adds an item to the end of the input: a further turn, a tool's output.
    pub fn push(self, item: impl Into<ResponseItem>) -> Self {
        let item = item.into();
        self.typed("push", |request| request.input.push(item))
    }

    /// Adds items to the end of the input.
    pub fn extend(self, items: impl IntoIterator<Item = impl Into<ResponseItem>>) -> Self {
        self.typed("extend", |request| request.input.extend(items.into_iter().map(Into::into)))
    }

    /// Adds a tool that the model may call.
    pub fn tool(self, tool: impl Into<Tool>) -> Self {
        let tool = tool.into();
        self.typed("tool", |request| request.tools.push(tool))
    }

    /// Asks for data that is left out by default.
    pub fn include(self, include: impl Into<Include>) -> Self {
        let include = include.into();
        self.typed("include", |request| request.include.push(include))
    }

    members! {
        /// The model.
        model(impl Into<String>), model => model.into();
        /// What the model reads before the input.
        instructions(impl Into<String>), instructions => instructions.into();
        /// How the model reasons: an effort, or more than that.
        reasoning(impl Into<Reasoning>), reasoning => Some(reasoning.into());
        /// How the answer's text is to be: a format, a verbosity, or both.
        text(impl Into<TextControls>), text => Some(text.into());
        /// Which tool the model may or must call.
        tool_choice(impl Into<ToolChoice>), choice => choice.into();
        /// Whether the model may call tools side by side.
        parallel_tool_calls(bool), parallel => parallel;
        /// Whether the server keeps the response, for retrieval and `previous_response_id`.
        store(bool), store => store;
        /// The key of the prompt cache.
        prompt_cache_key(impl Into<String>), key => Some(key.into());
        /// The response that this one continues.
        previous_response_id(impl AsRef<str>), id => Some(id.as_ref().to_owned());
        /// The most tokens that the answer may have, those of reasoning included.
        max_output_tokens(u64), tokens => Some(tokens);
        /// How many of the likeliest tokens to report at each place.
        top_logprobs(u64), count => Some(count);
        /// The most calls of the server's own tools.
        max_tool_calls(u64), calls => Some(calls);
        /// What happens to input that does not fit the model's context.
        truncation(Truncation), rule => Some(rule);
        /// Whether the server works on when the connection is gone; needs `store`.
        background(bool), background => Some(background);
        /// The stored conversation; excludes `previous_response_id`.
        conversation(impl Into<Conversation>), conversation => Some(conversation.into());
        /// A stored prompt.
        prompt(Prompt), prompt => Some(prompt);
        /// How long the prompt cache lasts.
        prompt_cache_retention(PromptCacheRetention), rule => Some(rule);
        /// How the request is scheduled.
        service_tier(ServiceTier), tier => Some(tier);
        /// The application's own data, kept with the response.
        metadata(impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>),
            pairs => Some(texts(pairs));
        /// `false` warms a connection up and makes no answer: the response has an id and no output,
        /// and another one can [continue](Self::previous_response_id) it. Of a WebSocket only.
        generate(bool), generate => Some(generate);
        /// The client's own data (Codex).
        client_metadata(impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>),
            pairs => Some(texts(pairs));
        /// A stable id of the person, for abuse detection.
        safety_identifier(impl Into<String>), id => Some(id.into());
        /// Older form of `safety_identifier` and `prompt_cache_key`.
        user(impl Into<String>), user => Some(user.into());
    }

    /// The sampling temperature. One that is no finite number is an error when the request is sent.
    pub fn temperature(self, temperature: f64) -> Self {
        self.number("temperature", temperature, |request| &mut request.temperature)
    }

    /// The share of probability that is sampled from. One that is no finite number is an error when
    /// the request is sent.
    pub fn top_p(self, top_p: f64) -> Self {
        self.number("top_p", top_p, |request| &mut request.top_p)
    }

    fn number(
        mut self,
        name: &str,
        value: f64,
        field: impl FnOnce(&mut ResponsesApiRequest) -> &mut Option<f64>,
    ) -> Self {
        match &mut self.payload {
            _ if !value.is_finite() => {
                // JSON would have `null` in its place.
                self.options.fail(format!("`{name}` is {value}: give a finite number"));
            }
            Payload::Typed(request) => *field(request) = Some(value),
            Payload::Json(_) => self.set_member(name, &value),
        }
        self
    }

    /// The lane of a WebSocket that the request goes on, in place of the one of the handle that it is
    /// given to: see `ResponsesConnection::lane`.
    pub fn stream_id(self, lane: impl AsRef<str>) -> Self {
        self.set("stream_id", lane.as_ref())
    }

    /// The typed payload; `None` if the body is the caller's own.
    pub fn payload(&self) -> Option<&ResponsesApiRequest> {
        match &self.payload {
            Payload::Typed(request) => Some(request),
            _ => None,
        }
    }

    /// The typed payload, to change in place: what layers on the typed level do.
    pub fn payload_mut(&mut self) -> Option<&mut ResponsesApiRequest> {
        match &mut self.payload {
            Payload::Typed(request) => Some(request),
            _ => None,
        }
    }

    call_options!();

    /// Which items are sent with their ids.
    pub fn item_ids(mut self, rule: ItemIds) -> Self {
        self.options.item_ids = Some(rule);
        self
    }

    /// The longest silence of the body in bytes, [`StreamTimeouts::idle`]; zero is off.
    pub fn idle_timeout(self, limit: Duration) -> Self {
        self.timeouts(StreamTimeouts::new().idle(limit))
    }

    /// The longest wait between two events, [`StreamTimeouts::progress`]; zero is off.
    pub fn progress_timeout(self, limit: Duration) -> Self {
        self.timeouts(StreamTimeouts::new().progress(limit))
    }

    /// The longest wait for the first event, [`StreamTimeouts::first_event`]; zero leaves it to
    /// [`progress_timeout`](Self::progress_timeout).
    pub fn first_event_timeout(self, limit: Duration) -> Self {
        self.timeouts(StreamTimeouts::new().first_event(limit))
    }

    /// The body to send, with `stream` set as the endpoint says; and what is left.
    ///
    /// # Errors
    ///
    /// A body that does not serialise. What was found wrong before is told with the options.
    pub(crate) fn encode(
        self,
        item_ids: ItemIds,
        stream: bool,
    ) -> Result<(Bytes, ResponsesOptions), Error> {
        let Self { payload, options } = self;
        let body = match payload {
            Payload::Typed(mut request) => {
                request.stream = stream;
                let item_ids = options.item_ids.unwrap_or(item_ids);
                serde_json::to_vec(&request.with_item_ids(item_ids))
            }
            Payload::Json(mut object) => {
                object.set("stream", &stream).and_then(|()| serde_json::to_vec(&object))
            }
        };
        match body {
            Ok(body) => Ok((body.into(), options)),
            Err(error) => Err(Error::build("the request does not serialise").with_source(error)),
        }
    }

    /// The payload and what is said beside it.
    #[cfg(feature = "ws")]
    pub(super) fn into_parts(self) -> (Payload, ResponsesOptions) {
        (self.payload, self.options)
    }

    /// A member of the payload by its name on the wire, if it has no field here.
    #[cfg(feature = "ws")]
    pub(super) fn member(&self, name: &str) -> Option<&RawJson> {
        match &self.payload {
            Payload::Typed(request) => request.extra.get(name),
            Payload::Json(object) => object.get(name),
        }
    }

    /// The request without what only a socket takes.
    ///
    /// # Errors
    ///
    /// One that warms a socket up: over HTTP it would be answered.
    #[cfg(feature = "ws")]
    pub(super) fn over_http(mut self) -> Result<Self, Error> {
        let generate = match &mut self.payload {
            Payload::Typed(request) => {
                request.extra.remove("stream_id");
                request.generate.take()
            }
            Payload::Json(object) => {
                object.remove("stream_id");
                object.remove("generate").and_then(|raw| raw.parse().ok())
            }
        };
        if generate == Some(false) {
            return Err(Error::build(
                "the request only warms a socket up (`generate: false`), and there is no socket: leave \
                 it out",
            ));
        }
        Ok(self)
    }

    /// Whether the server keeps the response, so that its stream can be taken up again. The public
    /// API stores what does not say.
    #[cfg(feature = "retry")]
    pub(crate) fn may_be_resumed(&self) -> bool {
        match &self.payload {
            Payload::Typed(request) => request.store || request.background == Some(true),
            Payload::Json(object) => {
                let said = |name: &str| object.get(name).and_then(|value| value.parse().ok());
                said("store").unwrap_or(true) || said("background").unwrap_or(false)
            }
        }
    }

    /// What else its events hold, and whether they are padded.
    #[cfg(feature = "retry")]
    pub(crate) fn stream_details(&self) -> (Vec<Include>, Option<bool>) {
        match &self.payload {
            Payload::Typed(request) => {
                let options = request.stream_options.as_ref();
                (request.include.clone(), options.and_then(|options| options.include_obfuscation))
            }
            Payload::Json(object) => {
                let include = object.get("include").and_then(|value| value.parse().ok());
                let options = object.get("stream_options").and_then(|value| value.parse().ok());
                let padded = options.and_then(|options: StreamOptions| options.include_obfuscation);
                (include.unwrap_or_default(), padded)
            }
        }
    }

    /// The model, for telemetry.
    pub(crate) fn model_name(&self) -> Option<String> {
        match &self.payload {
            Payload::Typed(request) => Some(request.model.clone()),
            Payload::Json(object) => object.get("model")?.parse().ok(),
        }
    }
}

fn texts(
    pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// The request with one field replaced by its wire name: typed still where the types say the same
/// as the JSON, however it is spelled, so that the rules for typed requests hold on; else plain JSON.
fn overridden(
    request: &ResponsesApiRequest,
    name: &str,
    value: RawJson,
) -> Result<Payload, serde_json::Error> {
    let members = |request: &ResponsesApiRequest| RawJson::from_value(request)?.parse();
    let mut object: RawObject = members(request)?;
    object.set_raw(name, value);
    let typed = RawJson::from_value(&object)?.parse::<ResponsesApiRequest>();
    Ok(match typed {
        Ok(typed) if members(&typed).is_ok_and(|said| say_the_same(&said, &object)) => {
            Payload::Typed(Box::new(typed))
        }
        _ => Payload::Json(object),
    })
}

/// Whether two objects differ in their spelling at most: `1` and `1.0`, the order of members.
fn say_the_same(one: &RawObject, other: &RawObject) -> bool {
    let is_same = |(name, value): (&str, &RawJson)| {
        let Some(other) = other.get(name) else { return false };
        value == other
            || match (value.parse(), other.parse()) {
                (Ok(value), Ok(other)) => is_same_value(&value, &other),
                _ => false,
            }
    };
    one.len() == other.len() && one.iter().all(is_same)
}

fn is_same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| {
                    other.get(name).is_some_and(|other| is_same_value(one, other))
                })
        }
        _ => one == other,
    }
}

impl From<ResponsesApiRequest> for ResponsesRequest {
    fn from(request: ResponsesApiRequest) -> Self {
        Self { payload: Payload::Typed(Box::new(request)), options: ResponsesOptions::default() }
    }
}

impl fmt::Debug for ResponsesRequest {
    /// Of a body of the caller's own the names of its members only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ResponsesRequest");
        match &self.payload {
            Payload::Typed(request) => out.field("payload", request),
            Payload::Json(object) => out.field("payload", &Outline(object)),
        };
        out.field("options", &self.options).finish()
    }
}
