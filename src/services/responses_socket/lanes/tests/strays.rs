//! What comes for no request, and must not be taken for the answer to one.

use super::*;

#[test]
fn a_response_that_nobody_asked_for_is_not_taken_for_an_answer() {
    let mut rig = Rig::new();
    // It begins before the request is sent.
    let call = rig.open("", "1");
    rig.event("", "response.created", "");
    assert!(rig.sent().is_empty());
    rig.delta("", "unasked");
    rig.complete("");
    assert_eq!(rig.sent(), ["1"]);
    rig.delta("", "asked");
    rig.complete("");
    assert_eq!(rig.taken(call), ["asked", "response.completed"]);
    assert_eq!((rig.lanes.in_flight, rig.lanes.unread), (0, 0));
}

#[test]
fn what_is_for_a_lane_without_a_request_is_nobodys_and_an_empty_name_is_none() {
    let mut rig = Rig::new();
    let call = rig.open("a", "1");
    rig.sent();
    for lane in ["b", "c"] {
        rig.event(lane, "response.created", "");
        rig.delta(lane, "x");
        rig.complete(lane);
    }
    assert!(rig.take(call).is_pending());
    for kind in ["response.created", "response.output_text.delta", "response.completed"] {
        rig.receive(&format!(r#"{{"type":"{kind}","delta":"x","stream_id":""}}"#));
    }
    assert_eq!(rig.taken(call).len(), 3);
    assert!(rig.ends(call));
}

#[test]
fn a_second_response_to_one_request_is_not_taken_for_the_answer_to_the_next() {
    let created = |rig: &mut Rig, id: &str| {
        rig.event("", "response.created", &format!(r#","response":{{"id":"{id}"}}"#));
    };
    let mut rig = Rig::new();
    let (call, next) = (rig.open("", "1"), rig.open("", "2"));
    rig.sent();
    created(&mut rig, "r1");
    // Said twice of one response, it is one.
    created(&mut rig, "r1");
    created(&mut rig, "r2");
    rig.delta("", "x");
    rig.complete("");
    assert_eq!(rig.taken(call).len(), 5);
    assert!(rig.ends(call) && rig.sent().is_empty(), "the other one is still to come");
    rig.delta("", "y");
    rig.complete("");
    assert_eq!(rig.sent(), ["2"]);
    created(&mut rig, "r3");
    rig.complete("");
    assert_eq!(rig.taken(next), ["response.created", "response.completed"]);
    assert_eq!((rig.lanes.in_flight, rig.lanes.unread), (0, 0));
}
