//! Errors that name no lane.

use super::*;

const REFUSED: &str = r#"{"type":"error","status":500,"error":{"message":"m"}}"#;
const EXPIRED: &str =
    r#"{"type":"error","error":{"code":"websocket_connection_limit_reached","message":"m"}}"#;
const LOST: &str =
    r#"{"type":"error","status":400,"error":{"code":"previous_response_not_found"}}"#;
const EVENT: &str = r#"{"type":"error","error":{"message":"m"}}"#;

fn is_refused_as_expired(error: &Error) -> bool {
    (error.kind(), error.stage()) == (ErrorKind::ConnectionExpired, Stage::NotSent)
        && error.is_retryable()
}

#[test]
fn one_that_may_be_for_any_of_several_ends_the_connection() {
    for frame in [REFUSED, EXPIRED, LOST, EVENT] {
        let mut rig = Rig::new();
        let (a, b) = (rig.open("a", "a"), rig.open("b", "b"));
        rig.sent();
        let (waiting, starting) = (rig.open("a", "2"), rig.open("c", "c"));
        rig.receive(frame);
        for id in [a, b] {
            if frame == EVENT {
                assert_eq!(rig.taken(id), ["error"]);
                assert!(rig.ends(id));
            } else {
                // The server may go on with it: it must not be sent again unasked.
                assert_eq!(rig.error(id).stage(), Stage::Unknown, "{frame}");
            }
            rig.leave(id);
        }
        for id in [waiting, starting] {
            assert!(is_refused_as_expired(&rig.error(id)), "{frame}");
        }
        // No request comes where the old answer would be taken for its own.
        assert!(is_refused_as_expired(&rig.try_open("a", "new").unwrap_err()), "{frame}");
        rig.delta("a", "old");
        rig.complete("a");
        assert!(rig.sent().is_empty());
        assert_eq!(rig.lanes.closing(), Some(CloseCode::NORMAL.into()));
    }
}

#[test]
fn the_default_lane_gets_it_and_the_others_go_on() {
    for frame in [REFUSED, EXPIRED, LOST] {
        let mut rig = Rig::new();
        let (default, other) = (rig.open("", "1"), rig.open("a", "a"));
        rig.sent();
        rig.receive(frame);
        assert_eq!(rig.error(default).stage(), Stage::Unknown, "{frame}");
        // It may have been for the other one.
        assert!(is_refused_as_expired(&rig.try_open("", "2").unwrap_err()), "{frame}");
        assert_eq!(rig.lanes.closing(), None);
        rig.delta("a", "x");
        rig.complete("a");
        assert_eq!(rig.taken(other), ["x", "response.completed"]);
        assert_eq!(rig.lanes.closing(), Some(CloseCode::NORMAL.into()));
    }
}

#[test]
fn one_that_can_only_be_for_one_leaves_the_connection_open() {
    let mut rig = Rig::new();
    let sent = rig.open("a", "a");
    rig.sent();
    let starting = rig.open("b", "b");
    rig.receive(REFUSED);
    let error = rig.error(sent);
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Server, Stage::Sent));
    assert_eq!(rig.sent(), ["b"]);
    rig.open("a", "again");
    assert_eq!(rig.sent(), ["again"]);
    rig.complete("b");
    assert_eq!(rig.taken(starting), ["response.completed"]);
}
