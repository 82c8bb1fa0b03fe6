//! Stored responses: created, looked up, streamed, stopped, forgotten, listed, counted.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_openai::extensions::Call;
use tower_openai::model::{
    FunctionTool, Include, ItemIds, ListOrder, ResponseEvent, ResponseItem, ResponseStatus, Schema,
};
use tower_openai::services::{
    CancelResponse, CancelResponseRequest, CountInputTokens, CountInputTokensRequest,
    CreateResponse, DeleteResponse, DeleteResponseRequest, ListInputItems, ListInputItemsRequest,
    ResponsesRequest, RetrieveResponse, RetrieveResponseRequest, RetrieveStream,
    RetrieveStreamRequest,
};
use tower_openai::{Error, ErrorKind, Stage};

use crate::support::{Header, assert_sent, json as parsed, once, whole};

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","status":"completed","model":"m-1",
    "output":[{"id":"msg_1","type":"message","role":"assistant","status":"completed",
               "content":[{"type":"output_text","text":"Hello","annotations":[]}]}],
    "usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#;

const JSON_TYPE: Header = ("content-type", "application/json");

#[tokio::test]
async fn a_response_is_created_whole() {
    let (http, seen) = once(whole(200, &[("x-request-id", "req_1")], RESPONSE));
    let request = ResponsesRequest::new("gpt-5.2", "hi");
    let response = CreateResponse::new(http).send(request).await.unwrap();
    assert_eq!(response.output_text(), "Hello");
    assert_eq!(response.meta().request_id(), Some("req_1"));
    let body = concat!(
        r#"{"model":"gpt-5.2","input":[{"type":"message","role":"user","#,
        r#""content":[{"type":"input_text","text":"hi"}]}],"tools":[],"tool_choice":"auto","#,
        r#""parallel_tool_calls":true,"reasoning":null,"store":true,"stream":false,"include":[]}"#,
    );
    let request = seen.take();
    assert_sent(&request, Method::POST, "/responses", &[JSON_TYPE], body);
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.model()), ("create_response", Some("gpt-5.2")));
    assert!(!call.is_streaming());
}

#[tokio::test]
async fn a_body_of_ones_own_is_not_streamed_either() {
    let own = json!({"model": "m", "stream": true, "input": "hi"});
    let (http, seen) = once(whole(200, &[], RESPONSE));
    let request = ResponsesRequest::from_body(&own).unwrap();
    CreateResponse::new(http).send(request).await.unwrap();
    let request = seen.take();
    let body: Value = serde_json::from_slice(request.body().as_bytes().unwrap()).unwrap();
    assert_eq!(body, json!({"model": "m", "stream": false, "input": "hi"}));
}

async fn created(body: &str) -> Result<tower_openai::model::Response, Error> {
    let (http, _) = once(whole(200, &[("x-request-id", "req_1")], body.to_owned()));
    let answer = CreateResponse::new(http).send(ResponsesRequest::new("m", "hi")).await;
    answer.map(|answer| answer.into_value())
}

