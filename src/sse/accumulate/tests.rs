use super::*;
use serde_json::{Value, json};

fn accumulate(events: &[Value]) -> Value {
    let mut response = ResponseAccumulator::new();
    for event in events {
        response.push(&serde_json::from_str::<ResponseEvent>(&event.to_string()).unwrap());
    }
    serde_json::to_value(&response.response().output).unwrap()
}

#[test]
fn deltas_merge_into_their_items() {
    let output = accumulate(&[
        json!({"type": "response.created", "response": {"id": "r", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"id": "rs", "type": "reasoning", "summary": []}}),
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs",
            "output_index": 0, "summary_index": 0, "delta": "Thin"}),
        json!({"type": "response.output_item.added", "output_index": 2,
            "item": {"id": "fc", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}}),
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs",
            "output_index": 0, "summary_index": 0, "delta": "king"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc",
            "output_index": 2, "delta": "{\"a\":"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc",
            "output_index": 2, "delta": "1}"}),
    ]);
    assert_eq!(output[0]["summary"][0]["text"], "Thinking");
    assert_eq!(output[1]["arguments"], "{\"a\":1}");
}

/// With a search from end to end for each event this would take minutes.
#[test]
fn many_items_that_grow_by_turns_are_found_again() {
    const ITEMS: u32 = 30_000;
    let mut response = ResponseAccumulator::new();
    let mut push = |index: u32, delta: &str| {
        let event = json!({"type": "response.output_text.delta", "output_index": index,
            "content_index": 0, "delta": delta});
        response.push(&serde_json::from_value(event).unwrap());
    };
    // Not counted up by one, and not in order.
    for index in (0..ITEMS).rev() {
        push(index * 7, "a");
    }
    for index in 0..ITEMS {
        push(index * 7, "b");
        push((ITEMS - 1 - index) * 7, "c");
    }
    let response = response.into_response();
    assert_eq!(response.output.len(), ITEMS as usize);
    let text = response.output_text();
    assert_eq!(text.matches("abc").count() + text.matches("acb").count(), ITEMS as usize);
}

/// The same by ids alone, where one of the items is a long one of a type that is not known.
#[test]
fn many_items_are_found_again_by_their_ids() {
    const ITEMS: u32 = 20_000;
    let mut response = ResponseAccumulator::new();
    let mut push = |event: Value| response.push(&serde_json::from_value(event).unwrap());
    push(json!({"type": "response.output_item.added",
        "item": {"type": "hologram", "data": vec![0; 100_000], "id": "h"}}));
    let mut delta = |id: u32, delta: &str| {
        push(json!({"type": "response.output_text.delta", "item_id": format!("m{id}"),
            "content_index": 0, "delta": delta}));
    };
    (0..ITEMS).for_each(|id| delta(id, "a"));
    for id in 0..ITEMS {
        delta(id, "b");
        delta(ITEMS - 1 - id, "c");
    }
    let text = response.into_response().output_text();
    assert_eq!(text.matches("abc").count() + text.matches("acb").count(), ITEMS as usize);
}

#[test]
fn unannounced_items_and_huge_indexes_do_no_harm() {
    let output = accumulate(&[
        json!({"type": "response.output_text.delta", "item_id": "m", "output_index": u32::MAX,
            "content_index": u32::MAX, "delta": "a"}),
        json!({"type": "response.refusal.delta", "delta": "no"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "x", "delta": "{"}),
    ]);
    assert_eq!(output.as_array().unwrap().len(), 1);
}

