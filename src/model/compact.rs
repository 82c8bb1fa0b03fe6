//! What `POST responses/compact` takes and gives.

use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Number;

use super::input::{Input, ItemIds, WrittenItems};
use super::macros::wire_struct;
use super::wire::{Omit, WireStruct};
use super::{
    AccessPrograms, Extra, Reasoning, ResponseItem, ServiceTier, TextControls, TokenUsage, Tool,
};

wire_struct! {
    /// The body of `POST responses/compact`: a conversation to make shorter.
    ///
    /// The fields are those of the Codex record, in its order. Fields that are empty are left out,
    /// except where a field says otherwise; a field that this crate does not know travels in `extra`.
    /// [`CompactionInput`] is the same, borrowed.
    pub struct CompactionRequest {
        /// The model.
        required model: String,
        /// The conversation; always written. A string is read as one message of the person.
        items input: Vec<ResponseItem>,
        /// What the model is told before the input.
        optional instructions: String,
        /// The tools of the conversation; an empty list is written, `None` is not.
        optional tools: Option<Vec<Tool>>,
        /// Whether the model may call several tools at once; always written, `true` by default.
        always_true parallel_tool_calls: bool,
        /// How the model reasons.
        optional reasoning: Option<Reasoning>,
        /// The form of the text; left out when nothing in it is set.
        optional_object text: Option<TextControls>,
        /// How the request is scheduled.
        optional service_tier: Option<ServiceTier>,
        /// Requests with equal keys share a prompt cache.
        optional prompt_cache_key: Option<String>,
        /// Access programmes (Codex).
        optional access_programs: Option<AccessPrograms>,
        /// The response whose conversation is meant (public API).
        optional previous_response_id: Option<String>,
    }
}

impl CompactionRequest {
    /// A request to compact `input`.
    #[must_use]
    pub fn new(model: impl Into<String>, input: impl Into<Input>) -> Self {
        Self {
            model: model.into(),
            input: input.into().into(),
            instructions: String::new(),
            tools: None,
            parallel_tool_calls: true,
            reasoning: None,
            text: None,
            service_tier: None,
            prompt_cache_key: None,
            access_programs: None,
            previous_response_id: None,
            extra: Extra::new(),
        }
    }

    /// The request as it is written under a rule for item ids.
    pub(crate) fn written(&self, ids: ItemIds) -> impl Serialize + '_ {
        struct Written<'a>(&'a CompactionRequest, ItemIds);

        impl Serialize for Written<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                // What is compacted is stored nowhere.
                let item_ids = self.1.filter(false);
                self.0.write(&mut map, Omit { item_ids, ..Omit::default() })?;
                map.end()
            }
        }

        Written(self, ids)
    }
}

/// The body of `POST responses/compact`, borrowed: a conversation that stays where it is.
///
/// It is written as a [`CompactionRequest`] with the same values is.
///
/// ```
/// use tower_openai::model::{CompactionInput, ResponseItem};
///
/// let history = [ResponseItem::user("Why is the sky blue?")];
/// let mut input = CompactionInput::new("gpt-5.2", &history);
/// input.instructions = "Keep the decisions.";
/// let json = serde_json::to_value(&input)?;
/// assert_eq!(json["instructions"], "Keep the decisions.");
/// assert!(json.get("tools").is_none());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CompactionInput<'a> {
    /// The model.
    pub model: &'a str,
    /// The conversation; always written.
    pub input: &'a [ResponseItem],
    /// What the model is told before the input; left out when empty.
    pub instructions: &'a str,
    /// The tools of the conversation; an empty list is written, `None` is not.
    pub tools: Option<&'a [Tool]>,
    /// Whether the model may call several tools at once; always written, `true` by default.
    pub parallel_tool_calls: bool,
    /// How the model reasons.
    pub reasoning: Option<&'a Reasoning>,
    /// The form of the text; left out when nothing in it is set.
    pub text: Option<&'a TextControls>,
    /// How the request is scheduled.
    pub service_tier: Option<&'a ServiceTier>,
    /// Requests with equal keys share a prompt cache.
    pub prompt_cache_key: Option<&'a str>,
    /// Access programmes (Codex).
    pub access_programs: Option<&'a AccessPrograms>,
}

impl<'a> CompactionInput<'a> {
    /// Asks to compact `input`.
    #[must_use]
    pub fn new(model: &'a str, input: &'a [ResponseItem]) -> Self {
        Self {
            model,
            input,
            instructions: "",
            tools: None,
            parallel_tool_calls: true,
            reasoning: None,
            text: None,
            service_tier: None,
            prompt_cache_key: None,
            access_programs: None,
        }
    }

    /// The input as it is written under a rule for item ids.
    pub(crate) fn written(&self, ids: ItemIds) -> impl Serialize + '_ {
        struct Written<'a>(&'a CompactionInput<'a>, ItemIds);

