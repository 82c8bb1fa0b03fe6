//! `POST realtime/calls`.

use http::{HeaderMap, Method, Request};
use serde_json::json;
use tower::{ServiceExt, service_fn};
use tower_openai::client::Client;
use tower_openai::extensions::Call;
use tower_openai::services::{Compression, RealtimeCall, RealtimeCallRequest, SessionForm};
use tower_openai::testing::{Script, Server};
use tower_openai::{BoxError, ErrorKind, RequestBody};

use crate::support::{Header, assert_sent, once, whole};

const OFFER: &str = "v=0\r\nm=audio 9\r\na=ice-pwd:hidden-1\r\n";
const ANSWER: &str = "v=0\r\na=ice-pwd:hidden-2\r\n";
const LOCATION: Header = ("location", "/v1/realtime/calls/rtc_1");
const PATH: &str = "/realtime/calls";

fn with_session() -> RealtimeCallRequest {
    let session = json!({"type": "realtime", "id": "sess_1", "model": "gpt-realtime"});
    RealtimeCallRequest::new(OFFER).session(&session)
}

#[tokio::test]
async fn an_offer_alone_is_sent_as_it_is() {
    let (http, seen) = once(whole(201, &[LOCATION, ("x-request-id", "req_1")], ANSWER));
    let answer = RealtimeCall::new(http).send(OFFER).await.unwrap();
    assert_eq!((answer.sdp.as_str(), answer.call_id.as_str()), (ANSWER, "rtc_1"));
    assert_eq!(answer.meta().status(), 201);
    assert_eq!(answer.meta().request_id(), Some("req_1"));
    let request = seen.take();
    assert_sent(&request, Method::POST, PATH, &[("content-type", "application/sdp")], OFFER);
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.model()), ("realtime_call", None));
}

#[tokio::test]
async fn an_offer_with_a_session_is_a_form_to_the_byte() {
    let (http, seen) = once(whole(201, &[LOCATION], ANSWER));
    RealtimeCall::new(http).oneshot(with_session().header("x-a", "b")).await.unwrap();
    let body = concat!(
        "--codex-realtime-call-boundary\r\n",
        "Content-Disposition: form-data; name=\"sdp\"\r\n",
        "Content-Type: application/sdp\r\n\r\n",
        "v=0\r\nm=audio 9\r\na=ice-pwd:hidden-1\r\n\r\n",
        "--codex-realtime-call-boundary\r\n",
        "Content-Disposition: form-data; name=\"session\"\r\n",
        "Content-Type: application/json\r\n\r\n",
        r#"{"model":"gpt-realtime","type":"realtime"}"#,
        "\r\n--codex-realtime-call-boundary--\r\n",
    );
    let content_type = "multipart/form-data; boundary=codex-realtime-call-boundary";
    let headers = [("content-type", content_type), ("x-a", "b")];
    let request = seen.take();
    assert_sent(&request, Method::POST, PATH, &headers, body);
    assert_eq!(request.extensions().get::<Call>().unwrap().model(), Some("gpt-realtime"));
}

#[tokio::test]
async fn an_offer_with_a_session_is_json_where_the_api_is_a_backend() {
    let body = concat!(
        r#"{"sdp":"v=0\r\nm=audio 9\r\na=ice-pwd:hidden-1\r\n","#,
        r#""session":{"model":"gpt-realtime","type":"realtime"}}"#,
    );
    let json_type = [("content-type", "application/json")];
    let own = with_session().session_form(SessionForm::Json);
    let both = [(SessionForm::Json, with_session()), (SessionForm::Multipart, own)];
    for (endpoint, request) in both {
        let (http, seen) = once(whole(200, &[LOCATION], ANSWER));
        RealtimeCall::new(http).session_form(endpoint).send(request).await.unwrap();
        assert_sent(&seen.take(), Method::POST, PATH, &json_type, body);
    }
    // The preset knows by the base URL.
    for (base_url, sent) in [
        ("https://chatgpt.com/backend-api/codex", "application/json"),
        ("https://api.openai.com/v1", "multipart/form-data"),
    ] {
        let transport = service_fn(move |request: Request<RequestBody>| {
            let content_type = request.headers()["content-type"].to_str().unwrap();
            assert!(content_type.starts_with(sent), "{content_type}");
            std::future::ready(Ok::<_, BoxError>(whole(201, &[LOCATION], ANSWER)))
        });
        let client = Client::builder().base_url(base_url).transport(transport).build().unwrap();
        client.realtime_call().send(with_session()).await.unwrap();
    }
}

