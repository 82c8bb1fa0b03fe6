//! `GET responses/{id}`: a stored response as it stands.
//!
//! [`RetrieveResponse`] is a [`Service`](tower::Service) of [`RetrieveResponseRequest`], which an id
//! turns into. Its answer is the [`Response`] whatever its status: one that runs in the background is
//! done when [`is_terminal`](crate::model::ResponseStatus::is_terminal) says so. To read its events
//! instead, [`RetrieveStream`](super::retrieve_stream::RetrieveStream).
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::model::ResponseStatus;
//! use tower_openai::services::RetrieveResponse;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses/resp_1");
//!     let body = r#"{"id":"resp_1","status":"in_progress","output":[]}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let response = RetrieveResponse::new(http).send("resp_1").await?;
//! assert_eq!(response.status, Some(ResponseStatus::InProgress));
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and
//! headers; a response that is not there is [`ErrorKind::NotFound`](crate::ErrorKind::NotFound). An
//! answer may have 16 MiB.

use http::Method;

use crate::Error;
use crate::model::{Include, Response};
use crate::services::ResponsesOptions;
use crate::services::by_id::{from_id, includes};
use crate::services::encode::Outgoing;
use crate::services::endpoint::unary_endpoint;
use crate::services::options::call_options;
use crate::services::unary::{UnaryRequest, UnarySettings};

/// A request for a stored response.
#[derive(Clone, Debug)]
#[must_use]
pub struct RetrieveResponseRequest {
    id: String,
    include: Vec<Include>,
    options: ResponsesOptions,
}

impl RetrieveResponseRequest {
    /// Names the response by its id.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self {
            id: id.as_ref().to_owned(),
            include: Vec::new(),
            options: ResponsesOptions::default(),
        }
    }

    includes!();

    call_options!();
}

from_id!(RetrieveResponseRequest);

impl UnaryRequest for RetrieveResponseRequest {
    const ENDPOINT: &'static str = "retrieve_response";
    type Answer = Response;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = super::stored(&self.id)?.query_each("include", &self.include);
        Ok((Outgoing::new(Method::GET, target)?, self.options))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`RetrieveResponse`].
    pub struct RetrieveResponseLayer;
    /// The endpoint `GET responses/{id}` over an HTTP service; see the [module](self).
    pub struct RetrieveResponse: RetrieveResponseRequest => Response;
}
