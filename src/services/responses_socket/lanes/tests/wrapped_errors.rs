//! The rows of the table of wrapped error frames, and its examples.

use super::*;

/// A rig with a request that was sent.
fn asked() -> (Rig, CallId) {
    let mut rig = Rig::new();
    let call = rig.open("", "1");
    rig.sent();
    (rig, call)
}

fn error_of(frame: &str) -> (Rig, Error) {
    let (mut rig, call) = asked();
    rig.receive(frame);
    let error = rig.error(call);
    (rig, error)
}

fn is_usable(rig: &mut Rig) -> bool {
    rig.lanes.closing().is_none() && rig.try_open("", "next").is_ok() && rig.sent() == ["next"]
}

#[test]
fn a6_websocket_connection_limit_reached() {
    let frame = r#"{"type":"error","error":{"type":"invalid_request_error","code":"websocket_connection_limit_reached"}}"#;
    let with_status = frame.replace("\"error\",", "\"error\",\"status\":400,");
    for frame in [frame, &with_status] {
        let (mut rig, call) = asked();
        let waiting = rig.open("", "2");
        rig.receive(frame);
        let error = rig.error(call);
        assert_eq!(error.kind(), ErrorKind::ConnectionExpired);
        assert!(error.is_retryable() && error.retry_after().is_none());
        let error = rig.error(waiting);
        assert_eq!((error.kind(), error.stage()), (ErrorKind::ConnectionExpired, Stage::NotSent));
        assert!(error.is_retryable());
        let refused = rig.try_open("", "3").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionExpired);
        assert_eq!(rig.lanes.closing(), Some(CloseCode::NORMAL.into()));
    }
}

#[test]
fn a6_previous_response_not_found() {
    let frame = r#"{"type":"error","status":400,"error":{"code":"previous_response_not_found","message":"gone"}}"#;
    let (mut rig, error) = error_of(frame);
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::ChainLost, Some("previous_response_not_found"))
    );
    assert!(!error.is_retryable(), "the same request would fail again");
    assert!(is_usable(&mut rig));

    // With the whole conversation at hand it is sent, once, on the same socket.
    let mut rig = Rig::new();
    let call = rig.open_resending("tail", "whole");
    assert_eq!(rig.sent(), ["tail"]);
    rig.receive(frame);
    assert!(rig.take(call).is_pending());
    assert_eq!(rig.sent(), ["whole"]);
    rig.receive(frame);
    assert_eq!(rig.error(call).kind(), ErrorKind::ChainLost);

    // Not once something of the answer has come.
    let mut rig = Rig::new();
    let call = rig.open_resending("tail", "whole");
    rig.sent();
    rig.event("", "response.created", "");
    rig.receive(frame);
    assert_eq!(rig.taken(call), ["response.created"]);
    assert_eq!(rig.error(call).kind(), ErrorKind::ChainLost);
}

#[test]
fn a6_websocket_stream_limit_reached_and_invalid_stream_id() {
    for code in ["websocket_stream_limit_reached", "invalid_stream_id"] {
        let frame = format!(
            r#"{{"type":"error","status":400,"error":{{"type":"invalid_request_error","code":"{code}","message":"m"}}}}"#
        );
        let (mut rig, error) = error_of(&frame);
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidRequest, Some(code)));
        assert_eq!(error.status().unwrap(), 400);
        assert!(!error.is_retryable() && is_usable(&mut rig));
    }
}

