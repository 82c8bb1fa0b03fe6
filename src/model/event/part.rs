//! Items and their parts as they come and go.

use std::sync::Arc;

use crate::model::macros::wire_struct;
use crate::model::{Annotation, ContentPart, Extra, ItemStatus, ResponseItem};

wire_struct! {
    /// An item that begins or is finished.
    pub struct ItemEvent {
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The item.
        required item: ResponseItem,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

impl ItemEvent {
    /// The event of `item`, without a place yet.
    #[must_use]
    pub fn new(item: impl Into<ResponseItem>) -> Self {
        Self { output_index: None, item: item.into(), sequence_number: None, extra: Extra::new() }
    }
}

wire_struct! {
    /// A content part that begins or is finished.
    pub struct PartEvent {
        /// The item the part belongs to.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the item.
        optional content_index: Option<u32>,
        /// The part.
        required part: ContentPart,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

impl PartEvent {
    /// The event of `part`, without a place yet.
    #[must_use]
    pub fn new(part: impl Into<ContentPart>) -> Self {
        Self {
            item_id: None,
            output_index: None,
            content_index: None,
            part: part.into(),
            sequence_number: None,
            extra: Extra::new(),
        }
    }
}

wire_struct! {
    /// A part of a reasoning summary that begins or is finished.
    #[derive(Default)]
    pub struct SummaryPartEvent {
        /// The reasoning item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the summary.
        optional summary_index: Option<u32>,
        /// The part. Codex backends leave it out.
        optional part: Option<ContentPart>,
        /// `incomplete` when the part was cut short.
        optional status: Option<ItemStatus>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// A piece of output text refers to something.
    #[derive(Default)]
    pub struct AnnotationAdded {
        /// The item the text belongs to.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The part's place in the item.
        optional content_index: Option<u32>,
        /// The annotation's place in the part.
        optional annotation_index: Option<u32>,
        /// What the text refers to.
        optional annotation: Option<Annotation>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}
