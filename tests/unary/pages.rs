//! Lists that come in pages, read item by item.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_core::{FusedStream, Stream};
use futures_util::TryStreamExt;
use http::{Request, Response};
use http_body_util::Full;
use tokio_test::{assert_pending, task};
use tower::{Service, service_fn};
use tower_openai::services::{Conversations, ListInputItems, ListInputItemsRequest};
use tower_openai::{BoxError, ErrorKind, RequestBody};
use tower_test::mock;

use crate::support::{Fed, Feed, response, whole};

/// The items `from` to `to`, and where they end.
fn page(from: u32, to: u32, has_more: bool) -> String {
    let items: Vec<_> = (from..to)
        .map(|n| format!(r#"{{"type":"message","id":"m{n}","role":"user","content":"x"}}"#))
        .collect();
    let last = to - 1;
    format!(
        r#"{{"object":"list","data":[{}],"first_id":"m{from}","last_id":"m{last}",
        "has_more":{has_more}}}"#,
        items.join(",")
    )
}

/// The queries that were sent.
type Queries = Arc<Mutex<Vec<String>>>;

/// A list whose pages are what `answer` makes of the query.
#[allow(clippy::type_complexity)] // It cannot be named.
fn list(
    answer: impl Fn(&str) -> (u16, String) + Clone + Send + Sync + 'static,
) -> (
    ListInputItems<
        impl Service<
            Request<RequestBody>,
            Response = Response<Full<Bytes>>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync,
    >,
    Queries,
) {
    let queries = Queries::default();
    let note = Arc::clone(&queries);
    let http = service_fn(move |request: Request<RequestBody>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (status, body) = answer(&query);
        note.lock().unwrap().push(query);
        std::future::ready(Ok(whole(status, &[], body)))
    });
    (ListInputItems::new(http), queries)
}

fn request() -> ListInputItemsRequest {
    ListInputItemsRequest::new("resp_1").limit(3)
}

#[tokio::test]
async fn a_page_is_asked_for_when_the_one_before_is_used_up() {
    let (list, queries) = list(|query| match query {
        "limit=3" => (200, page(0, 3, true)),
        "limit=3&after=m2" => (200, page(3, 6, true)),
        "limit=3&after=m5" => (200, page(6, 7, false)),
        other => panic!("{other}"),
    });
    let mut items = list.items(request());
    assert_eq!(queries.lock().unwrap().len(), 0, "nothing is sent before it is read");
    for n in 0..7 {
        let item = items.try_next().await.unwrap().unwrap();
        assert_eq!(item.id(), Some(&*format!("m{n}")));
        assert_eq!(queries.lock().unwrap().len(), n / 3 + 1, "at item {n}");
    }
    assert!(items.next().await.is_none());
    assert!(items.is_terminated());
    assert!(items.next().await.is_none());
    assert_eq!(queries.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_list_may_be_empty_or_leave_the_cursor_to_its_items() {
    let (empty, _) = list(|_| (200, r#"{"data":[],"has_more":false}"#.into()));
    assert!(empty.items("resp_1").next().await.is_none());
    let (bare, queries) = list(|query| match query {
        "" => (200, page(0, 2, true).replace(r#""last_id":"m1","#, "")),
        "after=m1" => (200, page(2, 4, true).replace(r#""last_id":"m3""#, r#""last_id":"""#)),
        _ => (200, page(4, 5, false).replace(r#""has_more":false"#, r#""other":1"#)),
    });
    let all: Vec<_> = bare.items("resp_1").try_collect().await.unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(*queries.lock().unwrap(), ["", "after=m1", "after=m3"]);
}

#[tokio::test]
async fn a_list_that_leads_nowhere_or_round_in_circles_is_an_error() {
    let circles = |query: &str| match query {
        "" => (200, page(0, 2, true)),
        "after=m1" => (200, page(2, 4, true)),
        "after=m3" => (200, page(0, 2, true)),
        other => panic!("{other}"),
    };
    let (circle, queries) = list(circles);
    let mut items = circle.items("resp_1");
    let mut seen = 0;
    let error = loop {
        match items.next().await.unwrap() {
            Ok(_) => seen += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.message().contains("leads back"), "{error}");
    assert!(seen <= 12 && queries.lock().unwrap().len() <= 8, "{seen}");
    assert!(items.next().await.is_none() && items.is_terminated());

    // A server that does not look at `after`, from the beginning or from the middle.
    for request in ["resp_1".into(), ListInputItemsRequest::new("resp_1").after("m1")] {
        let (deaf, queries) = list(|_| (200, page(0, 2, true)));
        let error = deaf.items(request).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.message().contains("leads back"), "{error}");
        assert!(queries.lock().unwrap().len() <= 2);
    }

    for lost in [
        r#"{"data":[],"last_id":"m1","has_more":true}"#,
        r#"{"data":[{"type":"new"}],"has_more":true}"#,
    ] {
        let (nowhere, _) = list(|_| (200, lost.into()));
        let error = nowhere.items("resp_1").next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.message().contains("not where"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_page_ends_the_list_behind_the_items_that_had_come() {
    let (broken, queries) = list(|query| match query {
        "" => (200, page(0, 2, true)),
        _ => (404, "{}".into()),
    });
    let mut items = broken.items("resp_1");
    assert!(items.next().await.unwrap().is_ok());
    assert!(items.next().await.unwrap().is_ok());
    let error = items.try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(items.next().await.is_none());
    assert_eq!(queries.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_service_is_made_ready_for_each_page_and_dropping_cancels() {
    let (service, mut handle) = mock::pair::<Request<RequestBody>, Response<Fed>>();
    handle.allow(0);
    let mut items = ListInputItems::new(service).items("resp_1");
    let mut next = task::spawn(items.next());
    assert_pending!(next.poll());
    handle.allow(1);
    assert_pending!(next.poll());
    // The wait for an item can be given up; its page goes on.
    drop(next);
    let (_, respond) = handle.next_request().await.unwrap();
    let (feed, body) = Feed::new();
    feed.text(page(0, 1, true));
    drop(feed);
    respond.send_response(response(200, &[], body));
    assert_eq!(items.next().await.unwrap().unwrap().id(), Some("m0"));

    let mut next = task::spawn(items.next());
    assert_pending!(next.poll());
    handle.allow(1);
    assert_pending!(next.poll());
    let (sent, respond) = handle.next_request().await.unwrap();
    assert_eq!(sent.uri().query(), Some("after=m0"));
    let (feed, body) = Feed::new();
    respond.send_response(response(200, &[], body));
    assert_pending!(next.poll());
    drop(next);
    assert!(!feed.is_closed());
    drop(items);
    assert!(feed.is_closed());
}

#[tokio::test]
async fn a_list_can_be_spawned_whatever_the_error_below() {
    fn promised<T: Stream + Send + Unpin + 'static>(stream: T) -> T {
        stream
    }
    let http = service_fn(|_: Request<RequestBody>| async {
        Ok::<_, BoxError>(whole(200, &[], page(0, 2, false)))
    });
    let mut input = promised(ListInputItems::new(http).items("resp_1"));
    let mut kept = promised(Conversations::new(http).items("conv_1"));
    let counts = tokio::spawn(async move {
        let mut counts = (0, 0);
        while input.try_next().await.unwrap().is_some() {
            counts.0 += 1;
        }
        while kept.try_next().await.unwrap().is_some() {
            counts.1 += 1;
        }
        counts
    });
    assert_eq!(counts.await.unwrap(), (2, 2));
}