        impl Serialize for Written<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.write(serializer, self.1)
            }
        }

        Written(self, ids)
    }

    fn write<S: Serializer>(&self, serializer: S, ids: ItemIds) -> Result<S::Ok, S::Error> {
        fn some<M: SerializeMap, T: Serialize>(
            map: &mut M,
            name: &str,
            value: Option<T>,
        ) -> Result<(), M::Error> {
            value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("input", &WrittenItems::new(self.input, ids.filter(false)))?;
        let instructions = Some(self.instructions).filter(|text| !text.is_empty());
        some(&mut map, "instructions", instructions)?;
        some(&mut map, "tools", self.tools)?;
        map.serialize_entry("parallel_tool_calls", &self.parallel_tool_calls)?;
        some(&mut map, "reasoning", self.reasoning)?;
        let text = self.text.filter(|text| **text != TextControls::default());
        some(&mut map, "text", text)?;
        some(&mut map, "service_tier", self.service_tier)?;
        some(&mut map, "prompt_cache_key", self.prompt_cache_key)?;
        some(&mut map, "access_programs", self.access_programs)?;
        map.end()
    }
}

impl Serialize for CompactionInput<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.write(serializer, ItemIds::Keep)
    }
}

impl From<&CompactionInput<'_>> for CompactionRequest {
    /// A copy.
    fn from(input: &CompactionInput<'_>) -> Self {
        Self {
            instructions: input.instructions.to_owned(),
            tools: input.tools.map(<[Tool]>::to_vec),
            parallel_tool_calls: input.parallel_tool_calls,
            reasoning: input.reasoning.cloned(),
            text: input.text.cloned(),
            service_tier: input.service_tier.cloned(),
            prompt_cache_key: input.prompt_cache_key.map(str::to_owned),
            access_programs: input.access_programs.cloned(),
            ..Self::new(input.model, input.input)
        }
    }
}

wire_struct! {
    /// What `POST responses/compact` gives: the conversation, made shorter.
    pub struct CompactedResponse {
        /// Its id.
        optional id: Option<Arc<str>>,
        /// `response.compaction`.
        optional object: Option<Box<str>>,
        /// When it was made, in seconds since 1970.
        lenient created_at: Option<Number>,
        /// The items to go on with, in place of the ones that were sent.
        required output: Vec<ResponseItem>,
        /// What it cost.
        lenient usage: Option<TokenUsage>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn history() -> Vec<ResponseItem> {
        let item = json!({"type": "message", "id": "msg_1", "role": "user",
            "content": [{"type": "input_text", "text": "hi"}]});
        vec![serde_json::from_value(item).unwrap(), ResponseItem::assistant("yes?")]
    }

    #[test]
    fn borrowed_and_owned_are_written_alike() {
        let history = history();
        let (reasoning, tier) = (Reasoning::default(), ServiceTier::Flex);
        let text = TextControls::default();
        let access: AccessPrograms = serde_json::from_value(json!({"cyber": "standard"})).unwrap();
        let bare = CompactionInput::new("m", &history);
        let full = CompactionInput {
            instructions: "i",
            tools: Some(&[]),
            parallel_tool_calls: false,
            reasoning: Some(&reasoning),
            text: Some(&text),
            service_tier: Some(&tier),
            prompt_cache_key: Some("k"),
            access_programs: Some(&access),
            ..bare.clone()
        };
        for input in [bare, full] {
            let owned = CompactionRequest::from(&input);
            assert_eq!(
                serde_json::to_string(&owned).unwrap(),
                serde_json::to_string(&input).unwrap()
            );
            for ids in [ItemIds::Keep, ItemIds::Strip, ItemIds::WhenStored] {
                let written = serde_json::to_string(&input.written(ids)).unwrap();
                assert_eq!(serde_json::to_string(&owned.written(ids)).unwrap(), written);
                assert_eq!(written.contains("msg_1"), ids == ItemIds::Keep, "{written}");
            }
        }
    }

    #[test]
    fn only_the_output_is_needed() {
        let bare: CompactedResponse = serde_json::from_value(json!({"output": []})).unwrap();
        assert_eq!((bare.id, bare.usage), (None, None));
        let whole = json!({"id": "resp_1", "object": "response.compaction", "created_at": 7,
            "output": [{"type": "compaction", "encrypted_content": "x"}],
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}, "new": null});
        let read: CompactedResponse = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(read.usage.as_ref().unwrap().total_tokens, 3);
        assert_eq!(serde_json::to_value(&read).unwrap(), whole);
        let error = serde_json::from_value::<CompactedResponse>(json!({"id": "x"})).unwrap_err();
        assert!(error.to_string().contains("output"), "{error}");
    }
}
