//! The rows of section B.3, and what is checked before anything is sent.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};

use crate::layers::{AuthLayer, Bearer, ProviderLayer};
use crate::model::realtime::codex::RealtimeConversationVersion;
use crate::model::realtime::{OutputModality, Session, Voice};
use crate::provider::Provider;
use crate::services::{Realtime, RealtimeCall, RealtimeCallRequest, RealtimeRequest};
use crate::ws::WebSocketConfig;
use crate::{BoxError, Error, ErrorKind, RequestBody};

const V1: RealtimeConversationVersion = RealtimeConversationVersion::V1;
const V2: RealtimeConversationVersion = RealtimeConversationVersion::V2;

pub(super) fn provider(base: &str) -> Provider {
    Provider::new("example", base).unwrap()
}

/// What the handshake is made of, sent through the layers of a provider and of credentials.
pub(super) async fn handshake(
    provider: Provider,
    request: RealtimeRequest,
) -> Result<Request<()>, Error> {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let http = service_fn(move |request: Request<RequestBody>| {
        *keep.lock().unwrap() = Some(request.map(drop));
        std::future::ready(Ok::<_, BoxError>(
            Response::builder().status(403).body(Full::<bytes::Bytes>::default()).unwrap(),
        ))
    });
    let realtime = ServiceBuilder::new()
        .layer(Realtime::layer())
        .layer(ProviderLayer::new(provider))
        .layer(AuthLayer::new(Bearer::new("sk-credential").unwrap()))
        .service(http);
    let error = realtime.send(request).await.unwrap_err();
    let seen = seen.lock().unwrap().take();
    seen.ok_or(error)
}

async fn headers(provider: Provider, request: RealtimeRequest) -> HeaderMap {
    handshake(provider, request).await.unwrap().headers().clone()
}

mod handshakes {
    use super::*;

    #[tokio::test]
    async fn x_session_id_is_sent_if_there_is_one() {
        let base = || provider("https://a.example/v1");
        assert_eq!(headers(base(), RealtimeRequest::new("m")).await.get("x-session-id"), None);
        let request = RealtimeRequest::new("m")
            .provider_session_id("sess_1")
            .header("x-session-id", "of the caller");
        let sent = headers(base(), request).await;
        let ids: Vec<_> = sent.get_all("x-session-id").iter().collect();
        assert_eq!(ids, ["sess_1"]);
    }

    #[tokio::test]
    async fn an_x_session_id_that_no_header_can_hold_is_an_error() {
        let request = RealtimeRequest::new("m").provider_session_id("a\nb");
        let error = handshake(provider("https://a.example/v1"), request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains("x-session-id"), "{error}");
    }

    #[tokio::test]
    async fn authorization_is_the_credential_of_the_stack() {
        let sent = headers(provider("https://a.example/v1"), RealtimeRequest::new("m")).await;
        assert_eq!(sent["authorization"], "Bearer sk-credential");
        // And does not go to another origin, where the caller's own does.
        let other = || RealtimeRequest::new("m").base_url("wss://b.example/v1");
        assert_eq!(
            headers(provider("https://a.example/v1"), other()).await.get("authorization"),
            None
        );
        let own = other().header("authorization", "Bearer mine");
        let sent = headers(provider("https://a.example/v1"), own).await;
        assert_eq!(sent["authorization"], "Bearer mine");
    }

    #[tokio::test]
    async fn openai_alpha_is_sent_for_v1() {
        let base = || provider("https://a.example/v1");
        let sent = headers(base(), RealtimeRequest::new("m").codex(V1)).await;
        assert_eq!(sent["openai-alpha"], "quicksilver=v1");
        let sent = headers(base(), RealtimeRequest::new("m").codex(V2)).await;
        assert_eq!(sent.get("openai-alpha"), None);
        // The released API refuses the header of the beta.
        assert_eq!(sent.get("openai-beta"), None);
    }

    #[tokio::test]
    async fn headers_of_the_request_go_before_those_of_the_provider() {
        let base = provider("https://a.example/v1")
            .header("x-team", "theirs")
            .and_then(|it| it.header("x-default", "kept"))
            .unwrap();
        let sent = headers(base, RealtimeRequest::new("m").header("x-team", "ours")).await;
        assert_eq!(
            (&sent["x-team"], &sent["x-default"]),
            (&"ours".parse().unwrap(), &"kept".parse().unwrap())
        );
    }

    #[tokio::test]
    async fn it_is_an_upgrade_that_offers_no_extension() {
        let sent =
            handshake(provider("https://a.example/v1"), RealtimeRequest::new("m")).await.unwrap();
        assert_eq!(sent.method(), "GET");
        assert_eq!(sent.headers()["upgrade"], "websocket");
        // Row 68 of the faults: a gateway that would compress must not.
        assert_eq!(sent.headers().get("sec-websocket-extensions"), None);
        assert_eq!(sent.headers().get("content-type"), None);
    }

