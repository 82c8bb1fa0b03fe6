//! `POST responses/compact`: make a conversation shorter, so that it fits the model's context again.
//!
//! [`Compact`] is a [`Service`](tower::Service) of [`CompactRequest`] over any HTTP service; its
//! response is the conversation to go on with. It stands above `ProviderLayer` in a stack, as
//! [`Responses`](super::Responses) does. The answer comes as a whole once it is done, so the limit
//! to set is that of the whole call, [`StreamTimeouts::total`]; the preset's is 20 minutes.
//!
//! ```
//! use http::HeaderMap;
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::model::{CompactionInput, ResponseItem};
//! use tower_openai::services::Compact;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses/compact");
//!     let body = r#"{"output":[{"type":"compaction","encrypted_content":"..."}]}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let history = [ResponseItem::user("Why is the sky blue?"), ResponseItem::assistant("Rayleigh.")];
//! let input = CompactionInput::new("gpt-5.2", &history);
//! let history = Compact::new(http).compact_input(&input, HeaderMap::new()).await?;
//! assert_eq!(history[0].kind(), "compaction");
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers as for
//! `Responses`. So is one whose items cannot all be read: part of a conversation would be lost. An
//! answer may have 16 MiB.
//!
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total
//! [`Error`]: crate::Error

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::Serialize;

use super::encode::{Outgoing, Target};
use super::endpoint::{item_ids_setting, unary_endpoint};
use super::options::{ResponsesOptions, call_options};
use super::unary::{UnaryRequest, UnarySettings, json_answer};
use super::{CallOnce, HttpService, UnaryCall};
use crate::error::parser_words;
use crate::model::{
    CompactedResponse, CompactionInput, CompactionRequest, Input, ItemIds, Outline, RawJson,
    RawObject, ResponseItem,
};
use crate::sse::AnswerFacts;
use crate::{Error, RequestBody};

/// A request to compact a conversation.
#[derive(Clone)]
#[must_use]
pub struct CompactRequest {
    payload: Payload,
    options: ResponsesOptions,
}

#[derive(Clone)]
enum Payload {
    Typed(Box<CompactionRequest>),
    /// The caller's own JSON.
    Json(RawJson),
    /// Written already, for it was borrowed.
    Written {
        model: String,
        json: Bytes,
    },
}

impl CompactRequest {
    /// Asks `model` to compact `input`.
    pub fn new(model: impl Into<String>, input: impl Into<Input>) -> Self {
        CompactionRequest::new(model, input).into()
    }

    /// A payload of the caller's own type, sent as it serialises.
    ///
    /// # Errors
    ///
    /// A body that does not serialise to a JSON object ([`ErrorKind::Build`](crate::ErrorKind::Build)).
    pub fn from_body(body: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        let object = |json: RawJson| json.parse::<RawObject>().map(|_| json);
        let json = RawJson::from_value(body).and_then(object).map_err(|error| {
            Error::build("the request body does not serialise to a JSON object")
                .with_source(parser_words(&error))
        })?;
        Ok(Self { payload: Payload::Json(json), options: ResponsesOptions::default() })
    }

    /// What `input` says, written at once, so that nothing of it is copied.
    fn borrowed(input: &CompactionInput<'_>, extra_headers: HeaderMap, item_ids: ItemIds) -> Self {
        let mut options = ResponsesOptions::with_headers(extra_headers);
        let json = serde_json::to_vec(&input.written(item_ids)).unwrap_or_else(|error| {
            options.fail(format!("it does not serialise: {error}"));
            Vec::new()
        });
        let model = input.model.to_owned();
        Self { payload: Payload::Written { model, json: json.into() }, options }
    }

    /// The typed payload; `None` if the body is the caller's own.
    pub fn payload(&self) -> Option<&CompactionRequest> {
        match &self.payload {
            Payload::Typed(request) => Some(request),
            _ => None,
        }
    }

    /// The typed payload, to change in place: what layers on the typed level do.
    pub fn payload_mut(&mut self) -> Option<&mut CompactionRequest> {
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
}

impl From<CompactionRequest> for CompactRequest {
    fn from(request: CompactionRequest) -> Self {
        let payload = Payload::Typed(Box::new(request));
        Self { payload, options: ResponsesOptions::default() }
    }
}

impl From<&CompactionInput<'_>> for CompactRequest {
    /// With a copy of the input.
    fn from(input: &CompactionInput<'_>) -> Self {
        CompactionRequest::from(input).into()
    }
}

impl fmt::Debug for CompactRequest {
    /// Of a body of the caller's own the names of its members only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CompactRequest");
        match &self.payload {
            Payload::Typed(request) => out.field("payload", request),
            Payload::Json(json) => match json.parse() {
                Ok(object) => out.field("payload", &Outline(&object)),
                Err(_) => out.field("bytes", &json.as_str().len()),
            },
            Payload::Written { model, json } => {
                out.field("model", model).field("bytes", &json.len())
            }
        };
        out.field("options", &self.options).finish()
    }
}

impl UnaryRequest for CompactRequest {
    const ENDPOINT: &'static str = "compact";
    type Answer = CompactedResponse;

    fn model(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Model {
            model: String,
        }
        match &self.payload {
            Payload::Typed(request) => Some(request.model.clone()),
            Payload::Json(json) => json.parse().ok().map(|Model { model }| model),
            Payload::Written { model, .. } => Some(model.clone()),
        }
    }

    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let item_ids = self.options.item_ids.unwrap_or(settings.item_ids);
        let post = Outgoing::new(Method::POST, Target::of("/responses/compact"))?;
        let outgoing = match self.payload {
            Payload::Typed(request) => post.json(&request.written(item_ids))?,
            Payload::Json(json) => post.json(&json)?,
            Payload::Written { json, .. } => post.json_text(json),
        };
        Ok((outgoing, self.options))
    }
}

json_answer!(CompactedResponse, |answer| AnswerFacts {
    id: answer.id.as_deref(),
    usage: answer.usage.as_ref(),
    ..AnswerFacts::default()
});

unary_endpoint! {
    /// Turns an HTTP service into [`Compact`].
    pub struct CompactLayer;
    /// The endpoint `POST responses/compact` over an HTTP service; see the [module](self).
    pub struct Compact: CompactRequest => CompactedResponse;
}

item_ids_setting!(CompactLayer, Compact);

impl<S> Compact<S> {
    /// Compacts a conversation without copying it, and gives the items to go on with.
    ///
    /// `extra_headers` go with this call. For the id, the cost and the head of the answer, or for
    /// options, [`send`](Self::send) a [`CompactRequest`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) has them.
    pub fn compact_input(
        &self,
        input: &CompactionInput<'_>,
        extra_headers: HeaderMap,
    ) -> UnaryCall<
        Self,
        CompactRequest,
        S::Future,
        S::ResponseBody,
        CompactedResponse,
        Vec<ResponseItem>,
    >
    where
        S: HttpService<RequestBody> + Clone,
    {
        let request = CompactRequest::borrowed(input, extra_headers, self.settings.item_ids);
        CallOnce::mapped(self.clone(), request, |answer| answer.into_value().output)
    }
}
