//! One refresh and one more attempt after a 401.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::{Auth, AuthFuture, AuthLayer, Credentials, CredentialsError};
use crate::{BoxError, Error, Stage};

/// Credentials that can be had anew when the server rejects them.
pub trait RefreshCredentials {
    /// The future of [`refresh`](Self::refresh). Dropping it must leave others working.
    type Future: Future<Output = Result<Refreshed, CredentialsError>>;

    /// Replaces `rejected`, with which a request was answered 401.
    ///
    /// If it has been replaced already, because another call was faster, that is the replacement:
    /// what has not been rejected is not thrown away. Calls that come together share one refresh.
    ///
    /// The refused response is still open meanwhile, because it may yet be the answer. If a limit
    /// inside the layer counts open responses, as
    /// [`InFlightLimitLayer`](crate::layers::InFlightLimitLayer) does, do not call through the same
    /// limit here: the refresh would wait for a slot that the response holds until the refresh is
    /// done.
    ///
    /// # Errors
    ///
    /// The future's, if no new credentials can be had. The call ends with it.
    fn refresh(&self, rejected: RejectedCredential) -> Self::Future;
}

impl<C: RefreshCredentials + ?Sized> RefreshCredentials for Arc<C> {
    type Future = C::Future;

    fn refresh(&self, rejected: RejectedCredential) -> Self::Future {
        (**self).refresh(rejected)
    }
}

/// What a refresh has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// The next request will be authorised with other credentials than the rejected ones.
    Replaced,
    /// There are none but the rejected ones: the 401 is the answer.
    Unchanged,
}

/// What a request carried that was answered 401: the header values that credentials had added or
/// changed, if they are marked as sensitive or belong to a header that holds secrets, such as
/// `authorization`.
///
/// Its `Debug` shows the names only.
#[derive(Clone, PartialEq, Eq)]
pub struct RejectedCredential(Vec<(HeaderName, HeaderValue)>);

impl RejectedCredential {
    pub(super) fn new(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self(headers)
    }

    /// The first value of the header `name`.
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.iter().find_map(|(header, value)| (header == name).then_some(value))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

impl fmt::Debug for RejectedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RejectedCredential ")?;
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// An [`AuthLayer`] that refreshes its credentials after a 401; made by
/// [`AuthLayer::refresh_on_unauthorized`].
///
/// A refresh that brings something else than what was rejected is followed by one more attempt,
/// and the answer to that is the answer of the call, whatever it is. Otherwise the 401 is returned
/// whole. A refresh that fails is the error of the call, as
/// [told](super#errors) of credentials that fail; so is whatever fails after it, as an [`Error`] whose
/// [`Stage`] is at least `Sent`: the server has seen the first attempt.
///
/// Only requests that get credentials are tried again; a 401 of another origin passes. Each of
/// them costs a clone of the request and of the service, whether there is a 401 or not.
///
/// Before the second attempt the body of the 401 is dropped unread, which closes an HTTP/1.1
/// connection, and the service is made ready again.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::sync::Arc;
/// use http::{HeaderValue, Request, Response, StatusCode};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_openai::layers::AuthLayer;
/// use tower_openai::layers::auth::{
///     Credentials, CredentialsError, RefreshCredentials, Refreshed, RejectedCredential,
/// };
/// # use std::future::{Ready, ready};
///
/// /// A key and its successor.
/// #[derive(Clone)]
/// struct Pair(Arc<AtomicBool>);
///
/// impl<B> Credentials<B> for Pair {
///     type Future = Ready<Result<Request<B>, CredentialsError>>;
///
///     fn authorize(&self, mut request: Request<B>) -> Self::Future {
///         let second = self.0.load(Ordering::Relaxed);
///         let mut key = HeaderValue::from_static(if second { "new" } else { "old" });
///         key.set_sensitive(true);
///         request.headers_mut().insert("x-key", key);
///         ready(Ok(request))
///     }
/// }
///
/// impl RefreshCredentials for Pair {
///     type Future = Ready<Result<Refreshed, CredentialsError>>;
///
///     fn refresh(&self, _: RejectedCredential) -> Self::Future {
///         let was_second = self.0.swap(true, Ordering::Relaxed);
///         ready(Ok(if was_second { Refreshed::Unchanged } else { Refreshed::Replaced }))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_openai::BoxError> {
/// let server = service_fn(|request: Request<()>| async move {
///     let mut response = Response::new(());
///     if request.headers()["x-key"] != "new" {
///         *response.status_mut() = StatusCode::UNAUTHORIZED;
///     }
///     Ok::<_, std::io::Error>(response)
/// });
/// let auth = AuthLayer::new(Pair(Arc::default())).for_origin("https://gw.example.com")?;
/// let stack = ServiceBuilder::new().layer(auth.refresh_on_unauthorized()).service(server);
/// let response = stack.oneshot(Request::get("https://gw.example.com/models").body(())?).await?;
/// assert_eq!(response.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RefreshingAuthLayer<C> {
    auth: AuthLayer<C>,
}

impl<C> RefreshingAuthLayer<C> {
    pub(super) const fn new(auth: AuthLayer<C>) -> Self {
        Self { auth }
    }