    #[tokio::test]
    async fn a_call_that_was_answered_is_joined() {
        let http = service_fn(|_: Request<RequestBody>| async {
            let answer =
                Response::builder().status(201).header("location", "/v1/realtime/calls/rtc_7");
            Ok::<_, BoxError>(answer.body(Full::from("v=0\r\n")).unwrap())
        });
        let session = Session::codex_v1("Be kind.", Voice::Cove);
        let offer = RealtimeCallRequest::new("v=0").session(&session);
        let answer = RealtimeCall::new(http).send(offer).await.unwrap();
        let request = RealtimeRequest::from(answer.value());
        let url = request.url(&provider("https://a.example/v1")).unwrap();
        assert_eq!(url, "wss://a.example/v1/realtime?call_id=rtc_7");
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_status() {
        let http = service_fn(|_: Request<RequestBody>| async {
            let body = r#"{"error":{"code":"call_id_not_found","message":"No such call."}}"#;
            let answer = Response::builder().status(StatusCode::NOT_FOUND);
            Ok::<_, BoxError>(answer.body(Full::from(body)).unwrap())
        });
        let error = Realtime::new(http).send(RealtimeRequest::join("rtc_1")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("call_id_not_found")));
        assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    }
}

mod sessions {
    use super::*;

    async fn refused(request: RealtimeRequest) -> Error {
        handshake(provider("https://a.example"), request).await.unwrap_err()
    }

    fn of(version: RealtimeConversationVersion, session: Session) -> RealtimeRequest {
        RealtimeRequest::new("m").codex(version).session(session)
    }

    /// Tests of what is refused before anything is sent, and of what is not.
    macro_rules! checked {
        ($($row:ident: $request:expr => $($words:literal)?;)+) => {
            $(
                #[tokio::test]
                async fn $row() {
                    let sent = handshake(provider("https://a.example"), $request).await;
                    let refusal = sent.err().map(|error| {
                        assert_eq!(error.kind(), ErrorKind::Build);
                        error.message().to_owned()
                    });
                    let words: &[&str] = &[$($words)?];
                    assert_eq!(refusal.is_some(), !words.is_empty(), "{refusal:?}");
                    let has = |words: &&str| refusal.as_ref().is_some_and(|text| text.contains(words));
                    assert!(words.iter().all(has), "{refusal:?}");
                }
            )+
        };
    }

    checked! {
        v1_with_a_voice_of_v2: of(V1, Session::codex_v1("", Voice::Cedar)) => "one of version 2";
        v1_with_text: of(V1, Session::new().output_modality(OutputModality::Text)) => "by voice only";
        v1_with_transcripts_alone: of(V1, Session::codex_transcription()) => "is not one of version 1";
        v1_with_its_own: of(V1, Session::codex_v1("", Voice::Cove)) =>;
        v2_with_a_voice_of_v1: of(V2, Session::new().voice(Voice::Cove)) => "one of version 1";
        v2_with_a_session_of_v1: of(V2, Session::codex_v1("", Voice::from("new"))) => "is one of version 1";
        v2_with_a_voice_of_next_year: of(V2, Session::new().voice(Voice::from("of next year"))) =>;
        no_version_with_any_voice:
            RealtimeRequest::new("m").session(Session::new().voice(Voice::Cove)) =>;
    }

    #[tokio::test]
    async fn that_are_too_large_are_refused_before_anything_is_sent() {
        let session = Session::new().instructions("x".repeat(1024 * 1024));
        let error = refused(RealtimeRequest::new("m").session(session)).await;
        assert_eq!((error.kind(), error.stage().as_str()), (ErrorKind::TooLarge, "not_sent"));
    }

    #[test]
    fn are_sent_without_what_the_server_alone_sets() {
        let json = r#"{"type":"realtime","id":"sess_1","object":"realtime.session","voice":"sage","expires_at":1}"#;
        let request = RealtimeRequest::new("m").session(serde_json::from_str(json).unwrap());
        let (_, first) = request.open(&WebSocketConfig::default()).unwrap();
        assert_eq!(
            first[0].as_text().unwrap(),
            r#"{"type":"session.update","session":{"type":"realtime","voice":"sage"}}"#
        );
    }

    #[test]
    fn do_not_show() {
        let session = Session::new().instructions("the prompt");
        let request =
            RealtimeRequest::new("m").session(session).base_url("wss://x.test?key=secret");
        let shown = format!("{request:?}");
        assert!(!shown.contains("prompt") && !shown.contains("secret"), "{shown}");
    }
}
