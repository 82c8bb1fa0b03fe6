//! One response as it is said: its items, its events, and how far it has come.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::play::{Beat, Beats, Play};
use super::super::{Act, Out, shape};
use super::{event, set};
use crate::testing::events::Pieces;
use crate::testing::ids::Ids;
use crate::testing::json::{Json, object};
use crate::testing::prompt::Reply;
use crate::testing::script::{Ending, Script};
use crate::testing::turn::Finish;

/// What a response will say.
pub(super) struct Draft {
    pub(super) id: Arc<str>,
    pub(super) ids: Arc<Ids>,
    /// The item before its own.
    pub(super) before: Value,
    pub(super) in_conversation: bool,
    /// The members of the response that do not change.
    pub(super) base: Value,
    pub(super) spoken: bool,
    /// Audio in the events of that kind of session.
    pub(super) quicksilver: bool,
    pub(super) finish: Finish,
    pub(super) output: Vec<Output>,
}

/// An item of the output.
#[derive(Clone)]
pub(super) enum Output {
    Message { id: String, text: Arc<str> },
    Call { id: String, call_id: String, name: String, arguments: Arc<str> },
}

/// An event without its id: whether it is a delta, its type, and the rest.
type Said = (bool, &'static str, Json);

impl Draft {
    /// A draft with this output, and nothing else filled in.
    pub(super) fn new(reply: Reply, ids: &Arc<Ids>) -> Self {
        let output = match reply {
            Reply::Text(text) => vec![Output::Message { id: ids.item("item"), text: text.into() }],
            Reply::Calls(calls) => {
                let call = |(name, arguments): (String, String)| Output::Call {
                    id: ids.item("item"),
                    call_id: ids.call(),
                    name,
                    arguments: arguments.into(),
                };
                calls.into_iter().map(call).collect()
            }
        };
        Self {
            id: "".into(),
            ids: Arc::clone(ids),
            before: Value::Null,
            in_conversation: true,
            base: Value::Null,
            spoken: false,
            quicksilver: false,
            finish: Finish::Completed,
            output,
        }
    }

    /// Whether there will be a voice.
    pub(super) fn speaks(&self) -> bool {
        self.spoken && self.output.iter().any(|output| matches!(output, Output::Message { .. }))
    }

    /// The items, before or after they were said.
    pub(super) fn items(&self, done: bool) -> Vec<Value> {
        self.output.iter().map(|output| self.item(output, done)).collect()
    }

    fn item(&self, output: &Output, done: bool) -> Value {
        let status = match (&self.finish, done) {
            (_, false) => "in_progress",
            (Finish::Completed | Finish::Nothing, true) => "completed",
            (_, true) => "incomplete",
        };
        match output {
            Output::Message { id, text } => {
                let part = match self.spoken {
                    true => json!({ "type": "output_audio", "transcript": &**text }),
                    false => json!({ "type": "output_text", "text": &**text }),
                };
                let content = if done { vec![part] } else { Vec::new() };
                json!({
                    "id": id, "object": "realtime.item", "type": "message", "status": status,
                    "role": "assistant", "content": content,
                })
            }
            Output::Call { id, call_id, name, arguments } => json!({
                "id": id, "object": "realtime.item", "type": "function_call", "status": status,
                "call_id": call_id, "name": name,
                "arguments": if done { &**arguments } else { "" },
            }),
        }
    }

    /// All events of the response, in their order.
    fn events(self: &Arc<Self>) -> impl Iterator<Item = Said> + Send + use<> {
        let limits = json!([
            { "name": "requests", "limit": 500, "remaining": 499, "reset_seconds": 0.12 },
            { "name": "tokens", "limit": 200000, "remaining": 199900, "reset_seconds": 0.03 },
        ]);
        let response = response(&self.base, "in_progress", &Value::Null, Vec::new());
        let head = [
            (false, "response.created", object! { "response": response }),
            (false, "rate_limits.updated", object! { "rate_limits": limits }),
        ];
        let this = Arc::clone(self);
        let items = (0..self.output.len()).flat_map(move |index| this.item_events(index));
        let this = Arc::clone(self);
        let tail = std::iter::once(()).flat_map(move |()| this.tail());
        head.into_iter().chain(items).chain(tail)
    }

    /// Whether it breaks off within the last item.
    fn is_cut(&self) -> bool {
        !matches!(self.finish, Finish::Completed | Finish::Nothing)
    }

    fn item_events(self: &Arc<Self>, index: usize) -> Box<dyn Iterator<Item = Said> + Send> {
        let Some(output) = self.output.get(index) else { return Box::new(std::iter::empty()) };
        let cut = self.is_cut() && index + 1 == self.output.len();
        let place = |item: Value| {
            object! { "response_id": &*self.id, "output_index": index, "item": item }
        };
        let before = match index.checked_sub(1).and_then(|before| self.output.get(before)) {
            Some(Output::Message { id, .. } | Output::Call { id, .. }) => id.as_str().into(),
            None => self.before.clone(),
        };
        let in_conversation = |kind, item| {
            let rest = object! { "previous_item_id": before.clone(), "item": item };
            self.in_conversation.then_some((false, kind, rest))
        };
        let (new, done) = (self.item(output, false), self.item(output, true));
        let head = [
            Some((false, "response.output_item.added", place(new.clone()))),
            in_conversation("conversation.item.added", new),
        ];
        let tail = [
            in_conversation("conversation.item.done", done.clone()),
            Some((false, "response.output_item.done", place(done))),
        ];
        let body = match output {
            Output::Message { id, text } => self.message_events(index, id, text, cut),
            Output::Call { .. } => self.call_events(index, output, cut),
        };
        Box::new(head.into_iter().flatten().chain(body).chain(tail.into_iter().flatten()))
    }

    fn message_events(
        self: &Arc<Self>,
        index: usize,
        item_id: &str,
        text: &Arc<str>,
        cut: bool,
    ) -> Box<dyn Iterator<Item = Said> + Send> {
        let (response_id, item_id): (Arc<str>, Arc<str>) = (Arc::clone(&self.id), item_id.into());
        let (spoken, quicksilver) = (self.spoken, self.quicksilver);
        let at = move |key: &'static str, value: Json| {
            let mut fields = vec![
                ("response_id", Json::from(&*response_id)),
                ("item_id", Json::from(&*item_id)),
                ("output_index", index.into()),
                ("content_index", 0_u64.into()),
            ];
            fields.push((key, value));
            Json::Object(fields)
        };
        let part = |text: &str| match spoken {
            true => object! { "type": "audio", "transcript": text },
            false => object! { "type": "text", "text": text },
        };
        let added = (false, "response.content_part.added", at("part", part("")));
        let voice = spoken.then(voice);
        let (kind, done_kind, done_key) = match spoken {
            true => (
                "response.output_audio_transcript.delta",
                "response.output_audio_transcript.done",
                "transcript",
            ),
            false => ("response.output_text.delta", "response.output_text.done", "text"),
        };
        let mut tail = Vec::new();
        if spoken {
            tail.push((false, "response.output_audio.done", at("format", Json::NULL)));
        }
        tail.push((false, done_kind, at(done_key, (&**text).into())));
        tail.push((false, "response.content_part.done", at("part", part(text))));
        let deltas = Pieces::words(text, cut).flat_map(move |piece| {
            let audio = voice.as_ref().map(|voice| {
                if !quicksilver {
                    return (false, "response.output_audio.delta", at("delta", (&**voice).into()));
                }
                let rest = object! {
                    "delta": &**voice, "sample_rate": 24000_u64, "channels": 1_u64,
                };
                (false, "conversation.output_audio.delta", rest)
            });
            std::iter::once((true, kind, at("delta", piece.as_str().into()))).chain(audio)
        });
        Box::new(std::iter::once(added).chain(deltas).chain(tail))
    }

    fn call_events(
        self: &Arc<Self>,
        index: usize,
        output: &Output,
        cut: bool,
    ) -> Box<dyn Iterator<Item = Said> + Send> {
        let Output::Call { id, call_id, name, arguments } = output.clone() else {
            return Box::new(std::iter::empty());
        };
        let response_id = Arc::clone(&self.id);
        let at = move || {
            vec![
                ("response_id", Json::from(&*response_id)),
                ("item_id", id.as_str().into()),
                ("output_index", index.into()),
                ("call_id", call_id.as_str().into()),
            ]
        };
        let mut done = at();
        done.push(("name", name.into()));
        done.push(("arguments", (&*arguments).into()));
        let done = (false, "response.function_call_arguments.done", Json::Object(done));
        let deltas = Pieces::of_size(&arguments, 5, cut).map(move |piece| {
            let mut fields = at();
            fields.push(("delta", piece.into()));
            (true, "response.function_call_arguments.delta", Json::Object(fields))
        });
        Box::new(deltas.chain([done]))
    }

    /// What ends the response.
    fn tail(&self) -> Vec<Said> {
        let done = |status, details| {
            let response = response(&self.base, status, &details, self.items(true));
            (false, "response.done", object! { "response": response })
        };
        let failed = |code: &str| {
            let error = json!({ "type": "server_error", "code": code });
            done("failed", json!({ "type": "failed", "error": error }))
        };
        match &self.finish {
            Finish::Nothing => Vec::new(),
            Finish::Completed => vec![done("completed", Value::Null)],
            Finish::Incomplete { reason } => {
                vec![done("incomplete", json!({ "type": "incomplete", "reason": reason }))]
            }
            Finish::Failed { code, .. } => vec![failed(code)],
            Finish::ErrorEvent { code, message } => {
                let error = json!({
                    "type": "server_error", "code": code, "message": message, "param": null,
                    "event_id": null,
                });
                vec![(false, "error", object! { "error": error }), failed(code)]
            }
        }
    }
}