    /// As [`AuthLayer::for_origin`].
    ///
    /// # Errors
    ///
    /// As [`AuthLayer::for_origin`].
    pub fn for_origin(self, url: &str) -> Result<Self, Error> {
        Ok(Self { auth: self.auth.for_origin(url)? })
    }
}

impl<S, C: Clone> Layer<S> for RefreshingAuthLayer<C> {
    type Service = RefreshingAuth<S, C>;

    fn layer(&self, inner: S) -> RefreshingAuth<S, C> {
        RefreshingAuth { auth: self.auth.layer(inner) }
    }
}

/// The service of [`RefreshingAuthLayer`].
#[derive(Clone, Debug)]
pub struct RefreshingAuth<S, C> {
    auth: Auth<S, C>,
}

impl<S, C> RefreshingAuth<S, C> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        self.auth.get_ref()
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        self.auth.get_mut()
    }

    /// The service inside, unwrapped.
    pub fn into_inner(self) -> S {
        self.auth.into_inner()
    }
}

impl<S, C, B, RB> Service<Request<B>> for RefreshingAuth<S, C>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    C: Credentials<B> + RefreshCredentials + Clone,
    B: Clone,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = RefreshingAuthFuture<S, C, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.auth.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = match self.auth.scope.trusts(&request) {
            Ok(true) => {
                let again = Again { auth: self.auth.clone(), request: request.clone() };
                let future = self.auth.authorize(request, true);
                State::First { future, again: Some(again) }
            }
            // Nothing to refresh: `Auth` sends or refuses it.
            Ok(false) | Err(_) => State::Only { future: self.auth.call(request) },
        };
        RefreshingAuthFuture { state }
    }
}

/// What a second attempt takes.
struct Again<S, C, B> {
    /// Has to be made ready.
    auth: Auth<S, C>,
    /// Not authorised.
    request: Request<B>,
}

pin_project! {
    /// The response future of [`RefreshingAuth`].
    ///
    /// The bounds are those of the futures that it keeps.
    #[must_use = "futures do nothing unless polled"]
    pub struct RefreshingAuthFuture<S, C, B>
    where
        S: Service<Request<B>>,
        C: Credentials<B>,
        C: RefreshCredentials,
    {
        #[pin]
        state: State<S, C, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, C, B>
    where
        S: Service<Request<B>>,
        C: Credentials<B>,
        C: RefreshCredentials,
    {
        First {
            #[pin]
            future: AuthFuture<S, S::Future, <C as Credentials<B>>::Future>,
            again: Option<Again<S, C, B>>,
        },
        Refreshing {
            #[pin]
            future: <C as RefreshCredentials>::Future,
            refused: Option<S::Response>,
            again: Option<Again<S, C, B>>,
        },
        Waiting { again: Option<Again<S, C, B>> },
        Second { #[pin] future: AuthFuture<S, S::Future, <C as Credentials<B>>::Future> },
        // Not authorised, so not refreshed.
        Only { #[pin] future: AuthFuture<S, S::Future, <C as Credentials<B>>::Future> },
    }
}

impl<S, C, B, RB> Future for RefreshingAuthFuture<S, C, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    C: Credentials<B> + RefreshCredentials,
{
    type Output = Result<Response<RB>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::First { mut future, again } => {
                    let response = ready!(future.as_mut().poll(cx))?;
                    match (future.take_sent(), again.take()) {
                        (Some(sent), Some(again))
                            if response.status() == StatusCode::UNAUTHORIZED =>
                        {
                            State::Refreshing {
                                future: again.auth.credentials.refresh(sent),
                                refused: Some(response),
                                again: Some(again),
                            }
                        }
                        _ => return Poll::Ready(Ok(response)),
                    }
                }
                StateProj::Refreshing { future, refused, again } => {
                    let refreshed =
                        ready!(future.poll(cx)).map_err(CredentialsError::after_refusal);
                    match (refreshed?, refused.take()) {
                        (Refreshed::Unchanged, Some(response)) => return Poll::Ready(Ok(response)),
                        // Drops the 401, which may hold a permit that readiness needs.
                        _ => State::Waiting { again: again.take() },
                    }
                }
                StateProj::Waiting { again } => {
                    let Some(second) = again else { return Poll::Pending };
                    ready!(second.auth.inner.poll_ready(cx)).map_err(after_refusal)?;
                    let Some(Again { mut auth, request }) = again.take() else {
                        return Poll::Pending;
                    };
                    State::Second { future: auth.authorize(request, false) }
                }
                StateProj::Second { future } => return future.poll(cx).map_err(after_refusal),
                StateProj::Only { future } => return future.poll(cx),
            };
            state.set(next);
        }
    }
}

/// The error of a second attempt: the server has seen the first.
fn after_refusal(error: impl Into<BoxError>) -> BoxError {
    let error = Error::from(error.into());
    let stage = error.stage().furthest(Stage::Sent);
    error.with_stage(stage).into()
}

impl<S, C, B> fmt::Debug for RefreshingAuthFuture<S, C, B>
where
    S: Service<Request<B>>,
    C: Credentials<B> + RefreshCredentials,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::First { .. } => "First",
            State::Refreshing { .. } => "Refreshing",
            State::Waiting { .. } => "Waiting",
            State::Second { .. } => "Second",
            State::Only { .. } => "Only",
        };
        f.debug_struct("RefreshingAuthFuture").field("state", &state).finish_non_exhaustive()
    }
}
