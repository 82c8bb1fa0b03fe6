//! Conversations that the server keeps.

use http::Method;
use serde_json::json;
use tower::ServiceExt;
use tower_openai::extensions::{Call, StreamTimeouts};
use tower_openai::model::{Include, ItemIds, ResponseItem};
use tower_openai::services::{
    Conversations, CreateConversation, CreateConversationRequest, CreateItemsRequest,
    DeleteItemRequest, ListItemsRequest, RetrieveItem, RetrieveItemRequest,
    UpdateConversationRequest,
};
use tower_openai::{Error, ErrorKind};

use crate::support::{Header, assert_sent, once, whole};

const CONVERSATION: &str =
    r#"{"id":"conv_1","object":"conversation","created_at":1,"metadata":{"topic":"sky"}}"#;
const PAGE: &str = r#"{"object":"list","data":[{"id":"msg_1","type":"message","role":"user",
    "content":[{"type":"input_text","text":"hi"}]}],"last_id":"msg_1","has_more":false}"#;
const JSON_TYPE: Header = ("content-type", "application/json");

fn item() -> ResponseItem {
    let item = json!({"type": "message", "id": "msg_1", "role": "user",
        "content": [{"type": "input_text", "text": "hi"}]});
    serde_json::from_value(item).unwrap()
}

#[tokio::test]
async fn a_conversation_is_begun() {
    let (http, seen) = once(whole(200, &[("x-request-id", "req_1")], CONVERSATION));
    let conversation =
        Conversations::new(http).create(CreateConversationRequest::new()).await.unwrap();
    assert_eq!(&*conversation.id, "conv_1");
    assert_eq!(conversation.metadata.as_ref().unwrap()["topic"], "sky");
    assert_eq!(conversation.meta().request_id(), Some("req_1"));
    let request = seen.take();
    assert_sent(&request, Method::POST, "/conversations", &[JSON_TYPE], "{}");
    assert_eq!(request.extensions().get::<Call>().unwrap().endpoint(), "create_conversation");

    let (http, seen) = once(whole(200, &[], CONVERSATION));
    let request = CreateConversationRequest::new()
        .items(item())
        .push("more")
        .metadata([("topic", "sky")])
        .header("x-mine", "a");
    CreateConversation::new(http).oneshot(request).await.unwrap();
    let body = concat!(
        r#"{"items":[{"type":"message","id":"msg_1","role":"user","#,
        r#""content":[{"type":"input_text","text":"hi"}]},"#,
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"more"}]}],"#,
        r#""metadata":{"topic":"sky"}}"#,
    );
    let headers = [JSON_TYPE, ("x-mine", "a")];
    assert_sent(&seen.take(), Method::POST, "/conversations", &headers, body);
}

