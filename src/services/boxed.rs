//! [`BoxHttpService`]: a stack behind one type, to be named and stored.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::{Layer, Service};

use super::HttpService;
use crate::{BoxError, RequestBody, ResponseBody};

/// An HTTP service that a [`BoxHttpService`] can hold: an alias for what it takes.
///
/// Implemented for every [`HttpService`] of [`RequestBody`] that can be cloned and shared, whose
/// futures and response bodies are [`Send`], and that borrows nothing; it cannot be implemented by
/// hand.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put into a `BoxHttpService`",
    note = "it takes a `tower::Service<http::Request<RequestBody>, Response = http::Response<B>>` that \
            is `Clone + Send + Sync + 'static`, with `B: http_body::Body<Data = Bytes> + Send`, a \
            future that is `Send`, and errors that are `Into<BoxError>`",
    note = "`examples/reqwest_transport.rs` makes such a service of another client"
)]
pub trait BoxableHttpService:
    HttpService<RequestBody, Future: Send, ResponseBody: Send + 'static> + Clone + Send + Sync + 'static
{
}

impl<S> BoxableHttpService for S where
    S: HttpService<RequestBody, Future: Send, ResponseBody: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// An HTTP service with its type erased: a stack that can be named, stored and cloned. The preset's
/// stacks are such services.
///
/// ```
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, service_fn};
/// use tower_openai::layers::ProviderLayer;
/// use tower_openai::provider::Provider;
/// use tower_openai::services::{BoxHttpService, Responses};
/// use tower_openai::{BoxError, RequestBody};
///
/// struct App {
///     responses: Responses<BoxHttpService>,
/// }
///
/// # let transport = service_fn(|_: http::Request<RequestBody>| async {
/// #     Ok::<_, BoxError>(http::Response::new(Full::<bytes::Bytes>::default()))
/// # });
/// let responses = ServiceBuilder::new()
///     .layer(Responses::layer())
///     .layer(BoxHttpService::layer()) // static types below, one type above
///     .layer(ProviderLayer::new(Provider::openai()))
///     .service(transport);
/// let app = App { responses };
/// # let _ = app.responses;
/// ```
///
/// Each call costs a box for its future and one for the response body.
///
/// A type of its own rather than a name for tower's `BoxCloneSyncService`: with [`BoxError`] among its
/// parameters, the compiler could not tell that a future which calls it is [`Send`], and nothing
/// that uses a `Client` could be spawned.
pub struct BoxHttpService(Box<dyn Erased>);

impl BoxHttpService {
    /// Hides the type of `stack`. One that is hidden already is boxed once more.
    pub fn new<S: BoxableHttpService>(stack: S) -> Self {
        Self(Box::new(stack))
    }

    /// [`new`](Self::new) as a layer, for a place in a [`ServiceBuilder`](tower::ServiceBuilder).
    pub fn layer() -> BoxHttpServiceLayer {
        BoxHttpServiceLayer(())
    }
}

/// Turns an HTTP service into a [`BoxHttpService`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct BoxHttpServiceLayer(());

impl<S: BoxableHttpService> Layer<S> for BoxHttpServiceLayer {
    type Service = BoxHttpService;

    fn layer(&self, inner: S) -> BoxHttpService {
        BoxHttpService::new(inner)
    }
}

/// What is kept of a service whose type is hidden.
trait Erased: Send + Sync {
    fn poll_ready_erased(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>;

    fn call_erased(&mut self, request: Request<RequestBody>) -> BoxFuture;

    fn clone_erased(&self) -> Box<dyn Erased>;
}

impl<S: BoxableHttpService> Erased for S {
    fn poll_ready_erased(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.poll_ready(cx).map_err(Into::into)
    }

    fn call_erased(&mut self, request: Request<RequestBody>) -> BoxFuture {
        Box::pin(ErasedFuture { inner: self.call(request) })
    }

    fn clone_erased(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }
}

impl Clone for BoxHttpService {
    fn clone(&self) -> Self {
        Self(self.0.clone_erased())
    }
}

impl Service<Request<RequestBody>> for BoxHttpService {
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready_erased(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.0.call_erased(request)
    }
}

impl fmt::Debug for BoxHttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxHttpService").finish_non_exhaustive()
    }
}

/// The future of [`BoxHttpService`].
type BoxFuture = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>>;

pin_project_lite::pin_project! {
    /// The future of the service inside, whose body is then boxed.
    struct ErasedFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, B, E> Future for ErasedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map(|result| match result {
            Ok(response) => Ok(response.map(ResponseBody::new)),
            Err(error) => Err(error.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http_body_util::{BodyExt, Full};
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_stack_is_hidden_with_its_errors_and_bodies() {
        let http = service_fn(async |request: Request<RequestBody>| match request.uri().path() {
            "/well" => Ok(Response::new(Full::new(bytes::Bytes::from_static(b"hello")))),
            _ => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        });
        for stack in [
            BoxHttpService::new(http),
            ServiceBuilder::new().layer(BoxHttpService::layer()).service(http).clone(),
            BoxHttpService::new(BoxHttpService::new(http)),
        ] {
            let request = |path| Request::get(path).body(RequestBody::empty()).unwrap();
            let response = stack.clone().oneshot(request("/well")).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
            let error = stack.oneshot(request("/ill")).await.unwrap_err();
            assert!(error.is::<io::Error>(), "{error}");
        }
    }
}
