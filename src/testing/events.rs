//! The event sequence of a turn, written lazily, so that a flood costs no memory.

use std::future::Future;
use std::iter::once;
use std::pin::Pin;
use std::sync::Arc;

use super::json::Json;
use super::turn::{Finish, Item, Status, Turn, refusal_part, summary_part, text_part};

/// One event.
pub(super) struct Frame {
    pub(super) kind: &'static str,
    /// All members, `type` and `sequence_number` first.
    pub(super) data: Json,
    /// Text and argument deltas are what pacing applies to.
    pub(super) is_delta: bool,
    /// What has to happen before this event can be sent.
    pub(super) gate: Option<Gate>,
}

/// Yields whether the event happened at all; without it there are no further ones.
pub(super) type Gate = Pin<Box<dyn Future<Output = bool> + Send>>;

pub(super) type Frames = Box<dyn Iterator<Item = Frame> + Send>;

/// An event without its number.
struct Draft {
    kind: &'static str,
    fields: Vec<(&'static str, Json)>,
}

type Drafts = Box<dyn Iterator<Item = Draft> + Send>;

/// All events of `turn`, numbered from 0; the same ones whenever they are asked for.
pub(super) fn frames(turn: Arc<Turn>) -> impl Iterator<Item = Frame> + Send {
    let mut head = Vec::with_capacity(3);
    if turn.background() {
        head.push(state(&turn, "response.created", Status::Queued));
        head.push(state(&turn, "response.queued", Status::Queued));
    } else {
        head.push(state(&turn, "response.created", Status::InProgress));
    }
    head.push(state(&turn, "response.in_progress", Status::InProgress));
    let broken = matches!(turn.finish, Finish::Failed { .. } | Finish::ErrorEvent { .. });
    let last = turn.items.len().saturating_sub(1);
    let items = {
        let turn = Arc::clone(&turn);
        (0..turn.items.len())
            .flat_map(move |index| item_events(&turn, index, broken && index == last))
    };
    let tail = once(()).filter_map(move |()| terminal(&turn));
    head.into_iter().chain(items).chain(tail).enumerate().map(|(number, draft)| {
        let mut fields = vec![("type", draft.kind.into()), ("sequence_number", number.into())];
        fields.extend(draft.fields);
        let is_delta = draft.kind.ends_with(".delta");
        Frame { kind: draft.kind, data: Json::Object(fields), is_delta, gate: None }
    })
}

fn state(turn: &Turn, kind: &'static str, status: Status) -> Draft {
    Draft { kind, fields: vec![("response", turn.response(status))] }
}

fn terminal(turn: &Turn) -> Option<Draft> {
    match &turn.finish {
        Finish::Completed => Some(state(turn, "response.completed", Status::Completed)),
        Finish::Incomplete { .. } => Some(state(turn, "response.incomplete", Status::Incomplete)),
        Finish::Failed { .. } => Some(state(turn, "response.failed", Status::Failed)),
        Finish::ErrorEvent { code, message } => Some(Draft {
            kind: "error",
            fields: vec![
                ("code", code.as_str().into()),
                ("message", message.as_str().into()),
                ("param", Json::NULL),
            ],
        }),
        Finish::Nothing => None,
    }
}

/// The events of one item; with `broken`, they stop after half of the deltas.
fn item_events(turn: &Arc<Turn>, index: usize, broken: bool) -> Drafts {
    let Some(item) = turn.items.get(index) else { return Box::new(std::iter::empty()) };
    let item_event = |kind, status| Draft {
        kind,
        fields: vec![("output_index", index.into()), ("item", item.json(status))],
    };
    let added = item_event("response.output_item.added", Status::InProgress);
    let done = item_event("response.output_item.done", turn.item_status());
    let body = match item {
        Item::Message { text, .. } => message_events(turn, index, text, broken),
        Item::Refusal { text, .. } => refusal_events(turn, index, text, broken),
        Item::Reasoning { summary: Some(text), .. } => summary_events(turn, index, text, broken),
        Item::Reasoning { summary: None, .. } => Box::new(std::iter::empty()),
        Item::FunctionCall { name, arguments, .. } => {
            call_events(turn, index, name, arguments, broken)
        }
    };
    Box::new(once(added).chain(body).chain(Some(done).filter(|_| !broken)))
}

fn message_events(turn: &Arc<Turn>, index: usize, text: &Arc<str>, broken: bool) -> Drafts {
    let at = Place::new(turn, index, Some("content_index"));
    let part = |text: &str| [("part", text_part(text))];
    let logprobs = || ("logprobs", Json::empty_array());
    let added = at.draft("response.content_part.added", part(""));
    let done = [
        at.draft("response.output_text.done", [("text", (&**text).into()), logprobs()]),
        at.draft("response.content_part.done", part(text)),
    ];
    let deltas = Pieces::words(text, broken).map(move |piece| {
        let mut draft = at.delta("response.output_text.delta", &piece);
        let end = draft.fields.len().min(at.len() + 1);
        draft.fields.insert(end, logprobs());
        draft
    });
    Box::new(once(added).chain(deltas).chain(done.into_iter().filter(move |_| !broken)))
}

fn refusal_events(turn: &Arc<Turn>, index: usize, text: &Arc<str>, broken: bool) -> Drafts {
    let at = Place::new(turn, index, Some("content_index"));
    let part = |text: &str| [("part", refusal_part(text))];
    let added = at.draft("response.content_part.added", part(""));
    let done = [
        at.draft("response.refusal.done", [("refusal", (&**text).into())]),
        at.draft("response.content_part.done", part(text)),
    ];
    let deltas =
        Pieces::words(text, broken).map(move |piece| at.delta("response.refusal.delta", &piece));
    Box::new(once(added).chain(deltas).chain(done.into_iter().filter(move |_| !broken)))
}

fn summary_events(turn: &Arc<Turn>, index: usize, text: &Arc<str>, broken: bool) -> Drafts {
    let at = Place::new(turn, index, Some("summary_index"));
    let part = |text: &str| [("part", summary_part(text))];
    let added = at.draft("response.reasoning_summary_part.added", part(""));
    let done = [
        at.draft("response.reasoning_summary_text.done", [("text", (&**text).into())]),
        at.draft("response.reasoning_summary_part.done", part(text)),
    ];
    let deltas = Pieces::words(text, broken)
        .map(move |piece| at.delta("response.reasoning_summary_text.delta", &piece));
    Box::new(once(added).chain(deltas).chain(done.into_iter().filter(move |_| !broken)))
}

fn call_events(
    turn: &Arc<Turn>,
    index: usize,
    name: &str,
    arguments: &Arc<str>,
    broken: bool,
) -> Drafts {
    let at = Place::new(turn, index, None);
    let done = at.draft(
        "response.function_call_arguments.done",
        [("arguments", (&**arguments).into()), ("name", name.into())],
    );
    let deltas = Pieces::of_size(arguments, 5, broken)
        .map(move |piece| at.delta("response.function_call_arguments.delta", &piece));
    Box::new(deltas.chain(Some(done).filter(move |_| !broken)))
}

/// Where in the output an event belongs: the members that all events of a part share.
struct Place {
    turn: Arc<Turn>,
    index: usize,
    part_index: Option<&'static str>,
}

impl Place {
    fn new(turn: &Arc<Turn>, index: usize, part_index: Option<&'static str>) -> Self {
        Self { turn: Arc::clone(turn), index, part_index }
    }

