//! `POST responses` without a stream: ask a model, read its answer whole.
//!
//! [`CreateResponse`] is the unary twin of [`Responses`](super::Responses): a
//! [`Service`](tower::Service) of the same [`ResponsesRequest`], whose answer is the finished
//! [`Response`]. Whatever the payload says, `stream` is sent as `false`. The answer comes as a whole
//! once it is done, so the limit to set is that of the whole call, [`StreamTimeouts::total`]; the
//! preset's is 20 minutes.
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{CreateResponse, ResponsesRequest};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses");
//!     let body = r#"{"id":"resp_1","status":"completed","output":[{"type":"message",
//!         "role":"assistant","content":[{"type":"output_text","text":"Hi!"}]}]}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let response = CreateResponse::new(http).send(ResponsesRequest::new("gpt-5.2", "hello")).await?;
//! assert_eq!(response.output_text(), "Hi!");
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! # Errors
//!
//! What the stream of the same request would end with: an answer that is not a success; one that
//! cannot be read; a response whose status is `failed`, by its error; one that is `incomplete`, as
//! [`ErrorKind::Incomplete`]. Of the last two [`Error::response`] has the response, with its partial
//! output and its usage. A response of any other status is a value: one that runs in the
//! [background](ResponsesRequest::background) is `queued`, for
//! [`RetrieveResponse`](super::retrieve::RetrieveResponse) to look after.
//!
//! An answer may have 16 MiB.
//!
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total
//! [`ErrorKind::Incomplete`]: crate::ErrorKind::Incomplete

use bytes::Bytes;
use http::Method;
use serde::de::Error as _;

use crate::Error;
use crate::error::{self, Unreadable};
use crate::model::{Response, ResponseStatus};
use crate::services::encode::{Outgoing, Target};
use crate::services::endpoint::{item_ids_setting, unary_endpoint};
use crate::services::unary::{Answer, UnaryRequest, UnarySettings};
use crate::services::{ResponseMeta, ResponsesOptions, ResponsesRequest};
use crate::sse::AnswerFacts;

impl UnaryRequest for ResponsesRequest {
    const ENDPOINT: &'static str = "create_response";
    type Answer = Response;

    fn model(&self) -> Option<String> {
        self.model_name()
    }

    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let (body, options) = self.encode(settings.item_ids, false)?;
        let post = Outgoing::new(Method::POST, Target::of("/responses"))?;
        Ok((post.json_text(body), options))
    }

    fn outcome(response: Response) -> Result<Response, Error> {
        match &response.status {
            Some(ResponseStatus::Failed) => {
                let error = error::in_stream(response.error.as_ref(), "status: failed", None);
                Err(error.with_response(Box::new(response)))
            }
            Some(ResponseStatus::Incomplete) => Err(error::incomplete(Box::new(response))),
            _ => Ok(response),
        }
    }
}

impl Answer for Response {
    fn read(_: &ResponseMeta, body: &Bytes) -> Result<Self, Unreadable> {
        let response: Self = serde_json::from_slice(body)?;
        // All members are optional, so any object would do: an error, or somebody else's answer.
        if response.id.is_empty() {
            return Err(serde_json::Error::missing_field("id").into());
        }
        Ok(response)
    }

    fn facts(&self) -> AnswerFacts<'_> {
        AnswerFacts::of(self)
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`CreateResponse`].
    pub struct CreateResponseLayer;
    /// The endpoint `POST responses`, not streamed, over an HTTP service; see the [module](self).
    pub struct CreateResponse: ResponsesRequest => Response;
}

item_ids_setting!(CreateResponseLayer, CreateResponse);
