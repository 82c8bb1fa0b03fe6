//! The layers as a caller stacks them: readiness, headers, URLs, credentials.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::Empty;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::extensions::{ApiRoot, Origin};
use tower_openai::layers::{
    ApiKey, Auth, AuthLayer, Bearer, IdleTimeout, IdleTimeoutLayer, ProviderLayer, WithProvider,
};
use tower_openai::provider::Provider;
use tower_openai::{BoxError, Error, ErrorKind};

type Body = Empty<bytes::Bytes>;

/// Answers with the head it was sent, in the response's extensions.
async fn echo(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::new());
    response.extensions_mut().insert(request.into_parts().0);
    Ok(response)
}

/// What `layer` makes of `request`.
async fn sent<L>(layer: L, request: Request<()>) -> Result<http::request::Parts, BoxError>
where
    L: Layer<BoxCloneSyncService<Request<()>, Response<Body>, Infallible>>,
    L::Service: Service<Request<()>, Response = Response<Body>, Error = BoxError>,
{
    let echo = BoxCloneSyncService::new(service_fn(echo));
    let mut response = layer.layer(echo).oneshot(request).await?;
    Ok(response.extensions_mut().remove().expect("the echo"))
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

fn gateway() -> Provider {
    Provider::new("gateway", "https://gw.test/v1").unwrap()
}

fn bearer() -> Bearer {
    Bearer::new("sk-hidden").unwrap()
}

fn build_error(error: &BoxError) -> &Error {
    let error = error.downcast_ref::<Error>().expect("an error of this crate");
    assert_eq!(error.kind(), ErrorKind::Build);
    error
}

// Readiness.

/// Must be made ready before each call; a clone starts unready.
#[derive(Default)]
struct Probe {
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Probe {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let error = || "called before it was ready".into();
        let answer = std::mem::take(&mut self.ready).then(|| Response::new(Body::new()));
        ready(answer.ok_or_else(error))
    }
}

async fn calls_what_was_made_ready<L>(layer: L)
where
    L: Layer<Probe>,
    L::Service: Service<Request<()>, Error = BoxError> + Clone,
{
    let mut service = layer.layer(Probe::default());
    for _ in 0..2 {
        service.ready().await.unwrap();
        let unready = service.clone();
        service.call(get("/x")).await.map(drop).unwrap();
        assert!(unready.clone().call(get("/x")).await.is_err(), "a clone is not ready");
    }
}

#[tokio::test]
async fn every_layer_calls_the_service_that_was_made_ready() {
    calls_what_was_made_ready(ProviderLayer::new(gateway())).await;
    let provided = ServiceBuilder::new().layer(ProviderLayer::new(gateway()));
    calls_what_was_made_ready(provided.layer(AuthLayer::new(bearer())).into_inner()).await;
    calls_what_was_made_ready(IdleTimeoutLayer::new(Duration::from_secs(1))).await;
}

#[tokio::test]
async fn back_pressure_passes_through_the_whole_stack() {
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(gateway()))
        .layer(AuthLayer::new(bearer()))
        .layer(IdleTimeoutLayer::new(Duration::from_secs(1)))
        .into_inner();
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Request<()>, Response<Body>, _>(stack);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let response = service.call(get("/responses"));
    let (request, answer) = handle.next_request().await.expect("the call");
    assert_eq!(request.uri(), "https://gw.test/v1/responses");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer sk-hidden");
    answer.send_response(Response::new(Body::new()));
    response.await.unwrap();
}

#[tokio::test]
async fn a_refused_request_does_not_reach_the_service() {
    let refused =
        service_fn(async |_: Request<()>| -> Result<Response<Body>, Infallible> { panic!("sent") });
    let stack = AuthLayer::new(bearer()).layer(refused);
    assert!(stack.oneshot(get("https://gw.test/")).await.is_err());
}

#[test]
fn constructors_and_accessors_agree() {
    let (auth, mut provided) =
        (Auth::new(1, bearer()), WithProvider::layer(Provider::openai()).layer(2));
    assert_eq!((auth.get_ref(), provided.get_mut()), (&1, &mut 2));
    assert_eq!((auth.into_inner(), provided.into_inner()), (1, 2));
    assert_eq!(IdleTimeout::layer(Duration::ZERO).layer(3).into_inner(), 3);
    assert_eq!(Auth::layer(bearer()).layer(4).into_inner(), 4);
    assert_eq!(WithProvider::new(5, gateway()).provider().name(), "gateway");
}

// URLs.

#[tokio::test]
async fn origin_form_requests_are_joined_to_the_base() {
    for (base, request, expected) in [
        ("https://x/v1/", "/responses", "https://x/v1/responses"),
        (
            "https://x/v1?api-version=1",
            "/responses",
            "https://x/v1/responses?api-version=1&k=a%20b",
        ),
        ("https://x", "/models?client_version=1.2.3", "https://x/models?client_version=1.2.3"),
        ("https://x/v1?a=1", "/m?c=3", "https://x/v1/m?a=1&k=a%20b&c=3"),
        ("https://x/v1", "/", "https://x/v1"),
    ] {
        let mut provider = Provider::new("x", base).unwrap();
        if expected.contains("k=") {
            provider = provider.query("k", "a b");
        }
        let parts = sent(ProviderLayer::new(provider), get(request)).await.unwrap();
        assert_eq!(parts.uri, expected);
    }
}

