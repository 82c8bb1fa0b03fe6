//! What the server says of steers, beside responses.

use super::*;
use crate::services::responses_socket::steering::SteerId;

const ACCEPTED: &str =
    r#"{"type":"response.steer.accepted","steer":{"id":"s","previous_response_id":"r"}}"#;
const FAILED: &str = r#"{"type":"response.steer.failed","steer":{"previous_response_id":"r"},"error":{"code":"c","message":"no"}}"#;

fn steer(rig: &mut Rig) -> SteerId {
    let id = rig.lanes.steers.add("steer".into(), None, "r".into()).unwrap();
    assert_eq!(rig.sent(), ["steer"]);
    id
}

fn word(rig: &mut Rig, id: SteerId) -> Poll<Result<String, String>> {
    let mut cx = Context::from_waker(Waker::noop());
    let word = rig.lanes.steers.poll_word(id, &mut cx);
    word.map_ok(|answer| answer.id).map_err(|error| error.message().to_owned())
}

#[test]
fn one_that_failed_is_nothing_to_the_response_that_runs() {
    for left in [false, true] {
        let mut rig = Rig::new();
        let call = rig.open("", "1");
        rig.sent();
        let failing = steer(&mut rig);
        if left {
            rig.lanes.steers.leave(failing);
        }
        rig.receive(FAILED);
        assert!(rig.take(call).is_pending());
        assert_eq!(word(&mut rig, failing).is_ready(), !left);
        rig.delta("", "x");
        rig.complete("");
        assert_eq!(rig.taken(call), ["x", "response.completed"]);
    }
}
