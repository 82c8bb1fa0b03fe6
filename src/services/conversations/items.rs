//! The items of a conversation: listed, added, looked up, taken out.

use http::Method;
use serde::{Serialize, Serializer};

use crate::model::{
    IdFilter, Include, Input, ItemPage, ResponseItem, StoredConversation, WrittenItems,
};
use crate::services::by_id::{from_id, includes};
use crate::services::encode::{Outgoing, Target};
use crate::services::endpoint::{item_ids_setting, unary_endpoint};
use crate::services::options::call_options;
use crate::services::pages::{ItemStream, Paged, Paging, page_settings};
use crate::services::unary::{UnaryRequest, UnarySettings, json_answer};
use crate::services::{HttpService, ResponsesOptions, UnaryFuture};
use crate::{Error, RequestBody};

fn items_of(id: &str) -> Result<Target, Error> {
    Ok(super::stored(id)?.path("/items"))
}

fn item_of(id: &str, item_id: &str) -> Result<Target, Error> {
    items_of(id)?.segment("the item's id", item_id)
}

/// Items as a request writes them: what a conversation holds is stored.
pub(super) struct Items<'a>(&'a [ResponseItem], IdFilter);

impl<'a> Items<'a> {
    pub(super) fn new(
        items: &'a [ResponseItem],
        options: &ResponsesOptions,
        settings: &UnarySettings,
    ) -> Self {
        Self(items, options.item_ids.unwrap_or(settings.item_ids).filter(true))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WrittenItems::new(self.0, self.1).serialize(serializer)
    }
}

/// A request for a page of a conversation's items.
#[derive(Clone, Debug)]
#[must_use]
pub struct ListItemsRequest {
    id: String,
    paging: Paging,
    options: ResponsesOptions,
}

impl ListItemsRequest {
    /// Names the conversation by its id.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self {
            id: id.as_ref().to_owned(),
            paging: Paging::default(),
            options: ResponsesOptions::default(),
        }
    }

    page_settings!();

    call_options!();
}

from_id!(ListItemsRequest);

impl Paged for ListItemsRequest {
    fn paging(&mut self) -> &mut Paging {
        &mut self.paging
    }
}

impl UnaryRequest for ListItemsRequest {
    const ENDPOINT: &'static str = "list_items";
    type Answer = ItemPage;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = self.paging.write(items_of(&self.id)?);
        Ok((Outgoing::new(Method::GET, target)?, self.options))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`ListItems`].
    pub struct ListItemsLayer;
    /// The endpoint `GET conversations/{id}/items` over an HTTP service.
    pub struct ListItems: ListItemsRequest => ItemPage;
}

/// The items of a conversation over the HTTP service `S`, whose future is `F` and whose response body
/// is `RB`.
pub type ItemsOf<S, F, RB> =
    ItemStream<ListItems<S>, ListItemsRequest, UnaryFuture<F, RB, ItemPage>>;

impl<S> ListItems<S> {
    /// The items of this page and of all that follow.
    pub fn items(
        &self,
        request: impl Into<ListItemsRequest>,
    ) -> ItemsOf<S, S::Future, S::ResponseBody>
    where
        S: HttpService<RequestBody> + Clone,
    {
        ItemStream::new(self.clone(), request.into())
    }
}

/// A request to add items to a conversation.
#[derive(Clone, Debug)]
#[must_use]
pub struct CreateItemsRequest {
    id: String,
    items: Vec<ResponseItem>,
    include: Vec<Include>,
    options: ResponsesOptions,
}

impl CreateItemsRequest {
    /// Adds `items` to the conversation `id`, 20 at most.
    pub fn new(id: impl AsRef<str>, items: impl Into<Input>) -> Self {
        Self {
            id: id.as_ref().to_owned(),
            items: items.into().into(),
            include: Vec::new(),
            options: ResponsesOptions::default(),
        }
    }

    /// Adds one more item.
    pub fn push(mut self, item: impl Into<ResponseItem>) -> Self {
        self.items.push(item.into());
        self
    }

    includes!();

    call_options!();
}

impl UnaryRequest for CreateItemsRequest {
    const ENDPOINT: &'static str = "create_items";
    type Answer = ItemPage;

    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            items: Items<'a>,
        }

        let items = Items::new(&self.items, &self.options, settings);
        let target = items_of(&self.id)?.query_each("include", &self.include);
        Ok((Outgoing::new(Method::POST, target)?.json(&Body { items })?, self.options))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`CreateItems`].
    pub struct CreateItemsLayer;
    /// The endpoint `POST conversations/{id}/items` over an HTTP service.
    pub struct CreateItems: CreateItemsRequest => ItemPage;
}

item_ids_setting!(CreateItemsLayer, CreateItems);

/// A request for one item of a conversation.
#[derive(Clone, Debug)]
#[must_use]
pub struct RetrieveItemRequest {
    id: String,
    item_id: String,
    include: Vec<Include>,
    options: ResponsesOptions,
}

impl RetrieveItemRequest {
    /// Names the conversation and the item by their ids.
    pub fn new(id: impl AsRef<str>, item_id: impl AsRef<str>) -> Self {
        Self {
            id: id.as_ref().to_owned(),
            item_id: item_id.as_ref().to_owned(),
            include: Vec::new(),
            options: ResponsesOptions::default(),
        }
    }

    includes!();

    call_options!();
}

impl UnaryRequest for RetrieveItemRequest {
    const ENDPOINT: &'static str = "retrieve_item";
    type Answer = ResponseItem;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = item_of(&self.id, &self.item_id)?.query_each("include", &self.include);
        Ok((Outgoing::new(Method::GET, target)?, self.options))
    }
}

json_answer!(ResponseItem);

unary_endpoint! {
    /// Turns an HTTP service into [`RetrieveItem`].
    pub struct RetrieveItemLayer;
    /// The endpoint `GET conversations/{id}/items/{item_id}` over an HTTP service.
    pub struct RetrieveItem: RetrieveItemRequest => ResponseItem;
}

/// A request to take an item out of a conversation.
#[derive(Clone, Debug)]
#[must_use]
pub struct DeleteItemRequest {
    id: String,
    item_id: String,
    options: ResponsesOptions,
}

impl DeleteItemRequest {
    /// Names the conversation and the item by their ids.
    pub fn new(id: impl AsRef<str>, item_id: impl AsRef<str>) -> Self {
        Self {
            id: id.as_ref().to_owned(),
            item_id: item_id.as_ref().to_owned(),
            options: ResponsesOptions::default(),
        }
    }

    call_options!();
}

impl UnaryRequest for DeleteItemRequest {
    const ENDPOINT: &'static str = "delete_item";
    type Answer = StoredConversation;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = item_of(&self.id, &self.item_id)?;
        Ok((Outgoing::new(Method::DELETE, target)?, self.options))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`DeleteItem`].
    pub struct DeleteItemLayer;
    /// The endpoint `DELETE conversations/{id}/items/{item_id}` over an HTTP service.
    pub struct DeleteItem: DeleteItemRequest => StoredConversation;
}
