//! Conversations that the server keeps: `conversations` and what is below.
//!
//! Each operation is an endpoint of its own, a [`Service`](tower::Service) of its typed request over
//! any HTTP service, for stacks on the typed level:
//!
//! | endpoint | request | what it sends | its answer |
//! |---|---|---|---|
//! | [`CreateConversation`] | [`CreateConversationRequest`] | `POST conversations` | [`StoredConversation`] |
//! | [`RetrieveConversation`] | [`RetrieveConversationRequest`] | `GET conversations/{id}` | [`StoredConversation`] |
//! | [`UpdateConversation`] | [`UpdateConversationRequest`] | `POST conversations/{id}` | [`StoredConversation`] |
//! | [`DeleteConversation`] | [`DeleteConversationRequest`] | `DELETE conversations/{id}` | [`DeletedConversation`] |
//! | [`ListItems`] | [`ListItemsRequest`] | `GET conversations/{id}/items` | [`ItemPage`], or [a stream](ListItems::items) of all |
//! | [`CreateItems`] | [`CreateItemsRequest`] | `POST conversations/{id}/items` | [`ItemPage`] |
//! | [`RetrieveItem`] | [`RetrieveItemRequest`] | `GET conversations/{id}/items/{item_id}` | [`ResponseItem`] |
//! | [`DeleteItem`] | [`DeleteItemRequest`] | `DELETE conversations/{id}/items/{item_id}` | [`StoredConversation`] |
//!
//! [`Conversations`] is all of them over one HTTP service, for those who just call:
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{Conversations, CreateConversationRequest, ResponsesRequest};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     let body = match (request.method().as_str(), request.uri().path()) {
//!         ("POST", "/conversations") => r#"{"id":"conv_1","metadata":{"topic":"sky"}}"#,
//!         ("DELETE", "/conversations/conv_1") => r#"{"id":"conv_1","deleted":true}"#,
//!         other => panic!("{other:?}"),
//!     };
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let conversations = Conversations::new(http);
//! let request = CreateConversationRequest::new().metadata([("topic", "sky")]).push("Be brief.");
//! let conversation = conversations.create(request).await?;
//!
//! // What is asked in the conversation, and answered, is kept in it.
//! let request = ResponsesRequest::new("gpt-5.2", "Why is it blue?").conversation(&conversation.id);
//! # let _ = request;
//!
//! assert!(conversations.delete(&conversation.id).await?.deleted);
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers; what is not
//! there is [`ErrorKind::NotFound`](crate::ErrorKind::NotFound). An answer may have 16 MiB.
//!
//! [`StoredConversation`]: crate::model::StoredConversation
//! [`DeletedConversation`]: crate::model::DeletedConversation
//! [`ItemPage`]: crate::model::ItemPage
//! [`ResponseItem`]: crate::model::ResponseItem

mod conversation;
mod items;

use super::encode::Target;
use super::{HttpService, UnaryCall};
use crate::extensions::StreamTimeouts;
use crate::model::{DeletedConversation, ItemIds, ItemPage, ResponseItem, StoredConversation};
use crate::{Error, RequestBody};

pub use self::conversation::{
    CreateConversation, CreateConversationLayer, CreateConversationRequest, DeleteConversation,
    DeleteConversationLayer, DeleteConversationRequest, RetrieveConversation,
    RetrieveConversationLayer, RetrieveConversationRequest, UpdateConversation,
    UpdateConversationLayer, UpdateConversationRequest,
};
pub use self::items::{
    CreateItems, CreateItemsLayer, CreateItemsRequest, DeleteItem, DeleteItemLayer,
    DeleteItemRequest, ItemsOf, ListItems, ListItemsLayer, ListItemsRequest, RetrieveItem,
    RetrieveItemLayer, RetrieveItemRequest,
};

/// Where a conversation is.
fn stored(id: &str) -> Result<Target, Error> {
    Target::of("/conversations").segment("the conversation's id", id)
}

/// All that can be done with conversations, over one HTTP service.
///
/// Each method sends one request, on a clone of the service that is made ready first; dropping what it
/// gives cancels the request. See the [module](self).
#[derive(Clone, Debug)]
pub struct Conversations<S> {
    inner: S,
    timeouts: StreamTimeouts,
    item_ids: ItemIds,
}

impl<S> Conversations<S> {
    /// The conversations of the API behind `http`.
    pub fn new(http: S) -> Self {
        Self { inner: http, timeouts: StreamTimeouts::new(), item_ids: ItemIds::default() }
    }

    /// How long calls may wait, in place of what the layers say. Limits that are unset stay as they
    /// are. A request can have its own.
    #[must_use]
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.timeouts = timeouts.or(self.timeouts);
        self
    }

    /// Which items are sent with their ids. Default: [`ItemIds::Keep`].
    #[must_use]
    pub fn item_ids(mut self, rule: ItemIds) -> Self {
        self.item_ids = rule;
        self
    }

    /// As the preset has it.
    #[cfg(feature = "client")]
    pub(crate) fn sending(self, preset: super::PresetSettings) -> Self {
        self.item_ids(preset.item_ids)
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, unwrapped.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// What a call of `X` gives, over the HTTP service `S`.
type Called<X, Req, S, T> = UnaryCall<
    X,
    Req,
    <S as tower::Service<http::Request<RequestBody>>>::Future,
    <S as HttpService<RequestBody>>::ResponseBody,
    T,
>;

/// A method for each endpoint.
macro_rules! operations {
    ($($(#[$meta:meta])* $name:ident: $Service:ident, $Request:ident => $Answer:ty;)*) => {
        impl<S: HttpService<RequestBody> + Clone> Conversations<S> {$(
            $(#[$meta])*
            ///
            /// # Errors
            ///
            /// What could not be sent, what the server refused, an answer that cannot be read.
            pub fn $name(
                &self,
                request: impl Into<$Request>,
            ) -> Called<$Service<S>, $Request, S, $Answer> {
                let service = $Service::new(self.inner.clone()).timeouts(self.timeouts);
                service.sending_ids(self.item_ids).send(request)
            }
        )*}
    };
}

operations! {
    /// Begins a conversation.
    create: CreateConversation, CreateConversationRequest => StoredConversation;
    /// What is known of a conversation.
    retrieve: RetrieveConversation, RetrieveConversationRequest => StoredConversation;
    /// Replaces a conversation's metadata.
    update: UpdateConversation, UpdateConversationRequest => StoredConversation;
    /// Has the server forget a conversation. Its items stay where else they are kept.
    delete: DeleteConversation, DeleteConversationRequest => DeletedConversation;
    /// One page of a conversation's items; [`items`](Self::items) gives them all.
    list_items: ListItems, ListItemsRequest => ItemPage;
    /// Adds items to the end of a conversation, and gives them as they are kept.
    create_items: CreateItems, CreateItemsRequest => ItemPage;
    /// One item of a conversation.
    retrieve_item: RetrieveItem, RetrieveItemRequest => ResponseItem;
    /// Takes an item out of a conversation.
    delete_item: DeleteItem, DeleteItemRequest => StoredConversation;
}

impl<S: HttpService<RequestBody> + Clone> Conversations<S> {
    /// The items of a conversation, from page to page.
    pub fn items(
        &self,
        request: impl Into<ListItemsRequest>,
    ) -> ItemsOf<S, S::Future, S::ResponseBody> {
        ListItems::new(self.inner.clone()).timeouts(self.timeouts).items(request)
    }
}