#[test]
fn snapshots_win() {
    let message = |text: &str| {
        json!({"id": "m", "type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": text}]})
    };
    let delta = json!({"type": "response.output_text.delta", "item_id": "m",
        "output_index": 0, "content_index": 0, "delta": "!"});
    // A fresh snapshot after a resumption, then more.
    let output = accumulate(&[
        delta.clone(),
        json!({"type": "response.in_progress", "response": {"id": "r", "output": [message("Hi")]}}),
        delta.clone(),
    ]);
    assert_eq!(output[0]["content"][0]["text"], "Hi!");
    // The end says what it was.
    let end =
        |output| json!({"type": "response.completed", "response": {"id": "r", "output": output}});
    let whole = accumulate(&[delta.clone(), end(json!([message("whole")]))]);
    assert_eq!(whole[0]["content"][0]["text"], "whole");
    // Or leaves it to what had come.
    assert_eq!(accumulate(&[delta, end(json!([]))])[0]["content"][0]["text"], "!");
}

fn function_call(call_id: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "name": "f", "call_id": call_id, "arguments": arguments})
}

fn message(text: &str) -> Value {
    json!({"type": "message", "role": "assistant",
        "content": [{"type": "output_text", "text": text}]})
}

fn added(item: Value) -> Value {
    json!({"type": "response.output_item.added", "item": item})
}

fn done(item: Value) -> Value {
    json!({"type": "response.output_item.done", "item": item})
}

fn delta(kind: &str, text: &str) -> Value {
    json!({"type": format!("response.{kind}.delta"), "delta": text})
}

/// What there is to read of each item.
fn summary(output: &Value) -> Vec<String> {
    let text = |item: &Value| {
        let parts = |list: &str| {
            let parts = item[list].as_array().into_iter().flatten();
            let text = |part: &Value| {
                let text = part["text"].as_str().or(part["refusal"].as_str());
                format!(" {}:{}", part["type"].as_str().unwrap(), text.unwrap())
            };
            parts.map(text).collect::<String>()
        };
        let given = item["arguments"].as_str().or(item["input"].as_str());
        let given = given.map(|text| format!(" {text}")).unwrap_or_default();
        format!("{}{}{}{given}", item["type"].as_str().unwrap(), parts("summary"), parts("content"))
    };
    output.as_array().unwrap().iter().map(text).collect()
}

/// As the Codex backend sends them.
#[test]
fn items_without_index_and_id_stand_side_by_side() {
    let end = json!({"type": "response.completed", "response": {"id": "r"}});
    let finished = [done(function_call("c1", "1")), done(function_call("c2", "2")), end.clone()];
    assert_eq!(summary(&accumulate(&finished)), ["function_call 1", "function_call 2"]);
    let twice = [added(message("")), done(message("a")), added(message("")), done(message("b"))];
    assert_eq!(summary(&accumulate(&twice)), ["message output_text:a", "message output_text:b"]);
    let finished = [done(message("a")), done(message("b")), end];
    assert_eq!(summary(&accumulate(&finished)).len(), 2);
    // Those that were begun together are found by their calls.
    let crossed = [
        added(function_call("c1", "")),
        added(function_call("c2", "")),
        done(function_call("c1", "1")),
        done(json!({"type": "function_call_output", "call_id": "c1", "output": "x"})),
        done(function_call("c2", "2")),
    ];
    assert_eq!(
        summary(&accumulate(&crossed)),
        ["function_call 1", "function_call 2", "function_call_output"]
    );
    // An id that comes at the end, and one that is empty.
    let mut late = message("whole");
    late["id"] = "m".into();
    assert_eq!(
        summary(&accumulate(&[delta("output_text", "who"), done(late)])),
        ["message output_text:whole"]
    );
    let empty = json!({"type": "response.output_text.delta", "item_id": "", "delta": "a"});
    assert_eq!(summary(&accumulate(&[empty.clone(), empty])), ["message output_text:aa"]);
}

