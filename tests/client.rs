//! The preset as a whole.

use std::convert::Infallible;
use std::time::Duration;

use async_compression::tokio::write::GzipEncoder;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::util::MapRequestLayer;
use tower::{ServiceExt, service_fn};
use tower_openai::client::{Client, ClientBuilder};
use tower_openai::layers::RetriedError;
use tower_openai::provider::Provider;
use tower_openai::services::ResponsesRequest;
use tower_openai::transport::{HyperTransport, TransportError};
use tower_openai::{Error, ErrorKind, RequestBody};

#[test]
fn it_is_built_outside_a_runtime() {
    let client = Client::builder()
        .connect_timeout(Duration::from_secs(3))
        .read_buffer(64 * 1024)
        .build()
        .unwrap();
    drop(client.clone().http());
}

#[test]
fn settings_are_checked() {
    let err = Client::builder().read_buffer(1).build().unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Build);
    assert!(err.to_string().contains("read_buffer"), "{err}");
}

#[test]
fn a_setting_without_effect_is_an_error() {
    let transport = HyperTransport::new().unwrap();
    let err = Client::builder().read_buffer(8192).transport(transport).build().unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Build);
    assert!(err.to_string().starts_with("`read_buffer` is a setting of the built-in"), "{err}");
}

/// The URL and headers of one call with this environment.
async fn called<const N: usize>(
    env: [(&'static str, &'static str); N],
) -> Result<(String, http::HeaderMap), Error> {
    sent(Client::builder().from_env(&env)?).await
}

/// The URL and headers of one call by this client.
async fn sent(client: ClientBuilder) -> Result<(String, http::HeaderMap), Error> {
    let (seen, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let transport = service_fn(move |request: Request<RequestBody>| {
        seen.send((request.uri().to_string(), request.headers().clone())).unwrap();
        async { Ok::<_, Infallible>(Response::new(RequestBody::empty())) }
    });
    let client = client.transport(transport).build()?;
    drop(client.responses().stream_request(ResponsesRequest::new("m", "x")).await?);
    Ok(heads.recv().await.unwrap())
}

#[tokio::test]
async fn the_environment_names_provider_and_key() {
    let (url, headers) = called([("OPENAI_API_KEY", " sk-1 ")]).await.unwrap();
    assert_eq!(url, "https://api.openai.com/v1/responses");
    assert_eq!(headers["authorization"], "Bearer sk-1");

    let local = ("OPENAI_BASE_URL", "http://localhost:1234/v1?tenant=a");
    let (url, headers) = called([local, ("OPENAI_API_KEY", "")]).await.unwrap();
    assert_eq!(url, "http://localhost:1234/v1/responses?tenant=a");
    assert!(!headers.contains_key("authorization"));

    let azure = ("OPENAI_BASE_URL", "https://x.openai.azure.com/openai/v1");
    let (_, headers) = called([azure, ("OPENAI_API_KEY", "k-1")]).await.unwrap();
    assert_eq!(headers["api-key"], "k-1");
    assert!(!headers.contains_key("authorization"));

    for nothing in [[("OPENAI_API_KEY", "")], [("OPENAI_BASE_URL", " ")]] {
        let error = called(nothing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains("OPENAI_API_KEY"), "{error}");
    }
}

#[tokio::test]
async fn headers_and_query_hold_for_any_provider() {
    let env = [("OPENAI_API_KEY", "sk-1"), ("OPENAI_ORG_ID", "org-env")];
    let client = Client::builder()
        .organization("org-1")
        .organization("org-2")
        .header("x-team", "a")
        .header("X-Team", "b")
        .query("region", "eu west")
        .from_env(&env)
        .unwrap()
        .project("proj-1");
    let (url, headers) = sent(client).await.unwrap();
    assert_eq!(url, "https://api.openai.com/v1/responses?region=eu%20west");
    let all = |name| headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("openai-organization"), ["org-2"]);
    assert_eq!(all("openai-project"), ["proj-1"]);
    assert_eq!(all("x-team"), ["a", "b"]);

    // The last word on where to go counts.
    let gone = Provider::new("gone", "https://gone.test/v1").unwrap();
    let client = Client::builder().header("x-team", "a").provider(gone);
    let (url, headers) = sent(client.base_url("https://here.test/v1")).await.unwrap();
    assert_eq!(url, "https://here.test/v1/responses");
    assert_eq!(headers["x-team"], "a");

    for client in [
        Client::builder().header("bad name", "secret-1"),
        Client::builder().organization("secret-1\n"),
    ] {
        let error = client.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(!format!("{error} {error:?}").contains("secret-1"), "{error:?}");
    }
}

#[tokio::test]
async fn the_first_layer_added_is_the_outermost() {
    let tag = |name: &'static str| {
        MapRequestLayer::new(move |mut request: Request<RequestBody>| {
            request.headers_mut().append("x-tag", HeaderValue::from_static(name));
            request
        })
    };
    let transport = service_fn(|request: Request<RequestBody>| async move {
        let tags: Vec<_> = request.headers().get_all("x-tag").iter().collect();
        assert_eq!(tags, ["first", "second"]);
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let client = Client::builder()
        .layer(tag("first"))
        .transport(transport)
        .layer(tag("second"))
        .build()
        .unwrap();
    client.http().oneshot(Request::new("body".into())).await.unwrap();
}

#[tokio::test]
async fn a_compressed_answer_comes_out_plain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let read = socket.read(&mut request).await.unwrap();
        request.truncate(read);
        let mut gzip = GzipEncoder::new(Vec::new());
        gzip.write_all(b"data: {}\n\n").await.unwrap();
        gzip.shutdown().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&gzip.into_inner()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    let client = Client::builder().build().unwrap();
    let request = Request::post(format!("http://{addr}/responses")).body("{}".into()).unwrap();
    let response = client.http().oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "data: {}\n\n");
    let request = server.await.unwrap();
    assert!(request.starts_with("POST /responses HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\naccept-encoding: zstd,gzip,br\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-length: 2\r\n"), "{request}");
}

#[tokio::test]
async fn the_error_of_the_transport_arrives_whole() {
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let request = Request::get(format!("http://{addr}/")).body(RequestBody::empty()).unwrap();
    let once = Client::builder().max_retries(0).build().unwrap();
    let err = once.http().oneshot(request.clone()).await.unwrap_err();
    let err = err.downcast::<TransportError>().unwrap();
    assert_eq!(err.kind(), ErrorKind::Connect);

    let client = Client::builder().build().unwrap();
    let err = client.http().oneshot(request).await.unwrap_err();
    let err = err.downcast::<RetriedError>().unwrap();
    assert_eq!(err.attempts().len(), 3, "two retries by default");
    let last = err.into_last().downcast::<TransportError>().unwrap();
    assert_eq!(last.kind(), ErrorKind::Connect);
}
