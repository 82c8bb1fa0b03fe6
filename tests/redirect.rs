//! Redirects: what is followed, and with what.

#[path = "support/layer.rs"]
mod layer;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Method, Request, Response, Uri};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer, RedirectLayer};
use tower_openai::provider::Provider;
use tower_openai::{RequestBody, Stage};

type Sent = Request<RequestBody>;

/// A server that redirects each path of `moved`, and what it was sent.
#[derive(Clone, Default)]
struct Site {
    moved: Vec<(&'static str, u16, &'static str)>,
    seen: Arc<Mutex<Vec<Sent>>>,
}

impl Site {
    fn new(moved: &[(&'static str, u16, &'static str)]) -> Self {
        Self { moved: moved.to_vec(), seen: Arc::default() }
    }

    fn service(
        &self,
    ) -> impl Service<Sent, Response = Response<RequestBody>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static {
        let site = self.clone();
        service_fn(move |request: Sent| {
            let uri = request.uri().to_string();
            let moved = site.moved.iter().find(|(from, ..)| *from == uri).copied();
            site.seen.lock().unwrap().push(request);
            let answer = match moved {
                Some((_, status, to)) => {
                    let builder = Response::builder().status(status).header("location", to);
                    builder.body(RequestBody::empty()).unwrap()
                }
                None => Response::new(RequestBody::from("arrived")),
            };
            std::future::ready(Ok(answer))
        })
    }

    fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|request| format!("{} {}", request.method(), request.uri())).collect()
    }

    fn last(&self) -> Sent {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

fn request(method: Method) -> Sent {
    let mut request = Request::new(RequestBody::from("the body"));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static("https://a.test/one");
    request
}

async fn status(layer: RedirectLayer, site: &Site, request: Sent) -> u16 {
    layer.layer(site.service()).oneshot(request).await.unwrap().status().as_u16()
}

const ONE: &str = "https://a.test/one";

#[tokio::test]
async fn only_307_and_308_are_followed_with_a_body() {
    for code in [301, 302, 303, 307, 308] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
            let site = Site::new(&[(ONE, code, "/two?x=y")]);
            let safe = matches!(method, Method::GET | Method::HEAD);
            let followed = code > 303 || safe;
            let found = status(RedirectLayer::new(), &site, request(method.clone())).await;
            assert_eq!(found, if followed { 200 } else { code }, "{code} {method}");
            if followed {
                let seen = site.last();
                assert_eq!(seen.uri(), "https://a.test/two?x=y");
                assert_eq!(seen.method(), method);
                assert_eq!(seen.body().as_bytes().unwrap(), "the body");
            }
        }
    }
    for code in [300, 304, 305, 399] {
        let site = Site::new(&[(ONE, code, "/two")]);
        assert_eq!(status(RedirectLayer::new(), &site, request(Method::GET)).await, code);
    }
}

#[tokio::test]
async fn row_56_another_origin_is_not_followed() {
    for to in [
        "https://b.test/one",
        "http://a.test/one",
        "https://a.test:8443/one",
        "//b.test/one",
        "https://a.test@b.test/",
        "ftp://a.test/",
        "nowhere:",
        "https://",
    ] {
        for code in [307, 308] {
            let site = Site::new(&[(ONE, code, to)]);
            assert_eq!(status(RedirectLayer::new(), &site, request(Method::POST)).await, code);
            assert_eq!(site.seen().len(), 1, "{to}");
        }
    }
    // The same origin, written in another way.
    let site = Site::new(&[(ONE, 307, "https://A.test:443/two")]);
    assert_eq!(status(RedirectLayer::new(), &site, request(Method::POST)).await, 200);
}

#[tokio::test]
async fn an_answer_without_a_location_is_an_answer() {
    let odd = service_fn(|_: Sent| async {
        let mut answer = Response::new(());
        *answer.status_mut() = http::StatusCode::PERMANENT_REDIRECT;
        Ok::<_, Infallible>(answer)
    });
    let answer = RedirectLayer::new().layer(odd).oneshot(request(Method::GET)).await.unwrap();
    assert_eq!(answer.status(), 308);
}

#[tokio::test]
async fn a_circle_ends_at_the_limit() {
    let site = Site::new(&[(ONE, 307, "/one")]);
    assert_eq!(status(RedirectLayer::new(), &site, request(Method::GET)).await, 307);
    assert_eq!(site.seen().len(), 11);
    let site = Site::new(&[(ONE, 307, "/one")]);
    assert_eq!(status(RedirectLayer::new().limit(0), &site, request(Method::GET)).await, 307);
    assert_eq!(site.seen().len(), 1);
}

#[tokio::test]
async fn elsewhere_credentials_are_left_behind_for_good() {
    let site = Site::new(&[
        (ONE, 307, "https://b.test/two"),
        ("https://b.test/two", 307, "https://a.test/three"),
    ]);
    let mut request = request(Method::GET);
    let mut own = HeaderValue::from_static("hush");
    own.set_sensitive(true);
    request.headers_mut().insert("x-own", own);
    let secret = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "api-key",
        "chatgpt-account-id",
        "openai-organization",
        "openai-project",
        "x-oai-attestation",
        "host",
    ];
    for name in secret {
        request.headers_mut().append(name, HeaderValue::from_static("hush"));
        request.headers_mut().append(name, HeaderValue::from_static("hush"));
    }
    request.headers_mut().insert("accept", HeaderValue::from_static("text/plain"));
    assert_eq!(status(RedirectLayer::new().across_origins(), &site, request).await, 200);
    assert_eq!(
        site.seen(),
        ["GET https://a.test/one", "GET https://b.test/two", "GET https://a.test/three"]
    );
    let seen = site.seen.lock().unwrap();
    assert_eq!(seen[0].headers().len(), 2 * secret.len() + 2);
    for request in &seen[1..] {
        assert_eq!(request.headers().len(), 1, "{:?}", request.headers());
        assert_eq!(request.headers()["accept"], "text/plain");
    }
}

