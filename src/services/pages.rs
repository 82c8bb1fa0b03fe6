//! Lists that come in pages, read item by item.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{mem, vec};

use futures_core::{FusedStream, Stream};
use pin_project_lite::pin_project;
use tower::Service;

use super::encode::Target;
use super::{ApiResponse, CallOnce};
use crate::model::{Include, ItemPage, ListOrder, ResponseItem};
use crate::{Error, ErrorKind, Stage};

/// Which page of a list is asked for.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    pub(super) limit: Option<u32>,
    pub(super) order: Option<ListOrder>,
    pub(super) after: Option<String>,
    pub(super) include: Vec<Include>,
}

impl Paging {
    pub(super) fn write(&self, target: Target) -> Target {
        target
            .query_if("limit", self.limit)
            .query_if("order", self.order.as_ref())
            .query_if("after", self.after.as_ref())
            .query_each("include", &self.include)
    }
}

/// A request for a page.
pub trait Paged: Clone {
    /// Which page.
    fn paging(&mut self) -> &mut Paging;
}

/// What the requests for pages have in common; for a type with a field `paging`.
macro_rules! page_settings {
    () => {
        /// How many items a page may have, from 1 to 100. What the server does if nothing is said is
        /// up to the server: 20, as a rule.
        pub fn limit(mut self, items: u32) -> Self {
            self.paging.limit = Some(items);
            self
        }

        /// Which item comes first. If nothing is said, it is the newest.
        pub fn order(mut self, order: impl Into<$crate::model::ListOrder>) -> Self {
            self.paging.order = Some(order.into());
            self
        }

        /// Only the items behind the one with this id.
        pub fn after(mut self, item_id: impl AsRef<str>) -> Self {
            self.paging.after = Some(item_id.as_ref().to_owned());
            self
        }

        /// Asks for data that is left out by default.
        pub fn include(mut self, include: impl Into<$crate::model::Include>) -> Self {
            self.paging.include.push(include.into());
            self
        }
    };
}

pub(super) use page_settings;

pin_project! {
    /// The items of a list, from page to page.
    ///
    /// Made by [`ListInputItems::items`](super::ListInputItems::items) and its like. A page is asked
    /// for when the items of the one before are used up, so there is never more than one in memory.
    /// Dropping the stream cancels what is under way. After an error or the end there is only `None`.
    ///
    /// `X` is the endpoint, `Req` its request and `Fut` its future.
    #[must_use = "a stream does nothing unless it is read"]
    pub struct ItemStream<X, Req, Fut> {
        service: X,
        // For the next page; `None`: there is none.
        request: Option<Req>,
        call: Option<Pin<Box<PageCall<X, Req, Fut>>>>,
        items: vec::IntoIter<ResponseItem>,
        cursors: Cursors,
    }
}

type PageCall<X, Req, Fut> = CallOnce<X, Req, Fut, ApiResponse<ItemPage>>;

impl<X, Req: Paged, Fut> ItemStream<X, Req, Fut> {
    pub(super) fn new(service: X, mut request: Req) -> Self {
        let mut cursors = Cursors::default();
        if let Some(after) = &request.paging().after {
            cursors.has_been_seen(after);
        }
        let items = Vec::new().into_iter();
        Self { service, request: Some(request), call: None, items, cursors }
    }
}

impl<X, Req, Fut> ItemStream<X, Req, Fut>
where
    X: Service<Req, Response = ApiResponse<ItemPage>, Error = Error, Future = Fut> + Clone,
    Req: Paged,
    Fut: Future<Output = Result<ApiResponse<ItemPage>, Error>>,
{
    /// The next item; `None` at the end.
    ///
    /// Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Those of the endpoint. A page that leads back to an earlier one, or that says there are more
    /// items but not where, is [`ErrorKind::Protocol`]. All of them end the stream.
    pub async fn next(&mut self) -> Option<Result<ResponseItem, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The next item, with `Result` outside: `while let Some(item) = items.try_next().await?`.
    ///
    /// Cancel safe, like [`next`](Self::next), and with the same errors.
    ///
    /// # Errors
    ///
    /// What ended the stream.
    pub async fn try_next(&mut self) -> Result<Option<ResponseItem>, Error> {
        self.next().await.transpose()
    }
}