#[test]
fn what_names_no_item_goes_where_its_kind_belongs() {
    let reasoning = json!({"type": "reasoning", "id": "rs", "summary": []});
    let output = accumulate(&[
        added(reasoning.clone()),
        delta("reasoning_summary_text", "Thin"),
        delta("reasoning_summary_text", "king"),
        delta("reasoning_text", "why"),
        done(reasoning),
        delta("output_text", "Hel"),
        delta("output_text", "lo"),
        delta("refusal", "no"),
        json!({"type": "response.refusal.done", "refusal": "No."}),
        delta("reasoning_summary_text", "more"),
    ]);
    assert_eq!(
        summary(&output),
        ["reasoning", "message output_text:Hello refusal:No.", "reasoning summary_text:more"]
    );
    // A message that is done does not grow; arguments go into no message.
    let output = accumulate(&[
        done(message("a")),
        delta("output_text", "b"),
        delta("function_call_arguments", "{"),
        added(function_call("c", "")),
        delta("custom_tool_call_input", "x"),
        delta("function_call_arguments", "{}"),
    ]);
    assert_eq!(
        summary(&output),
        ["message output_text:a", "message output_text:b", "function_call {}"]
    );
    // Parts, too, begin side by side.
    let part = |kind: &str, text: &str| {
        json!({"type": format!("response.content_part.{kind}"),
            "part": {"type": "output_text", "text": text}})
    };
    let output = accumulate(&[
        part("added", ""),
        delta("output_text", "a"),
        part("done", "A"),
        part("added", ""),
        delta("output_text", "b"),
    ]);
    assert_eq!(summary(&output), ["message output_text:A output_text:b"]);
}

#[test]
fn input_finds_its_tool_by_the_call() {
    let tool = |call_id: &str| {
        json!({"type": "custom_tool_call", "id": format!("ctc_{call_id}"), "name": "t",
            "call_id": call_id, "input": ""})
    };
    let input = |call_id: &str, text: &str| json!({"type": "response.custom_tool_call_input.delta", "call_id": call_id, "delta": text});
    let all =
        json!({"type": "response.custom_tool_call_input.done", "call_id": "c2", "input": "B"});
    let output = accumulate(&[
        added(tool("c1")),
        added(tool("c2")),
        input("c1", "a"),
        input("c2", "b"),
        input("c1", "a"),
        input("c3", "nobody's"),
        all,
    ]);
    assert_eq!(summary(&output), ["custom_tool_call aa", "custom_tool_call B"]);
}

#[test]
fn a_snapshot_without_output_keeps_the_items_of_its_response() {
    let snapshot = |kind: &str, id: &str| json!({"type": format!("response.{kind}"), "response": {"id": id, "output": []}});
    let after = |event| {
        let events = [snapshot("created", "r"), delta("output_text", "Hel"), event];
        let events = [&events[..], &[delta("output_text", "lo")]].concat();
        summary(&accumulate(&events))
    };
    assert_eq!(after(snapshot("in_progress", "r")), ["message output_text:Hello"]);
    for other in [snapshot("created", "r"), snapshot("in_progress", "s"), snapshot("queued", "")] {
        assert_eq!(after(other.clone()), ["message output_text:lo"], "{other}");
    }
}

#[test]
fn parts_keep_their_text_whatever_their_indexes() {
    let text = |kind: &str, index: u32, text: &str| {
        let mut event = json!({"type": format!("response.output_text.{kind}"), "output_index": 0,
            "content_index": index});
        event[if kind == "done" { "text" } else { "delta" }] = text.into();
        event
    };
    for index in [1, u32::MAX] {
        let output = accumulate(&[
            text("delta", index, "a"),
            text("delta", index, "b"),
            text("done", index, "ab"),
        ]);
        assert_eq!(summary(&output), ["message output_text:ab"]);
    }
    // In any order, and with those whose index is their place.
    let output = accumulate(&[
        text("delta", 0, "a"),
        text("delta", 7, "c"),
        text("delta", 1, "b"),
        text("delta", 7, "C"),
        text("delta", 0, "A"),
        text("delta", 1, "B"),
    ]);
    assert_eq!(summary(&output), ["message output_text:aA output_text:cC output_text:bB"]);
}
