//! `DELETE responses/{id}`: have the server forget a stored response.
//!
//! [`DeleteResponse`] is a [`Service`](tower::Service) of [`DeleteResponseRequest`], which an id turns
//! into. The status is the whole answer: there is no value, and what the body says is not looked at.
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::DeleteResponse;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!((request.method(), request.uri().path()), (&http::Method::DELETE, "/responses/resp_1"));
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from("")))
//! });
//!
//! let answer = DeleteResponse::new(http).send("resp_1").await?;
//! assert_eq!(answer.meta().status(), 200);
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`]; a response that is not there is
//! [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).

use bytes::Bytes;
use http::{HeaderValue, Method};

use crate::Error;
use crate::error::Unreadable;
use crate::services::by_id::id_request;
use crate::services::encode::Outgoing;
use crate::services::endpoint::unary_endpoint;
use crate::services::unary::{Answer, UnaryRequest, UnarySettings};
use crate::services::{ResponseMeta, ResponsesOptions};

id_request! {
    /// A request to forget a response.
    pub struct DeleteResponseRequest("response");
}

impl UnaryRequest for DeleteResponseRequest {
    const ENDPOINT: &'static str = "delete_response";
    type Answer = ();

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let delete = Outgoing::new(Method::DELETE, super::stored(&self.id)?)?;
        Ok((delete.accept(const { HeaderValue::from_static("*/*") }), self.options))
    }
}

impl Answer for () {
    fn read(_: &ResponseMeta, _: &Bytes) -> Result<Self, Unreadable> {
        Ok(())
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`DeleteResponse`].
    pub struct DeleteResponseLayer;
    /// The endpoint `DELETE responses/{id}` over an HTTP service; see the [module](self).
    pub struct DeleteResponse: DeleteResponseRequest => ();
}
