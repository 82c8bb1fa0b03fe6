//! The request of the Responses endpoint: a payload and what is said beside it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Serialize;

use super::options::{
    Compression, ResponsesOptions, SessionHeaders, SessionSource, TurnState,
};
use crate::Error;
use crate::model::{
    Input, ItemIds, RawJson, RawObject, Reasoning, ResponsesApiRequest, TextControls, Tool,
    ToolChoice,
};

/// A request to create a response, streamed.
///
/// ```
/// use tower_openai::model::{FunctionTool, Schema};
/// use tower_openai::services::ResponsesRequest;
///
/// let weather = FunctionTool::new("get_weather", "The weather at a place")
///     .parameters(Schema::object().required("city", Schema::string()));
/// let request = ResponsesRequest::new("gpt-5.2", "What is the weather in Lisbon?")
///     .instructions("Answer in one sentence.")
///     .tool(weather)
///     .conversation_id("c1");
/// ```
///
/// A payload of one's own types goes in by [`from_body`](Self::from_body); members that this crate
/// does not know go in by [`set`](Self::set). Whatever the payload says, `stream` is sent as `true`:
/// this endpoint's answer is a stream.
#[derive(Clone)]
#[must_use]
pub struct ResponsesRequest {
    payload: Payload,
    options: ResponsesOptions,
}

#[derive(Clone)]
enum Payload {
    Typed(Box<ResponsesApiRequest>),
    /// The caller's own JSON.
    Json(RawObject),
    /// Found wrong while it was put together; told when it is to be sent.
    Wrong(String),
}

/// A setter for a member of the payload, typed or not.
macro_rules! members {
    ($($(#[$meta:meta])* $name:ident($ty:ty), $value:ident => $typed:expr;)*) => {$(
        $(#[$meta])*
        pub fn $name(mut self, $value: $ty) -> Self {
            let value = $typed;
            match &mut self.payload {
                Payload::Typed(request) => request.$name = value,
                _ => self = self.set(stringify!($name), &value),
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
        let object = RawJson::from_value(body).and_then(|raw| raw.parse::<RawObject>());
        match object {
            Ok(object) => Ok(Self::with_payload(Payload::Json(object))),
            Err(error) => Err(not_an_object(error)),
        }
    }

    fn with_payload(payload: Payload) -> Self {
        Self { payload, options: ResponsesOptions::default() }
    }

    /// Sets a member of the payload by its name on the wire, for members without a setter.
    ///
    /// A name that this crate knows is replaced too. A value that does not serialise is an error
    /// when the request is sent.
    pub fn set(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        match RawJson::from_value(value) {
            Ok(raw) => match self.payload {
                Payload::Typed(mut request) => {
                    request.extra.insert(name, raw);
                    self.payload = Payload::Typed(request);
                }
                Payload::Json(mut object) => {
                    object.set(name, raw);
                    self.payload = Payload::Json(object);
                }
                Payload::Wrong(_) => {}
            },
            Err(error) => {
                self.payload = Payload::Wrong(format!("the member `{name}`: {error}"));
            }
        }
        self
    }

    members! {
        /// The model.
        model(impl Into<String>), model => model.into();
        /// What the model is told before the input.
        instructions(impl Into<String>), instructions => instructions.into();
        /// How the model reasons.
        reasoning(Reasoning), reasoning => Some(reasoning);
        /// How the answer's text is to be.
        text(TextControls), text => Some(text);
        /// Which tool the model may or must call.
        tool_choice(impl Into<ToolChoice>), choice => choice.into();
        /// Whether the model may call tools side by side.
        parallel_tool_calls(bool), parallel => parallel;
        /// Whether the server keeps the response, for retrieval and `previous_response_id`.
        store(bool), store => store;
        /// The key of the prompt cache.
        prompt_cache_key(impl Into<String>), key => Some(key.into());
        /// The response that this one continues.
        previous_response_id(impl Into<String>), id => Some(id.into());
        /// The most tokens that the answer may have, reasoning included.
        max_output_tokens(u64), tokens => Some(tokens);
        /// The sampling temperature.
        temperature(f64), temperature => Some(temperature);
        /// The nucleus of sampling.
        top_p(f64), top_p => Some(top_p);
    }
}