#[tokio::test]
async fn absolute_requests_stay_and_foreign_ones_get_no_provider_headers() {
    let provider = gateway().query("k", "v").header("openai-organization", "org-1").unwrap();
    let layer = ProviderLayer::new(provider);

    let parts = sent(layer.clone(), get("https://GW.test:443/other?x")).await.unwrap();
    assert_eq!(parts.uri, "https://GW.test:443/other?x");
    assert_eq!(parts.headers["openai-organization"], "org-1");

    let parts = sent(layer, get("https://blobs.test/1?sig=s")).await.unwrap();
    assert_eq!(parts.uri, "https://blobs.test/1?sig=s");
    assert_eq!(parts.headers.keys().collect::<Vec<_>>(), [USER_AGENT]);
    let noted: &Origin = parts.extensions.get().expect("the provider's origin");
    assert_eq!(noted.to_string(), "https://gw.test");
}

/// One URL is kept; it must not answer for another path, query or root.
#[tokio::test]
async fn a_service_that_is_asked_for_one_path_is_not_stuck_with_it() {
    let provider = gateway().query("k", "v").backend_url("https://backend.test/api").unwrap();
    let mut stack = ProviderLayer::new(provider).layer(service_fn(echo));
    for (path, root, expected) in [
        ("/models?after=1", ApiRoot::Api, "https://gw.test/v1/models?k=v&after=1"),
        ("/models", ApiRoot::Api, "https://gw.test/v1/models?k=v"),
        ("/models", ApiRoot::Api, "https://gw.test/v1/models?k=v"),
        ("/models?after=1", ApiRoot::Api, "https://gw.test/v1/models?k=v&after=1"),
        ("/models", ApiRoot::Backend, "https://backend.test/api/models?k=v"),
        ("/model", ApiRoot::Api, "https://gw.test/v1/model?k=v"),
        ("/models", ApiRoot::Api, "https://gw.test/v1/models?k=v"),
    ] {
        let mut request = get(path);
        request.extensions_mut().insert(root);
        // The clone that is called is not the one that is asked next.
        let mut response = stack.clone().oneshot(request).await.unwrap();
        let parts: http::request::Parts = response.extensions_mut().remove().unwrap();
        assert_eq!(parts.uri, expected, "{path} {root:?}");
        assert!(!format!("{stack:?}").contains("k=v"), "{stack:?}");
        stack = stack.clone();
    }
}

#[tokio::test]
async fn a_url_that_grows_too_long_is_a_build_error() {
    let request = get(&format!("/{}", "a".repeat(65_533)));
    let error = sent(ProviderLayer::new(gateway()), request).await.map(drop).unwrap_err();
    build_error(&error);
}

// Headers, lowest precedence first.

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_client_default_is_used_only_if_nobody_else_sets_it() {
    let own = concat!("tower-openai/", env!("CARGO_PKG_VERSION"));
    let parts = sent(ProviderLayer::new(gateway()), get("/")).await.unwrap();
    assert_eq!(values(&parts.headers, "user-agent"), [own]);
    assert!(!parts.headers.contains_key("originator"));

    let provider = gateway().header("User-Agent", "app/1").unwrap();
    let parts = sent(ProviderLayer::new(provider), get("/")).await.unwrap();
    assert_eq!(values(&parts.headers, "user-agent"), ["app/1"]);
}

#[tokio::test]
async fn a_request_header_replaces_all_values_of_the_provider() {
    let provider = gateway()
        .header("x-team", "a")
        .and_then(|provider| provider.header("x-team", "b"))
        .and_then(|provider| provider.header("originator", "app"))
        .unwrap();
    let layer = ProviderLayer::new(provider);

    let parts = sent(layer.clone(), get("/")).await.unwrap();
    assert_eq!(values(&parts.headers, "x-team"), ["a", "b"]);
    assert_eq!(values(&parts.headers, "originator"), ["app"]);

    let mut request = get("/");
    request.headers_mut().append("x-team", "c".parse().unwrap());
    request.headers_mut().append("x-team", "d".parse().unwrap());
    let parts = sent(layer, request).await.unwrap();
    assert_eq!(values(&parts.headers, "x-team"), ["c", "d"]);
}

