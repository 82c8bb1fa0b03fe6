//! Text that grows: the delta events and their `done` counterparts.

use std::sync::Arc;

use crate::model::Logprob;
use crate::model::macros::wire_struct;

wire_struct! {
    /// More text of a content part: output, refusal or raw reasoning.
    #[derive(Default)]
    pub struct TextDelta drops ["obfuscation"] {
        /// The item the text belongs to.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the item.
        optional content_index: Option<u32>,
        /// The new text.
        required delta: String,
        /// Log probabilities of the new text, for output text and when asked for.
        optional logprobs: Option<Vec<Logprob>>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// All text of a content part: output or raw reasoning.
    #[derive(Default)]
    pub struct TextDone {
        /// The item the text belongs to.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the item.
        optional content_index: Option<u32>,
        /// The text.
        required text: String,
        /// Log probabilities, for output text and when asked for.
        optional logprobs: Option<Vec<Logprob>>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// All text of a refusal.
    #[derive(Default)]
    pub struct RefusalDone {
        /// The item the refusal belongs to.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the item.
        optional content_index: Option<u32>,
        /// The model's words.
        required refusal: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// More text of a reasoning summary.
    #[derive(Default)]
    pub struct SummaryTextDelta drops ["obfuscation"] {
        /// The reasoning item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the summary.
        optional summary_index: Option<u32>,
        /// The new text.
        required delta: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// All text of a reasoning summary's part.
    #[derive(Default)]
    pub struct SummaryTextDone {
        /// The reasoning item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the summary.
        optional summary_index: Option<u32>,
        /// The text.
        required text: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// More of what a call is given: arguments, input or code.
    #[derive(Default)]
    pub struct CallDelta drops ["obfuscation"] {
        /// The call's item.
        optional_id item_id: Option<Arc<str>>,
        /// The call itself, which the Codex backend may name instead of the item.
        optional call_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The new text.
        required delta: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}
