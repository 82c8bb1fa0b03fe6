// The macros write `pub` for types that are.
#![allow(unreachable_pub)]

use std::sync::Arc;

use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::wire::{IdCache, TaggedSeed};
use crate::model::{Extra, RawJson};

open_enum! {
    /// A test status.
    enum Status { Done = "done", Running = "in_progress" }
}

wire_struct! {
    /// Has every mode.
    #[derive(Default)]
    struct Every drops ["obfuscation"] {
        /// Id.
        optional_id id: Option<Arc<str>>,
        /// Name.
        required name as "the_name" | "title": String,
        /// Note.
        optional note: String,
        /// Status.
        optional status: Option<Status>,
        /// Key.
        nullable key: Option<u64>,
        /// List.
        always list: Vec<u8>,
        /// Store.
        always_true store: bool,
        /// Usage.
        lenient usage as "usage" | "use": Option<u8>,
    }
}

wire_struct! {
    /// Has no field.
    #[derive(Default)]
    struct Nothing {}
}

tagged_enum! {
    /// A test enum.
    enum Thing {
        /// Every.
        Every(Box<Every>) = "every" | "each",
        /// Nothing.
        Nothing(Nothing) = "nothing",
    }
}

from_payloads!(Thing { Every, Nothing });

#[track_caller]
fn round_trip(text: &str) -> Thing {
    let thing: Thing = serde_json::from_str(text).unwrap();
    let before: Value = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&thing).unwrap(), before);
    let again: Thing = serde_json::from_value(before.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), before, "through serde_json::Value");
    thing
}

#[test]
fn built_values_follow_their_modes() {
    let thing = Thing::from(Every { name: "n".into(), ..Every::default() });
    assert_eq!(
        serde_json::to_string(&thing).unwrap(),
        r#"{"type":"every","the_name":"n","key":null,"list":[],"store":false}"#
    );
    assert_eq!(
        serde_json::to_string(&Thing::from(Nothing::default())).unwrap(),
        r#"{"type":"nothing"}"#
    );
}

#[test]
fn every_spelling_survives() {
    for text in [
        r#"{"type":"every","the_name":"n"}"#,
        r#"{"type":"every","the_name":"n","id":null,"note":null,"status":null,"key":null,"list":null,"store":null,"usage":null}"#,
        r#"{"type":"every","the_name":"","id":"","note":"","status":"","key":0,"list":[],"store":false,"usage":0}"#,
        r#"{"type":"every","the_name":"n","id":"i","note":"x","status":"done","key":1,"list":[1],"store":true,"usage":7}"#,
        r#"{"type":"every","the_name":"n","status":"paused","more":{"b":null,"a":[1.50]},"x":null}"#,
        r#"{"type":"every","the_name":"n","usage":{"bad":"shape"}}"#,
        r#"{"type":"every","title":"n","use":7}"#,
        r#"{"type":"every","title":"n","use":null,"x":1}"#,
        r#"{"title":"n","type":"every","use":{"bad":"shape"}}"#,
        r#"{"type":"nothing"}"#,
        r#"{"type":"nothing","a":1}"#,
        r#"{"id":"first","the_name":"n","extra_before":[1],"type":"every","list":[2]}"#,
    ] {
        round_trip(text);
    }
}