#[tokio::test]
async fn a_response_that_failed_is_the_error_that_its_stream_ends_with() {
    let failed = |code: &str| {
        format!(
            r#"{{"id":"resp_1","status":"failed","output":[],"error":{{"code":"{code}",
            "message":"Rate limit reached. Please try again in 11.054s."}},
            "usage":{{"input_tokens":1,"output_tokens":2,"total_tokens":3}}}}"#
        )
    };
    for (code, kind, retryable) in [
        ("rate_limit_exceeded", ErrorKind::RateLimited, true),
        ("server_error", ErrorKind::Server, true),
        ("context_length_exceeded", ErrorKind::ContextWindow, false),
        ("insufficient_quota", ErrorKind::Quota, false),
    ] {
        let error = created(&failed(code)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{code}");
        assert_eq!((error.code(), error.response_id()), (Some(code), Some("resp_1")));
        assert_eq!((error.request_id(), error.stage()), (Some("req_1"), Stage::Sent));
        assert_eq!(error.response().unwrap().usage.as_ref().unwrap().total_tokens, 3);
    }
    let error = created(&failed("rate_limit_exceeded")).await.unwrap_err();
    assert_eq!(error.retry_after().unwrap().as_millis(), 11_054);
    let error = created(r#"{"id":"resp_1","status":"failed","error":null}"#).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
}

#[tokio::test]
async fn a_response_that_was_cut_short_is_an_error_that_has_it() {
    let body = RESPONSE.replace(
        r#""status":"completed","model""#,
        r#""status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model""#,
    );
    let error = created(&body).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    assert_eq!(error.incomplete_reason(), Some("max_output_tokens"));
    assert_eq!(error.response().unwrap().output_text(), "Hello");
}

#[tokio::test]
async fn a_response_that_is_not_done_is_a_value() {
    for status in ["queued", "in_progress", "cancelled", "not_invented_yet"] {
        let body = format!(r#"{{"id":"resp_1","status":"{status}","output":[]}}"#);
        assert_eq!(created(&body).await.unwrap().status, Some(status.into()));
    }
    assert_eq!(created(r#"{"id":"resp_1","output":[]}"#).await.unwrap().status, None);
}

#[tokio::test]
async fn an_object_that_is_no_response_is_not_taken_for_an_empty_one() {
    for body in ["{}", r#"{"id":"","output":[]}"#, r#"{"status":"ok"}"#] {
        let error = created(body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}");
        assert!(error.message().ends_with("not what it should be"), "{error}");
        assert_eq!(error.chain().nth(1).unwrap().to_string(), "missing field `id`");
    }
    // Not an error either, for all its `code`.
    let item = r#"{"type":"code_interpreter_call","code":"print(1)","outputs":7}"#;
    let error = created(item).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Protocol, None));
    let failure = r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#;
    let error = created(failure).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::ContextWindow, "m"));
    let (http, _) = once(whole(200, &[], failure));
    let error = RetrieveResponse::new(http).send("resp_1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextWindow);
}

#[tokio::test]
async fn a_response_is_looked_up_whatever_its_status() {
    let failed = r#"{"id":"resp_1","status":"failed","error":{"code":"server_error"}}"#;
    let (http, seen) = once(whole(200, &[], failed));
    let request = RetrieveResponseRequest::new("resp/1")
        .include(Include::FileSearchResults)
        .include("new.one")
        .header("x-mine", "a");
    let response = RetrieveResponse::new(http).send(request).await.unwrap();
    assert_eq!(response.status, Some(ResponseStatus::Failed));
    let uri = "/responses/resp%2F1?include=file_search_call.results&include=new.one";
    assert_sent(&seen.take(), Method::GET, uri, &[("x-mine", "a")], "");
}

#[tokio::test]
async fn a_response_is_stopped() {
    let (http, seen) = once(whole(200, &[], r#"{"id":"resp_1","status":"cancelled"}"#));
    let response = CancelResponse::new(http).send("resp_1").await.unwrap();
    assert_eq!(response.status, Some(ResponseStatus::Cancelled));
    assert_sent(&seen.take(), Method::POST, "/responses/resp_1/cancel", &[], "");
}

#[tokio::test]
async fn a_response_is_forgotten_whatever_the_body_says() {
    for (status, body) in [(200, ""), (204, ""), (200, r#"{"deleted":true}"#), (200, "<html>")] {
        let (http, seen) = once(whole(status, &[], body));
        let answer = DeleteResponse::new(http).send("resp_1").await.unwrap();
        assert_eq!((answer.value(), answer.meta().status().as_u16()), (&(), status));
        assert_sent(&seen.take(), Method::DELETE, "/responses/resp_1", &[("accept", "*/*")], "");
    }
}

#[tokio::test]
async fn a_page_of_input_items_is_asked_for_as_said() {
    let page = r#"{"object":"list","data":[{"id":"msg_1","type":"message","role":"user",
        "content":[{"type":"input_text","text":"hi"}]}],"first_id":"msg_1","last_id":"msg_1",
        "has_more":false}"#;
    let (http, seen) = once(whole(200, &[], page));
    let list = ListInputItems::new(http);
    let page = list.clone().oneshot("resp_1".into()).await.unwrap();
    assert_eq!(page.data[0].id(), Some("msg_1"));
    assert_eq!((page.last_id.as_deref(), page.has_more), (Some("msg_1"), false));
    assert_sent(&seen.take(), Method::GET, "/responses/resp_1/input_items", &[], "");

    let (http, seen) = once(whole(200, &[], r#"{"data":[]}"#));
    let request = ListInputItemsRequest::new("resp_1")
        .limit(50)
        .order(ListOrder::Ascending)
        .after("msg 0")
        .include(Include::MessageImageUrls);
    ListInputItems::new(http).send(request).await.unwrap();
    let uri = "/responses/resp_1/input_items?limit=50&order=asc&after=msg%200\
               &include=message.input_image.image_url";
    assert_sent(&seen.take(), Method::GET, uri, &[], "");
}

#[tokio::test]
async fn tokens_are_counted_of_what_is_input() {
    let item = json!({"type": "message", "id": "msg_1", "role": "user", "content": "hi"});
    let item: ResponseItem = serde_json::from_value(item).unwrap();
    let tool = FunctionTool::new("f", "d").parameters(Schema::object());
    let request = || {
        ResponsesRequest::new("m", item.clone())
            .instructions("Be brief.")
            .tool(tool.clone())
            .background(true)
            .temperature(0.5)
            .max_output_tokens(7)
            .metadata([("a", "b")])
            .include(Include::EncryptedReasoning)
            .conversation("conv_1")
            .set("personality", "dry")
            .header("x-mine", "a")
    };
    let answer = r#"{"object":"response.input_tokens","input_tokens":11}"#;
    let (http, seen) = once(whole(200, &[], answer));
    let count = CountInputTokens::new(http).send(request()).await.unwrap();
    assert_eq!(count.input_tokens, 11);
    let sent = seen.take();
    let body: Value = serde_json::from_slice(sent.body().as_bytes().unwrap()).unwrap();
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "personality",
        "reasoning",
        "tool_choice",
        "tools",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!(sent.uri(), "/responses/input_tokens");
    assert_eq!(sent.headers()["x-mine"], "a");
    assert_eq!(body["input"][0]["id"], "msg_1");
    assert_eq!(sent.extensions().get::<Call>().unwrap().model(), Some("m"));

    let (http, seen) = once(whole(200, &[], answer));
    let mut counted = CountInputTokensRequest::new("m", "hi");
    *counted.get_mut() = request();
    assert!(counted.get_ref().payload().is_some());
    CountInputTokens::new(http).item_ids(ItemIds::Strip).send(counted).await.unwrap();
    let body = parsed(std::str::from_utf8(seen.take().body().as_bytes().unwrap()).unwrap());
    assert_eq!(body["input"][0].get("id"), None);
}

#[tokio::test]
async fn a_stream_is_asked_for_from_where_one_left_off() {
    let events = concat!(
        r#"data: {"type":"response.output_text.delta","sequence_number":8,"delta":"sky"}"#,
        "\n\n",
        r#"data: {"type":"response.completed","sequence_number":9,"response":{"id":"resp_1"}}"#,
        "\n\n",
    );
    let (http, seen) = once(whole(200, &[], events));
    let request = RetrieveStreamRequest::new("resp_1")
        .starting_after(7)
        .include(Include::OutputTextLogprobs)
        .include(Include::WebSearchResults)
        .include_obfuscation(false);
    let mut stream = RetrieveStream::new(http).stream_request(request).await.unwrap();
    let ResponseEvent::OutputTextDelta(delta) = stream.try_next().await.unwrap().unwrap() else {
        panic!("a delta");
    };
    assert_eq!(delta.delta, "sky");
    assert!(matches!(stream.next().await, Some(Ok(ResponseEvent::Completed(_)))));
    assert_eq!((stream.sequence_number(), stream.response_id()), (Some(9), Some("resp_1")));
    assert!(stream.next().await.is_none());
    let uri = "/responses/resp_1?stream=true&starting_after=7&include=message.output_text.logprobs\
               &include=web_search_call.results&include_obfuscation=false";
    let request = seen.take();
    assert_sent(&request, Method::GET, uri, &[("accept", "text/event-stream")], "");
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.is_streaming()), ("retrieve_stream", true));

    let (http, seen) = once(whole(200, &[], events));
    let _stream = RetrieveStream::new(http).oneshot("resp_1".into()).await.unwrap();
    let headers = [("accept", "text/event-stream")];
    assert_sent(&seen.take(), Method::GET, "/responses/resp_1?stream=true", &headers, "");
}

#[tokio::test]
async fn a_retrieved_stream_knows_its_place_from_the_beginning() {
    let delta = |number: u32| {
        format!(
            "data: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\
             \"delta\":\"w{number} \"}}\n\n"
        )
    };
    let request = || RetrieveStreamRequest::new("resp_1").starting_after(7);
    let open = async |body: String| {
        let (http, _) = once(whole(200, &[], body));
        RetrieveStream::new(http).stream_request(request()).await.unwrap()
    };
    let mut stream = open(String::new()).await;
    assert_eq!((stream.response_id(), stream.sequence_number()), (Some("resp_1"), Some(7)));
    let error = stream.try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!((error.response_id(), error.sequence_number()), (Some("resp_1"), Some(7)));

    // What had been read is dropped, if a server sends it all the same.
    let mut text = open((5..10).map(delta).collect()).await.text();
    assert_eq!(text.try_next().await.unwrap().as_deref(), Some("w8 "));
    assert_eq!(text.try_next().await.unwrap().as_deref(), Some("w9 "));
    let error = text.try_next().await.unwrap_err();
    assert!(error.message().contains("after 2 events"), "{error}");
    assert_eq!((error.response_id(), error.sequence_number()), (Some("resp_1"), Some(9)));
}

#[tokio::test]
async fn an_id_that_is_no_part_of_a_path_is_refused() {
    for id in ["", ".", ".."] {
        macro_rules! refused {
            ($($call:expr),*) => {$({
                let (http, seen) = once(whole(200, &[], RESPONSE));
                #[allow(clippy::redundant_closure_call)]
                let error: Error = ($call)(http).await.map(drop).unwrap_err();
                assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
                assert!(error.message().contains("the response's id"), "{error}");
                assert!(seen.is_none());
            })*};
        }
        refused!(
            |http| RetrieveResponse::new(http).send(id),
            |http| CancelResponse::new(http).send(CancelResponseRequest::new(id)),
            |http| DeleteResponse::new(http).send(DeleteResponseRequest::new(id)),
            |http| ListInputItems::new(http).send(id),
            |http| RetrieveStream::new(http).stream_request(id)
        );
    }
}

#[tokio::test]
async fn each_maps_a_refusal_as_all_endpoints_do() {
    let body = r#"{"error":{"message":"No such response.","type":"invalid_request_error"}}"#;
    for (status, kind, retryable) in [
        (401, ErrorKind::Auth, false),
        (404, ErrorKind::NotFound, false),
        (409, ErrorKind::Conflict, true),
        (500, ErrorKind::Server, true),
    ] {
        macro_rules! refused {
            ($($call:expr),*) => {$({
                let (http, _) = once(whole(status, &[("x-request-id", "req_1")], body));
                #[allow(clippy::redundant_closure_call)]
                let error: Error = ($call)(http).await.map(drop).unwrap_err();
                assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{status}");
                assert_eq!(error.status(), StatusCode::from_u16(status).ok());
                assert_eq!(error.request_id(), Some("req_1"));
                assert_eq!(error.message(), "No such response.");
            })*};
        }
        refused!(
            |http| CreateResponse::new(http).send(ResponsesRequest::new("m", "hi")),
            |http| RetrieveResponse::new(http).send("resp_1"),
            |http| RetrieveStream::new(http).stream_request("resp_1"),
            |http| CancelResponse::new(http).send("resp_1"),
            |http| DeleteResponse::new(http).send("resp_1"),
            |http| ListInputItems::new(http).send("resp_1"),
            |http| CountInputTokens::new(http).send(ResponsesRequest::new("m", "hi"))
        );
    }
}
