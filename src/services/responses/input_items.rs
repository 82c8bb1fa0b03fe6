//! `GET responses/{id}/input_items`: what a stored response was made from.
//!
//! [`ListInputItems`] is a [`Service`](tower::Service) of [`ListInputItemsRequest`], which an id turns
//! into. Its answer is one [`ItemPage`]. [`ListInputItems::items`] goes on from page to page, and
//! gives the items one by one:
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{ListInputItems, ListInputItemsRequest};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one has two pages.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     let body = match request.uri().query() {
//!         Some("order=asc") => r#"{"data":[{"type":"message","id":"msg_1","role":"user",
//!             "content":"Why is the sky blue?"}],"last_id":"msg_1","has_more":true}"#,
//!         Some("order=asc&after=msg_1") => r#"{"data":[{"type":"message","id":"msg_2",
//!             "role":"user","content":"And at dusk?"}],"last_id":"msg_2","has_more":false}"#,
//!         other => panic!("{other:?}"),
//!     };
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let request = ListInputItemsRequest::new("resp_1").order("asc");
//! let mut items = ListInputItems::new(http).items(request);
//! let mut ids = Vec::new();
//! while let Some(item) = items.try_next().await? {
//!     ids.extend(item.id().map(str::to_owned));
//! }
//! assert_eq!(ids, ["msg_1", "msg_2"]);
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], and so is a page of which an item
//! cannot be read. A page may have 16 MiB.

use http::Method;

use crate::model::ItemPage;
use crate::services::by_id::from_id;
use crate::services::encode::Outgoing;
use crate::services::endpoint::unary_endpoint;
use crate::services::options::call_options;
use crate::services::pages::{ItemStream, Paged, Paging, page_settings};
use crate::services::unary::{UnaryRequest, UnarySettings, json_answer};
use crate::services::{HttpService, ResponsesOptions, UnaryFuture};
use crate::{Error, RequestBody};

/// A request for a page of a response's input.
#[derive(Clone, Debug)]
#[must_use]
pub struct ListInputItemsRequest {
    id: String,
    paging: Paging,
    options: ResponsesOptions,
}

impl ListInputItemsRequest {
    /// Names the response by its id.
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

from_id!(ListInputItemsRequest);

impl Paged for ListInputItemsRequest {
    fn paging(&mut self) -> &mut Paging {
        &mut self.paging
    }
}

impl UnaryRequest for ListInputItemsRequest {
    const ENDPOINT: &'static str = "list_input_items";
    type Answer = ItemPage;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = self.paging.write(super::stored(&self.id)?.path("/input_items"));
        Ok((Outgoing::new(Method::GET, target)?, self.options))
    }
}

json_answer!(ItemPage);

unary_endpoint! {
    /// Turns an HTTP service into [`ListInputItems`].
    pub struct ListInputItemsLayer;
    /// The endpoint `GET responses/{id}/input_items` over an HTTP service; see the [module](self).
    pub struct ListInputItems: ListInputItemsRequest => ItemPage;
}

impl<S> ListInputItems<S> {
    /// The items of this page and of all that follow.
    pub fn items(
        &self,
        request: impl Into<ListInputItemsRequest>,
    ) -> ItemStream<Self, ListInputItemsRequest, UnaryFuture<S::Future, S::ResponseBody, ItemPage>>
    where
        S: HttpService<RequestBody> + Clone,
    {
        ItemStream::new(self.clone(), request.into())
    }
}
