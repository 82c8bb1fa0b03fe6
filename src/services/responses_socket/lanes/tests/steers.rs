//! What the server says of steers, beside responses and to steers that nobody waits for.

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

#[test]
fn one_that_waits_is_kept_beside_the_responses_that_follow() {
    const PENDING: &str = r#"{"type":"response.steer.pending","steer":{"id":"s","previous_response_id":"r"},"required_input":[{"call_id":"c"}]}"#;
    let mut rig = Rig::new();
    let (first, next) = (rig.open("", "1"), rig.open("", "2"));
    rig.sent();
    rig.complete("");
    assert_eq!(rig.sent(), ["2"]);
    rig.receive(PENDING);
    assert_eq!(rig.taken(first), ["response.completed"]);
    assert!(rig.take(next).is_pending(), "it is not of this response");
    let [pending] = &rig.lanes.steers.take_pending()[..] else { panic!("one steer") };
    assert_eq!((pending.id.as_str(), pending.previous_response_id.as_str()), ("s", "r"));
    assert!(rig.lanes.steers.take_pending().is_empty());
}

#[test]
fn the_word_on_one_that_was_left_is_not_given_to_the_next() {
    let mut rig = Rig::new();
    let _call = rig.open("", "1");
    rig.sent();
    let left = steer(&mut rig);
    rig.lanes.steers.leave(left);
    let next = steer(&mut rig);
    rig.receive(FAILED);
    assert!(word(&mut rig, next).is_pending());
    rig.receive(ACCEPTED);
    assert_eq!(word(&mut rig, next), Poll::Ready(Ok("s".into())));
}

#[test]
fn the_word_is_expected_until_the_response_is_over() {
    let mut rig = Rig::new();
    let left = steer(&mut rig);
    rig.lanes.steers.leave(left);
    let (other, call) = (rig.open("a", "a"), rig.open("", "1"));
    rig.sent();
    rig.complete("a");
    assert_eq!(rig.taken(other), ["response.completed"]);
    let next = steer(&mut rig);
    rig.receive(FAILED);
    assert!(word(&mut rig, next).is_pending(), "another lane");

    rig.receive(ACCEPTED);
    assert!(word(&mut rig, next).is_ready());
    let left = steer(&mut rig);
    rig.lanes.steers.leave(left);
    rig.complete("");
    assert_eq!(rig.taken(call), ["response.steer.accepted", "response.completed"]);
    let next = steer(&mut rig);
    rig.receive(FAILED);
    assert_eq!(word(&mut rig, next), Poll::Ready(Err("no".into())));
}

#[test]
fn those_that_were_left_are_bounded_and_in_nobodys_way() {
    let mut rig = Rig::new();
    for _ in 0..100 {
        let left = steer(&mut rig);
        rig.lanes.steers.leave(left);
    }
    let waiting: Vec<_> = (0..64).map(|_| steer(&mut rig)).collect();
    let error = rig.lanes.steers.add("one more".into(), None, "r".into()).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::NotSent));
    // What was not sent is not expected.
    rig.lanes.steers.leave(waiting[0]);
    let unsent = rig.lanes.steers.add("unsent".into(), None, "r".into()).unwrap();
    rig.lanes.steers.leave(unsent);
    assert!(rig.sent().is_empty());
}

#[test]
fn what_waits_is_bounded_whatever_the_server_says() {
    let mut rig = Rig::new();
    let pending = |input: &str| {
        format!(
            r#"{{"type":"response.steer.pending","steer":{{"previous_response_id":"r"}},"required_input":["{input}"]}}"#
        )
    };
    for _ in 0..100 {
        rig.receive(&pending("x"));
    }
    assert_eq!(rig.lanes.steers.take_pending().len(), 64);
    let large = pending(&"x".repeat(400 * 1024));
    for _ in 0..10 {
        rig.receive(&large);
    }
    assert_eq!(rig.lanes.steers.take_pending().len(), 2);
    // One is kept, however large it is.
    rig.receive(&pending(&"x".repeat(2 * 1024 * 1024)));
    assert_eq!(rig.lanes.steers.take_pending().len(), 1);
}
