//! What credentials do, and closures that do it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::Request;

use super::CredentialsError;

/// Authorises requests: one that is added as a header, a signature over the whole request, or
/// whatever else a server wants to see.
///
/// [`AuthLayer`](super::AuthLayer) asks once for each attempt, and only for requests to the
/// origin that the credentials are for. Method, URI and body are final: a signer sees them as they
/// will be sent. So are the headers that are there, but some may join them further inside, and a
/// signature cannot cover those: headers that carry the trace on (`AttemptLayer`), `accept-encoding`
/// (`DecompressionLayer`), `cookie` (`CookieLayer`), whatever layers of yours inside add; and of the
/// transport `host`, `content-length` or `transfer-encoding`, `proxy-authorization`. Header credentials
/// implement it for any body, `impl<B> Credentials<B>`; a signer that needs the bytes of the body for
/// [`RequestBody`](crate::RequestBody).
///
/// Header values that are secret are [marked](http::HeaderValue::set_sensitive): nothing then
/// prints them, and an error that quotes one is scrubbed. `AuthLayer` itself marks those whose
/// header is known to hold secrets (`authorization`, `api-key` and their like). A secret that goes
/// elsewhere is named to [`Call::keep_secret`](crate::extensions::Call::keep_secret).
///
/// Most implementations are a closure, [`credentials_fn`]. One that needs no waiting has
/// [`std::future::Ready`] as its future:
///
/// ```
/// use std::future::{Ready, ready};
/// use http::{HeaderValue, Request};
/// use tower_openai::RequestBody;
/// use tower_openai::layers::auth::{Credentials, CredentialsError};
///
/// /// Sends the length of the body, signed by nobody.
/// struct Measured;
///
/// impl Credentials<RequestBody> for Measured {
///     type Future = Ready<Result<Request<RequestBody>, CredentialsError>>;
///
///     fn authorize(&self, mut request: Request<RequestBody>) -> Self::Future {
///         let Some(bytes) = request.body().as_bytes() else {
///             return ready(Err(CredentialsError::build("only bytes can be measured")));
///         };
///         let length = HeaderValue::from(bytes.len());
///         request.headers_mut().insert("x-measured", length);
///         ready(Ok(request))
///     }
/// }
/// ```
pub trait Credentials<B> {
    /// The future of [`authorize`](Self::authorize). Dropping it cancels the call.
    type Future: Future<Output = Result<Request<B>, CredentialsError>>;

    /// Returns `request` authorised.
    ///
    /// # Errors
    ///
    /// The future's, if the request cannot be authorised. It is then not sent.
    fn authorize(&self, request: Request<B>) -> Self::Future;

    /// Authorises `request` in place, if that takes no waiting; `None` if it does, and then the
    /// request must be as it was.
    ///
    /// It is asked first, and saves the future and a clone of the service below. It also marks its
    /// secret values as sensitive by itself: nobody looks at the names of the headers after it. The
    /// default is `None`.
    fn authorize_now(&self, request: &mut Request<B>) -> Option<Result<(), CredentialsError>> {
        let _ = request;
        None
    }
}

impl<B, C: Credentials<B> + ?Sized> Credentials<B> for Arc<C> {
    type Future = C::Future;

    fn authorize(&self, request: Request<B>) -> Self::Future {
        (**self).authorize(request)
    }

    fn authorize_now(&self, request: &mut Request<B>) -> Option<Result<(), CredentialsError>> {
        (**self).authorize_now(request)
    }
}

/// [`Credentials`] of an async closure.
///
/// ```
/// use http::{HeaderValue, Request};
/// use tower_openai::RequestBody;
/// use tower_openai::layers::AuthLayer;
/// use tower_openai::layers::auth::{CredentialsError, credentials_fn};
///
/// # async fn session_key() -> Result<String, std::io::Error> { Ok("hidden".to_owned()) }
/// let credentials = credentials_fn(|mut request: Request<RequestBody>| async move {
///     let key = session_key().await.map_err(|error| {
///         CredentialsError::transient("no session key").with_source(error)
///     })?;
///     let mut key = HeaderValue::try_from(key)
///         .map_err(|_| CredentialsError::build("the session key is no header value"))?;
///     key.set_sensitive(true);
///     request.headers_mut().insert("x-session-key", key);
///     Ok(request)
/// });
/// let layer = AuthLayer::new(credentials);
/// ```
pub const fn credentials_fn<F, B, Fut>(f: F) -> CredentialsFn<F>
where
    F: Fn(Request<B>) -> Fut,
    Fut: Future<Output = Result<Request<B>, CredentialsError>>,
{
    CredentialsFn(f)
}

/// The credentials that [`credentials_fn`] makes.
#[derive(Clone, Copy)]
pub struct CredentialsFn<F>(F);

impl<B, F, Fut> Credentials<B> for CredentialsFn<F>
where
    F: Fn(Request<B>) -> Fut,
    Fut: Future<Output = Result<Request<B>, CredentialsError>>,
{
    type Future = Fut;

    fn authorize(&self, request: Request<B>) -> Fut {
        (self.0)(request)
    }
}

impl<F> fmt::Debug for CredentialsFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsFn").finish_non_exhaustive()
    }
}
