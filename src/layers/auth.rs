//! Adds credentials to requests that go to the provider, and to no others.
//!
//! An API client also sends requests to other hosts: upload URLs the API handed out, above all. A
//! key must not go there. [`AuthLayer`] compares the origin of each request with the one noted by
//! [`ProviderLayer`](super::ProviderLayer), or given to [`AuthLayer::for_origin`]:
//!
//! | request goes to | sent |
//! |---|---|
//! | one of these origins | with the credential, in place of a header of that name the caller set |
//! | another origin | as it is |
//! | anywhere, and no origin is known | not at all: [`ErrorKind::Build`](crate::ErrorKind::Build) |
//!
//! A credential that cannot be sent as a header is refused when it is made, so a request is never
//! anonymous by accident. To send anonymous requests, leave the layer out.
//!
//! **Place:** inside `ProviderLayer`, which makes the URI absolute, and inside retry, so that each
//! attempt is authorised afresh. The header value is shared, not copied.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer};
//! use tower_openai::provider::Provider;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! let transport = service_fn(|request: Request<()>| async move {
//!     Ok::<_, std::io::Error>(Response::new(request.headers().contains_key("authorization")))
//! });
//! let env = [("OPENAI_API_KEY", "sk-example")];
//! let stack = ServiceBuilder::new()
//!     .layer(ProviderLayer::new(Provider::openai()))
//!     .layer(AuthLayer::new(Bearer::from_source("OPENAI_API_KEY", &env)?))
//!     .service(transport);
//!
//! let ours = stack.clone().oneshot(Request::get("/models").body(())?).await?;
//! assert!(ours.into_body());
//! let upload = stack.oneshot(Request::put("https://blobs.example.com/1").body(())?).await?;
//! assert!(!upload.into_body());
//! # Ok(())
//! # }
//! ```
//!
//! The response carries a private note of the credential, so that the endpoint's errors leave it
//! out when the server quotes it.
//!
//! **Errors:** those of the service inside, and the refusal above.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use self::sealed::HeaderCredential;
use super::refusal::CallOrRefusal;
use crate::env::{EnvSource, ProcessEnv};
use crate::extensions::{Origin, SentCredential};
use crate::provider::BaseUrl;
use crate::{BoxError, Error};

const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Adds a credential, a [`Bearer`] or an [`ApiKey`], to requests for the provider; see the
/// [module](self).
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthLayer<C> {
    credential: C,
    origin: Option<Origin>,
}

impl<C> AuthLayer<C> {
    /// A layer that adds `credential`.
    pub const fn new(credential: C) -> Self {
        Self { credential, origin: None }
    }

    /// Also adds the credential to requests for the origin of `url` (`https://host:port`; a path
    /// is ignored): for stacks without `ProviderLayer`.
    ///
    /// # Errors
    ///
    /// If `url` is not absolute `http` or `https`, or contains userinfo.
    pub fn for_origin(mut self, url: &str) -> Result<Self, Error> {
        let url = BaseUrl::parse(url).map_err(|reason| {
            Error::build(format!("the origin for `AuthLayer` cannot be used: {reason}"))
        })?;
        self.origin = Some(url.origin().clone());
        Ok(self)
    }
}

impl<S, C: Clone> Layer<S> for AuthLayer<C> {
    type Service = Auth<S, C>;

    fn layer(&self, inner: S) -> Auth<S, C> {
        Auth { inner, credential: self.credential.clone(), origin: self.origin.clone() }
    }
}

/// The service of [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Auth<S, C> {
    inner: S,
    credential: C,
    origin: Option<Origin>,
}

impl<C> Auth<(), C> {
    /// The same as [`AuthLayer::new`].
    pub const fn layer(credential: C) -> AuthLayer<C> {
        AuthLayer::new(credential)
    }
}

impl<S, C> Auth<S, C> {
    /// `inner` with `credential`, for the origin noted by `ProviderLayer`.
    pub const fn new(inner: S, credential: C) -> Self {
        Self { inner, credential, origin: None }
    }

    inner_accessors!();

    /// Whether the credential may go where the request goes.
    fn trusts<B>(&self, request: &Request<B>) -> Result<bool, Error> {
        let noted = request.extensions().get::<Origin>();
        if noted.is_none() && self.origin.is_none() {
            return Err(Error::build(
                "`AuthLayer` does not know which origin its credential is for: put \
                 `ProviderLayer` outside it, or name the origin with `AuthLayer::for_origin`",
            ));
        }
        let uri = request.uri();
        if uri.authority().is_none() {
            return Err(Error::build(
                "`AuthLayer` cannot tell where a request without an absolute URI goes: put \
                 `ProviderLayer` outside it",
            ));
        }
        Ok(noted.into_iter().chain(&self.origin).any(|origin| origin.matches(uri)))
    }
}

