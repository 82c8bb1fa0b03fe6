//! The rows of section B.8, with a bound, and compared with the last entry only.

use serde_json::json;

use crate::model::realtime::codex::*;

fn speech() -> RealtimeEvent {
    RealtimeEvent::InputAudioSpeechStarted(RealtimeInputAudioSpeechStarted::default())
}

fn input(delta: &str) -> RealtimeEvent {
    RealtimeEvent::InputTranscriptDelta(RealtimeTranscriptDelta::new(delta))
}

fn input_done(text: &str) -> RealtimeEvent {
    RealtimeEvent::InputTranscriptDone(RealtimeTranscriptDone::new(text))
}

fn output(delta: &str) -> RealtimeEvent {
    RealtimeEvent::OutputTranscriptDelta(RealtimeTranscriptDelta::new(delta))
}

fn output_done(text: &str) -> RealtimeEvent {
    RealtimeEvent::OutputTranscriptDone(RealtimeTranscriptDone::new(text))
}

fn created() -> RealtimeEvent {
    RealtimeEvent::ResponseCreated(RealtimeResponse::default())
}

fn handoff(input: &str) -> RealtimeEvent {
    RealtimeEvent::HandoffRequested(RealtimeHandoffRequested::new("c", "i", input, Vec::new()))
}

fn said<const N: usize>(events: [RealtimeEvent; N]) -> Transcript {
    let mut transcript = Transcript::default();
    observe(&mut transcript, events);
    transcript
}

fn observe<const N: usize>(transcript: &mut Transcript, events: [RealtimeEvent; N]) {
    for mut event in events {
        transcript.observe(&mut event);
    }
}

fn shown<'a>(entries: impl Iterator<Item = &'a RealtimeTranscriptEntry>) -> Vec<String> {
    entries.map(|entry| format!("{}: {}", entry.role, entry.text)).collect()
}

#[track_caller]
fn is<const N: usize>(transcript: &Transcript, expected: [&str; N]) {
    assert_eq!(shown(transcript.entries()), expected);
}

#[test]
fn speech_started_begins_an_entry() {
    is(&said([input("a"), speech(), input("b")]), ["user: a", "user: b"]);
}

#[test]
fn deltas_are_added_to_the_last_entry_of_the_role() {
    is(
        &said([input("a"), input("b"), output("c"), output("d"), input("e")]),
        ["user: ab", "assistant: cd", "user: e"],
    );
}

#[test]
fn an_empty_delta_adds_nothing_and_clears_the_flag() {
    is(&said([input("a"), speech(), input(""), input("b")]), ["user: ab"]);
}

#[test]
fn done_replaces_the_last_entry() {
    is(
        &said([input("helo"), input_done("hello"), output("h"), output_done("hi!")]),
        ["user: hello", "assistant: hi!"],
    );
    is(&said([input("a"), speech(), input_done("b")]), ["user: a", "user: b"]);
}

#[test]
fn an_empty_done_replaces_nothing_and_clears_the_flag() {
    is(&said([input("a"), input_done("")]), ["user: a"]);
    is(&said([input("a"), speech(), input_done(""), input("b")]), ["user: ab"]);
    is(&said([output("a"), created(), output_done(""), output("b")]), ["assistant: ab"]);
}

#[test]
fn done_without_deltas_begins_an_entry() {
    is(
        &said([input_done("a"), output_done("b"), input_done("c")]),
        ["user: a", "assistant: b", "user: c"],
    );
}

#[test]
fn a_flag_is_of_its_own_side() {
    is(&said([output("a"), speech(), output("b")]), ["assistant: ab"]);
    is(&said([input("a"), created(), input("b")]), ["user: ab"]);
}

#[test]
fn events_that_say_nothing_change_nothing() {
    let others = [
        RealtimeEvent::Error("no".into()),
        RealtimeEvent::ResponseDone(RealtimeResponse::default()),
        RealtimeEvent::ConversationItemDone(RealtimeItemDone::new("i")),
        RealtimeEvent::NoopRequested(RealtimeNoopRequested::new("c", "i")),
    ];
    let mut transcript = said([input("a")]);
    observe(&mut transcript, others);
    observe(&mut transcript, [input("b")]);
    is(&transcript, ["user: ab"]);
}

#[test]
fn response_created_begins_an_entry() {
    is(&said([output("a"), created(), output("b")]), ["assistant: a", "assistant: b"]);
}

#[test]
fn a_handoff_gets_what_was_said_since_the_last() {
    let mut transcript = said([input("fix"), output("sure")]);
    let mut first = handoff("  fix it ");
    transcript.observe(&mut first);
    let RealtimeEvent::HandoffRequested(first) = first else { unreachable!() };
    assert_eq!(
        shown(first.active_transcript.iter()),
        ["user: fix", "assistant: sure", "user: fix it"]
    );
    // Both sides begin an entry after it.
    observe(&mut transcript, [input("and"), output("ok")]);
    let mut second = handoff("");
    transcript.observe(&mut second);
    let RealtimeEvent::HandoffRequested(second) = second else { unreachable!() };
    assert_eq!(shown(second.active_transcript.iter()), ["user: and", "assistant: ok"]);
    assert_eq!(transcript.since_handoff().count(), 0);
}

