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
//! | anywhere, with the extension [`WithoutCredentials`] | as it is |
//! | anywhere, and no origin is known | not at all: [`ErrorKind::Build`](crate::ErrorKind::Build) |
//!
//! A credential that cannot be sent as a header is refused when it is made, so a request is never
//! anonymous by accident. To send anonymous requests, leave the layer out.
//!
//! **Place:** inside `ProviderLayer`, which makes the URI absolute; inside compression, so that a
//! signature covers what is sent; inside retry, so that each attempt is authorised afresh; and
//! inside anything that follows redirects, so that each hop is looked at. The header value is
//! shared, not copied.
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
//! # Credentials
//!
//! | what | sends |
//! |---|---|
//! | [`Bearer`] | `authorization: Bearer …` |
//! | [`ApiKey`] | `api-key: …`, as Azure wants it |
//! | [`ChatGpt`] | account headers beside a token |
//! | [`HeaderCredentials`] | any constant headers |
//! | `Cached` | a bearer token from a `TokenSource` (a command, a file, a closure), kept until it expires |
//! | [`credentials_fn`] | what an async closure adds |
//! | your own | whatever [`Credentials`] can do: a signature of method, URI, headers and body |
//!
//! Those that can be had anew implement [`RefreshCredentials`], and
//! [`refresh_on_unauthorized`](AuthLayer::refresh_on_unauthorized) makes use of it: a 401 is
//! then answered with one refresh and one more attempt. Without it a 401 passes like any answer.
//!
//! What credentials add is kept out of the errors of the endpoint above when the server quotes it:
//! each header value that is marked sensitive, and what
//! [`Call::keep_secret`](crate::extensions::Call::keep_secret) was told. Values of headers that hold
//! secrets by their name, such as `authorization`, `api-key` or `x-…-token`, are marked here if
//! credentials that take time have not done it.
//!
//! # Errors
//!
//! Those of the service inside; the refusal above; and of credentials that fail,
//! [`ErrorKind::Transport`](crate::ErrorKind::Transport) if that may pass, else
//! [`ErrorKind::Build`](crate::ErrorKind::Build), with the [`CredentialsError`] as source. Nothing
//! was sent then. After a 401 it was: the [`Stage`](crate::Stage) of a refresh that fails, and of
//! whatever fails after it, is `Sent`.
//!
//! # Clone
//!
//! The service inside has to be [`Clone`], because credentials that take time hold on to the one
//! that was made ready, and leave a clone in its place. Those that are at hand never clone it. With
//! `refresh_on_unauthorized` each authorised call clones it, and the request too, for a second
//! attempt.

#[cfg(feature = "token")]
mod cached;
#[cfg(feature = "token-command")]
mod command;
mod credentials;
mod error;
#[cfg(feature = "token")]
mod file;
mod headers;
mod refresh;
#[cfg(feature = "token")]
mod token;

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::refusal::refuse;
use crate::extensions::{Call, Origin, WithoutCredentials};
use crate::provider::BaseUrl;
use crate::redaction::is_sensitive_header;
use crate::{BoxError, Error};

#[cfg(feature = "token")]
pub use self::cached::{Cached, CachedFuture, CachedRefreshFuture};
#[cfg(feature = "token-command")]
pub use self::command::CommandToken;
pub use self::credentials::{Credentials, CredentialsFn, credentials_fn};
pub use self::error::CredentialsError;
#[cfg(feature = "token")]
pub use self::file::TokenFile;
pub use self::headers::{ApiKey, Bearer, ChatGpt, ChatGptFuture, HeaderCredentials};
pub use self::refresh::{
    RefreshCredentials, Refreshed, RefreshingAuth, RefreshingAuthFuture, RefreshingAuthLayer,
    RejectedCredential,
};
#[cfg(feature = "token")]
pub use self::token::{Token, TokenFn, TokenSource, token_fn};

/// Adds [`Credentials`] to requests for the provider; see the [module](self).
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthLayer<C> {
    credentials: C,
    scope: Scope,
}

impl<C> AuthLayer<C> {
    /// A layer that adds `credentials`.
    pub const fn new(credentials: C) -> Self {
        Self { credentials, scope: Scope { named: None } }
    }

    /// Also adds the credentials to requests for the origin of `url` (`https://host:port`; a path
    /// is ignored): for stacks without `ProviderLayer`.
    ///
    /// # Errors
    ///
    /// If `url` is not absolute `http` or `https`, or contains userinfo.
    pub fn for_origin(mut self, url: &str) -> Result<Self, Error> {
        let url = BaseUrl::parse(url).map_err(|reason| {
            Error::build(format!("the origin for `AuthLayer` cannot be used: {reason}"))
        })?;
        self.scope.named = Some(url.origin().clone());
        Ok(self)
    }

