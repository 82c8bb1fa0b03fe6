//! What was heard of an answer when the person speaks into it.

use serde_json::{Value, json};

use crate::model::realtime::{AudioFormat, BargeIn, ServerEvent, decoded_len};

fn tell(barge_in: &mut BargeIn, event: Value) -> Value {
    let event: ServerEvent = serde_json::from_value(event).unwrap();
    serde_json::to_value(barge_in.observe(&event)).unwrap()
}

/// Audio of so many bytes.
fn audio(item: &str, bytes: usize) -> Value {
    use base64::Engine;
    let audio = base64::engine::general_purpose::STANDARD.encode(vec![0; bytes]);
    json!({"type": "response.output_audio.delta", "item_id": item, "delta": audio})
}

fn speech() -> Value {
    json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 1, "item_id": "user_1"})
}

fn cut(item: &str, ms: u64) -> Value {
    json!({
        "type": "conversation.item.truncate", "item_id": item, "content_index": 0,
        "audio_end_ms": ms
    })
}

#[test]
fn all_that_has_come_counts_as_heard() {
    let mut barge_in = BargeIn::new();
    // A hundred pieces of 10 ms, which are no whole number of base64 groups.
    for _ in 0..100 {
        assert_eq!(tell(&mut barge_in, audio("i", 480)), Value::Null);
    }
    assert_eq!(tell(&mut barge_in, speech()), cut("i", 1000));
}

#[test]
fn what_was_heard_counts_if_it_is_less() {
    for (heard, expected) in [(0, 0), (7, 7), (10, 10), (5_000, 10)] {
        let mut barge_in = BargeIn::new();
        tell(&mut barge_in, audio("i", 480));
        barge_in.heard(heard);
        assert_eq!(tell(&mut barge_in, speech()), cut("i", expected));
    }
}

#[test]
fn an_item_is_cut_once() {
    let mut barge_in = BargeIn::new();
    tell(&mut barge_in, audio("i", 480));
    assert_eq!(tell(&mut barge_in, speech()), cut("i", 10));
    // The rest of it was on its way.
    tell(&mut barge_in, audio("i", 480));
    barge_in.heard(5);
    assert_eq!(tell(&mut barge_in, speech()), Value::Null);
    tell(&mut barge_in, audio("next", 96));
    assert_eq!(tell(&mut barge_in, speech()), cut("next", 2));
}

#[test]
fn the_item_that_plays_is_the_last_one() {
    let mut barge_in = BargeIn::new();
    tell(&mut barge_in, audio("first", 4_800));
    barge_in.heard(50);
    tell(&mut barge_in, audio("second", 480));
    assert_eq!(tell(&mut barge_in, speech()), cut("second", 10));
}

#[test]
fn speech_into_silence_cuts_nothing() {
    let mut barge_in = BargeIn::new();
    barge_in.heard(5);
    assert_eq!(tell(&mut barge_in, speech()), Value::Null);
    // Audio of no item cannot be cut.
    tell(&mut barge_in, json!({"type": "response.output_audio.delta", "delta": "AAAA"}));
    assert_eq!(tell(&mut barge_in, speech()), Value::Null);
}

#[test]
fn what_the_server_says_of_its_audio_counts() {
    for (members, ms) in [
        (json!({"samples_per_channel": 2400}), 100),
        (json!({"samples_per_channel": 2400, "sample_rate": 48_000}), 50),
        (json!({"channels": 2}), 5),
        (json!({"num_channels": 2, "sample_rate": 12_000}), 10),
        (json!({"sample_rate": 0, "channels": 0}), 240_000),
        (json!({"samples_per_channel": u32::MAX, "sample_rate": 1}), u64::from(u32::MAX) * 1000),
    ] {
        let mut barge_in = BargeIn::new();
        let mut event = audio("i", 480);
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        tell(&mut barge_in, event);
        assert_eq!(tell(&mut barge_in, speech()), cut("i", ms), "{members}");
    }
}

#[test]
fn the_coding_of_the_session_counts() {
    for (format, ms) in [
        (json!({"type": "audio/pcm", "rate": 24000}), 10),
        (json!({"type": "audio/pcm"}), 10),
        (json!({"type": "audio/pcmu"}), 60),
        (json!({"type": "audio/pcma"}), 60),
        (json!({"type": "audio/odd"}), 10),
    ] {
        let format: AudioFormat = serde_json::from_value(format).unwrap();
        let mut barge_in = BargeIn::of(&format);
        tell(&mut barge_in, audio("i", 480));
        assert_eq!(tell(&mut barge_in, speech()), cut("i", ms), "{format:?}");
    }
}

#[test]
fn base64_is_measured_with_and_without_padding() {
    for (base64, bytes) in
        [("", 0), ("AA==", 1), ("AA", 1), ("AAA=", 2), ("AAAA", 3), ("AAAAAA", 4)]
    {
        assert_eq!(decoded_len(base64), bytes, "{base64}");
    }
}
