use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::time::advance;

use super::super::settings::ResponsesSocketSettings;
use super::*;
use crate::services::responses_socket::inbound::{Head, Kind};
use crate::ws::protocol::{Protocol, Side};
use crate::ws::{CloseCode, Message};

mod steers;
mod strays;
mod unclear;
mod wrapped_errors;

/// Lanes, and what a socket would do with them.
struct Rig {
    lanes: Lanes,
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Rig {
    fn new() -> Self {
        Self::with(ResponsesSocketSettings::new())
    }

    fn with(settings: ResponsesSocketSettings) -> Self {
        let rotate_at = settings.max_age.map(|age| Instant::now() + age);
        Self { lanes: Lanes::new(settings.limits, rotate_at) }
    }

    fn open(&mut self, lane: &str, frame: &str) -> CallId {
        self.try_open(lane, frame).unwrap()
    }

    fn try_open(&mut self, lane: &str, frame: &str) -> Result<CallId, Error> {
        let name = (!lane.is_empty()).then(|| LaneName::new(lane).unwrap());
        self.lanes.open(name.as_ref(), frame.into(), None)
    }

    fn open_resending(&mut self, frame: &str, whole: &'static str) -> CallId {
        let resend: Resend = Box::new(move || Ok(whole.into()));
        self.lanes.open(None, frame.into(), Some(resend)).unwrap()
    }

    /// What goes out, all of it.
    fn sent(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        let mut wakers = Wakers::default();
        while let Some(Message::Text(text)) = self.lanes.transmit(&mut wakers) {
            sent.push(text.as_str().to_owned());
        }
        sent
    }

    fn receive(&mut self, text: &str) {
        let mut wakers = Wakers::default();
        self.lanes.receive(Message::text(text), &mut wakers);
        wakers.wake();
    }

    fn event(&mut self, lane: &str, kind: &str, more: &str) {
        let lane =
            if lane.is_empty() { String::new() } else { format!(r#","stream_id":"{lane}""#) };
        self.receive(&format!(r#"{{"type":"{kind}"{more}{lane}}}"#));
    }

    fn delta(&mut self, lane: &str, text: &str) {
        self.event(lane, "response.output_text.delta", &format!(r#","delta":"{text}""#));
    }

    fn complete(&mut self, lane: &str) {
        self.event(lane, "response.completed", r#","response":{"id":"r"}"#);
    }

    fn take(&mut self, id: CallId) -> Poll<Result<Vec<String>, Error>> {
        let mut texts = VecDeque::new();
        let mut cx = Context::from_waker(Waker::noop());
        self.lanes
            .poll_take(id, &mut cx, &mut texts)
            .map_ok(|_| texts.iter().map(|text| text.as_str().to_owned()).collect())
    }

    /// What has come for a call, in short: the deltas and the types of the others.
    fn taken(&mut self, id: CallId) -> Vec<String> {
        let Poll::Ready(Ok(texts)) = self.take(id) else { return Vec::new() };
        let short = |text: String| {
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let word = json.get("delta").or(json.get("type")).and_then(|word| word.as_str());
            word.unwrap_or_default().to_owned()
        };
        texts.into_iter().map(short).collect()
    }

    fn error(&mut self, id: CallId) -> Error {
        match self.take(id) {
            Poll::Ready(Err(error)) => error,
            other => panic!("an error, not {other:?}"),
        }
    }

    fn ends(&mut self, id: CallId) -> bool {
        matches!(self.take(id), Poll::Ready(Ok(texts)) if texts.is_empty())
    }

    fn leave(&mut self, id: CallId) {
        self.lanes.leave(id, &mut Wakers::default());
    }

    fn expire(&mut self) {
        self.lanes.expire(Instant::now(), &mut Wakers::default());
    }

    fn end(&mut self, end: &End) {
        self.lanes.ended(end, &mut Wakers::default());
    }
}

#[test]
fn one_request_of_a_lane_is_in_flight_and_the_others_follow_in_order() {
    let mut rig = Rig::new();
    let calls = ["1", "2", "3"].map(|frame| rig.open("", frame));
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(rig.sent(), [(n + 1).to_string()]);
        assert!(rig.lanes.is_sent(call));
        rig.delta("", "x");
        rig.complete("");
        assert_eq!(rig.taken(call), ["x", "response.completed"]);
        assert!(rig.ends(call));
        rig.leave(call);
    }
    assert!(rig.lanes.calls.is_empty() && rig.lanes.in_flight == 0 && rig.lanes.queued == 0);
}

#[test]
fn interleaved_lanes_get_what_is_theirs() {
    let mut rig = Rig::new();
    let calls = ["", "a", "b"].map(|lane| (lane, rig.open(lane, lane)));
    assert_eq!(rig.sent(), ["", "a", "b"]);
    for n in 0..3 {
        for (lane, _) in calls {
            rig.event(lane, "response.created", "");
            rig.delta(lane, &format!("{lane}{n}"));
        }
    }
    for (lane, call) in calls {
        rig.complete(lane);
        let created = || "response.created".to_owned();
        let mut expected: Vec<_> = (0..3).flat_map(|n| [created(), format!("{lane}{n}")]).collect();
        expected.push("response.completed".into());
        assert_eq!(rig.taken(call), expected);
    }
    assert_eq!(rig.lanes.in_flight, 0);
}

#[test]
fn sixteen_are_in_flight_and_lanes_take_turns() {
    let mut rig = Rig::new();
    // One lane asks for much, others for one thing each.
    let greedy: Vec<_> = (0..3).map(|n| rig.open("greedy", &format!("greedy{n}"))).collect();
    let lanes: Vec<_> =
        (0..20).map(|n| (format!("l{n}"), rig.open(&format!("l{n}"), &n.to_string()))).collect();
    let sent = rig.sent();
    assert_eq!(sent.len(), IN_FLIGHT);
    assert_eq!(sent[0], "greedy0");
    rig.complete("greedy");
    // The lanes that waited longer come first.
    assert_eq!(rig.sent(), ["15"]);
    for n in 0..5 {
        rig.complete(&format!("l{n}"));
    }
    assert_eq!(rig.sent(), ["16", "17", "18", "19", "greedy1"]);
    for n in 5..20 {
        rig.complete(&format!("l{n}"));
    }
    assert!(rig.sent().is_empty());
    rig.complete("greedy");
    assert_eq!(rig.sent(), ["greedy2"]);
    rig.complete("greedy");
    assert_eq!(rig.lanes.in_flight, 0);
    for call in lanes.into_iter().map(|(_, call)| call).chain(greedy) {
        rig.leave(call);
    }
    assert!(rig.lanes.calls.is_empty());
}

#[test]
fn a_connection_has_32_named_lanes_in_its_life() {
    let mut rig = Rig::new();
    for n in 0..NAMED {
        let call = rig.open(&format!("l{n}"), "x");
        rig.leave(call);
    }
    let error = rig.try_open("one_more", "x").unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
    rig.open("l7", "again");
    rig.open("", "the default lane is not counted");
}

#[test]
fn what_waits_is_bounded() {
    let mut rig = Rig::with(ResponsesSocketSettings::new().queue(2, 10));
    let _first = rig.open("", "larger than the queue");
    let (waiting, _) = (rig.open("", "12345"), rig.open("", "12345"));
    let error = rig.try_open("", "").unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::NotSent));
    rig.leave(waiting);
    assert_eq!(rig.try_open("", "123456").unwrap_err().kind(), ErrorKind::Overloaded);
    rig.open("", "1234");
    assert!(rig.try_open("elsewhere", "at once").is_ok());
}

#[test]
fn what_is_dropped_before_it_is_sent_is_not_sent() {
    let mut rig = Rig::new();
    let (first, second, third) = (rig.open("", "1"), rig.open("", "2"), rig.open("", "3"));
    rig.leave(second);
    rig.leave(first);
    assert_eq!(rig.sent(), ["3"]);
    rig.complete("");
    assert_eq!(rig.taken(third), ["response.completed"]);
}

#[test]
fn an_answer_that_was_dropped_does_not_leak_into_the_next() {
    let mut rig = Rig::new();
    let dropped = rig.open("", "1");
    rig.sent();
    rig.delta("", "old");
    rig.leave(dropped);
    let next = rig.open("", "2");
    rig.delta("", "old");
    assert!(rig.sent().is_empty() && rig.take(next).is_pending(), "the lane is busy");
    rig.complete("");
    assert_eq!(rig.sent(), ["2"]);
    rig.delta("", "new");
    rig.complete("");
    assert_eq!(rig.taken(next), ["new", "response.completed"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_dropped_is_read_for_a_while_only() {
    let settings = || ResponsesSocketSettings::new().unread(100, Duration::from_secs(30)).unwrap();
    for by_time in [true, false] {
        let mut rig = Rig::with(settings());
        let dropped = rig.open("", "1");
        let other = rig.open("a", "a");
        rig.sent();
        rig.leave(dropped);
        let waits = rig.open("", "2");
        if by_time {
            assert_eq!(rig.lanes.deadline(), Some(Instant::now() + Duration::from_secs(30)));
            advance(Duration::from_secs(30)).await;
            rig.expire();
        } else {
            rig.delta("", &"x".repeat(100));
        }
        let error = rig.error(waits);
        assert_eq!((error.kind(), error.stage()), (ErrorKind::ConnectionExpired, Stage::NotSent));
        assert!(error.is_retryable());
        assert_eq!(rig.try_open("b", "b").unwrap_err().kind(), ErrorKind::ConnectionExpired);
        // The other lane goes on to its end; then the connection closes.
        assert!(rig.lanes.closing().is_none());
        rig.delta("a", "on");
        rig.complete("a");
        assert_eq!(rig.taken(other), ["on", "response.completed"]);
        assert_eq!(rig.lanes.closing(), Some(CloseCode::NORMAL.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_lane_holds_the_others_up_for_a_while_only() {
    let settings = ResponsesSocketSettings::new().lane_buffer(100).unwrap();
    let mut rig = Rig::with(settings);
    let stalled = rig.open("slow", "1");
    rig.sent();
    rig.delta("slow", &"x".repeat(100));
    assert!(!rig.lanes.has_room());
    // Alone it holds nobody up.
    advance(Duration::from_secs(3600 / 2)).await;
    assert!(rig.lanes.deadline().is_some_and(|at| at > Instant::now()), "its age only");
    let other = rig.open("", "2");
    assert_eq!(rig.sent(), ["2"]);
    assert_eq!(rig.lanes.deadline(), Some(Instant::now() + Duration::from_secs(10)));
    advance(Duration::from_secs(10)).await;
    rig.expire();
    assert!(rig.lanes.has_room());
    let error = rig.error(stalled);
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(
        error.message().contains("`slow`") && error.message().contains("lane_buffer"),
        "{error}"
    );
    assert!(rig.ends(stalled));
    rig.leave(stalled);
    rig.complete("");
    assert_eq!(rig.taken(other), ["response.completed"]);
    // What is left of the stalled one is swallowed, and its lane is free then.
    let next = rig.open("slow", "3");
    rig.delta("slow", "old");
    rig.complete("slow");
    assert_eq!(rig.sent(), ["3"]);
    rig.delta("slow", "new");
    assert_eq!(rig.taken(next), ["new"]);
}

#[test]
fn a_reader_makes_room() {
    let mut rig = Rig::with(ResponsesSocketSettings::new().lane_buffer(10).unwrap());
    let call = rig.open("", "1");
    rig.sent();
    for _ in 0..3 {
        assert!(rig.lanes.has_room());
        rig.delta("", "x");
        assert!(!rig.lanes.has_room());
        assert_eq!(rig.taken(call), ["x"]);
    }
    rig.delta("", "x");
    rig.complete("");
    assert!(rig.lanes.has_room(), "nothing more comes for it");
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_a_certain_age_takes_no_more_requests() {
    let mut rig = Rig::with(ResponsesSocketSettings::new());
    let (running, waiting) = (rig.open("", "1"), rig.open("", "2"));
    rig.sent();
    assert_eq!(rig.lanes.deadline(), Some(Instant::now() + Duration::from_secs(55 * 60)));
    advance(Duration::from_secs(55 * 60)).await;
    // Even if nobody has looked at the socket since.
    assert_eq!(rig.lanes.check_open().unwrap_err().kind(), ErrorKind::ConnectionExpired);
    rig.expire();
    assert_eq!(rig.lanes.deadline(), None);
    let error = rig.try_open("", "3").unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::ConnectionExpired, Stage::NotSent));
    // What was asked for before is answered, between responses it closes.
    rig.complete("");
    assert_eq!(rig.sent(), ["2"]);
    assert!(rig.lanes.closing().is_none());
    rig.complete("");
    assert_eq!(rig.lanes.closing(), Some(CloseCode::NORMAL.into()));
    assert_eq!(rig.taken(running), ["response.completed"]);
    assert_eq!(rig.taken(waiting), ["response.completed"]);
}

#[test]
fn a_reader_is_woken_by_what_is_for_it_alone() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open("a", "a"), rig.open("b", "b"));
    rig.sent();
    let watch = |rig: &mut Rig, id| {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        assert!(rig.lanes.poll_take(id, &mut cx, &mut VecDeque::new()).is_pending());
        count
    };
    let (for_a, for_b) = (watch(&mut rig, a), watch(&mut rig, b));
    let woken = |count: &Count| count.0.load(Ordering::Relaxed);
    rig.delta("a", "x");
    rig.delta("a", "y");
    assert_eq!((woken(&for_a), woken(&for_b)), (1, 0));
    rig.complete("b");
    assert_eq!((woken(&for_a), woken(&for_b)), (1, 1));
}

#[test]
fn a_message_without_a_lane_goes_to_the_only_response() {
    let mut rig = Rig::new();
    let call = rig.open("a", "1");
    rig.sent();
    rig.delta("", "x");
    rig.delta("unheard_of", "y");
    assert_eq!(rig.taken(call), ["x"]);
    let other = rig.open("b", "2");
    rig.sent();
    rig.delta("", "z");
    assert!(rig.take(call).is_pending() && rig.take(other).is_pending(), "whose is it?");
}

#[test]
fn a_steered_response_does_not_end_its_lane() {
    let mut rig = Rig::new();
    let call = rig.open("", "1");
    let next = rig.open("", "2");
    rig.sent();
    rig.event(
        "",
        "response.incomplete",
        r#","response":{"incomplete_details":{"reason":"steered"}}"#,
    );
    assert!(rig.sent().is_empty());
    rig.event("", "response.created", "");
    rig.complete("");
    assert_eq!(rig.taken(call), ["response.incomplete", "response.created", "response.completed"]);
    assert_eq!(rig.sent(), ["2"]);
    rig.event(
        "",
        "response.incomplete",
        r#","response":{"incomplete_details":{"reason":"max_output_tokens"}}"#,
    );
    assert_eq!(rig.taken(next), ["response.incomplete"]);
    assert!(rig.ends(next));
}

#[test]
fn a_binary_message_ends_the_connection_with_a_typed_error() {
    let mut rig = Rig::new();
    let (call, waiting) = (rig.open("", "1"), rig.open("", "2"));
    rig.sent();
    rig.lanes.receive(Message::Binary("x".into()), &mut Wakers::default());
    let error = rig.error(call);
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Protocol, Stage::Sent));
    assert_eq!(rig.error(waiting).stage(), Stage::NotSent);
    assert_eq!(rig.lanes.closing(), Some(CloseCode::UNSUPPORTED.into()));
    assert!(rig.sent().is_empty());
}

#[test]
fn text_that_is_no_json_is_left_to_its_reader_if_there_is_one() {
    let mut rig = Rig::new();
    let call = rig.open("", "1");
    rig.sent();
    for text in ["nonsense", "[]", "{}", r#"{"type":5}"#] {
        rig.receive(text);
        let Poll::Ready(Ok(texts)) = rig.take(call) else { panic!("{text}") };
        assert_eq!(texts, [text]);
    }
    let other = rig.open("a", "2");
    rig.sent();
    rig.receive("nonsense");
    for id in [call, other] {
        assert_eq!(rig.error(id).kind(), ErrorKind::Protocol);
    }
    assert_eq!(rig.lanes.closing(), Some(CloseCode::INVALID_DATA.into()));
}

/// The lane of a delta is found by its bytes; a parser says the same.
#[test]
fn the_lane_of_a_delta_is_found_without_a_parser() {
    let nested = r#"{"type":"x.delta","stream_id":"a","logprobs":[{"stream_id":"no"}]}"#;
    let cases = [
        (r#"{"type":"x.delta","delta":"y"}"#, None),
        (r#"{"type":"x.delta","delta":"y","stream_id":"a.b-c"}"#, Some("a.b-c")),
        (r#"{"type":"x.delta","stream_id":"a","delta":"y"}"#, Some("a")),
        (r#"{"type":"x.delta","delta":"\"stream_id\":\"b\"}"}"#, None),
        (r#"{"type":"x.delta","delta":"b","n":{"stream_id":"b"}}"#, None),
        (r#"{"type":"x.delta","delta":"stream_id"}"#, None),
        (r#"{"stream_id":"a","type":"x.delta"}"#, Some("a")),
        (r#"{ "type" : "x.delta" , "stream_id" : "a" }"#, Some("a")),
        (nested, Some("a")),
        (r#"{"type":"x.delta","stream_id":null}"#, None),
    ];
    for (text, lane) in cases {
        let head = Head::read(text).unwrap();
        assert_eq!((head.lane.as_deref(), head.kind), (lane, Kind::Event), "{text}");
    }
}

#[test]
fn the_end_of_the_socket_is_told_to_everyone_behind_what_has_come() {
    let mut rig = Rig::new();
    let (done, running, waiting) = (rig.open("a", "a"), rig.open("b", "b"), rig.open("b", "c"));
    let abandoned = rig.open("d", "d");
    rig.sent();
    rig.complete("a");
    rig.delta("b", "last");
    rig.leave(abandoned);
    let frame = CloseFrame::new(CloseCode::SERVER_ERROR, "bye");
    rig.end(&End::Closed { by: Side::Peer, frame: Some(frame) });
    assert_eq!(rig.taken(done), ["response.completed"]);
    assert!(rig.ends(done), "it has all");
    assert_eq!(rig.taken(running), ["last"]);
    let error = rig.error(running);
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Closed, Stage::Unknown));
    assert_eq!(error.close_code(), Some(CloseCode::SERVER_ERROR));
    let error = rig.error(waiting);
    assert_eq!((error.stage(), error.is_retryable()), (Stage::NotSent, true));
    let error = rig.try_open("", "x").unwrap_err();
    assert_eq!((error.stage(), error.is_retryable()), (Stage::NotSent, true));
    for id in [done, running, waiting] {
        rig.leave(id);
    }
    assert!(rig.lanes.calls.is_empty());
}

#[test]
fn a_steer_gets_the_servers_word() {
    let mut rig = Rig::new();
    let mut cx = Context::from_waker(Waker::noop());
    let steer =
        |rig: &mut Rig, id: &str| rig.lanes.steers.add("steer".into(), None, id.into()).unwrap();
    let (first, second, third) =
        (steer(&mut rig, "r1"), steer(&mut rig, "r2"), steer(&mut rig, "r3"));
    assert_eq!(rig.sent().len(), 3);
    rig.receive(r#"{"type":"response.steer.failed","steer":{"previous_response_id":"r2","input":"x"},"error":{"type":"invalid_request_error","code":"c","message":"too late"}}"#);
    rig.receive(r#"{"type":"response.steer.accepted","sequence_number":1,"steer":{"id":"s1","previous_response_id":"r1"}}"#);
    let Poll::Ready(Ok(answer)) = rig.lanes.steers.poll_word(first, &mut cx) else { panic!() };
    assert_eq!(answer.id, "s1");
    let Poll::Ready(Err(error)) = rig.lanes.steers.poll_word(second, &mut cx) else { panic!() };
    assert_eq!(
        (error.code(), error.message(), error.stage()),
        (Some("c"), "too late", Stage::Sent)
    );
    assert!(rig.lanes.steers.poll_word(third, &mut cx).is_pending());
    rig.end(&End::Closed { by: Side::Us, frame: None });
    let Poll::Ready(Err(error)) = rig.lanes.steers.poll_word(third, &mut cx) else { panic!() };
    assert_eq!(error.stage(), Stage::Unknown);
    // Pending work is remembered.
    let pending = r#"{"type":"response.steer.pending","steer":{"id":"s1","previous_response_id":"r1"},"reason":"waiting_for_required_input","required_input":[{"type":"function_call","call_id":"c"}]}"#;
    rig.receive(pending);
    let waiting = rig.lanes.steers.take_pending();
    assert_eq!((waiting.len(), waiting[0].id.as_str()), (1, "s1"));
    assert!(waiting[0].required_input.as_ref().unwrap().as_str().contains("call_id"));
}