    /// After a 401, refreshes the credentials and tries once more. The credentials must
    /// implement [`RefreshCredentials`], and the request [`Clone`].
    ///
    /// Of a key that never changes there is none other to be had, so that stack does not compile:
    ///
    /// ```compile_fail
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// use tower_openai::layers::{AuthLayer, Bearer};
    ///
    /// # fn main() -> Result<(), tower_openai::BoxError> {
    /// let auth = AuthLayer::new(Bearer::new("sk-example")?);
    /// let stack = ServiceBuilder::new()
    ///     .layer(auth.refresh_on_unauthorized()) // leave it out, or take `Cached`
    ///     .service(service_fn(|_: Request<()>| async {
    ///         Ok::<_, std::io::Error>(Response::new(()))
    ///     }));
    /// let _ = stack.oneshot(Request::new(()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn refresh_on_unauthorized(self) -> RefreshingAuthLayer<C> {
        RefreshingAuthLayer::new(self)
    }
}

impl<S, C: Clone> Layer<S> for AuthLayer<C> {
    type Service = Auth<S, C>;

    fn layer(&self, inner: S) -> Auth<S, C> {
        Auth { inner, credentials: self.credentials.clone(), scope: self.scope.clone() }
    }
}

/// The service of [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Auth<S, C> {
    inner: S,
    credentials: C,
    scope: Scope,
}

impl<C> Auth<(), C> {
    /// The same as [`AuthLayer::new`].
    pub const fn layer(credentials: C) -> AuthLayer<C> {
        AuthLayer::new(credentials)
    }
}

impl<S, C> Auth<S, C> {
    /// `inner` with `credentials`, for the origin noted by `ProviderLayer`.
    pub const fn new(inner: S, credentials: C) -> Self {
        Self { inner, credentials, scope: Scope { named: None } }
    }

    inner_accessors!();

    /// Authorises `request` and calls the service inside.
    #[inline]
    fn authorize<B>(
        &mut self,
        mut request: Request<B>,
        reports: bool,
    ) -> AuthFuture<S, S::Future, C::Future>
    where
        S: Service<Request<B>> + Clone,
        C: Credentials<B>,
    {
        let witness = Witness::of(&request, reports);
        match self.credentials.authorize_now(&mut request) {
            Some(Ok(())) => {
                match witness.and_then(|witness| witness.compare(&request)) {
                    // Apart: with something at hand that is to be dropped if the call panics, its
                    // future would be moved once more.
                    None => AuthFuture::calling(self.inner.call(request)),
                    sent => AuthFuture { sent, ..AuthFuture::calling(self.inner.call(request)) },
                }
            }
            Some(Err(error)) => AuthFuture::refused(error.before_sending()),
            None => {
                mark_sensitive(request.headers_mut());
                let witness = Witness::of(&request, reports);
                let clone = self.inner.clone();
                let service = Some(mem::replace(&mut self.inner, clone));
                let future = self.credentials.authorize(request);
                let waiting = Box::pin(Waiting { future, service, witness });
                AuthFuture { state: State::Authorizing { waiting }, sent: None }
            }
        }
    }
}

impl<S, C, B, RB> Service<Request<B>> for Auth<S, C>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    C: Credentials<B>,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = AuthFuture<S, S::Future, C::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    // Not inlined: where several ways to a future meet, it is moved.
    #[inline(never)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.scope.trusts(&request) {
            Ok(true) => self.authorize(request, false),
            Ok(false) => AuthFuture::calling(self.inner.call(request)),
            Err(error) => AuthFuture::refused(error),
        }
    }
}

/// Where credentials may go.
#[derive(Clone, Debug)]
struct Scope {
    /// Beside the origin that `ProviderLayer` notes.
    named: Option<Origin>,
}

impl Scope {
    fn trusts<B>(&self, request: &Request<B>) -> Result<bool, Error> {
        let noted = request.extensions().get::<Origin>();
        if noted.is_none() && self.named.is_none() {
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
        if request.extensions().get::<WithoutCredentials>().is_some() {
            return Ok(false);
        }
        let is_its = |origin: &Origin| origin.matches(uri);
        Ok(noted.is_some_and(is_its) || self.named.as_ref().is_some_and(is_its))
    }
}

/// Sees a request before and after it is authorised, and so knows what the credentials are.
struct Witness {
    /// The call whose errors must not show them.
    call: Option<Call>,
    /// Whether the layer wants to know them too.
    reports: bool,
    /// Sensitive values that were there before. None as a rule, for which nothing is allocated.
    before: Vec<HeaderValue>,
}

impl Witness {
    /// `None` if nobody wants to know.
    #[inline]
    fn of<B>(request: &Request<B>, reports: bool) -> Option<Self> {
        let call = request.extensions().get::<Call>();
        (reports || call.is_some()).then(|| {
            let before = sensitive(request.headers()).map(|(_, value)| value.clone()).collect();
            Self { call: call.cloned(), reports, before }
        })
    }