    fn len(&self) -> usize {
        2 + usize::from(self.part_index.is_some())
    }

    fn draft(
        &self,
        kind: &'static str,
        rest: impl IntoIterator<Item = (&'static str, Json)>,
    ) -> Draft {
        let id = self.turn.items.get(self.index).map_or("", Item::id);
        let mut fields = vec![("item_id", id.into()), ("output_index", self.index.into())];
        fields.extend(self.part_index.map(|key| (key, 0_u64.into())));
        fields.extend(rest);
        Draft { kind, fields }
    }

    fn delta(&self, kind: &'static str, piece: &str) -> Draft {
        let mut draft = self.draft(kind, [("delta", piece.into())]);
        draft
            .fields
            .extend(self.turn.padding(piece).map(|padding| ("obfuscation", padding.into())));
        draft
    }
}

/// A text cut into the pieces of its deltas.
pub(super) struct Pieces {
    text: Arc<str>,
    at: usize,
    end: usize,
    size: Option<usize>,
}

impl Pieces {
    /// Words, each with the white space before it.
    pub(super) fn words(text: &Arc<str>, half: bool) -> Self {
        Self::new(text, None, half)
    }

    /// Pieces of `size` characters.
    pub(super) fn of_size(text: &Arc<str>, size: usize, half: bool) -> Self {
        Self::new(text, Some(size), half)
    }

    fn new(text: &Arc<str>, size: Option<usize>, half: bool) -> Self {
        let mut end = if half { text.len().div_ceil(2) } else { text.len() };
        while !text.is_char_boundary(end) {
            end += 1;
        }
        Self { text: Arc::clone(text), at: 0, end, size }
    }
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = self.text.get(self.at..self.end).filter(|rest| !rest.is_empty())?;
        let len = match self.size {
            Some(size) => rest.char_indices().nth(size).map(|(len, _)| len),
            None => {
                let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
                rest.get(word..)
                    .and_then(|word| word.find(char::is_whitespace))
                    .map(|len| word + len)
            }
        };
        let piece = rest.get(..len.unwrap_or(rest.len()))?.to_owned();
        self.at += piece.len();
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ids::Ids;
    use serde_json::{Value, json};

    fn turn(request: Value, finish: Finish) -> Vec<Value> {
        let turn = Turn::new(request, None, finish, &Ids::new(Some(1)));
        frames(Arc::new(turn))
            .map(|frame| serde_json::from_str(&frame.data.compact()).unwrap())
            .collect()
    }

    fn kinds(events: &[Value]) -> Vec<&str> {
        let mut kinds: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
        kinds.dedup();
        kinds
    }

