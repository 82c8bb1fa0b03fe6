//! Cloudflare's cookies, in a stack.

#[path = "support/layer.rs"]
mod layer;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_openai::layers::{CookieLayer, WithCookies};
use tower_openai::provider::Provider;
use tower_openai::services::{ModelsRequest, ResponsesRequest};
use tower_openai::{Client, RequestBody};

type Sent = Request<RequestBody>;

/// Sets these cookies on every answer, and notes what it is sent.
#[derive(Clone, Default)]
struct Edge {
    cookies: Arc<Vec<&'static str>>,
    seen: Arc<Mutex<Vec<Option<String>>>>,
}

impl Edge {
    fn new(cookies: &[&'static str]) -> Self {
        Self { cookies: Arc::new(cookies.to_vec()), seen: Arc::default() }
    }

    fn service(
        &self,
    ) -> impl Service<Sent, Response = Response<()>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + use<> {
        let edge = self.clone();
        service_fn(move |request: Sent| {
            let cookie = request.headers().get("cookie");
            let text = cookie.map(|value| {
                assert!(value.is_sensitive() || value == "own=1");
                value.to_str().unwrap().to_owned()
            });
            edge.seen.lock().unwrap().push(text);
            let mut answer = Response::builder();
            for cookie in &*edge.cookies {
                answer = answer.header("set-cookie", *cookie);
            }
            std::future::ready(Ok(answer.body(()).unwrap()))
        })
    }

    fn seen(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap().clone()
    }
}

fn get(uri: &str) -> Sent {
    Request::get(uri).body(RequestBody::empty()).unwrap()
}

const HOST: &str = "https://chatgpt.com/backend-api/codex/responses";

#[tokio::test]
async fn what_cloudflare_sets_comes_back() {
    let edge = Edge::new(&[
        "__cf_bm=token.1; path=/; expires=Fri, 31-Dec-66 23:59:59 GMT; domain=.chatgpt.com; HttpOnly",
        "session=hush; path=/",
        "_cfuvid=two; path=/; secure; SameSite=None",
    ]);
    let layer = CookieLayer::new();
    let mut service = layer.layer(edge.service());
    let answer = service.ready().await.unwrap().call(get(HOST)).await.unwrap();
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 3);
    for uri in [HOST, "https://a.chatgpt.com/", "https://api.openai.com/", "http://chatgpt.com/"] {
        service.ready().await.unwrap().call(get(uri)).await.unwrap();
    }
    let both = Some("__cf_bm=token.1; _cfuvid=two".to_owned());
    assert_eq!(edge.seen(), [None, both.clone(), Some("__cf_bm=token.1".to_owned()), None, None],);
    let shown = format!("{layer:?}");
    assert!(shown.contains("cookies: ") && !shown.contains("token.1"), "{shown}");

    // Another service of the layer has the same jar.
    layer.clone().layer(edge.service()).oneshot(get(HOST)).await.unwrap();
    assert!(edge.seen().last().unwrap().as_deref().unwrap().contains("token.1"));
    // Another layer has its own.
    WithCookies::new(edge.service()).oneshot(get(HOST)).await.unwrap();
    assert_eq!(edge.seen().last().unwrap(), &None);
}

#[tokio::test]
async fn a_cookie_header_of_the_callers_stands() {
    let edge = Edge::new(&["__cf_bm=token; path=/"]);
    let mut service = CookieLayer::new().layer(edge.service());
    service.ready().await.unwrap().call(get(HOST)).await.unwrap();
    let mut own = get(HOST);
    own.headers_mut().insert("cookie", "own=1".parse().unwrap());
    service.ready().await.unwrap().call(own).await.unwrap();
    assert_eq!(edge.seen(), [None, Some("own=1".to_owned())]);
}

#[tokio::test]
async fn other_hosts_set_nothing() {
    let edge = Edge::new(&["__cf_bm=token; path=/; domain=chatgpt.com"]);
    let mut service = CookieLayer::new().layer(edge.service());
    for uri in [
        "https://api.openai.com/v1",
        "https://evilchatgpt.com/",
        "https://chatgpt.com.evil.example/",
        "https://foo.chat.openai.com/",
        "http://chatgpt.com/",
        "/backend-api",
        HOST,
    ] {
        service.ready().await.unwrap().call(get(uri)).await.unwrap();
    }
    assert!(edge.seen().iter().all(Option::is_none));
}

#[tokio::test(start_paused = true)]
async fn it_keeps_to_the_contract() {
    layer::calls_what_was_made_ready(CookieLayer::new()).await;
    layer::runs_calls_side_by_side(CookieLayer::new()).await;
    layer::cancels_by_dropping(CookieLayer::new()).await;
    layer::composes!(CookieLayer::new());
}

#[tokio::test(start_paused = true)]
async fn the_preset_keeps_them_for_all_endpoints_if_asked() {
    let edge = Edge::new(&["__cf_bm=a; path=/", "session=never"]);
    let status = Arc::new(AtomicU16::new(503));
    let http = |edge: &Edge| {
        let (edge, status) = (edge.service(), Arc::clone(&status));
        edge.map_response(move |answer: Response<()>| {
            let (mut parts, ()) = answer.into_parts();
            // The first attempt is turned away.
            parts.status = StatusCode::from_u16(status.swap(404, Ordering::SeqCst)).unwrap();
            Response::from_parts(parts, Full::<Bytes>::default())
        })
    };
    let cookies = CookieLayer::new();
    let builder = || Client::builder().provider(Provider::chatgpt()).transport(http(&edge));
    let client = builder().cookies(cookies.clone()).build().unwrap();
    assert!(client.explain().to_string().contains("CookieLayer"));
    let request = || ResponsesRequest::new("m", "hi");
    client.responses().stream_request(request()).await.map(drop).unwrap_err();
    client.models().send(ModelsRequest::new("1.2.3")).await.map(drop).unwrap_err();
    // Another client with the same jar.
    let other = builder().cookies(cookies).build().unwrap();
    other.responses().stream_request(request()).await.map(drop).unwrap_err();
    let known = Some("__cf_bm=a".to_owned());
    assert_eq!(edge.seen(), [None, known.clone(), known.clone(), known]);

    let edge = Edge::new(&["__cf_bm=a; path=/"]);
    let client =
        Client::builder().provider(Provider::chatgpt()).transport(http(&edge)).build().unwrap();
    assert!(!client.explain().to_string().contains("CookieLayer"));
    for _ in 0..2 {
        client.responses().stream_request(request()).await.map(drop).unwrap_err();
    }
    assert_eq!(edge.seen(), [None, None]);
}
