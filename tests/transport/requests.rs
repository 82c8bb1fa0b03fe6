//! Requests that cannot be sent.

use http::Request;
use tower::ServiceExt;
use tower_openai::{ErrorKind, RequestBody, Stage};

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