#[test]
fn a_blank_handoff_is_not_said() {
    is(&said([output("a"), handoff(" \n")]), ["assistant: a"]);
}

#[test]
fn a_handoff_begins_an_entry_on_both_sides() {
    is(&said([input("a"), handoff("a"), input("b")]), ["user: a", "user: b"]);
    is(&said([output("a"), handoff(""), output("b")]), ["assistant: a", "assistant: b"]);
}

#[test]
fn a_handoff_of_what_was_just_said_is_not_said_again() {
    is(&said([input(" fix it\n"), handoff("fix it")]), ["user:  fix it\n"]);
}

#[test]
fn a_handoff_of_what_was_said_before_is_said_again() {
    let transcript = said([input("fix it"), handoff("fix it"), output("done"), handoff("fix it")]);
    is(&transcript, ["user: fix it", "assistant: done", "user: fix it"]);
}

#[test]
fn the_oldest_entries_go_first() {
    let mut transcript = Transcript::with_limit(0);
    for n in 0..1000 {
        observe(&mut transcript, [input(&format!("question {n}")), output("answer")]);
    }
    let entries = shown(transcript.entries());
    assert!(entries.len() < Transcript::LEAST / 64, "{}", entries.len());
    assert_eq!(entries.last().unwrap(), "assistant: answer");
    assert!(entries.iter().any(|entry| entry == "user: question 999"));
    let mut event = handoff("");
    transcript.observe(&mut event);
    observe(&mut transcript, [input("later")]);
    assert_eq!(shown(transcript.since_handoff()), ["user: later"]);
}

#[test]
fn a_huge_handoff_loses_its_beginning() {
    let mut transcript = Transcript::with_limit(2000);
    observe(&mut transcript, [input("earlier"), output("sure")]);
    let mut event = handoff(&format!("{} the end", "é".repeat(1024 * 1024)));
    transcript.observe(&mut event);
    let RealtimeEvent::HandoffRequested(event) = event else { unreachable!() };
    let [entry] = &event.active_transcript[..] else { panic!("{:?}", event.active_transcript) };
    assert!(entry.text.len() < 2000 && entry.text.ends_with("é the end"), "{}", entry.text);
    assert_eq!(transcript.entries().count(), 1);
    assert_eq!(transcript.since_handoff().count(), 0);
    observe(&mut transcript, [input("later")]);
    assert_eq!(shown(transcript.since_handoff()), ["user: later"]);
}

#[test]
fn the_words_of_one_conversation_go_on_over_another_socket() {
    let read = |interpreter: &mut Interpreter, json: serde_json::Value| {
        interpreter.read(&serde_json::from_value(json).unwrap())
    };
    let say = |text| json!({"type": "conversation.item.input_audio_transcription.completed", "transcript": text});
    let mut first = Interpreter::new(RealtimeConversationVersion::V2);
    read(&mut first, say("hi"));
    read(&mut first, json!({"type": "response.output_audio_transcript.delta", "delta": "hel"}));

    // The socket breaks in the middle of the answer.
    let mut second =
        Interpreter::new(RealtimeConversationVersion::V2).transcript_of(first.transcript().clone());
    read(&mut second, json!({"type": "session.created", "session": {"id": "another"}}));
    read(&mut second, json!({"type": "input_audio_buffer.speech_started"}));
    read(&mut second, say("are you there?"));
    let call = json!({"type": "function_call", "call_id": "c", "name": "background_agent", "arguments": ""});
    let handoff = read(&mut second, json!({"type": "conversation.item.done", "item": call}));
    let Some(RealtimeEvent::HandoffRequested(handoff)) = handoff else { panic!("{handoff:?}") };
    assert_eq!(
        shown(handoff.active_transcript.iter()),
        ["user: hi", "assistant: hel", "user: are you there?"]
    );
    is(first.transcript(), ["user: hi", "assistant: hel"]);
}

#[test]
fn the_limit_is_that_of_the_transcript_given() {
    let mut interpreter = Interpreter::new(RealtimeConversationVersion::V2)
        .transcript_of(Transcript::with_limit(1024));
    let event = json!({"type": "response.output_text.delta", "delta": "a".repeat(10_000)});
    interpreter.read(&serde_json::from_value(event).unwrap());
    let kept: usize = interpreter.transcript().entries().map(|entry| entry.text.len()).sum();
    assert!((1..=1024).contains(&kept), "{kept}");
}

#[test]
fn an_endless_entry_loses_its_beginning() {
    let mut transcript = Transcript::with_limit(2000);
    for n in 0..10_000 {
        observe(&mut transcript, [output(&format!("é{n} "))]);
        let all: usize = transcript.entries().map(|entry| entry.text.len()).sum();
        assert!(all <= 2000);
    }
    let entry = transcript.entries().next().unwrap();
    assert!(entry.text.starts_with("[…] ") && entry.text.ends_with("é9999 "), "{}", entry.text);
}
