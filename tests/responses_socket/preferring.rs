//! A socket if there is one, else HTTP.

use serde_json::json;
use tower_openai::services::{Preference, ResponsesSocketRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::{Client, ErrorKind};

use crate::support::*;

#[tokio::test]
async fn where_sockets_work_they_are_used() {
    let server = Server::start().await.unwrap();
    let prefer = client(&server).prefer_socket(ResponsesSocketRequest::new());
    for words in ["one", "two"] {
        let stream = prefer.stream_request(request(words)).await.unwrap();
        assert!(stream.is_over_socket());
        assert!(text(stream).await.unwrap().contains(words));
    }
    assert_eq!(prefer.preference(), Preference::Socket);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_refused_upgrade_is_http_at_once_with_the_same_request() {
    for status in [403, 404, 405, 426] {
        let server = Server::start().await.unwrap();
        server.enqueue(Script::status(status));
        let prefer = client(&server).prefer_socket(ResponsesSocketRequest::new());
        for words in ["one", "two"] {
            let asked = request(words).stream_id("lane").set("own", &1);
            let stream = prefer.stream_request(asked).await.unwrap();
            assert!(!stream.is_over_socket());
            assert!(text(stream).await.unwrap().contains(words));
        }
        assert!(
            matches!(prefer.preference(), Preference::Http { status: Some(of), .. } if of.as_u16() == status)
        );
        let requests = server.requests();
        let methods: Vec<_> = requests.iter().map(|seen| seen.method().as_str()).collect();
        assert_eq!(methods, ["GET", "POST", "POST"]);
        let body = requests[1].json().unwrap();
        assert_eq!((&body["own"], body.get("stream_id")), (&json!(1), None));
    }
}

#[tokio::test]
async fn a_network_without_a_server_is_the_error_of_http() {
    let server = Server::start().await.unwrap();
    let gone = server.base_url().to_owned();
    server.shutdown().await;
    let client = Client::builder().base_url(gone).max_retries(0).build().unwrap();
    let prefer = client.prefer_socket(ResponsesSocketRequest::new());
    let error = soon(prefer.stream_request(request("hello"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(matches!(prefer.preference(), Preference::Http { kind: ErrorKind::Connect, .. }));
}

#[tokio::test]
async fn what_is_too_large_for_a_frame_goes_over_http_alone() {
    let server = Server::start().await.unwrap();
    let prefer = client(&server).prefer_socket(ResponsesSocketRequest::new());
    let large = request(&"x".repeat(17 * 1024 * 1024));
    let stream = soon(prefer.stream_request(large)).await.unwrap();
    assert!(!stream.is_over_socket());
    drop(stream);
    let stream = prefer.stream_request(request("small")).await.unwrap();
    assert!(stream.is_over_socket());
}

#[tokio::test]
async fn a_socket_closed_with_1009_is_followed_by_http() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(0).then_close(1009, "too large"));
    let prefer = client(&server).prefer_socket(ResponsesSocketRequest::new());
    let error = soon(prefer.stream_request(request("hello"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let stream = prefer.stream_request(request("hello")).await.unwrap();
    assert!(!stream.is_over_socket());
}
