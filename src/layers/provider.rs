//! Sends origin-form requests to a provider.
//!
//! Endpoint services write `/responses` and know nothing of hosts, so that one endpoint serves
//! OpenAI, Azure and a gateway alike. [`ProviderLayer`] makes such a URI absolute:
//!
//! - The path is appended to the base URL. The query is the base's own, then the provider's pairs,
//!   then the request's.
//! - A default header is added if the request has no header of that name, with all its values;
//!   `user-agent` last of all.
//! - The provider's [`Origin`] is noted in the request's extensions.
//! - Secrets among these headers and in these queries are kept out of the errors of the endpoint above
//!   when the server quotes them: see [`Provider::header`] and [`Provider::query`].
//! - A request that says [`ApiRoot::Backend`] is for the provider's second base URL, its backend, in
//!   place of the first.
//!
//! A request whose URI is absolute already (an upload URL) keeps it. It gets the provider's headers
//! only if it goes to the provider's origin, because they may hold secrets or account ids; the
//! crate's own `user-agent` goes everywhere.
//!
//! **Place:** outermost at the HTTP level, because what is inside wants to see the final URI.
//! The URL of the first path that a service is asked for is kept, for most are asked for no other; a
//! request for another one costs an allocation for its URI. Each costs one for the extension; header
//! values are shared.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::layers::ProviderLayer;
//! use tower_openai::provider::Provider;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! let transport = service_fn(|request: Request<()>| async move {
//!     Ok::<_, std::io::Error>(Response::new(request.uri().to_string()))
//! });
//! let provider = Provider::new("local", "http://localhost:1234/v1")?.query("tenant", "7");
//! let stack = ServiceBuilder::new().layer(ProviderLayer::new(provider)).service(transport);
//!
//! let response = stack.oneshot(Request::get("/models?limit=5").body(())?).await?;
//! assert_eq!(response.body(), "http://localhost:1234/v1/models?tenant=7&limit=5");
//! # Ok(())
//! # }
//! ```
//!
//! **Errors:** those of the service inside, and [`ErrorKind::Build`](crate::ErrorKind::Build) with
//! nothing sent if path and query would be longer than 65,534 bytes or the headers too many, or if
//! another `ProviderLayer` outside has noted another origin: which of them the credentials inside
//! are for, nobody could tell. The same for the backend of a provider that has none.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use http::{Extensions, Request, Response, Uri};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::refusal::CallOrRefusal;
use crate::extensions::{ApiRoot, Call, Origin, WithoutCredentials};
use crate::provider::{Provider, Root, fill_user_agent};
use crate::redaction::query_values;
use crate::{BoxError, Error};

/// Makes origin-form requests go to a [`Provider`]; see the [module](self).
#[derive(Clone, Debug)]
#[must_use]
pub struct ProviderLayer {
    provider: Arc<Provider>,
}

impl ProviderLayer {
    /// A layer for `provider`, which all services made by it share.
    pub fn new(provider: Provider) -> Self {
        Self { provider: Arc::new(provider) }
    }
}

impl<S> Layer<S> for ProviderLayer {
    type Service = WithProvider<S>;

    fn layer(&self, inner: S) -> WithProvider<S> {
        let (provider, usual) = (Arc::clone(&self.provider), OnceLock::new());
        WithProvider { inner, route: Arc::new(Route { provider, usual }) }
    }
}

/// The service of [`ProviderLayer`].
#[derive(Clone, Debug)]
pub struct WithProvider<S> {
    inner: S,
    /// The same for all clones.
    route: Arc<Route>,
}

/// The way from a service to its provider.
struct Route {
    provider: Arc<Provider>,
    usual: OnceLock<Usual>,
}

/// The first URL that was made: an endpoint asks for the same one each time, as a rule.
struct Usual {
    root: ApiRoot,
    /// A copy: the request's own may lie in a buffer that is much larger.
    asked: Box<str>,
    url: Uri,
}

impl Route {
    /// The URL of a request in origin form for this root, which is the provider's own of that name.
    fn url_of(
        &self,
        name: ApiRoot,
        root: &Root<'_>,
        asked: Option<&PathAndQuery>,
    ) -> Result<Uri, Error> {
        let Some(asked) = asked else { return root.url_of(None) };
        if let Some(usual) = self.usual.get() {
            if usual.root == name && *usual.asked == *asked.as_str() {
                return Ok(usual.url.clone());
            }
            return root.url_of(Some(asked));
        }
        let url = root.url_of(Some(asked))?;
        // A query changes, and may be what makes a URL good.
        if asked.query().is_none() {
            // Whoever is first is as good.
            let usual = Usual { root: name, asked: asked.as_str().into(), url: url.clone() };
            let _ = self.usual.set(usual);
        }
        Ok(url)
    }
}

/// Shows no URL, whose query may hold a key.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.provider.fmt(f)
    }
}

impl WithProvider<()> {
    /// The same as [`ProviderLayer::new`].
    pub fn layer(provider: Provider) -> ProviderLayer {
        ProviderLayer::new(provider)
    }
}

impl<S> WithProvider<S> {
    /// `inner` behind `provider`.
    pub fn new(inner: S, provider: Provider) -> Self {
        ProviderLayer::new(provider).layer(inner)
    }

    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.route.provider
    }

    inner_accessors!();

    fn prepare<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        let Route { provider, .. } = &*self.route;
        let name = ApiRoot::of(request.extensions());
        let root = provider.root(name)?;
        let origin = root.origin();
        if request.extensions().get::<Origin>().is_some_and(|outer| outer != origin) {
            return Err(Error::build(format!(
                "a `ProviderLayer` outside this one, for {origin}, has sent the request elsewhere \
                 already: leave one of them out"
            )));
        }
        let uri = request.uri();
        let ours = if uri.scheme().is_none() && uri.authority().is_none() {
            *request.uri_mut() = self.route.url_of(name, &root, uri.path_and_query())?;
            true
        } else {
            origin.matches(uri)
        };
        self.keep_secrets(&root, request.extensions());
        if ours && request.extensions().get::<WithoutCredentials>().is_none() {
            provider.fill_headers(request.headers_mut())?;
        }
        fill_user_agent(request.headers_mut())?;
        request.extensions_mut().insert(origin.clone());
        Ok(())
    }

    /// Keeps what the provider adds to requests out of the errors of their call.
    fn keep_secrets(&self, root: &Root<'_>, request: &Extensions) {
        let (headers, queries) = (self.provider().headers(), root.queries());
        if headers.is_empty() && queries.iter().all(|query| query.is_empty()) {
            return;
        }
        let Some(call) = request.get::<Call>() else { return };
        for secret in headers.values().filter(|value| value.is_sensitive()) {
            call.keep_header_secret(secret.clone());
        }
        // A version is none, and servers like to name it.
        let pairs = queries.into_iter().flat_map(|query| query.split('&'));
        pairs
            .filter(|pair| !pair.starts_with("api-version="))
            .flat_map(query_values)
            .for_each(|secret| call.keep_secret(secret));
    }
}

impl<S, B, RB> Service<Request<B>> for WithProvider<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = WithProviderFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.prepare(&mut request) {
            Ok(()) => WithProviderFuture { state: CallOrRefusal::call(self.inner.call(request)) },
            Err(error) => WithProviderFuture { state: CallOrRefusal::refusal(error) },
        }
    }
}

pin_project! {
    /// The response future of [`WithProvider`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct WithProviderFuture<F> {
        #[pin]
        state: CallOrRefusal<F>,
    }
}

impl<F, RB, E> Future for WithProviderFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RB>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().state.poll(cx)
    }
}