#[test]
fn a6_a_status_that_is_no_success() {
    for (status, kind, retryable) in [
        (400, ErrorKind::InvalidRequest, false),
        (401, ErrorKind::Auth, false),
        (404, ErrorKind::NotFound, false),
        (429, ErrorKind::RateLimited, true),
        (500, ErrorKind::Server, true),
        (503, ErrorKind::Server, true),
    ] {
        let headers = r#""headers":{"x-request-id":"req_1","retry-after":2,"x-n":null,"bad name":"x","x-bool":true}"#;
        let frame =
            format!(r#"{{"type":"error","status":{status},"error":{{"message":"m"}},{headers}}}"#);
        let (mut rig, error) = error_of(&frame);
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{status}");
        assert_eq!((error.status().unwrap().as_u16(), error.message()), (status, "m"));
        assert_eq!(error.request_id(), Some("req_1"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!((error.stage(), error.body().as_ref()), (Stage::Sent, frame.as_bytes()));
        assert!(is_usable(&mut rig));
    }
}

#[test]
fn a6_no_status_or_a_success_or_an_odd_error_is_terminal_all_the_same() {
    for frame in [
        r#"{"type":"error"}"#,
        r#"{"type":"error","status":200,"error":{"message":"x"}}"#,
        r#"{"type":"error","error":"text"}"#,
        r#"{"type":"error","error":{"code":["odd"]}}"#,
        r#"{"type":"error","status":"429","error":null}"#,
        r#"{"type":"error","status":99,"error":{}}"#,
        r#"{"type":"error","code":"server_error","message":"flat","param":null}"#,
    ] {
        // An event like any other, which the stream makes an error of.
        let (mut rig, call) = asked();
        rig.receive(frame);
        let Poll::Ready(Ok(texts)) = rig.take(call) else { panic!("{frame}") };
        assert_eq!(texts, [frame]);
        assert!(rig.ends(call) && is_usable(&mut rig), "{frame}");
    }
}

#[test]
fn a_head_of_any_number_of_headers_is_an_error_like_others() {
    let headers: Vec<_> = (0..40_000).map(|n| format!(r#""x-{n}":{n}"#)).collect();
    let frame = format!(
        r#"{{"type":"error","status":500,"error":{{"message":"m"}},"headers":{{{}}}}}"#,
        headers.join(",")
    );
    let (mut rig, error) = error_of(&frame);
    assert_eq!((error.kind(), error.message()), (ErrorKind::Server, "m"));
    assert!(is_usable(&mut rig));
}

#[test]
fn a6_an_error_ends_its_own_lane_alone() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open("a", "a"), rig.open("b", "b"));
    rig.sent();
    let error = r#","status":500,"error":{"message":"m"}"#;
    rig.event("a", "error", error);
    assert_eq!(rig.error(a).kind(), ErrorKind::Server);
    assert!(rig.take(b).is_pending());
    rig.event("c", "error", error);
    assert!(rig.take(b).is_pending(), "of a lane that is not there");
    // One that names no lane is somebody's, who would wait for ever.
    let c = rig.open("c", "c");
    rig.sent();
    rig.event("", "error", error);
    for id in [b, c] {
        assert_eq!(rig.error(id).kind(), ErrorKind::Server);
    }
}

#[test]
fn a9_usage_limit_with_headers() {
    let frame = r#"{"type":"error","status":429,"error":{"type":"usage_limit_reached","plan_type":"plus","resets_at":1800000000},"headers":{"x-codex-primary-used-percent":"99.5","x-codex-primary-window-minutes":300}}"#;
    let (_, error) = error_of(frame);
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::UsageLimit, 429));
    assert_eq!((error.plan_type(), error.resets_at()), (Some("plus"), Some(1_800_000_000)));
    let window = error.rate_limits()[0].primary.as_ref().unwrap();
    assert_eq!((window.used_percent, window.window_minutes), (99.5, Some(300)));
    assert_eq!(error.body(), frame);
}

#[test]
fn a9_connection_limit() {
    let frame = r#"{"type":"error","error":{"type":"invalid_request_error","code":"websocket_connection_limit_reached"}}"#;
    let (_, error) = error_of(frame);
    assert!(error.is_retryable());
    assert_eq!(error.kind(), ErrorKind::ConnectionExpired);
    assert!(error.message().contains("open another"), "{error}");
}

#[test]
fn a9_overloaded_by_status_code() {
    let (_, error) =
        error_of(r#"{"type":"error","status_code":503,"error":{"code":"server_is_overloaded"}}"#);
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Overloaded, 503));
}

#[test]
fn a9_chain_lost_in_the_flat_form() {
    let (_, error) = error_of(
        r#"{"type":"error","code":"previous_response_not_found","message":"x","param":"previous_response_id"}"#,
    );
    assert_eq!((error.kind(), error.param()), (ErrorKind::ChainLost, Some("previous_response_id")));
}