#[test]
fn a_set_field_forgets_the_spelling_it_came_in() {
    let Thing::Every(mut every) = round_trip(
        r#"{"type":"every","the_name":"n","note":null,"key":null,"store":true,"usage":{"bad":1}}"#,
    ) else {
        panic!()
    };
    assert_eq!(every.usage, None);
    assert_eq!(every.extra.get("usage").unwrap().as_str(), r#"{"bad":1}"#);
    every.note = "now".into();
    every.usage = Some(3);
    assert_eq!(
        serde_json::to_value(&*every).unwrap(),
        json!({"the_name": "n", "note": "now", "key": null, "store": true, "usage": 3})
    );
}

#[test]
fn aliases_encode_as_the_canonical_type() {
    let thing: Thing = serde_json::from_str(r#"{"type":"each","the_name":"n"}"#).unwrap();
    assert_eq!(thing.kind(), "every");
    assert_eq!(serde_json::to_value(&thing).unwrap()["type"], "every");
}

#[test]
fn dropped_members_and_duplicates() {
    let thing: Thing = serde_json::from_str(
        r#"{"type":"every","the_name":"a","obfuscation":"zzz","the_name":"b","x":1,"x":2,"type":"again"}"#,
    )
    .unwrap();
    let Thing::Every(every) = &thing else { panic!() };
    assert_eq!(every.name, "b");
    assert_eq!(every.extra.get("obfuscation"), None);
    assert_eq!(every.extra.get("x").unwrap().as_str(), "2");
    let text = serde_json::to_string(&thing).unwrap();
    assert_eq!(text.matches("\"type\"").count(), 1, "{text}");
}

#[test]
fn unknown_types_come_back_byte_for_byte() {
    for text in [
        r#"{"type":"keepalive","z":1.50,"a":{"b" : [ 1 ]},"é":"\u00e9"}"#,
        r#"{"id":"x","n":null,"type":"new","id2":"y"}"#,
        r#"{"type":"other"}"#,
    ] {
        let thing: Thing = serde_json::from_str(text).unwrap();
        let Thing::Unknown(object) = &thing else { panic!("{thing:?}") };
        assert_eq!(object.raw().as_str(), text);
        assert_eq!(thing.kind(), object.kind());
        assert_eq!(serde_json::to_string(&thing).unwrap(), text);
    }
}

#[test]
fn bad_bodies_are_refused_with_the_name_of_the_member() {
    for (text, parts) in [
        (r#"{"the_name":"n"}"#, &["Thing", "missing field `type`"][..]),
        (r#"{"type":7}"#, &["`type`", "expected a string"]),
        (r#"{"type":"every"}"#, &["every", "missing field `the_name`"]),
        (r#"{"type":"every","the_name":7}"#, &["every", "`the_name`", "integer `7`"]),
        (r#"{"the_name":null,"type":"every"}"#, &["every", "`the_name`", "null"]),
        (r#"{"type":"every","the_name":"n","list":[true]}"#, &["every", "`list`", "boolean"]),
        (r#"{"type":"every","the_name":"n","status":7}"#, &["every", "`status`", "a string"]),
        ("[]", &["an object with a `type` (Thing)"]),
    ] {
        let error = serde_json::from_str::<Thing>(text).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

#[test]
fn works_inside_the_callers_own_enums() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Thing(Thing),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Internal {
        Plain(Every),
        Thing(Thing),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        mine: u8,
        #[serde(flatten)]
        thing: Thing,
    }

    let known = r#"{"type":"every","the_name":"n","key":null,"list":[1],"store":true,"x":{"y":[null,1.5]}}"#;
    let unknown = r#"{"id":"a","type":"new","x":{"y":[null,1.5]}}"#;
    for text in [known, unknown] {
        let thing: Thing = serde_json::from_str(text).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();

        let wrapped: Untagged = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&wrapped).unwrap(), value);
        assert_eq!(wrapped, Untagged::Thing(thing.clone()));

        let wrapped = serde_json::to_string(&Internal::Thing(thing.clone())).unwrap();
        assert_eq!(
            serde_json::from_str::<Internal>(&wrapped).unwrap(),
            Internal::Thing(thing.clone())
        );

        let wrapped = serde_json::to_string(&Flat { mine: 1, thing: thing.clone() }).unwrap();
        assert_eq!(serde_json::from_str::<Flat>(&wrapped).unwrap(), Flat { mine: 1, thing });
    }
    let plain = Internal::Plain(serde_json::from_str(r#"{"the_name":"n"}"#).unwrap());
    let text = serde_json::to_string(&plain).unwrap();
    assert_eq!(text, r#"{"kind":"Plain","the_name":"n"}"#);
    assert_eq!(serde_json::from_str::<Internal>(&text).unwrap(), plain);
}

#[test]
fn ids_are_shared_through_the_cache() {
    let mut ids = IdCache::new();
    let mut read = || {
        let mut text =
            serde_json::Deserializer::from_str(r#"{"type":"every","the_name":"n","id":"msg_1"}"#);
        let Thing::Every(every) =
            TaggedSeed::<Thing>::new(&mut ids).deserialize(&mut text).unwrap()
        else {
            panic!()
        };
        every.id.unwrap()
    };
    assert!(Arc::ptr_eq(&read(), &read()));
    // An event may have three.
    let first = ["a", "b", "c"].map(|id| ids.share(id));
    let again = ["a", "b", "c"].map(|id| ids.share(id));
    assert!(first.iter().zip(&again).all(|(one, other)| Arc::ptr_eq(one, other)));
    // And no more are kept.
    ids.share("d");
    assert!(!Arc::ptr_eq(&first[0], &ids.share("a")));
}

#[test]
fn an_extra_member_stands_in_for_an_empty_field_only() {
    let mut every = Every { name: "n".into(), ..Every::default() };
    every.extra.set_raw("key", RawJson::from(json!("odd")));
    every.extra.set_raw("the_name", RawJson::from(json!("ignored")));
    let value = serde_json::to_value(&every).unwrap();
    assert_eq!(value["key"], "odd");
    assert_eq!(value["the_name"], "n");
    assert_ne!(every.extra, Extra::new());
}

#[test]
fn open_enums_find_their_names() {
    assert_eq!(Status::from("done"), Status::Done);
    assert_eq!(Status::from(String::from("x")).as_str(), "x");
    assert_eq!(Status::Running.to_string(), "in_progress");
    assert!(Status::Running == "in_progress");
}

#[test]
fn very_many_members_take_linear_time() {
    let members: String = (0..200_000).map(|n| format!(r#","m{n}":{n}"#)).collect();
    for kind in ["nothing", "unheard_of"] {
        let text = format!(r#"{{"before":1,"type":"{kind}"{members}}}"#);
        let thing: Thing = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&thing).unwrap().len(), text.len());
    }
}

/// With a search among the others for each of them this would take minutes.
#[test]
fn very_many_bad_values_take_linear_time() {
    let unknown: String = (0..300_000).map(|n| format!(r#""m{n}":{n},"#)).collect();
    let bad: String = (0..300_000).map(|n| format!(r#""usage":"bad{n}","#)).collect();
    let text = format!(r#"{{"type":"every",{unknown}{bad}"the_name":"n"}}"#);
    let Thing::Every(every) = serde_json::from_str(&text).unwrap() else { panic!() };
    assert_eq!(every.usage, None);
    assert_eq!(every.extra.get("usage").unwrap().as_str(), r#""bad299999""#);
}

#[test]
fn opaque_text_shows_as_its_length() {
    let shown = |item: serde_json::Value| {
        let item: crate::model::ResponseItem = serde_json::from_value(item).unwrap();
        format!("{item:?} {item:#?}")
    };
    let content =
        |part: serde_json::Value| json!({"type": "message", "role": "user", "content": [part]});
    for item in [
        json!({"type": "reasoning", "summary": [], "encrypted_content": "OPAQUE="}),
        json!({"type": "image_generation_call", "id": "i", "status": "completed",
            "result": "OPAQUE".repeat(20)}),
        content(json!({"type": "input_image", "image_url": "data:image/png;base64,OPAQUE="})),
        content(json!({"type": "input_file", "file_data": "OPAQUE="})),
    ] {
        let text = shown(item);
        assert!(!text.contains("OPAQUE") && text.contains(" bytes]"), "{text}");
    }
    let url = shown(content(json!({"type": "input_image", "image_url": "https://x.test/1"})));
    assert!(url.contains("https://x.test/1"), "{url}");
}
