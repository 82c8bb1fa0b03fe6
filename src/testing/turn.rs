//! One turn as the API answers it: the items, the `Response` object around them, and the events
//! that stream it. `events.rs` has the event sequence.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::ids::{Fnv, Ids};
use super::json::{Json, object};
use super::prompt::{self, Reply, reply};

/// How a turn ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Finish {
    #[default]
    Completed,
    /// `response.failed` after half of the deltas.
    Failed { code: String, message: String },
    /// `response.incomplete` with half of the text.
    Incomplete { reason: String },
    /// A top-level `error` event after half of the deltas.
    ErrorEvent { code: String, message: String },
    /// Everything but the terminal event.
    Nothing,
}

/// What a script has the model say, whatever the prompt.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Text(Arc<str>),
    Refusal(Arc<str>),
    /// Calls of these functions, as name and arguments.
    Calls(Vec<(String, String)>),
}

impl Said {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Refusal(text) => text.len(),
            Self::Calls(calls) => {
                calls.iter().map(|(name, arguments)| name.len() + arguments.len()).sum()
            }
        }
    }
}

#[cfg(feature = "ws")]
impl From<Said> for Reply {
    fn from(said: Said) -> Self {
        match said {
            Said::Text(text) | Said::Refusal(text) => Self::Text(text.to_string()),
            Said::Calls(calls) => Self::Calls(calls),
        }
    }
}

/// A finished turn, from which a stream or a JSON answer is written.
pub(super) struct Turn {
    /// The request, for the members that a `Response` repeats.
    request: Value,
    id: String,
    created_at: u64,
    /// Set when the end is first told, so that it is told the same way ever after.
    completed_at: OnceLock<u64>,
    pub(super) items: Vec<Item>,
    pub(super) finish: Finish,
}

/// One output item.
pub(super) enum Item {
    Reasoning {
        id: String,
        summary: Option<Arc<str>>,
        encrypted: Option<String>,
    },
    Message {
        id: String,
        text: Arc<str>,
    },
    /// A message with a refusal in place of its text.
    Refusal {
        id: String,
        text: Arc<str>,
    },
    FunctionCall {
        id: String,
        call_id: String,
        name: String,
        arguments: Arc<str>,
    },
}

