//! A stack behind one type.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use crate::services::HttpService;
use crate::{BoxError, RequestBody, ResponseBody};

/// An HTTP service with its type erased: what the preset is, and what endpoints stand on by
/// default.
///
/// A type of its own rather than a name for a [`BoxCloneSyncService`]: with [`BoxError`] among its
/// parameters, the compiler could not tell that a future which calls it is [`Send`], and nothing
/// that uses a [`Client`](super::Client) could be spawned.
#[derive(Clone)]
pub struct BoxHttpService(Erased);

type Erased =
    BoxCloneSyncService<http::Request<RequestBody>, http::Response<ResponseBody>, BoxError>;

impl Service<http::Request<RequestBody>> for BoxHttpService {
    type Response = http::Response<ResponseBody>;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        self.0.call(request)
    }
}

/// The future of [`BoxHttpService`].
type BoxFuture =
    Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, BoxError>> + Send>>;

impl fmt::Debug for BoxHttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxHttpService").finish_non_exhaustive()
    }
}

/// Hides the type of a stack: one box per future and one per body.
pub(super) fn erase<S>(stack: S) -> BoxHttpService
where
    S: HttpService<RequestBody, Future: Send, ResponseBody: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
{
    BoxHttpService(BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_response(|response: http::Response<S::ResponseBody>| {
                response.map(ResponseBody::new)
            })
            .map_err(Into::into)
            .service(stack),
    ))
}