impl<S, C: HeaderCredential> Auth<S, C> {
    /// Adds the credential if it may go there, and says which.
    fn authorize<B>(&self, request: &mut Request<B>) -> Result<Option<HeaderValue>, Error> {
        if !self.trusts(request)? {
            return Ok(None);
        }
        let (name, value) = self.credential.header();
        request
            .headers_mut()
            .try_insert(name, value.clone())
            .map_err(|error| Error::build("the request has too many headers").with_source(error))?;
        Ok(Some(value.clone()))
    }
}

impl<S, C, B, RB> Service<Request<B>> for Auth<S, C>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    C: HeaderCredential,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = AuthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.authorize(&mut request) {
            Ok(sent) => AuthFuture { state: CallOrRefusal::call(self.inner.call(request)), sent },
            Err(error) => AuthFuture { state: CallOrRefusal::refusal(error), sent: None },
        }
    }
}

pin_project! {
    /// The response future of [`Auth`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F> {
        #[pin]
        state: CallOrRefusal<F>,
        // Marked sensitive, so `Debug` does not show it.
        sent: Option<HeaderValue>,
    }
}

impl<F, RB, E> Future for AuthFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RB>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.state.poll(cx))?;
        if let Some(sent) = this.sent.take() {
            SentCredential::note(sent, response.extensions_mut());
        }
        Poll::Ready(Ok(response))
    }
}

/// A token sent as `authorization: Bearer …`: an API key, an OAuth access token.
///
/// Its `Debug` does not show it, and the header value is marked sensitive.
#[derive(Clone)]
pub struct Bearer(HeaderValue);

impl Bearer {
    /// A bearer credential of `token`, given without the word `Bearer`.
    ///
    /// # Errors
    ///
    /// If the token is empty or holds white space or anything but visible ASCII. The error does
    /// not quote it.
    pub fn new(token: impl AsRef<str>) -> Result<Self, Error> {
        Self::checked("the bearer token", token.as_ref())
    }

    /// A bearer credential of this process's environment variable `name`, without surrounding
    /// white space.
    ///
    /// # Errors
    ///
    /// If the variable is unset, blank or unreadable, or as [`Bearer::new`]; the error names it.
    pub fn from_env(name: &str) -> Result<Self, Error> {
        Self::from_source(name, &ProcessEnv)
    }

    /// [`from_env`](Self::from_env) with another source of variables.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_source(name: &str, env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        Self::checked(&format!("`{name}`"), &required(name, env)?)
    }

    fn checked(subject: &str, token: &str) -> Result<Self, Error> {
        secret_value(subject, "Bearer ", token).map(Self)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").finish_non_exhaustive()
    }
}

impl HeaderCredential for Bearer {
    fn header(&self) -> (HeaderName, &HeaderValue) {
        (AUTHORIZATION, &self.0)
    }
}

/// A key sent as `api-key: …`, as Azure wants it.
///
/// Its `Debug` does not show it, and the header value is marked sensitive.
#[derive(Clone)]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// An API-key credential.
    ///
    /// # Errors
    ///
    /// If the key is empty or holds white space or anything but visible ASCII. The error does not
    /// quote it.
    pub fn new(key: impl AsRef<str>) -> Result<Self, Error> {
        secret_value("the API key", "", key.as_ref()).map(Self)
    }

    /// An API-key credential of this process's environment variable `name`, without surrounding
    /// white space.
    ///
    /// # Errors
    ///
    /// If the variable is unset, blank or unreadable, or as [`ApiKey::new`]; the error names it.
    pub fn from_env(name: &str) -> Result<Self, Error> {
        Self::from_source(name, &ProcessEnv)
    }

    /// [`from_env`](Self::from_env) with another source of variables.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_source(name: &str, env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        secret_value(&format!("`{name}`"), "", &required(name, env)?).map(Self)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").finish_non_exhaustive()
    }
}

impl HeaderCredential for ApiKey {
    fn header(&self) -> (HeaderName, &HeaderValue) {
        (API_KEY, &self.0)
    }
}

fn required(name: &str, env: &(impl EnvSource + ?Sized)) -> Result<String, Error> {
    env.non_blank(name)?.ok_or_else(|| {
        Error::build(format!("`{name}` is not set or blank; it should hold the credential"))
    })
}

fn secret_value(subject: &str, prefix: &str, secret: &str) -> Result<HeaderValue, Error> {
    let refuse = |reason: &str| Err(Error::build(format!("{subject} {reason}")));
    if secret.trim().is_empty() {
        return refuse("is blank");
    }
    if secret.contains(char::is_whitespace) {
        return refuse("contains white space; give the bare token, without a line end or scheme");
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("contains characters that are not visible ASCII");
    }
    match HeaderValue::try_from(format!("{prefix}{secret}")) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(value)
        }
        Err(_) => refuse("is not a legal header value"),
    }
}

mod sealed {
    use http::header::{HeaderName, HeaderValue};

    /// A credential that is one constant header.
    pub trait HeaderCredential {
        fn header(&self) -> (HeaderName, &HeaderValue);
    }
}
