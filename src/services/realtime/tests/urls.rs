//! The rows of section B.2.

use super::opening::{handshake, provider};
use crate::ErrorKind;
use crate::model::realtime::Session;
use crate::model::realtime::codex::RealtimeConversationVersion::{V1, V2};
use crate::services::RealtimeRequest;

/// Where nothing but the base URL says where.
fn plain() -> RealtimeRequest {
    RealtimeRequest::default().codex(V2)
}

/// A test of each row: this request of this provider goes to this URL, and so does the handshake.
macro_rules! urls {
    ($($row:ident: $provider:expr, $request:expr => $url:literal;)+) => {
        $(
            #[tokio::test]
            async fn $row() {
                let (provider, request) = ($provider, $request);
                assert_eq!(request.url(&provider).unwrap(), $url);
                let sent = handshake(provider, request).await.unwrap();
                // An HTTP service knows the schemes of HTTP only.
                assert_eq!(sent.uri().to_string(), $url.replacen("ws", "http", 1));
            }
        )+
    };
}

urls! {
    example_1: provider("https://a.example"), RealtimeRequest::default().codex(V1)
        => "wss://a.example/v1/realtime?intent=quicksilver";
    example_2: provider("https://a.example/x/v1"), RealtimeRequest::new("m").codex(V2)
        => "wss://a.example/x/v1/realtime?model=m";
    example_3: provider("wss://a.example/v1/realtime/?z=9").query("intent", "q").query("t", "1"), plain()
        => "wss://a.example/v1/realtime?z=9&t=1";
    example_4: provider("http://a.example"), RealtimeRequest::join("rtc_7").codex(V2)
        => "ws://a.example/v1/realtime?call_id=rtc_7";
    example_5: provider("https://a.example"), RealtimeRequest::join("rtc_7").codex(V1)
        => "wss://a.example/v1/realtime?intent=quicksilver&call_id=rtc_7";

    path_empty: provider("https://a.example"), plain() => "wss://a.example/v1/realtime";
    path_of_a_slash: provider("https://a.example/"), plain() => "wss://a.example/v1/realtime";
    path_ends_with_realtime: provider("https://a.example/a/realtime"), plain()
        => "wss://a.example/a/realtime";
    path_ends_with_realtime_and_slashes: provider("https://a.example/a/realtime//"), plain()
        => "wss://a.example/a/realtime";
    path_ends_with_v1: provider("https://a.example/a/v1"), plain() => "wss://a.example/a/v1/realtime";
    path_ends_with_v1_and_a_slash: provider("https://a.example/a/v1/"), plain()
        => "wss://a.example/a/v1/realtime";
    path_of_another_kind: provider("https://a.example/backend-api/codex"), plain()
        => "wss://a.example/backend-api/codex";
    path_of_another_kind_with_a_slash: provider("https://a.example/backend-api/codex/"), plain()
        => "wss://a.example/backend-api/codex/";
    path_of_another_kind_with_a_slash_and_a_query:
        provider("https://a.example/backend-api/codex/?z=9"), RealtimeRequest::new("m")
        => "wss://a.example/backend-api/codex/?z=9&model=m";

    scheme_ws: provider("ws://a.example"), plain() => "ws://a.example/v1/realtime";
    scheme_wss: provider("wss://a.example"), plain() => "wss://a.example/v1/realtime";
    scheme_http: provider("http://a.example"), plain() => "ws://a.example/v1/realtime";
    scheme_https: provider("https://a.example"), plain() => "wss://a.example/v1/realtime";

    query_with_nothing_to_add: provider("https://a.example/v1?z=9"), plain()
        => "wss://a.example/v1/realtime?z=9";
    query_after_that_of_the_base: provider("https://a.example/v1?z=9"), RealtimeRequest::new("m").codex(V1)
        => "wss://a.example/v1/realtime?z=9&intent=quicksilver&model=m";
    query_of_the_provider_in_order:
        provider("https://a.example").query("t", "1").query("s", "2"), RealtimeRequest::new("m")
        => "wss://a.example/v1/realtime?model=m&t=1&s=2";
    query_of_the_provider_without_its_intent: provider("https://a.example").query("intent", "q"), plain()
        => "wss://a.example/v1/realtime";
    query_of_the_provider_without_its_model:
        provider("https://a.example").query("model", "theirs"), RealtimeRequest::new("m")
        => "wss://a.example/v1/realtime?model=m";
    query_of_the_provider_with_its_model: provider("https://a.example").query("model", "theirs"), plain()
        => "wss://a.example/v1/realtime?model=theirs";
    query_encoded: provider("https://a.example").query("t", "a b&c"), RealtimeRequest::new("our model")
        => "wss://a.example/v1/realtime?model=our%20model&t=a%20b%26c";

    sideband_with_the_model_of_the_provider:
        provider("https://a.example").query("model", "theirs"), RealtimeRequest::join("rtc 7")
        => "wss://a.example/v1/realtime?model=theirs&call_id=rtc%207";
    sideband_behind_all_else:
        provider("https://a.example/v1?z=9").query("t", "1"), RealtimeRequest::join("rtc_7").codex(V1)
        => "wss://a.example/v1/realtime?z=9&intent=quicksilver&t=1&call_id=rtc_7";

    session_of_transcripts: provider("https://a.example"), plain().session(Session::codex_transcription())
        => "wss://a.example/v1/realtime";

    base_of_the_request: provider("https://a.example/v1").query("t", "1"),
        RealtimeRequest::new("m").base_url("ws://b.example:81/v1/realtime/?z=9")
        => "ws://b.example:81/v1/realtime?z=9&model=m";
}

#[test]
fn scheme_of_another_kind() {
    let provider = provider("https://a.example");
    for base in ["ftp://b.example", "b.example", "wss://"] {
        let error = RealtimeRequest::default().base_url(base).url(&provider).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build, "{base}");
    }
    let error = RealtimeRequest::default().base_url("ftp://b.example").url(&provider).unwrap_err();
    assert!(error.message().contains("scheme"), "{error}");
}
