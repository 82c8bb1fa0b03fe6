//! `GET models`, as the Codex backend and as the public API have it.

use std::error::Error as _;

use http::{HeaderMap, Method};
use serde_json::json;
use tower::ServiceExt;
use tower_openai::extensions::Call;
use tower_openai::model::Model;
use tower_openai::services::{
    ListModels, ListModelsRequest, Models, ModelsAnswer, ModelsRequest, RetrieveModel,
    RetrieveModelRequest,
};
use tower_openai::{ErrorKind, Stage};

use crate::support::{assert_sent, once, whole};

/// A catalogue of one good entry between two bad ones.
fn catalog() -> String {
    let entry = json!({"slug": "gpt-5.2-codex", "display_name": "GPT-5.2 Codex",
        "supported_reasoning_levels": [{"effort": "medium", "description": "Balanced"}],
        "shell_type": "shell_command", "visibility": "list", "supported_in_api": true,
        "priority": 1, "base_instructions": "You are", "supports_reasoning_summaries": true,
        "support_verbosity": true, "truncation_policy": {"mode": "tokens", "limit": 10000},
        "supports_parallel_tool_calls": true, "experimental_supported_tools": []});
    json!({"models": [{"slug": "odd"}, entry, null]}).to_string()
}

#[tokio::test]
async fn the_request_is_written_to_the_byte() {
    let (http, seen) = once(whole(200, &[("etag", "W/\"7\"")], catalog()));
    let mut extra = HeaderMap::new();
    extra.insert("x-extra", "a".parse().unwrap());
    let (models, etag) = Models::new(http).list_models("0.99.0", extra).await.unwrap();
    assert_eq!((models.len(), etag.as_deref()), (1, Some("W/\"7\"")));
    assert_eq!(models[0].slug, "gpt-5.2-codex");
    let request = seen.take();
    let uri = "/models?client_version=0.99.0";
    assert_sent(&request, Method::GET, uri, &[("x-extra", "a")], "");
    let call: &Call = request.extensions().get().unwrap();
    assert_eq!((call.endpoint(), call.model(), call.is_streaming()), ("models", None, false));

    let (http, seen) = once(whole(200, &[], catalog()));
    Models::new(http).oneshot(ModelsRequest::new("1 & 2").header("x-a", "b")).await.unwrap();
    let uri = "/models?client_version=1%20%26%202";
    assert_sent(&seen.take(), Method::GET, uri, &[("x-a", "b")], "");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_kept_beside_the_others() {
    let (http, _) = once(whole(200, &[("x-request-id", "req_1")], catalog()));
    let answer = Models::new(http).send(ModelsRequest::new("1.0.0")).await.unwrap();
    assert_eq!(answer.meta().request_id(), Some("req_1"));
    let ModelsAnswer::Catalog { models, etag: None } = answer.into_value() else {
        panic!("a catalogue without an ETag");
    };
    assert!(models.get("gpt-5.2-codex").is_some());
    let kept: Vec<_> =
        models.unreadable.iter().map(|entry| (entry.index(), entry.raw().as_str())).collect();
    assert_eq!(kept, [(0, r#"{"slug":"odd"}"#), (2, "null")]);
}

#[tokio::test]
async fn what_has_not_changed_is_an_answer_of_its_own() {
    for (headers, etag) in [(&[("etag", "\"8\"")][..], Some("\"8\"")), (&[], None)] {
        let (http, seen) = once(whole(304, headers, ""));
        let request = ModelsRequest::new("1.0.0").if_none_match("\"7\"").if_none_match("\"8\"");
        let answer = Models::new(http).send(request).await.unwrap();
        assert_eq!(answer.meta().status(), 304);
        let etag = etag.map(str::to_owned);
        assert_eq!(*answer, ModelsAnswer::NotModified { etag });
        let uri = "/models?client_version=1.0.0";
        assert_sent(&seen.take(), Method::GET, uri, &[("if-none-match", "\"8\"")], "");
    }
}

#[tokio::test]
async fn a_condition_that_nobody_made_cannot_be_met() {
    let (http, _) = once(whole(304, &[("x-request-id", "req_1"), ("etag", "\"8\"")], ""));
    let error = Models::new(http).list_models("1.0.0", HeaderMap::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Protocol, Stage::Sent));
    assert_eq!((error.status().unwrap().as_u16(), error.request_id()), (304, Some("req_1")));
    assert!(error.message().contains("`models` is that nothing has changed"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_catalogue_that_cannot_be_read_is_an_error() {
    for (body, words) in [
        (r#"{"models":[{"slug":"odd"}]}"#, "none of the 1 entries"),
        (r#"{"object":"list","data":[]}"#, "missing field `models`"),
        ("[]", "an object"),
    ] {
        let (http, _) = once(whole(200, &[], body));
        let error = Models::new(http).send(ModelsRequest::new("1.0.0")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}");
        assert!(error.message().contains("`models`"), "{error}");
        assert!(error.source().unwrap().to_string().contains(words), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_and_nothing_sent() {
    for (request, word) in [
        (ModelsRequest::new(""), "client version"),
        (ModelsRequest::new("1.0.0").if_none_match("a\nb"), "ETag"),
        (ModelsRequest::new("1.0.0").header("x-good", "a\nb"), "x-good"),
    ] {
        let (http, seen) = once(whole(200, &[], catalog()));
        let error = Models::new(http).send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains(word), "{error}");
        assert!(seen.is_none());
    }
    for id in ["", ".", ".."] {
        let (http, seen) = once(whole(200, &[], ""));
        let error = RetrieveModel::new(http).retrieve(id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains("the model's id"), "{error}");
        assert!(seen.is_none());
    }
}

#[tokio::test]
async fn the_public_list_is_asked_for_to_the_byte() {
    let body = r#"{"object":"list","data":[{"id":"gpt-5.2","object":"model","created":1686935002,
        "owned_by":"openai"},{"id":"local"}]}"#;
    let (http, seen) = once(whole(200, &[], body));
    let models = ListModels::new(http).list().await.unwrap();
    assert_eq!(models[0].owned_by.as_deref(), Some("openai"));
    assert_eq!(models[1], Model::new("local"));
    let request = seen.take();
    assert_sent(&request, Method::GET, "/models", &[], "");
    assert_eq!(request.extensions().get::<Call>().unwrap().endpoint(), "list_models");

    let (http, seen) = once(whole(200, &[("x-request-id", "req_2")], body));
    let request = ListModelsRequest::new().header("x-a", "b");
    let answer = ListModels::new(http).send(request).await.unwrap();
    assert_eq!((answer.data.len(), answer.meta().request_id()), (2, Some("req_2")));
    assert_sent(&seen.take(), Method::GET, "/models", &[("x-a", "b")], "");
}

#[tokio::test]
async fn one_model_is_asked_for_to_the_byte() {
    let (http, seen) = once(whole(200, &[], r#"{"id":"ft:gpt/5 2","object":"model"}"#));
    let model = RetrieveModel::new(http).retrieve("ft:gpt/5 2").await.unwrap();
    assert_eq!(model.id, "ft:gpt/5 2");
    let request = seen.take();
    assert_sent(&request, Method::GET, "/models/ft%3Agpt%2F5%202", &[], "");
    assert_eq!(request.extensions().get::<Call>().unwrap().endpoint(), "retrieve_model");

    let (http, _) = once(whole(200, &[("x-request-id", "req_3")], r#"{"id":"m"}"#));
    let request = RetrieveModelRequest::new("m").header("x-a", "b");
    let answer = RetrieveModel::new(http).oneshot(request).await.unwrap();
    assert_eq!((answer.id.as_str(), answer.meta().request_id()), ("m", Some("req_3")));
}