#[tokio::test]
async fn elsewhere_there_is_no_body_and_no_way_out_of_tls() {
    let across = RedirectLayer::new().across_origins();
    for (to, method) in [
        ("https://b.test/", Method::POST),
        ("https://b.test/", Method::DELETE),
        ("http://b.test/", Method::GET),
        ("http://a.test/one", Method::GET),
        ("ws://b.test/", Method::GET),
    ] {
        let site = Site::new(&[(ONE, 307, to)]);
        assert_eq!(status(across, &site, request(method)).await, 307, "{to}");
    }
    let site = Site::new(&[("http://a.test/", 302, "http://b.test/")]);
    let mut clear = request(Method::GET);
    *clear.uri_mut() = Uri::from_static("http://a.test/");
    assert_eq!(status(across, &site, clear).await, 200);
}

#[tokio::test]
async fn each_hop_is_authorised_for_the_provider_only() {
    let site = Site::new(&[
        ("https://a.test/v1/files", 307, "/v2/files"),
        ("https://a.test/v2/files", 302, "https://cdn.test/file"),
    ]);
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(Provider::new("a", "https://a.test/v1").unwrap()))
        .layer(RedirectLayer::new().across_origins())
        .layer(AuthLayer::new(Bearer::new("sk-hush").unwrap()))
        .service(site.service());
    let request = Request::get("/files").body(RequestBody::empty()).unwrap();
    assert_eq!(stack.oneshot(request).await.unwrap().status(), 200);
    let seen = site.seen.lock().unwrap();
    let authorised: Vec<_> =
        seen.iter().map(|request| request.headers().contains_key("authorization")).collect();
    assert_eq!(authorised, [true, true, false]);
    assert_eq!(seen[2].uri(), "https://cdn.test/file");
}

/// Without the layer a redirect is an error that says so.
#[tokio::test]
async fn an_endpoint_follows_nothing_by_itself() {
    use tower_openai::services::{Responses, ResponsesRequest};

    let site = Site::new(&[("https://a.test/v1/responses", 308, "/v2/responses")]);
    let stack = |layer: Option<RedirectLayer>| {
        ServiceBuilder::new()
            .layer(Responses::layer())
            .layer(ProviderLayer::new(Provider::new("a", "https://a.test/v1").unwrap()))
            .layer(layer.unwrap_or(RedirectLayer::new().limit(0)))
            .service(site.service())
    };
    let request = || ResponsesRequest::new("gpt-5.2", "hello");
    let err = stack(None).oneshot(request()).await.map(drop).unwrap_err();
    assert_eq!((err.status().unwrap().as_u16(), err.stage()), (308, Stage::Sent));
    assert!(err.to_string().contains("redirects are not followed"), "{err}");
    assert_eq!(site.seen(), ["POST https://a.test/v1/responses"]);

    let _ = stack(Some(RedirectLayer::new())).oneshot(request()).await;
    assert_eq!(site.seen().last().unwrap(), "POST https://a.test/v2/responses");
}

/// In the preset too, next to the cookies.
#[tokio::test]
async fn the_preset_takes_it_as_a_layer_of_each_attempt() {
    use tower_openai::Client;
    use tower_openai::layers::CookieLayer;
    use tower_openai::services::ResponsesRequest;

    let site = Site::new(&[("https://a.test/v1/responses", 307, "/v2/responses")]);
    let client = Client::builder()
        .base_url("https://a.test/v1")
        .api_key("sk-hush")
        .attempt_layer(RedirectLayer::new())
        .attempt_layer(CookieLayer::new())
        .transport(site.service())
        .build()
        .unwrap();
    let request = ResponsesRequest::new("gpt-5.2", "hello");
    let _ = client.responses().stream_request(request).await;
    let seen = site.seen();
    assert_eq!(seen, ["POST https://a.test/v1/responses", "POST https://a.test/v2/responses"]);
    assert!(site.last().headers().contains_key("authorization"));
}

// ===== the contract of layers =====

#[tokio::test(start_paused = true)]
async fn it_keeps_to_the_contract() {
    layer::calls_what_was_made_ready(RedirectLayer::new()).await;
    layer::runs_calls_side_by_side(RedirectLayer::new()).await;
    layer::cancels_by_dropping(RedirectLayer::new()).await;
    layer::composes!(RedirectLayer::new());
}

#[tokio::test]
async fn the_place_of_the_first_request_is_free_for_the_next() {
    let site = Site::new(&[(ONE, 307, "/two")]);
    let stack = ServiceBuilder::new()
        .layer(RedirectLayer::new())
        .concurrency_limit(1)
        .service(site.service());
    assert_eq!(stack.oneshot(request(Method::POST)).await.unwrap().status(), 200);
}
