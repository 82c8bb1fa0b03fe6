//! Conversations and their items.

use std::sync::Mutex;

use serde_json::{Map, Value};

use super::items::{item, items};
use super::page::Page;
use super::{Answer, Api, Call, lock};
use crate::testing::api_error::ApiError;
use crate::testing::json::{Json, object};
use crate::testing::params::{self, optional, required};
use crate::testing::shelf::Shelf;
use crate::testing::turn::{Turn, unix_seconds};

#[derive(Default)]
pub(super) struct Conversations(Mutex<Shelf<Conversation>>);

struct Conversation {
    id: String,
    created_at: u64,
    metadata: Value,
    items: Vec<Value>,
}

impl Conversation {
    fn json(&self) -> Json {
        object! {
            "id": self.id.as_str(),
            "object": "conversation",
            "created_at": self.created_at,
            "metadata": self.metadata.clone(),
        }
    }
}

/// As many items can be added at once.
const MAX_NEW: usize = 20;

impl Api {
    pub(super) fn create_conversation(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let body = call.body()?;
        let object = if body.is_empty() { Map::new() } else { params::object(&body)? };
        optional(&object, "items", "an array", Value::is_array)?;
        let metadata = optional(&object, "metadata", "an object", Value::is_object)?;
        let conversation = Conversation {
            id: self.ids.item("conv"),
            created_at: unix_seconds(),
            metadata: metadata.cloned().unwrap_or_else(|| Map::new().into()),
            items: items(at_most(object.get("items"))?, &self.ids),
        };
        let answer = Answer::json(&conversation.json());
        let id = conversation.id.clone();
        lock(&self.conversations.0).insert(id, 1024 + body.len(), conversation);
        Ok(answer)
    }

    /// Runs `section` on the conversation in the path, which is as heavy again as the body then.
    fn with_conversation<T>(
        &self,
        call: &Call<'_>,
        section: impl FnOnce(&mut Conversation) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut shelf = lock(&self.conversations.0);
        let conversation = shelf.get_mut(call.id()).ok_or_else(|| not_found(call.id()))?;
        let done = section(conversation)?;
        shelf.grow(call.id(), call.request.body().len());
        Ok(done)
    }

    pub(super) fn retrieve_conversation(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        self.with_conversation(call, |conversation| Ok(Answer::json(&conversation.json())))
    }

    pub(super) fn update_conversation(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = call.object()?;
        let metadata = required(&object, "metadata", "an object", Value::is_object)?;
        self.with_conversation(call, |conversation| {
            conversation.metadata = metadata.clone();
            Ok(Answer::json(&conversation.json()))
        })
    }

    pub(super) fn delete_conversation(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let removed = lock(&self.conversations.0).remove(call.id());
        removed.ok_or_else(|| not_found(call.id()))?;
        let id = call.id();
        Ok(Answer::json(&object! { "id": id, "object": "conversation.deleted", "deleted": true }))
    }

    /// Answers with the new items, in their order.
    pub(super) fn create_items(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = call.object()?;
        params::array(&object, "items")?;
        let new = items(at_most(object.get("items"))?, &self.ids);
        let page = Page::all().of(&new)?;
        self.with_conversation(call, |conversation| {
            conversation.items.extend(new);
            Ok(Answer::json(&page))
        })
    }

    pub(super) fn list_items(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let page = Page::new(&call.query())?;
        self.with_conversation(call, |conversation| {
            Ok(Answer::json(&page.of(&conversation.items)?))
        })
    }

    pub(super) fn retrieve_item(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        self.with_conversation(call, |conversation| {
            let index = index_of(conversation, call)?;
            let item = conversation.items.get(index).cloned();
            Ok(Answer::json(&item.unwrap_or_default().into()))
        })
    }

    /// Answers with the conversation, as the API does.
    pub(super) fn delete_item(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        self.with_conversation(call, |conversation| {
            let index = index_of(conversation, call)?;
            conversation.items.remove(index);
            Ok(Answer::json(&conversation.json()))
        })
    }

    pub(super) fn check_conversation(&self, id: &str) -> Result<(), ApiError> {
        let known = lock(&self.conversations.0).get(id).is_some();
        known.then_some(()).ok_or_else(|| not_found(id))
    }

    /// Adds a turn's input and output to its conversation.
    pub(super) fn converse(&self, turn: &Turn, weight: usize) {
        let Some(id) = turn.conversation() else { return };
        let mut shelf = lock(&self.conversations.0);
        if let Some(conversation) = shelf.get_mut(id) {
            conversation.items.extend(items(turn.request().get("input"), &self.ids));
            let output = turn.items.iter().map(|item| item.json(turn.item_status()).into_value());
            conversation.items.extend(output.map(|output| item(&output, &self.ids)));
        }
        shelf.grow(id, weight);
    }
}

fn at_most(items: Option<&Value>) -> Result<Option<&Value>, ApiError> {
    match items.and_then(Value::as_array) {
        Some(many) if many.len() > MAX_NEW => {
            let why =
                format!("Invalid 'items': {} items, but at most {MAX_NEW} at once.", many.len());
            Err(ApiError::invalid_value("items", why))
        }
        _ => Ok(items),
    }
}

fn index_of(conversation: &Conversation, call: &Call<'_>) -> Result<usize, ApiError> {
    let wanted = call.route.ids.get(1).map_or("", String::as_str);
    let found = |item: &Value| item.get("id").is_some_and(|id| id == wanted);
    let index = conversation.items.iter().position(found);
    index.ok_or_else(|| ApiError::not_found("Item", wanted, "item_not_found"))
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found("Conversation", id, "conversation_not_found")
}
