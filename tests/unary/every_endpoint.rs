//! What holds whichever endpoint is asked: each failing status has its kind, and what is no answer is an
//! error; `faults` has the rest for one of them.

use std::fmt::Debug;
use std::future::Future;

use bytes::Bytes;
use tower_openai::model::{ImageGeneration, MemorySummarizeInput, ResponseItem, SearchInput};
use tower_openai::services::{
    CancelResponse, Compact, CompactRequest, CountInputTokens, CreateConversation,
    CreateConversationRequest, CreateFile, CreateFileRequest, CreateItems, CreateItemsRequest,
    CreateResponse, DeleteConversation, DeleteFile, DeleteItem, DeleteItemRequest, DeleteResponse,
    FileContent, Images, ImagesStream, ListFiles, ListFilesRequest, ListInputItems, ListItems,
    ListModels, Memories, Models, ModelsRequest, RealtimeCall, Responses, ResponsesRequest,
    RetrieveConversation, RetrieveFile, RetrieveItem, RetrieveItemRequest, RetrieveModel,
    RetrieveResponse, RetrieveStream, Search, UpdateConversation, UpdateConversationRequest,
    UploadSource,
};
use tower_openai::{Error, ErrorKind, Stage};

use crate::support::{Header, once, whole};

const HEADERS: [Header; 2] = [("x-request-id", "req_1"), ("cf-ray", "ray_1")];