impl<X, Req, Fut> Stream for ItemStream<X, Req, Fut>
where
    X: Service<Req, Response = ApiResponse<ItemPage>, Error = Error, Future = Fut> + Clone,
    Req: Paged,
    Fut: Future<Output = Result<ApiResponse<ItemPage>, Error>>,
{
    type Item = Result<ResponseItem, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        loop {
            if let Some(item) = this.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            let call = match (&mut *this.call, &*this.request) {
                (Some(call), _) => call,
                (None, None) => return Poll::Ready(None),
                (call @ None, Some(request)) => {
                    let page = CallOnce::new(this.service.clone(), request.clone());
                    call.insert(Box::pin(page))
                }
            };
            let page = ready!(call.as_mut().poll(cx));
            *this.call = None;
            let next = page.and_then(|page| {
                let page = page.into_value();
                let next = this.cursors.after(&page)?;
                *this.items = page.data.into_iter();
                Ok(next)
            });
            match next {
                Ok(Some(cursor)) => {
                    if let Some(request) = this.request {
                        request.paging().after = Some(cursor);
                    }
                }
                Ok(None) => *this.request = None,
                Err(error) => {
                    *this.request = None;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<X, Req, Fut> FusedStream for ItemStream<X, Req, Fut>
where
    Self: Stream,
{
    fn is_terminated(&self) -> bool {
        self.request.is_none() && self.items.len() == 0
    }
}

impl<X, Req, Fut> fmt::Debug for ItemStream<X, Req, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemStream")
            .field("at_hand", &self.items.len())
            .field("more", &self.request.is_some())
            .finish_non_exhaustive()
    }
}

/// Where the pages of a list began, as far as is needed to notice a list that goes round in circles.
///
/// By Brent's method: each cursor is compared with one that is kept, and that is replaced after ever
/// longer runs. A circle is noticed within three rounds, and one cursor is all that is kept.
#[derive(Debug, Default)]
struct Cursors {
    kept: Option<String>,
    since: u64,
    patience: u64,
}

impl Cursors {
    /// Where the page after this one begins; `None` if there is none.
    fn after(&mut self, page: &ItemPage) -> Result<Option<String>, Error> {
        if !page.has_more {
            return Ok(None);
        }
        let last = page.data.last();
        let told = page.last_id.as_deref().filter(|id| !id.is_empty());
        let cursor = match told.or_else(|| last?.id()) {
            Some(cursor) if last.is_some() => cursor,
            _ => return Err(astray("says that there are more items, but not where")),
        };
        if self.has_been_seen(cursor) {
            return Err(astray("leads back to a page that has been read"));
        }
        Ok(Some(cursor.to_owned()))
    }

    fn has_been_seen(&mut self, cursor: &str) -> bool {
        if self.kept.as_deref() == Some(cursor) {
            return true;
        }
        self.since += 1;
        if self.since > self.patience {
            self.kept = Some(cursor.to_owned());
            self.patience = mem::take(&mut self.since) * 2;
        }
        false
    }
}

fn astray(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("a page of the list {what}"))
        .with_stage(Stage::Streaming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_circle_is_noticed_within_three_rounds() {
        for tail in 0..20 {
            for round in 1..20 {
                let mut cursors = Cursors::default();
                let cursor = |n: usize| if n < tail { n } else { tail + (n - tail) % round };
                let noticed =
                    (0..1000).find(|n| cursors.has_been_seen(&cursor(*n).to_string())).unwrap();
                assert!(noticed <= 3 * (tail + round), "{tail} {round}: {noticed}");
                assert!(noticed >= tail + round, "{tail} {round}: {noticed}");
            }
        }
    }

    #[test]
    fn a_list_that_gets_on_is_let_through() {
        let mut cursors = Cursors::default();
        assert!((0..1000).all(|n| !cursors.has_been_seen(&n.to_string())));
    }
}