    #[test]
    fn a_message_has_the_full_sequence() {
        let events = turn(json!({"model":"m","input":"hi"}), Finish::Completed);
        assert_eq!(
            kinds(&events),
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ]
        );
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number);
        }
        let deltas: String = events.iter().filter_map(|e| e["delta"].as_str()).collect();
        let last = &events[events.len() - 1]["response"];
        assert_eq!(last["output"][0]["content"][0]["text"], deltas);
        assert_eq!(last["status"], "completed");
        assert!(last["usage"]["total_tokens"].as_u64().unwrap() > 0);
    }

    #[test]
    fn reasoning_comes_first_and_has_a_summary_only_if_asked() {
        let request = json!({"model":"m","input":"hi","reasoning":{"effort":"low"}});
        let events = turn(request, Finish::Completed);
        assert_eq!(events[2]["item"]["type"], "reasoning");
        assert_eq!(events[3]["item"]["summary"], json!([]));
        let request = json!({"model":"m","input":"hi","reasoning":{"summary":"auto"},
            "include":["reasoning.encrypted_content"]});
        let events = turn(request, Finish::Completed);
        assert_eq!(
            kinds(&events)[2..8],
            [
                "response.output_item.added",
                "response.reasoning_summary_part.added",
                "response.reasoning_summary_text.delta",
                "response.reasoning_summary_text.done",
                "response.reasoning_summary_part.done",
                "response.output_item.done",
            ]
        );
        let last = &events[events.len() - 1]["response"]["output"];
        assert_eq!(last[0]["summary"][0]["type"], "summary_text");
        assert!(last[0]["encrypted_content"].is_string());
        assert_eq!(last[1]["type"], "message");
    }

    #[test]
    fn a_call_streams_its_arguments() {
        let request = json!({"model":"m","input":"call the tool","tools":[{"type":"function",
            "name":"f","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}]});
        let events = turn(request, Finish::Completed);
        assert_eq!(
            kinds(&events)[2..6],
            [
                "response.output_item.added",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.done",
            ]
        );
        let deltas: String = events.iter().filter_map(|e| e["delta"].as_str()).collect();
        assert_eq!(deltas, r#"{"city":"example"}"#);
    }

    #[test]
    fn unhappy_ends() {
        let request = || json!({"model":"m","input":"one two three four"});
        let failed = Finish::Failed { code: "server_error".into(), message: "no".into() };
        let events = turn(request(), failed);
        assert_eq!(
            kinds(&events)[4..],
            ["response.output_text.delta", "response.failed"],
            "nothing is done"
        );
        let last = &events[events.len() - 1]["response"];
        assert_eq!((&last["status"], &last["output"]), (&json!("failed"), &json!([])));
        assert_eq!(last["error"]["code"], "server_error");

        let incomplete = Finish::Incomplete { reason: "max_output_tokens".into() };
        let events = turn(request(), incomplete);
        let last = &events[events.len() - 1]["response"];
        assert_eq!(last["incomplete_details"]["reason"], "max_output_tokens");
        assert_eq!(last["output"][0]["status"], "incomplete");

        let error = Finish::ErrorEvent { code: "c".into(), message: "m".into() };
        let events = turn(request(), error);
        let last = &events[events.len() - 1];
        assert_eq!(
            (&last["type"], &last["code"], &last["param"]),
            (&json!("error"), &json!("c"), &Value::Null)
        );

        let events = turn(request(), Finish::Nothing);
        assert_eq!(events[events.len() - 1]["type"], "response.output_item.done");
    }

    #[test]
    fn a_background_turn_is_queued_first_and_every_run_is_the_same() {
        let request = json!({"model":"m","input":"hi","background":true});
        let turn = Arc::new(Turn::new(request, None, Finish::Completed, &Ids::new(None)));
        let run = || frames(Arc::clone(&turn)).map(|frame| frame.data.compact());
        let head: Vec<Value> = run().take(3).map(|e| serde_json::from_str(&e).unwrap()).collect();
        assert_eq!(kinds(&head), ["response.created", "response.queued", "response.in_progress"]);
        assert_eq!(head[0]["response"]["status"], "queued");
        assert_eq!(head[2]["response"]["status"], "in_progress");
        assert!(run().eq(run()));
    }

    #[test]
    fn padding_can_be_switched_off_and_keys_are_in_order() {
        let turn = |request| Turn::new(request, None, Finish::Completed, &Ids::new(Some(1)));
        let delta =
            |turn| frames(Arc::new(turn)).find(|frame| frame.is_delta).unwrap().data.compact();
        let with = delta(turn(json!({"model":"m","input":"hi"})));
        let keys: Vec<_> = with.split('"').skip(1).step_by(2).collect();
        assert_eq!(keys[..3], ["type", "response.output_text.delta", "sequence_number"]);
        assert!(with.contains(r#""delta":"You","logprobs":[],"obfuscation":""#), "{with}");
        let without = delta(turn(
            json!({"model":"m","input":"hi","stream_options":{"include_obfuscation":false}}),
        ));
        assert!(!without.contains("obfuscation"), "{without}");
    }
}
