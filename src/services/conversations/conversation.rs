//! A conversation as a whole: begun, looked up, relabelled, forgotten.

use std::collections::BTreeMap;

use http::Method;
use serde::Serialize;

use crate::Error;
use crate::model::{DeletedConversation, Input, ResponseItem, StoredConversation};
use crate::services::ResponsesOptions;
use crate::services::by_id::id_request;
use crate::services::encode::{Outgoing, Target};
use crate::services::endpoint::{item_ids_setting, unary_endpoint};
use crate::services::options::call_options;
use crate::services::unary::{UnaryRequest, UnarySettings, json_answer};

use super::items::Items;

/// A request to begin a conversation.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CreateConversationRequest {
    items: Vec<ResponseItem>,
    metadata: BTreeMap<String, String>,
    options: ResponsesOptions,
}

impl CreateConversationRequest {
    /// A conversation without items.
    pub fn new() -> Self {
        Self::default()
    }

    /// A conversation that begins with these items, 20 at most.
    pub fn items(mut self, items: impl Into<Input>) -> Self {
        self.items = items.into().into();
        self
    }

    /// Adds an item.
    pub fn push(mut self, item: impl Into<ResponseItem>) -> Self {
        self.items.push(item.into());
        self
    }

    /// The application's own data, kept with the conversation.
    pub fn metadata(
        mut self,
        pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        self.metadata = texts(pairs);
        self
    }

    call_options!();
}

impl UnaryRequest for CreateConversationRequest {
    const ENDPOINT: &'static str = "create_conversation";
    type Answer = StoredConversation;

    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(skip_serializing_if = "Items::is_empty")]
            items: Items<'a>,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            metadata: &'a BTreeMap<String, String>,
        }

        let items = Items::new(&self.items, &self.options, settings);
        let post = Outgoing::new(Method::POST, Target::of("/conversations"))?;
        Ok((post.json(&Body { items, metadata: &self.metadata })?, self.options))
    }
}

json_answer!(StoredConversation);

unary_endpoint! {
    /// Turns an HTTP service into [`CreateConversation`].
    pub struct CreateConversationLayer;
    /// The endpoint `POST conversations` over an HTTP service.
    pub struct CreateConversation: CreateConversationRequest => StoredConversation;
}

item_ids_setting!(CreateConversationLayer, CreateConversation);

id_request! {
    /// A request for what is known of a conversation.
    pub struct RetrieveConversationRequest("conversation");
}

impl UnaryRequest for RetrieveConversationRequest {
    const ENDPOINT: &'static str = "retrieve_conversation";
    type Answer = StoredConversation;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        Ok((Outgoing::new(Method::GET, super::stored(&self.id)?)?, self.options))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`RetrieveConversation`].
    pub struct RetrieveConversationLayer;
    /// The endpoint `GET conversations/{id}` over an HTTP service.
    pub struct RetrieveConversation: RetrieveConversationRequest => StoredConversation;
}

/// A request to replace a conversation's metadata.
#[derive(Clone, Debug)]
#[must_use]
pub struct UpdateConversationRequest {
    id: String,
    metadata: BTreeMap<String, String>,
    options: ResponsesOptions,
}

impl UpdateConversationRequest {
    /// Gives the conversation `id` these pairs in place of those it has.
    pub fn new(
        id: impl AsRef<str>,
        metadata: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        Self {
            id: id.as_ref().to_owned(),
            metadata: texts(metadata),
            options: ResponsesOptions::default(),
        }
    }

    call_options!();
}

impl UnaryRequest for UpdateConversationRequest {
    const ENDPOINT: &'static str = "update_conversation";
    type Answer = StoredConversation;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            metadata: &'a BTreeMap<String, String>,
        }

        let post = Outgoing::new(Method::POST, super::stored(&self.id)?)?;
        Ok((post.json(&Body { metadata: &self.metadata })?, self.options))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`UpdateConversation`].
    pub struct UpdateConversationLayer;
    /// The endpoint `POST conversations/{id}` over an HTTP service.
    pub struct UpdateConversation: UpdateConversationRequest => StoredConversation;
}

id_request! {
    /// A request to forget a conversation.
    pub struct DeleteConversationRequest("conversation");
}

impl UnaryRequest for DeleteConversationRequest {
    const ENDPOINT: &'static str = "delete_conversation";
    type Answer = DeletedConversation;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        Ok((Outgoing::new(Method::DELETE, super::stored(&self.id)?)?, self.options))
    }
}

json_answer!(DeletedConversation);

unary_endpoint! {
    /// Turns an HTTP service into [`DeleteConversation`].
    pub struct DeleteConversationLayer;
    /// The endpoint `DELETE conversations/{id}` over an HTTP service.
    pub struct DeleteConversation: DeleteConversationRequest => DeletedConversation;
}

fn texts(
    pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}
