//! Requests that cannot be sent.

use http::Request;
use tower::ServiceExt;
use tower_openai::transport::{HyperTransport, Proxy};
use tower_openai::{ErrorKind, RequestBody, Stage};

use super::proxies::TestProxy;
use super::support::{HELLO, Server, assert_error, send, transport};

#[tokio::test]
async fn a_relative_uri_says_what_is_missing() {
    let result = send(transport(), "/responses?key=secret").await;
    let message = assert_error(result, ErrorKind::Build, Stage::NotSent);
    assert_eq!(
        message,
        "the request URI `/responses` has no scheme and host: put a `ProviderLayer` above the \
         transport"
    );
}

#[tokio::test]
async fn other_schemes_are_refused() {
    let result = send(transport(), "ftp://127.0.0.1/").await;
    assert_error(result, ErrorKind::Build, Stage::NotSent);
}

/// An HTTP proxy would read it in the request line, and write it into its log.
#[tokio::test]
async fn a_password_in_the_uri_is_refused_before_connecting() {
    let server = Server::answering(HELLO).await;
    let proxy = TestProxy::http(server.addr, None, None).await;
    let by_proxy = Proxy::all(format!("http://{}", proxy.addr)).unwrap();
    let proxied = HyperTransport::builder().proxy(by_proxy).build().unwrap();
    for transport in [transport(), proxied] {
        for uri in ["http://me:hush@{}/", "https://hush@{}/", "http://:hush@{}/"] {
            let uri = uri.replace("{}", &server.addr.to_string());
            for upgrade in [false, true] {
                let mut request = Request::get(&uri).body(RequestBody::empty()).unwrap();
                if upgrade {
                    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
                }
                let err = transport.clone().oneshot(request).await.unwrap_err();
                assert_eq!((err.kind(), err.stage()), (ErrorKind::Build, Stage::NotSent));
                let shown = format!("{err} {err:?}");
                assert!(shown.contains("user name or a password") && !shown.contains("hush"));
            }
        }
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn an_unsupported_version_is_refused_before_connecting() {
    let server = Server::answering(HELLO).await;
    let request = Request::get(format!("http://{}/", server.addr))
        .version(http::Version::HTTP_3)
        .body(RequestBody::empty())
        .unwrap();
    assert_error(transport().oneshot(request).await, ErrorKind::Build, Stage::NotSent);
    assert_eq!(server.accepted(), 0);
}