#[tokio::test]
async fn auth_replaces_what_caller_and_provider_set() {
    let provider = gateway().header("authorization", "Basic provider").unwrap();
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider))
        .layer(AuthLayer::new(bearer()))
        .into_inner();
    let mut request = get("/");
    request.headers_mut().append(AUTHORIZATION, "Basic caller".parse().unwrap());
    request.headers_mut().append(AUTHORIZATION, "Basic again".parse().unwrap());
    let parts = sent(stack, request).await.unwrap();
    assert_eq!(values(&parts.headers, "authorization"), ["Bearer sk-hidden"]);
    assert!(parts.headers[AUTHORIZATION].is_sensitive());
}

// Where credentials go.

#[tokio::test]
async fn credentials_go_to_the_providers_origin_only() {
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(gateway()))
        .layer(AuthLayer::new(ApiKey::new("hidden").unwrap()))
        .into_inner();
    for (uri, expected) in [
        ("/responses", true),
        ("https://gw.test/elsewhere", true),
        ("https://GW.TEST:443/", true),
        ("http://gw.test/", false),
        ("https://gw.test:8443/", false),
        ("https://gw.test.evil.test/", false),
        ("https://gw.test@evil.test/", false),
        ("https://blobs.test/upload?sig=s", false),
    ] {
        let parts = sent(stack.clone(), get(uri)).await.unwrap();
        assert_eq!(parts.headers.contains_key("api-key"), expected, "{uri}");
    }
}

#[tokio::test]
async fn a_foreign_request_keeps_the_callers_own_authorization() {
    let layer = AuthLayer::new(bearer()).for_origin("https://gw.test").unwrap();
    let mut request = get("https://blobs.test/1");
    request.headers_mut().insert(AUTHORIZATION, "Basic own".parse().unwrap());
    let parts = sent(layer, request).await.unwrap();
    assert_eq!(values(&parts.headers, "authorization"), ["Basic own"]);
}

#[tokio::test]
async fn a_named_origin_serves_without_a_provider() {
    let layer = AuthLayer::new(bearer()).for_origin("http://localhost:1234/v1").unwrap();
    let parts = sent(layer.clone(), get("http://localhost:1234/v1/models")).await.unwrap();
    assert!(parts.headers.contains_key(AUTHORIZATION));
    let parts = sent(layer.clone(), get("http://localhost:4321/v1/models")).await.unwrap();
    assert!(!parts.headers.contains_key(AUTHORIZATION));

    let error = sent(layer, get("/models")).await.unwrap_err();
    assert!(build_error(&error).to_string().contains("ProviderLayer"), "{error}");
    let error = AuthLayer::new(bearer()).for_origin("https://u:hunter2@x").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn without_any_origin_nothing_is_sent_and_both_cures_are_named() {
    let error = sent(AuthLayer::new(bearer()), get("https://gw.test/")).await.unwrap_err();
    let text = build_error(&error).to_string();
    assert!(text.contains("ProviderLayer") && text.contains("AuthLayer::for_origin"), "{text}");
}

// Secrets.

#[test]
fn a_credential_that_cannot_be_sent_is_refused_without_being_shown() {
    for token in
        ["", "  ", "hid den", "hidden\n", "\thidden", "Bearer hidden", "hidd\u{e9}n", "hid\u{0}den"]
    {
        let errors = [Bearer::new(token).unwrap_err(), ApiKey::new(token).unwrap_err()];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Build);
            assert!(!format!("{error} {error:?}").contains("hid"), "{error:?}");
        }
    }
    let env = [("BLANK", " "), ("BAD", "hid den"), ("GOOD", " sk-1\n")];
    for name in ["UNSET", "BLANK", "BAD"] {
        let error = Bearer::from_source(name, &env).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(ApiKey::from_source(name, &env).unwrap_err().to_string().contains(name));
    }
    assert!(Bearer::from_source("GOOD", &env).is_ok());
}

#[tokio::test]
async fn no_debug_shows_a_secret() {
    let provider = gateway()
        .query("key", "hidden")
        .header("api-key", "hidden")
        .and_then(|provider| provider.header("x-session-token", "hidden"))
        .unwrap();
    let provider = ProviderLayer::new(provider);
    let (auth, key) = (AuthLayer::new(bearer()), AuthLayer::new(ApiKey::new("hidden").unwrap()));
    let stack = (provider.layer(()), auth.layer(()), key.layer(()));
    let text = format!("{provider:?} {auth:?} {key:?} {stack:?}");
    assert!(!text.contains("hidden"), "{text}");

    let both = ServiceBuilder::new().layer(provider).layer(auth).into_inner();
    let parts = sent(both, get("/")).await.unwrap();
    assert_eq!(parts.headers.len(), 4);
    assert!(!format!("{:?}", parts.headers).contains("hidden"));
}

#[test]
fn services_are_what_they_promise() {
    fn promised<T: Clone + Send + Sync + Unpin + 'static>() {}
    promised::<ProviderLayer>();
    promised::<AuthLayer<Bearer>>();
    promised::<IdleTimeoutLayer>();
    promised::<WithProvider<IdleTimeout<Auth<(), ApiKey>>>>();
    promised::<Provider>();
    let _: Uri = gateway().url_for("x").unwrap();
}
