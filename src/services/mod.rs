//! Endpoint services: typed request in, typed response out.

use std::future::Future;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;
use tower::Service;

use crate::BoxError;

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