/// 40 ms of a tone.
fn voice() -> Arc<str> {
    let samples = (0..960_i16).map(|n| if n / 27 % 2 == 0 { 4000_i16 } else { -4000 });
    STANDARD.encode(samples.flat_map(i16::to_le_bytes).collect::<Vec<_>>()).into()
}

fn response(base: &Value, status: &str, details: &Value, output: Vec<Value>) -> Value {
    let mut response = base.clone();
    set(&mut response, "status", status);
    set(&mut response, "status_details", details.clone());
    let tokens: usize = output.iter().map(|item| item.to_string().len().div_ceil(4)).sum();
    set(&mut response, "output", output);
    let usage = match status {
        "in_progress" => Value::Null,
        _ => json!({
            "total_tokens": tokens + 10, "input_tokens": 10, "output_tokens": tokens,
            "input_token_details": {
                "text_tokens": 10, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0,
            },
            "output_token_details": { "text_tokens": tokens, "audio_tokens": 0 },
        }),
    };
    set(&mut response, "usage", usage);
    response
}

/// A response that is being said.
pub(super) struct Playing {
    id: Arc<str>,
    play: Play,
    ending: Ending,
    reason: Arc<str>,
    over: bool,
    said: usize,
    items: Vec<Value>,
    base: Value,
}

