//! `POST responses/{id}/cancel`: stop a response that runs in the background.
//!
//! [`CancelResponse`] is a [`Service`](tower::Service) of [`CancelResponseRequest`], which an id turns
//! into. Its answer is the [`Response`] as it was left; a response that is done stays as it is.
//! Dropping a stream cancels the request and not the response, if that runs in the background.
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::model::ResponseStatus;
//! use tower_openai::services::CancelResponse;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses/resp_1/cancel");
//!     let body = r#"{"id":"resp_1","status":"cancelled","output":[]}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let response = CancelResponse::new(http).send("resp_1").await?;
//! assert_eq!(response.status, Some(ResponseStatus::Cancelled));
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`]: a response that is not there, or
//! one that does not run in the background. An answer may have 16 MiB.

use http::Method;

use crate::Error;
use crate::model::Response;
use crate::services::ResponsesOptions;
use crate::services::by_id::id_request;
use crate::services::encode::Outgoing;
use crate::services::endpoint::unary_endpoint;
use crate::services::unary::{UnaryRequest, UnarySettings};

id_request! {
    /// A request to stop a response.
    pub struct CancelResponseRequest("response");
}

impl UnaryRequest for CancelResponseRequest {
    const ENDPOINT: &'static str = "cancel_response";
    type Answer = Response;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = super::stored(&self.id)?.path("/cancel");
        Ok((Outgoing::new(Method::POST, target)?, self.options))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`CancelResponse`].
    pub struct CancelResponseLayer;
    /// The endpoint `POST responses/{id}/cancel` over an HTTP service; see the [module](self).
    pub struct CancelResponse: CancelResponseRequest => Response;
}