#[tokio::test]
async fn a_conversation_is_looked_up_relabelled_and_forgotten() {
    let (http, seen) = once(whole(200, &[], CONVERSATION));
    assert_eq!(&*Conversations::new(http).retrieve("conv/1").await.unwrap().id, "conv_1");
    assert_sent(&seen.take(), Method::GET, "/conversations/conv%2F1", &[], "");

    for (pairs, body) in [
        (vec![("topic", "sea"), ("a", "b")], r#"{"metadata":{"a":"b","topic":"sea"}}"#),
        (vec![], r#"{"metadata":{}}"#),
    ] {
        let (http, seen) = once(whole(200, &[], CONVERSATION));
        let update = UpdateConversationRequest::new("conv_1", pairs);
        Conversations::new(http).update(update).await.unwrap();
        assert_sent(&seen.take(), Method::POST, "/conversations/conv_1", &[JSON_TYPE], body);
    }

    let gone = r#"{"id":"conv_1","object":"conversation.deleted","deleted":true}"#;
    let (http, seen) = once(whole(200, &[], gone));
    assert!(Conversations::new(http).delete("conv_1").await.unwrap().deleted);
    assert_sent(&seen.take(), Method::DELETE, "/conversations/conv_1", &[], "");
}

#[tokio::test]
async fn items_are_listed_added_looked_up_and_taken_out() {
    let (http, seen) = once(whole(200, &[], PAGE));
    let request = ListItemsRequest::new("conv_1").limit(2).order("asc").after("msg_0");
    let page = Conversations::new(http).list_items(request).await.unwrap();
    assert_eq!(page.data, [item()]);
    let uri = "/conversations/conv_1/items?limit=2&order=asc&after=msg_0";
    assert_sent(&seen.take(), Method::GET, uri, &[], "");

    let (http, seen) = once(whole(200, &[], PAGE));
    let request =
        CreateItemsRequest::new("conv_1", item()).push("more").include(Include::MessageImageUrls);
    let page = Conversations::new(http).create_items(request).await.unwrap();
    assert_eq!(page.data, [item()]);
    let uri = "/conversations/conv_1/items?include=message.input_image.image_url";
    let body = concat!(
        r#"{"items":[{"type":"message","id":"msg_1","role":"user","#,
        r#""content":[{"type":"input_text","text":"hi"}]},"#,
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"more"}]}]}"#,
    );
    assert_sent(&seen.take(), Method::POST, uri, &[JSON_TYPE], body);

    let one = serde_json::to_string(&item()).unwrap();
    let (http, seen) = once(whole(200, &[], one));
    let request = RetrieveItemRequest::new("conv_1", "msg_1").include(Include::MessageImageUrls);
    let found = RetrieveItem::new(http).send(request).await.unwrap();
    assert_eq!(found.into_value(), item());
    let uri = "/conversations/conv_1/items/msg_1?include=message.input_image.image_url";
    assert_sent(&seen.take(), Method::GET, uri, &[], "");

    let (http, seen) = once(whole(200, &[], CONVERSATION));
    let request = DeleteItemRequest::new("conv_1", "msg_1");
    let conversation = Conversations::new(http).delete_item(request).await.unwrap();
    assert_eq!(&*conversation.id, "conv_1");
    assert_sent(&seen.take(), Method::DELETE, "/conversations/conv_1/items/msg_1", &[], "");
}

#[tokio::test]
async fn settings_hold_for_every_operation() {
    let limits = StreamTimeouts::new().head(std::time::Duration::from_secs(5));
    let (http, seen) = once(whole(200, &[], PAGE));
    let conversations = Conversations::new(http).timeouts(limits).item_ids(ItemIds::Strip);
    conversations.create_items(CreateItemsRequest::new("conv_1", item())).await.unwrap();
    let request = seen.take();
    assert_eq!(request.extensions().get(), Some(&limits));
    let body = std::str::from_utf8(request.body().as_bytes().unwrap()).unwrap();
    assert!(!body.contains("msg_1"), "{body}");

    let (http, seen) = once(whole(200, &[], PAGE));
    let conversations = Conversations::new(http).timeouts(limits);
    conversations.items("conv_1").next().await.unwrap().unwrap();
    assert_eq!(seen.take().extensions().get(), Some(&limits));
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_not_sent() {
    let refused = async |call: fn() -> (String, String)| {
        let (http, seen) = once(whole(200, &[], CONVERSATION));
        let (id, item) = call();
        let request = RetrieveItemRequest::new(id, item);
        let error: Error = Conversations::new(http).retrieve_item(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(seen.is_none());
        error.message().to_owned()
    };
    assert!(refused(|| ("".into(), "a".into())).await.contains("the conversation's id"));
    assert!(refused(|| ("a".into(), "..".into())).await.contains("the item's id"));
}

#[tokio::test]
async fn a_refusal_is_mapped_as_for_all_endpoints() {
    for (status, kind) in
        [(404, ErrorKind::NotFound), (429, ErrorKind::RateLimited), (500, ErrorKind::Server)]
    {
        let (http, _) = once(whole(status, &[], "{}"));
        let error = Conversations::new(http).retrieve("conv_1").await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
    let (http, _) = once(whole(200, &[], "[]"));
    let error = Conversations::new(http).retrieve("conv_1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}
