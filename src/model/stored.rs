//! What the endpoints of stored responses and conversations take and give, beside the response.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Number;

use super::ResponseItem;
use super::macros::{open_enum, wire_struct};

wire_struct! {
    /// A page of a list of items.
    #[derive(Default)]
    pub struct ItemPage {
        /// `list`.
        optional object: Option<Box<str>>,
        /// The items.
        required data: Vec<ResponseItem>,
        /// The id of the first item.
        optional first_id: Option<Arc<str>>,
        /// The id of the last item: the page after this one begins behind it.
        optional last_id: Option<Arc<str>>,
        /// Whether there is a page after this one.
        optional has_more: bool,
    }
}

open_enum! {
    /// Which item of a list comes first.
    pub enum ListOrder {
        /// The oldest.
        Ascending = "asc",
        /// The newest: what servers do when nothing is said.
        Descending = "desc",
    }
}

wire_struct! {
    /// How many tokens an input has.
    #[derive(Default)]
    pub struct InputTokens {
        /// `response.input_tokens`.
        optional object: Option<Box<str>>,
        /// How many.
        required input_tokens: u64,
    }
}

wire_struct! {
    /// A stored conversation, as the server knows it. Its items are asked for by themselves.
    #[derive(Default)]
    pub struct StoredConversation {
        /// The conversation's id.
        required id: Arc<str>,
        /// `conversation`.
        optional object: Option<Box<str>>,
        /// When it was made, in seconds since 1970.
        lenient created_at: Option<Number>,
        /// The caller's own key-value pairs.
        lenient metadata: Option<BTreeMap<String, String>>,
    }
}

wire_struct! {
    /// What is left of a conversation.
    #[derive(Default)]
    pub struct DeletedConversation {
        /// The conversation's id.
        optional id: Option<Arc<str>>,
        /// `conversation.deleted`.
        optional object: Option<Box<str>>,
        /// Whether it is gone.
        required deleted: bool,
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn round_trip<T: DeserializeOwned + serde::Serialize>(json: Value) -> T {
        let read: T = serde_json::from_str(&json.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), json);
        read
    }

    #[test]
    fn what_is_read_is_written_again() {
        let page: ItemPage =
            round_trip(json!({"object": "list", "data": [{"type": "new", "id": "a"}],
            "first_id": "a", "last_id": "a", "has_more": true, "next": null}));
        assert!(page.has_more);
        let empty: ItemPage = round_trip(json!({"data": [], "first_id": null, "has_more": false}));
        assert_eq!((empty.has_more, empty.last_id), (false, None));
        assert!(serde_json::from_str::<ItemPage>("{}").is_err());

        let count: InputTokens =
            round_trip(json!({"object": "response.input_tokens", "input_tokens": 11}));
        assert_eq!(count.input_tokens, 11);

        let conversation: StoredConversation = round_trip(json!({"id": "conv_1",
            "object": "conversation", "created_at": 1, "metadata": {"topic": "demo"}}));
        assert_eq!(conversation.metadata.unwrap()["topic"], "demo");
        let deleted: DeletedConversation =
            round_trip(json!({"id": "conv_1", "object": "conversation.deleted", "deleted": true}));
        assert!(deleted.deleted);
    }
}
