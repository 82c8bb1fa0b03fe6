//! `POST responses`: ask a model, read its answer as a stream.
//!
//! [`Responses`] is a [`Service`](tower::Service) of [`ResponsesRequest`] over any HTTP service; its response is a
//! [`ResponseStream`]. It stands above `ProviderLayer` in a stack, and layers above it see the
//! typed request:
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::model::ResponseEvent;
//! use tower_openai::services::{Responses, ResponsesRequest};
//! use tower_openai::RequestBody;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses");
//!     let answer = concat!(
//!         r#"data: {"type":"response.output_text.delta","delta":"Hi!"}"#, "\n\n",
//!         r#"data: {"type":"response.completed","response":{"id":"resp_1"}}"#, "\n\n",
//!     );
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(answer)))
//! });
//! let responses = ServiceBuilder::new()
//!     .concurrency_limit(8) // sees ResponsesRequest
//!     .layer(Responses::layer()) // typed above, HTTP below
//!     .service(http);
//!
//! let mut events = responses.oneshot(ResponsesRequest::new("gpt-5.2", "hello")).await?;
//! while let Some(event) = events.try_next().await? {
//!     if let ResponseEvent::OutputTextDelta(event) = event {
//!         assert_eq!(event.delta, "Hi!");
//!     }
//! }
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers; at most
//! 64 KiB of its body are read, for at most ten seconds.
//!
//! What else can be done with a response is in the modules below: to [create] it without a stream, to
//! [retrieve] it or its [stream](retrieve_stream), to [cancel] and to [delete] it, to list its [input
//! items](input_items), and to [count](input_tokens) the tokens of an input beforehand.

pub mod cancel;
pub mod create;
pub mod delete;
pub mod input_items;
pub mod input_tokens;
pub mod retrieve;
pub mod retrieve_stream;

use http::Method;

use super::encode::{Outgoing, Target};
use super::endpoint::{item_ids_setting, streaming_endpoint};
use super::request::ResponsesRequest;
use super::stream::{StreamingRequest, StreamingSettings, Written};
use crate::Error;
use crate::extensions::Call;
use crate::sse::ResponseStream;

impl StreamingRequest for ResponsesRequest {
    type Rule = ();

    fn write(self, settings: &StreamingSettings) -> Result<Written, Error> {
        let call = Call::streaming("responses", self.model_name());
        let (body, options) = self.encode(settings.item_ids, true)?;
        let post = Outgoing::new(Method::POST, Target::of("/responses"))?;
        Ok(Written { outgoing: post.json_text(body), options, call, place: None, rule: () })
    }
}

streaming_endpoint! {
    /// Turns an HTTP service into [`Responses`].
    pub struct ResponsesLayer;
    /// The Responses endpoint over an HTTP service.
    pub struct Responses: ResponsesRequest => ResponseStream;
}

item_ids_setting!(ResponsesLayer, Responses);

/// Where a stored response is.
fn stored(id: &str) -> Result<Target, Error> {
    Target::of("/responses").segment("the response's id", id)
}
