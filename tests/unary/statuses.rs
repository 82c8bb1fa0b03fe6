//! Each failing status has its kind, whichever endpoint is asked; `faults` has the rest for one of
//! them.

use std::fmt::Debug;
use std::future::Future;

use tower_openai::model::{MemorySummarizeInput, SearchInput};
use tower_openai::services::{
    Compact, CompactRequest, ListModels, Memories, Models, ModelsRequest, RetrieveModel, Search,
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

/// Runs every case through an endpoint, which `$call`s on the HTTP service `$http`.
macro_rules! each_status {
    ($($name:ident: |$http:ident| $call:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
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
    )*};
}

async fn failed<T: Debug>(call: impl Future<Output = Result<T, Error>>) -> Error {
    call.await.unwrap_err()
}

each_status! {
    compact: |http| Compact::new(http).send(CompactRequest::new("m", "hi"));
    memories: |http| Memories::new(http).send(MemorySummarizeInput::new("m", Vec::new()));
    models: |http| Models::new(http).send(ModelsRequest::new("1.2.3"));
    list_models: |http| ListModels::new(http).list();
    retrieve_model: |http| RetrieveModel::new(http).retrieve("m");
    search: |http| Search::new(http).send(SearchInput::new("s", "m"));
}
