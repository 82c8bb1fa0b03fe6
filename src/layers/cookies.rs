//! Keeps Cloudflare's cookies for the ChatGPT hosts.
//!
//! Cloudflare stands in front of `chatgpt.com` and tells a client that it has let in before by cookies;
//! without them it may be challenged again and again. [`CookieLayer`] keeps those cookies, and no
//! others: it is no session, and nothing that signs a user in passes through it.
//!
//! | what counts | which |
//! |---|---|
//! | URIs | `https` to `chatgpt.com`, `chat.openai.com`, `chatgpt-staging.com`, and below the first and the last |
//! | names | `__cf_bm`, `__cflb`, `__cfruid`, `__cfseq`, `__cfwaitingroom`, `_cfuvid`, `cf_clearance`, `cf_ob_info`, `cf_use_ob`, and those that begin with `cf_chl_` |
//!
//! Anything else passes untouched, `api.openai.com` included. A request that has a `cookie` header of
//! its own keeps that one alone. Answers keep their `set-cookie` headers.
//!
//! Of cookies the domain, the path and the time they last are respected. The jar is in memory and
//! bounded: 64 cookies, of which the oldest goes first, of 4 KiB each, and 8 KiB in a request.
//!
//! **Place:** anywhere inside `ProviderLayer`, best inside retry, so that each attempt has the cookies
//! of the last one. All services made by one layer, or by clones of it, share a jar. With the preset:
//! `Client::builder().cookies(CookieLayer::new())`.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::CookieLayer;
//!
//! # tokio_test::block_on(async {
//! let edge = service_fn(|request: Request<()>| async move {
//!     let known = request.headers().contains_key("cookie");
//!     Response::builder()
//!         .header("set-cookie", "__cf_bm=token; path=/; max-age=1800; secure")
//!         .header("set-cookie", "session=never-kept; path=/")
//!         .body(known)
//! });
//! let mut stack = ServiceBuilder::new().layer(CookieLayer::new()).service(edge);
//! for known in [false, true] {
//!     let request = Request::get("https://chatgpt.com/backend-api/codex/models").body(())?;
//!     assert_eq!(stack.ready().await?.call(request).await?.into_body(), known);
//! }
//! # Ok::<_, http::Error>(()) }).unwrap();
//! ```
//!
//! **Errors:** those of the service inside. A cookie that cannot be read is left out.

mod jar;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use http::{Request, Response, Uri, header};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use self::jar::{Jar, Place};

/// Keeps Cloudflare's cookies; see the [module](self).
#[derive(Clone, Default)]
#[must_use]
pub struct CookieLayer {
    jar: Shared,
}

impl CookieLayer {
    /// A layer with an empty jar.
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for CookieLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieLayer").field("cookies", &self.jar.lock().len()).finish()
    }
}

impl<S> Layer<S> for CookieLayer {
    type Service = WithCookies<S>;

    fn layer(&self, inner: S) -> WithCookies<S> {
        WithCookies { inner, jar: self.jar.clone() }
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Jar>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Jar> {
        // Each section leaves the jar whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The service of [`CookieLayer`].
#[derive(Clone)]
pub struct WithCookies<S> {
    inner: S,
    jar: Shared,
}

impl WithCookies<()> {
    /// The same as [`CookieLayer::new`].
    pub fn layer() -> CookieLayer {
        CookieLayer::new()
    }
}

impl<S> WithCookies<S> {
    /// `inner` with a jar of its own, which its clones share.
    pub fn new(inner: S) -> Self {
        CookieLayer::new().layer(inner)
    }

    inner_accessors!();
}

impl<S: fmt::Debug> fmt::Debug for WithCookies<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cookies = self.jar.lock().len();
        f.debug_struct("WithCookies")
            .field("inner", &self.inner)
            .field("cookies", &cookies)
            .finish()
    }
}

impl<S, B, RB> Service<Request<B>> for WithCookies<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = WithCookiesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut waiting = None;
        if let Some(place) = Place::of(request.uri()) {
            if !request.headers().contains_key(header::COOKIE) {
                if let Some(cookies) = self.jar.lock().header(&place) {
                    request.headers_mut().insert(header::COOKIE, cookies);
                }
            }
            waiting = Some((self.jar.clone(), request.uri().clone()));
        }
        WithCookiesFuture { inner: self.inner.call(request), waiting }
    }
}

pin_project! {
    /// The response future of [`WithCookies`].
    #[must_use = "futures do nothing unless polled"]
    pub struct WithCookiesFuture<F> {
        #[pin]
        inner: F,
        // Where the answer's cookies go, if its host may set any.
        waiting: Option<(Shared, Uri)>,
    }
}

impl<F> fmt::Debug for WithCookiesFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithCookiesFuture").finish_non_exhaustive()
    }
}

impl<F, RB, E> Future for WithCookiesFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        if let Some((jar, uri)) = this.waiting.take() {
            let mut cookies = response.headers().get_all(header::SET_COOKIE).iter().peekable();
            if let (Some(_), Some(place)) = (cookies.peek(), Place::of(&uri)) {
                let mut jar = jar.lock();
                for cookie in cookies.filter_map(|value| value.to_str().ok()) {
                    jar.add(&place, cookie);
                }
            }
        }
        Poll::Ready(Ok(response))
    }
}