#[tokio::test]
async fn the_call_is_named_by_the_end_of_its_location() {
    for (location, id) in [
        ("rtc_1", Some("rtc_1")),
        ("/v1/realtime/calls/rtc_1/", Some("rtc_1")),
        ("/v1/realtime/calls/calls/rtc_1", Some("rtc_1")),
        ("https://x.test/v1/realtime/calls/rtc_1?a=/b#c/d", Some("rtc_1")),
        ("/v1/realtime/calls", None),
        ("/v1/realtime/calls/", None),
        ("https://x.test/rtc_1", Some("rtc_1")),
        ("https://x.test", None),
        ("https://x.test/?a=/rtc_1", None),
        ("/v1/realtime/calls/..", None),
        ("//", None),
        ("", None),
    ] {
        let (http, _) = once(whole(201, &[("location", location)], ANSWER));
        let answer = RealtimeCall::new(http).send(OFFER).await;
        match (answer, id) {
            (Ok(answer), Some(id)) => assert_eq!(answer.call_id, id, "{location}"),
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::Protocol);
                assert!(error.message().contains("`location`"), "{error}");
            }
            (answer, _) => panic!("{location}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_without_sdp_or_location_is_an_error() {
    let none: &[Header] = &[];
    for (headers, body, word) in [
        (none, ANSWER.as_bytes(), "`location`"),
        (&[LOCATION], b"\r\n", "is empty"),
        (&[LOCATION], b"v=\xff", "is not text"),
    ] {
        let (http, _) = once(whole(201, headers, body.to_vec()));
        let error = RealtimeCall::new(http).send(OFFER).await.unwrap_err();
        assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Protocol, 201));
        assert!(error.message().contains(word), "{error}");
    }
    let (http, _) = once(whole(401, &[], r#"{"error":{"message":"no"}}"#));
    let error = RealtimeCall::new(http).send(OFFER).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Auth, "no"));
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_and_nothing_sent() {
    let boundary = json!({"instructions": "--codex-realtime-call-boundary"});
    let offer = || RealtimeCallRequest::new(OFFER);
    for (request, word) in [
        (offer().session("a string"), "no JSON object"),
        (offer().session(&[1]), "no JSON object"),
        (offer().session(&boundary), "boundary"),
        (RealtimeCallRequest::new(" \r\n"), "offer is empty"),
        (offer().compression(Compression::Zstd), "not JSON"),
    ] {
        let (http, seen) = once(whole(201, &[LOCATION], ANSWER));
        let error = RealtimeCall::new(http).send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains(word), "{error}");
        assert!(seen.is_none());
    }
}

#[tokio::test]
async fn debug_shows_no_password() {
    let (http, _) = once(whole(201, &[LOCATION], ANSWER));
    let request = with_session().options(Default::default());
    let answer = RealtimeCall::new(http).send(request.clone()).await.unwrap();
    let text = format!("{request:?} {answer:?}");
    assert!(text.contains("rtc_1") && !text.contains("hidden"), "{text}");
}

#[tokio::test]
async fn it_works_over_a_real_socket() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(201).header("location", LOCATION.1).body(ANSWER));
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let answer = client.realtime_call().send(with_session()).await.unwrap();
    assert_eq!(answer.into_value().call_id, "rtc_1");
    let request = server.requests().pop().unwrap();
    assert_eq!(request.path(), "/v1/realtime/calls");
    let headers: &HeaderMap = request.headers();
    assert_eq!(headers["authorization"], "Bearer sk-test");
    assert_eq!(headers["content-length"], request.body().len().to_string());
    assert!(headers["content-type"].to_str().unwrap().starts_with("multipart/form-data"));

    // As the server answers by itself, in all three forms.
    for request in [OFFER.into(), with_session(), with_session().session_form(SessionForm::Json)] {
        let answer = client.realtime_call().send(request).await.unwrap();
        assert!(answer.call_id.starts_with("rtc_") && answer.sdp.starts_with("v=0"), "{answer:?}");
    }
}