    /// Notes what `request` has now that it did not have before.
    fn compare<B>(self, request: &Request<B>) -> Option<RejectedCredential> {
        let Self { call, reports, before } = self;
        let mut added = Vec::new();
        for (name, value) in sensitive(request.headers()) {
            if before.contains(value) {
                continue;
            }
            if let Some(call) = &call {
                call.keep_header_secret(value.clone());
            }
            if reports {
                added.push((name.clone(), value.clone()));
            }
        }
        reports.then(|| RejectedCredential::new(added))
    }
}

fn sensitive(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().filter(|(_, value)| value.is_sensitive())
}

/// Marks the values that are secret by the name of their header.
fn mark_sensitive(headers: &mut HeaderMap) {
    for (name, value) in headers {
        if !value.is_sensitive() && is_sensitive_header(name) {
            value.set_sensitive(true);
        }
    }
}

pin_project! {
    /// The response future of [`Auth`]. Polled again after it was ready, it stays pending or does
    /// what the future of the service inside does.
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<S, F, CF> {
        #[pin]
        state: State<S, F, CF>,
        // For the layer that refreshes.
        sent: Option<RejectedCredential>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, CF> {
        // Boxed, for it may hold the request, and credentials at hand never come here.
        Authorizing { waiting: Pin<Box<Waiting<S, CF>>> },
        Calling { #[pin] future: F },
        Refused { error: Option<Error> },
    }
}

pin_project! {
    /// A call that waits for its credentials.
    struct Waiting<S, CF> {
        #[pin]
        future: CF,
        // The one that was made ready.
        service: Option<S>,
        witness: Option<Witness>,
    }
}

impl<S, F, CF> AuthFuture<S, F, CF> {
    fn calling(future: F) -> Self {
        Self { state: State::Calling { future }, sent: None }
    }

    fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) }, sent: None }
    }

    /// What the credentials added to the request, once it was sent; only for who asked for it.
    fn take_sent(self: Pin<&mut Self>) -> Option<RejectedCredential> {
        self.project().sent.take()
    }
}

impl<S, F, CF, B, RB, E> Future for AuthFuture<S, F, CF>
where
    S: Service<Request<B>, Future = F>,
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    CF: Future<Output = Result<Request<B>, CredentialsError>>,
{
    type Output = Result<Response<RB>, BoxError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.as_mut().project().state.project() {
            StateProj::Calling { future } => match future.poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                Poll::Pending => Poll::Pending,
            },
            _ => self.poll_uncalled(cx),
        }
    }
}

impl<S, F, CF> AuthFuture<S, F, CF> {
    /// Apart, so that the way past it stays short.
    #[inline(never)]
    fn poll_uncalled<B, RB, E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RB>, BoxError>>
    where
        S: Service<Request<B>, Future = F>,
        F: Future<Output = Result<Response<RB>, E>>,
        E: Into<BoxError>,
        CF: Future<Output = Result<Request<B>, CredentialsError>>,
    {
        let mut this = self.project();
        if let StateProj::Authorizing { waiting } = this.state.as_mut().project() {
            let called = ready!(waiting.as_mut().poll_call(this.sent, cx));
            this.state.set(called.map_or_else(
                |error| State::Refused { error: Some(error) },
                |future| State::Calling { future },
            ));
        }
        match this.state.project() {
            StateProj::Calling { future } => future.poll(cx).map_err(Into::into),
            StateProj::Refused { error } => refuse(error),
            StateProj::Authorizing { .. } => Poll::Pending,
        }
    }
}

impl<S, CF> Waiting<S, CF> {
    /// Calls the service once there are credentials, and notes what they are.
    #[inline(never)]
    fn poll_call<B>(
        self: Pin<&mut Self>,
        sent: &mut Option<RejectedCredential>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Future, Error>>
    where
        S: Service<Request<B>>,
        CF: Future<Output = Result<Request<B>, CredentialsError>>,
    {
        let this = self.project();
        let mut request = match ready!(this.future.poll(cx)) {
            Ok(request) => request,
            Err(error) => return Poll::Ready(Err(error.before_sending())),
        };
        mark_sensitive(request.headers_mut());
        let witness = this.witness.take();
        *sent = witness.and_then(|witness| witness.compare(&request));
        match this.service.take() {
            Some(mut service) => Poll::Ready(Ok(service.call(request))),
            None => Poll::Pending,
        }
    }
}

impl<S, F, CF> fmt::Debug for AuthFuture<S, F, CF> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Authorizing { .. } => "Authorizing",
            State::Calling { .. } => "Calling",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("AuthFuture").field("state", &state).finish_non_exhaustive()
    }
}
