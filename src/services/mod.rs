//! Endpoints: each a [`tower::Service`] of its typed request, over any HTTP service.
//!
//! An endpoint is where the typed level and the HTTP level meet, and the only place: above it
//! layers see the typed request, below it an [`http::Request`] of a [`RequestBody`]. `X::layer()`
//! puts the endpoint into a [`ServiceBuilder`](tower::ServiceBuilder), `X::new(http)` wraps a
//! service directly. The request's URI is relative to the provider's base URL, which
//! [`ProviderLayer`](crate::layers::ProviderLayer) adds.
//!
//! [`RequestBody`]: crate::RequestBody

mod encode;
mod meta;
mod options;
mod request;
pub mod responses;
mod stream;

use std::future::Future;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;
use tower::Service;

use crate::BoxError;

pub use self::meta::ResponseMeta;
pub(crate) use self::options::TURN_STATE;
pub use self::options::{
    Compression, ResponsesOptions, SessionHeaders, SessionSource, SubAgentSource, TurnState,
};
pub use self::request::ResponsesRequest;
pub use self::responses::{Responses, ResponsesLayer};
pub use self::stream::{ResponsesFuture, StreamRequest};

/// Any HTTP service an endpoint can stand on: an alias for
/// `Service<http::Request<B>, Response = http::Response<RB>>` with boxable errors.
///
/// Implemented for every such service; it cannot be implemented by hand.
pub trait HttpService<B>: sealed::Sealed<B> {
    /// The body of its responses.
    type ResponseBody: Body<Data = Bytes, Error: Into<BoxError>>;
    /// Its error.
    type Error: Into<BoxError>;
    /// Its response future.
    type Future: Future<Output = Result<http::Response<Self::ResponseBody>, Self::Error>>;

    /// See [`Service::poll_ready`].
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// See [`Service::call`].
    fn call(&mut self, request: http::Request<B>) -> Self::Future;
}

impl<S, B, RB> HttpService<B> for S
where
    S: Service<http::Request<B>, Response = http::Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type ResponseBody = RB;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::poll_ready(self, cx)
    }

    fn call(&mut self, request: http::Request<B>) -> S::Future {
        Service::call(self, request)
    }
}

mod sealed {
    pub trait Sealed<B> {}

    impl<S, B, RB> Sealed<B> for S where
        S: tower::Service<http::Request<B>, Response = http::Response<RB>>
    {
    }
}