impl Playing {
    pub(super) fn scripted(id: String, beats: Beats, script: &Script) -> Self {
        let base = json!({ "object": "realtime.response", "id": id });
        Self::new(id.into(), beats, script, Vec::new(), base)
    }

    pub(super) fn natural(draft: Draft, script: &Script, pace: Duration) -> Self {
        let draft = Arc::new(draft);
        let ids = Arc::clone(&draft.ids);
        let said = draft.events().map(move |(is_delta, kind, rest)| {
            let text = event(kind, &ids.item("event"), rest).compact();
            (is_delta, Beat::from(Out::Text(text)))
        });
        let beats = shape::paced(script, pace, said);
        let (items, base) = (draft.items(true), draft.base.clone());
        let items = if draft.in_conversation { items } else { Vec::new() };
        Self::new(Arc::clone(&draft.id), beats, script, items, base)
    }

    fn new(id: Arc<str>, beats: Beats, script: &Script, items: Vec<Value>, base: Value) -> Self {
        let (play, reason) = (Play::new(beats), Arc::clone(&script.reason));
        Self { id, play, ending: script.ending, reason, over: false, said: 0, items, base }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Those that belong to the conversation, as they are at the end.
    pub(super) fn items(&self) -> &[Value] {
        &self.items
    }

    /// Whether the client has heard of an item.
    pub(super) fn has_begun_item(&self) -> bool {
        self.said > 2
    }

    /// Its items are not completed any more.
    pub(super) fn cut(&mut self) {
        for item in &mut self.items {
            set(item, "status", "incomplete");
        }
    }

    /// The response as it ended.
    pub(super) fn response(&self, status: &str, details: Value, begun: bool) -> Value {
        let items = self.items.iter().take(usize::from(begun)).cloned();
        response(&self.base, status, &details, items.collect())
    }

    pub(super) fn hear(&mut self) {
        self.play.hear();
    }

    /// Whether it has ended, and the next may begin.
    pub(super) fn is_over(&self) -> bool {
        self.over && self.ending == Ending::Complete
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Act> {
        if self.over {
            return Poll::Pending;
        }
        match ready!(self.play.poll(cx)) {
            Some(out) => {
                self.said += usize::from(matches!(out, Out::Text(_) | Out::Fragments(..)));
                Poll::Ready(Act::Say(out))
            }
            None => {
                self.over = true;
                match self.ending {
                    Ending::Complete | Ending::Stall => Poll::Pending,
                    ending => Poll::Ready(Act::End(ending, Arc::clone(&self.reason))),
                }
            }
        }
    }
}