/// Status, body, and what is made of it.
const CASES: [(u16, &str, ErrorKind, bool); 14] = [
    (400, "raw", ErrorKind::InvalidRequest, false),
    (400, r#"{"error":{"message":"m","code":"cyber_policy"}}"#, ErrorKind::Policy, false),
    (401, "", ErrorKind::Auth, false),
    (403, "", ErrorKind::Permission, false),
    (404, "", ErrorKind::NotFound, false),
    (408, "", ErrorKind::Timeout, true),
    (409, "", ErrorKind::Conflict, true),
    (413, "", ErrorKind::TooLarge, false),
    (422, "", ErrorKind::InvalidRequest, false),
    (429, "", ErrorKind::RateLimited, true),
    (429, r#"{"error":{"type":"usage_limit_reached"}}"#, ErrorKind::UsageLimit, false),
    (500, "", ErrorKind::Server, true),
    (503, r#"{"error":{"code":"slow_down"}}"#, ErrorKind::Overloaded, false),
    (302, "", ErrorKind::Protocol, false),
];

/// What no endpoint takes for its answer.
fn no_answers() -> Vec<Bytes> {
    let deep = |open: &str, close: &str| [open.repeat(5_000), close.repeat(5_000)].concat();
    let mut bodies: Vec<Bytes> = [
        "",
        "null",
        "true",
        "7",
        "[]",
        "{}",
        r#""ok""#,
        r#"{"unheard":"of"}"#,
        r#"{"object":"list"}"#,
        r#"{"id":null,"data":null,"output":null,"models":null}"#,
        r#"{"error":{"message":"m","code":"server_error"}}"#,
        r#"{"detail":"m"}"#,
        "<!doctype html><title>Sign in</title>",
        "data: {}\n\n",
        "{\"id\":\"x\"",
        "{}{}",
    ]
    .map(Bytes::from)
    .into();
    bodies.extend([deep("[", "]"), deep("{\"a\":", "}"), deep("{\"data\":", "}")].map(Bytes::from));
    bodies.push(Bytes::from_static(b"{\"id\":\"\xff\xfe\",\"data\":[],\"output\":\"\xc3\"}"));
    bodies.push(Bytes::from_static(&[0; 100]));
    bodies
}

/// Runs every refusal through an endpoint, which `$call`s on the HTTP service `$http`.
macro_rules! refusals {
    (|$http:ident| $call:expr) => {
        #[tokio::test]
        async fn each_failing_status_has_its_kind() {
            for (status, body, kind, retryable) in CASES {
                let ($http, _) = once(whole(status, &HEADERS, body));
                let error = failed($call).await;
                let found = (error.kind(), error.is_retryable(), error.stage());
                assert_eq!(found, (kind, retryable, Stage::Sent), "{status} {body}");
                assert_eq!(error.status().unwrap(), status);
                assert_eq!((error.request_id(), error.cf_ray()), (Some("req_1"), Some("ray_1")));
                assert_eq!(error.body(), body);
            }
        }
    };
}

/// Those that read no body as an answer.
macro_rules! each_refusal {
    ($($name:ident: |$http:ident| $call:expr;)*) => {$(
        mod $name {
            use super::*;

            refusals!(|$http| $call);
        }
    )*};
}

/// Runs every case through an endpoint.
macro_rules! each_endpoint {
    ($($name:ident: |$http:ident| $call:expr;)*) => {$(
        mod $name {
            use super::*;

            refusals!(|$http| $call);

            #[tokio::test]
            async fn what_is_no_answer_is_an_error_with_status_and_ids() {
                for status in [200, 204] {
                    for body in no_answers() {
                        let shown: String = String::from_utf8_lossy(&body).chars().take(60).collect();
                        let ($http, _) = once(whole(status, &HEADERS, body));
                        let Err(error) = $call.await else { panic!("{status} {shown}") };
                        assert_eq!(error.status().unwrap(), status, "{shown}");
                        assert_eq!(
                            (error.request_id(), error.cf_ray()),
                            (Some("req_1"), Some("ray_1")),
                            "{shown}"
                        );
                        assert!(!error.to_string().contains('\n'), "{error}");
                        assert!(error.to_string().len() < 600, "{error}");
                        assert!(format!("{error:?}").len() < 4096, "{error:?}");
                    }
                }
            }
        }
    )*};
}

async fn failed<T: Debug>(call: impl Future<Output = Result<T, Error>>) -> Error {
    call.await.unwrap_err()
}

fn item() -> ResponseItem {
    ResponseItem::user("hi")
}

fn file() -> CreateFileRequest {
    CreateFileRequest::new(UploadSource::from_bytes("a.txt", "hello"), "user_data")
}

each_refusal! {
    delete_response: |http| DeleteResponse::new(http).send("resp_1");
    file_content: |http| FileContent::new(http).send("file-1");
    images_stream: |http| ImagesStream::new(http).stream_request(ImageGeneration::new("m", "a cube"));
    responses: |http| Responses::new(http).stream_request(ResponsesRequest::new("m", "hi"));
    retrieve_stream: |http| RetrieveStream::new(http).stream_request("resp_1");
}

each_endpoint! {
    cancel_response: |http| CancelResponse::new(http).send("resp_1");
    compact: |http| Compact::new(http).send(CompactRequest::new("m", "hi"));
    count_input_tokens: |http| CountInputTokens::new(http).send(ResponsesRequest::new("m", "hi"));
    create_conversation: |http| CreateConversation::new(http).send(CreateConversationRequest::new());
    create_file: |http| CreateFile::new(http).send(file());
    create_items: |http| CreateItems::new(http).send(CreateItemsRequest::new("conv_1", vec![item()]));
    create_response: |http| CreateResponse::new(http).send(ResponsesRequest::new("m", "hi"));
    delete_conversation: |http| DeleteConversation::new(http).send("conv_1");
    delete_file: |http| DeleteFile::new(http).send("file-1");
    delete_item: |http| DeleteItem::new(http).send(DeleteItemRequest::new("conv_1", "item_1"));
    images: |http| Images::new(http).send(ImageGeneration::new("m", "a cube"));
    list_files: |http| ListFiles::new(http).send(ListFilesRequest::new());
    list_input_items: |http| ListInputItems::new(http).send("resp_1");
    list_items: |http| ListItems::new(http).send("conv_1");
    list_models: |http| ListModels::new(http).list();
    memories: |http| Memories::new(http).send(MemorySummarizeInput::new("m", Vec::new()));
    models: |http| Models::new(http).send(ModelsRequest::new("1.2.3"));
    realtime_call: |http| RealtimeCall::new(http).send("v=0");
    retrieve_conversation: |http| RetrieveConversation::new(http).send("conv_1");
    retrieve_file: |http| RetrieveFile::new(http).send("file-1");
    retrieve_item: |http| RetrieveItem::new(http).send(RetrieveItemRequest::new("conv_1", "item_1"));
    retrieve_model: |http| RetrieveModel::new(http).retrieve("m");
    retrieve_response: |http| RetrieveResponse::new(http).send("resp_1");
    search: |http| Search::new(http).send(SearchInput::new("s", "m"));
    update_conversation: |http| UpdateConversation::new(http)
        .send(UpdateConversationRequest::new("conv_1", [("topic", "demo")]));
}
