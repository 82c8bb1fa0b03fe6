//! `POST responses/input_tokens`: what a request would cost before it is sent.
//!
//! [`CountInputTokens`] is a [`Service`](tower::Service) of [`CountInputTokensRequest`], which a
//! [`ResponsesRequest`] turns into:
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{CountInputTokens, ResponsesRequest};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses/input_tokens");
//!     let body = r#"{"object":"response.input_tokens","input_tokens":11}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let request = ResponsesRequest::new("gpt-5.2", "Why is the sky blue?").max_output_tokens(500);
//! let count = CountInputTokens::new(http).send(request.clone()).await?;
//! assert_eq!(count.input_tokens, 11);
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers.

use http::Method;

use crate::Error;
use crate::model::{Input, InputTokens, RawObject, ResponsesApiRequest};
use crate::services::encode::{Outgoing, Target};
use crate::services::endpoint::{item_ids_setting, unary_endpoint};
use crate::services::unary::{UnaryRequest, UnarySettings, json_answer};
use crate::services::{ResponsesOptions, ResponsesRequest};

/// The members of a request that make up its input, or say how it is read.
const COUNTED: [&str; 11] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
    "previous_response_id",
    "conversation",
];

/// A request to count the tokens of an input.
///
/// Of the [`ResponsesRequest`] inside, what the server counts is sent: model, input, instructions,
/// tools, and how they are read. Members that only a response would need, such as `store`, stay
/// behind; those that this crate does not know go along.
#[derive(Clone, Debug)]
#[must_use]
pub struct CountInputTokensRequest(ResponsesRequest);

impl CountInputTokensRequest {
    /// What `model` would read of `input`.
    pub fn new(model: impl Into<String>, input: impl Into<Input>) -> Self {
        ResponsesRequest::new(model, input).into()
    }

    /// The request whose input is counted; its options are those of this call.
    pub fn get_ref(&self) -> &ResponsesRequest {
        &self.0
    }

    /// The same, to change in place.
    pub fn get_mut(&mut self) -> &mut ResponsesRequest {
        &mut self.0
    }
}

impl From<ResponsesRequest> for CountInputTokensRequest {
    fn from(request: ResponsesRequest) -> Self {
        Self(request)
    }
}

impl UnaryRequest for CountInputTokensRequest {
    const ENDPOINT: &'static str = "count_input_tokens";
    type Answer = InputTokens;

    fn model(&self) -> Option<String> {
        self.0.model_name()
    }

    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let (body, options) = self.0.encode(settings.item_ids, false)?;
        let mut payload: RawObject = serde_json::from_slice(&body)
            .map_err(|error| Error::build("the request is not a JSON object").with_source(error))?;
        payload.retain(|name| COUNTED.contains(&name) || !ResponsesApiRequest::has_member(name));
        let post = Outgoing::new(Method::POST, Target::of("/responses/input_tokens"))?;
        Ok((post.json(&payload)?, options))
    }
}

json_answer!(InputTokens);

unary_endpoint! {
    /// Turns an HTTP service into [`CountInputTokens`].
    pub struct CountInputTokensLayer;
    /// The endpoint `POST responses/input_tokens` over an HTTP service; see the [module](self).
    pub struct CountInputTokens: CountInputTokensRequest => InputTokens;
}

item_ids_setting!(CountInputTokensLayer, CountInputTokens);