/// How far an item or the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Queued,
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Turn {
    /// The turn that answers `request`, with what the script says if it does.
    pub(super) fn new(request: Value, said: Option<Said>, finish: Finish, ids: &Ids) -> Self {
        let said = said.unwrap_or_else(|| match reply(&request) {
            Reply::Text(text) => Said::Text(text.into()),
            Reply::Calls(calls) => Said::Calls(calls),
        });
        let answer = match said {
            Said::Text(text) => vec![Item::Message { id: ids.item("msg"), text }],
            Said::Refusal(text) => vec![Item::Refusal { id: ids.item("msg"), text }],
            Said::Calls(calls) => calls.into_iter().map(|call| Item::call(call, ids)).collect(),
        };
        let mut items: Vec<Item> = Item::reasoning(&request, ids).into_iter().collect();
        items.extend(answer);
        if request.get("generate") == Some(&Value::Bool(false)) {
            items.clear();
        }
        if let Finish::Incomplete { .. } = finish {
            items.iter_mut().for_each(Item::halve);
        }
        let id = ids.item("resp");
        let completed_at = OnceLock::new();
        Self { request, id, created_at: unix_seconds(), completed_at, items, finish }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn request(&self) -> &Value {
        &self.request
    }

    /// Whether the request sets `flag` to true.
    pub(super) fn asks_for(&self, flag: &str) -> bool {
        self.request.get(flag) == Some(&Value::Bool(true))
    }

    /// The id of the conversation that the turn belongs to.
    pub(super) fn conversation(&self) -> Option<&str> {
        prompt::conversation(&self.request)
    }

    /// Whether the turn runs on by itself.
    pub(super) fn background(&self) -> bool {
        self.asks_for("background")
    }

    /// The padding that brings a delta to 16 bytes, unless the request does without.
    pub(super) fn padding(&self, delta: &str) -> Option<String> {
        const OFF: &str = "/stream_options/include_obfuscation";
        if self.request.pointer(OFF) == Some(&Value::Bool(false)) {
            return None;
        }
        let mut hash = Fnv::new();
        hash.update(self.id.as_bytes());
        hash.update(delta.as_bytes());
        let mut padding = format!("{:016x}", hash.finish());
        padding.truncate(16 - delta.len() % 16);
        Some(padding)
    }

    /// The status of the whole, once it is over.
    pub(super) fn status(&self) -> Status {
        match self.finish {
            Finish::Completed | Finish::Nothing => Status::Completed,
            Finish::Incomplete { .. } => Status::Incomplete,
            Finish::Failed { .. } | Finish::ErrorEvent { .. } => Status::Failed,
        }
    }

    /// The status of a finished item.
    pub(super) fn item_status(&self) -> Status {
        match self.finish {
            Finish::Incomplete { .. } => Status::Incomplete,
            _ => Status::Completed,
        }
    }

    /// The `Response` object, with every member that the API sends, nulls included.
    pub(super) fn response(&self, status: Status) -> Json {
        let error = match (&self.finish, status) {
            (
                Finish::Failed { code, message } | Finish::ErrorEvent { code, message },
                Status::Failed,
            ) => object! { "code": code.as_str(), "message": message.as_str() },
            _ => Json::NULL,
        };
        let incomplete = match (&self.finish, status) {
            (Finish::Incomplete { reason }, Status::Incomplete) => {
                object! { "reason": reason.as_str() }
            }
            _ => Json::NULL,
        };
        let done = matches!(status, Status::Completed | Status::Incomplete);
        let output = if done {
            let status = self.item_status();
            self.items.iter().map(|item| item.json(status)).collect()
        } else {
            Vec::new()
        };
        let completed_at =
            (status == Status::Completed).then(|| *self.completed_at.get_or_init(unix_seconds));
        let mut response = object! {
            "id": self.id.as_str(),
            "object": "response",
            "created_at": self.created_at,
            "status": status.as_str(),
            "background": self.echo("background", false),
            "completed_at": completed_at,
            "error": error,
            "frequency_penalty": 0.0,
            "incomplete_details": incomplete,
            "instructions": self.echo("instructions", Json::NULL),
            "max_output_tokens": self.echo("max_output_tokens", Json::NULL),
            "max_tool_calls": self.echo("max_tool_calls", Json::NULL),
            "model": self.echo("model", Json::NULL),
            "output": output,
            "parallel_tool_calls": self.echo("parallel_tool_calls", true),
            "presence_penalty": 0.0,
            "previous_response_id": self.echo("previous_response_id", Json::NULL),
            "prompt_cache_key": self.echo("prompt_cache_key", Json::NULL),
            "prompt_cache_retention": self.echo("prompt_cache_retention", Json::NULL),
            "reasoning": object! {
                "effort": self.echo("reasoning/effort", Json::NULL),
                "summary": self.echo("reasoning/summary", Json::NULL),
            },
            "safety_identifier": self.echo("safety_identifier", Json::NULL),
            "service_tier": if done { Json::from("default") } else { self.echo("service_tier", "auto") },
            "store": self.echo("store", true),
            "temperature": self.echo("temperature", 1.0),
            "text": object! {
                "format": self.echo("text/format", object! { "type": "text" }),
                "verbosity": self.echo("text/verbosity", "medium"),
            },
            "tool_choice": self.echo("tool_choice", "auto"),
            "tools": self.echo("tools", Json::empty_array()),
            "top_logprobs": self.echo("top_logprobs", 0_u64),
            "top_p": self.echo("top_p", 1.0),
            "truncation": self.echo("truncation", "disabled"),
            "usage": if done { self.usage() } else { Json::NULL },
            "user": self.echo("user", Json::NULL),
            "metadata": self.echo("metadata", Json::empty_object()),
        };
        if let (Json::Object(fields), Some(id)) = (&mut response, self.conversation()) {
            fields.push(("conversation", object! { "id": id }));
        }
        response
    }

    /// What the request says at `path`, or else what the API would.
    fn echo(&self, path: &str, default: impl Into<Json>) -> Json {
        match self.request.pointer(&format!("/{path}")) {
            None | Some(Value::Null) => default.into(),
            Some(value) => Json::Value(value.clone()),
        }
    }

    /// One word of output to a token.
    fn usage(&self) -> Json {
        let input = input_tokens(&self.request);
        let words = |text: &str| text.split_whitespace().count();
        let (mut reasoning, mut output) = (0, 0);
        for item in &self.items {
            match item {
                Item::Reasoning { summary, .. } => {
                    reasoning += 64 + summary.as_deref().map_or(0, words);
                }
                Item::Message { text, .. } | Item::Refusal { text, .. } => output += words(text),
                Item::FunctionCall { arguments, .. } => output += arguments.len().div_ceil(4),
            }
        }
        let output = output + reasoning;
        object! {
            "input_tokens": input,
            "input_tokens_details": object! { "cached_tokens": 0_u64, "cache_write_tokens": 0_u64 },
            "output_tokens": output,
            "output_tokens_details": object! { "reasoning_tokens": reasoning },
            "total_tokens": input + output,
        }
    }
}

impl Item {
    /// The reasoning item of a request that sets `reasoning`, unless its effort is `none`.
    ///
    /// It has a summary only if one is asked for, as at the API.
    fn reasoning(request: &Value, ids: &Ids) -> Option<Self> {
        const SUMMARY: &str = "**Reading the prompt**\n\nThe prompt is short, and a loopback \
                               server has one answer to give, so I will give that one.";
        let reasoning = request.get("reasoning").filter(|reasoning| reasoning.is_object())?;
        let set = |key| reasoning.get(key).is_some_and(|value| !value.is_null());
        if reasoning.get("effort").is_some_and(|effort| effort == "none") {
            return None;
        }
        let include = request.get("include").and_then(Value::as_array);
        let encrypted = include
            .is_some_and(|include| include.iter().any(|item| item == "reasoning.encrypted_content"))
            .then(|| ids.item("gAAAAABloopback"));
        let summary = (set("summary") || set("generate_summary")).then(|| SUMMARY.into());
        Some(Self::Reasoning { id: ids.item("rs"), summary, encrypted })
    }

    fn call((name, arguments): (String, String), ids: &Ids) -> Self {
        let arguments = arguments.into();
        Self::FunctionCall { id: ids.item("fc"), call_id: ids.call(), name, arguments }
    }

    /// Keeps half of a message, for an answer that was cut short.
    fn halve(&mut self) {
        if let Self::Message { text, .. } | Self::Refusal { text, .. } = self {
            let words = text.split_inclusive(' ').count();
            *text = text.split_inclusive(' ').take(words / 2).collect::<String>().trim_end().into();
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Reasoning { id, .. }
            | Self::Message { id, .. }
            | Self::Refusal { id, .. }
            | Self::FunctionCall { id, .. } => id,
        }
    }

    /// The item as it is with `status`: without its content while in progress.
    pub(super) fn json(&self, status: Status) -> Json {
        let done = status != Status::InProgress;
        match self {
            Self::Reasoning { id, summary, encrypted } => {
                let part = summary.as_deref().filter(|_| done).map(summary_part);
                let mut fields =
                    vec![("id", Json::from(id.as_str())), ("type", "reasoning".into())];
                if let Some(encrypted) = encrypted {
                    fields.push(("encrypted_content", encrypted.as_str().into()));
                }
                fields.push(("summary", Json::Array(part.into_iter().collect())));
                Json::Object(fields)
            }
            Self::Message { id, text } | Self::Refusal { id, text } => {
                let part = match self {
                    Self::Refusal { .. } => refusal_part(text),
                    _ => text_part(text),
                };
                object! {
                    "id": id.as_str(),
                    "type": "message",
                    "status": status.as_str(),
                    "content": if done { vec![part] } else { Vec::new() },
                    "role": "assistant",
                }
            }
            Self::FunctionCall { id, call_id, name, arguments } => object! {
                "id": id.as_str(),
                "type": "function_call",
                "status": status.as_str(),
                "arguments": if done { &**arguments } else { "" },
                "call_id": call_id.as_str(),
                "name": name.as_str(),
            },
        }
    }
}

/// What a request weighs: four bytes of its JSON to a token.
pub(super) fn input_tokens(request: &Value) -> usize {
    let len = |key| request.get(key).map_or(0, |value| value.to_string().len());
    (len("input") + len("instructions") + len("tools")).div_ceil(4)
}

pub(super) fn text_part(text: &str) -> Json {
    object! {
        "type": "output_text",
        "annotations": Json::empty_array(),
        "logprobs": Json::empty_array(),
        "text": text,
    }
}

pub(super) fn refusal_part(text: &str) -> Json {
    object! { "type": "refusal", "refusal": text }
}

pub(super) fn summary_part(text: &str) -> Json {
    object! { "type": "summary_text", "text": text }
}

/// Wall-clock time, which the wire has in seconds.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
