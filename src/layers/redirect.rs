//! Follows redirects, where that is asked for.
//!
//! An API does not redirect, so nothing here follows one unless this layer is there: a redirect
//! mostly means that the base URL is wrong, and then a prompt or a key would go to who knows where.
//! A gateway that moves its paths is the exception. [`RedirectLayer`] follows what stays with the
//! same origin and leaves any other redirect as the answer it is.
//!
//! | status | `GET`, `HEAD` | any other method |
//! |---|---|---|
//! | 307, 308 | followed | followed with the same body |
//! | 301, 302 | followed | not followed: clients differ in what they make of a `POST` |
//! | 303 | followed | not followed: its answer is to another question |
//!
//! The same origin is the same scheme, host and port. With
//! [`across_origins`](RedirectLayer::across_origins) a `GET` or `HEAD` is followed elsewhere too, but
//! never from `https` to `http`, and from there on without credentials: every header that is marked
//! sensitive, or known to hold a secret or an account's id, is gone. After ten redirects
//! ([`limit`](RedirectLayer::limit)) the next one is the answer.
//!
//! tower-http has such a layer; it turns a `POST` into a `GET`, and brings a URL parser with tables of
//! Unicode.
//!
//! **Place:** inside `ProviderLayer`, because the URI has to be absolute; inside retry, and outside
//! [`AuthLayer`](super::AuthLayer), which then authorises each request on its own and none for
//! another origin. In the preset, `attempt_layer` puts it inside authorisation, which is as good for
//! keys and tokens; a signature would be that of the first URI.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::RedirectLayer;
//!
//! # tokio_test::block_on(async {
//! let moved = service_fn(|request: Request<String>| async move {
//!     match request.uri().path() {
//!         "/v1/responses" => Response::builder()
//!             .status(308)
//!             .header("location", "/api/v1/responses")
//!             .body(String::new()),
//!         _ => Ok(Response::new(request.into_body())),
//!     }
//! });
//! let stack = ServiceBuilder::new().layer(RedirectLayer::new()).service(moved);
//! let request = Request::post("https://gateway.test/v1/responses").body("hello".to_owned())?;
//! assert_eq!(stack.oneshot(request).await?.into_body(), "hello");
//! # Ok::<_, http::Error>(()) }).unwrap();
//! ```
//!
//! **Errors:** those of the service inside. A redirect that is not followed is an answer; an endpoint
//! makes an error of it.
//!
//! # Clone
//!
//! The service inside and the request's body have to be [`Clone`].

mod location;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, StatusCode, Uri, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::extensions::Origin;
use crate::redaction;

const LIMIT: u32 = 10;

/// Follows redirects; see the [module](self).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RedirectLayer {
    rules: Rules,
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    across_origins: bool,
    limit: u32,
}

impl RedirectLayer {
    /// Follows up to ten redirects within the same origin.
    pub const fn new() -> Self {
        Self { rules: Rules { across_origins: false, limit: LIMIT } }
    }

    /// Follows `GET` and `HEAD` to other origins too, without credentials.
    pub const fn across_origins(mut self) -> Self {
        self.rules.across_origins = true;
        self
    }

    /// How many redirects of a call are followed. Default: 10; zero is off.
    pub const fn limit(mut self, redirects: u32) -> Self {
        self.rules.limit = redirects;
        self
    }
}

impl Default for RedirectLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RedirectLayer {
    type Service = Redirect<S>;

    fn layer(&self, inner: S) -> Redirect<S> {
        Redirect { inner, rules: self.rules }
    }
}

/// The service of [`RedirectLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Redirect<S> {
    inner: S,
    rules: Rules,
}

impl Redirect<()> {
    /// The same as [`RedirectLayer::new`].
    pub const fn layer() -> RedirectLayer {
        RedirectLayer::new()
    }
}

impl<S> Redirect<S> {
    /// `inner` with redirects followed within the same origin.
    pub const fn new(inner: S) -> Self {
        Self { inner, rules: RedirectLayer::new().rules }
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for Redirect<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Clone,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = RedirectFuture<S, S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let next = self.inner.clone();
        let mut service = std::mem::replace(&mut self.inner, next);
        let sent = request.clone();
        let state = State::Calling { future: service.call(request) };
        RedirectFuture { state, service, sent, rules: self.rules }
    }
}

pin_project! {
    /// The response future of [`Redirect`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RedirectFuture<S, F, B> {
        #[pin]
        state: State<F>,
        service: S,
        // As it was sent, its body unread; or as it is to be sent next.
        sent: Request<B>,
        rules: Rules,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Calling {
            #[pin]
            future: F,
        },
        // For the service to be ready for the next request.
        Waiting,
    }
}

impl<S, F, B> std::fmt::Debug for RedirectFuture<S, F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedirectFuture").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl<S, B, RB> Future for RedirectFuture<S, S::Future, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: Clone,
{
    type Output = Result<Response<RB>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { future } => {
                    let response = ready!(future.poll(cx))?;
                    if !this.rules.redirect(this.sent, &response) {
                        return Poll::Ready(Ok(response));
                    }
                    this.state.set(State::Waiting);
                }
                StateProj::Waiting => {
                    ready!(this.service.poll_ready(cx))?;
                    let future = this.service.call(this.sent.clone());
                    this.state.set(State::Calling { future });
                }
            }
        }
    }
}

impl Rules {
    /// Makes of a request the one that the redirect asks for; false if it is not followed.
    fn redirect<B, RB>(&mut self, request: &mut Request<B>, response: &Response<RB>) -> bool {
        let Some(left) = self.limit.checked_sub(1) else { return false };
        let safe = matches!(*request.method(), Method::GET | Method::HEAD);
        let status = response.status();
        let follows = match status {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => safe,
            _ => false,
        };
        if !follows {
            return false;
        }
        let location = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok());
        let Some(to) = location.and_then(|to| location::resolve(request.uri(), to)) else {
            return false;
        };
        let Some(from) = Origin::of(request.uri()) else { return false };
        if !from.matches(&to) {
            if !(self.across_origins && safe && may_leave(&from, &to)) {
                return false;
            }
            drop_credentials(request);
        }
        *request.uri_mut() = to;
        self.limit = left;
        true
    }
}

/// Only to the web, and not from `https` to `http`.
fn may_leave(from: &Origin, to: &Uri) -> bool {
    match to.scheme_str() {
        Some("https") => true,
        Some("http") => from.scheme() == "http",
        _ => false,
    }
}

fn drop_credentials<B>(request: &mut Request<B>) {
    let headers = request.headers_mut();
    let secret: Vec<_> = headers
        .iter()
        .filter(|(name, value)| {
            // The host that it names is the old one.
            value.is_sensitive() || redaction::is_sensitive_header(name) || *name == header::HOST
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in secret {
        headers.remove(name);
    }
}
