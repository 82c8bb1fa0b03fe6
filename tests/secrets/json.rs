//! Credentials in JSON that is not read: in events, in tools, in bodies of the caller's own.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::service_fn;
use tower_openai::RequestBody;
use tower_openai::model::{CompactionRequest, ErrorBody, ResponseEvent, Tool};
use tower_openai::services::{Compact, CompactRequest, Responses, ResponsesRequest};

use crate::support::*;

fn event(json: &Value) -> ResponseEvent {
    let event = serde_json::from_str(&json.to_string()).unwrap();
    clean(&event);
    // All that was read is still there.
    assert_eq!(serde_json::to_value(&event).unwrap(), *json);
    event
}

#[test]
fn headers_in_events_are_not_shown() {
    let headers = json!({"X-Codex-Turn-State": STATE, "set-cookie": [COOKIE], "x-own": "open"});
    let metadata = event(&json!({"type": "response.metadata", "headers": headers}));
    let text = format!("{metadata:?}");
    assert!(text.contains("X-Codex-Turn-State") && text.contains("open"), "{text}");
    for json in [
        json!({"type": "response.completed", "response": {"id": "r", "headers": headers}}),
        json!({"type": "response.output_text.delta", "delta": "a", "headers": headers}),
        json!({"type": "response.unheard_of", "headers": headers}),
        json!({"type": "response.unheard_of", "response": {"all": [1, {"headers": headers}]}}),
        json!({"type": "error", "error": {"message": "no", "headers": headers}}),
        json!({"type": "response.metadata", "headers": [STATE, COOKIE]}),
        json!({"type": "response.failed", "response": {"id": "r", "headers": STATE}}),
    ] {
        event(&json);
    }
    clean(&ErrorBody::parse(json!({"error": {}, "headers": headers}).to_string().as_bytes()));
    // The rest is there to be seen.
    let open = event(&json!({"type": "response.unheard_of", "authorization": null, "n": [1.50]}));
    let text = format!("{open:?}");
    assert!(text.contains("1.5") && text.contains("null"), "{text}");
}

#[test]
fn credentials_of_tools_are_not_shown_wherever_they_stand() {
    let tool = json!({"type": "mcp", "server_label": "s", "authorization": TOKEN,
        "headers": {"x": OWN, "authorization": KEY}});
    let unknown = json!({"type": "mcp2", "authorization": TOKEN, "headers": {"x": OWN}});
    clean(&serde_json::from_value::<Tool>(unknown.clone()).unwrap());
    // One of these cannot be read, so that none of them is.
    let tools = json!([tool, unknown, {"type": "function"}]);
    event(&json!({"type": "response.completed", "response": {"id": "r", "tools": tools}}));

    let own = json!({"model": "gpt-5.2", "input": OWN, "tools": tools});
    let request = ResponsesRequest::from_body(&own).unwrap();
    clean(&request);
    let text = format!("{request:?}");
    assert!(!text.contains("gpt-5.2") && text.contains("\"tools\""), "{text}");
    clean(&ResponsesRequest::new("m", "hi").set("tools", &tools));
    clean(&CompactRequest::from_body(&own).unwrap());
    let mut typed = CompactionRequest::new("m", "hi");
    typed.extra.set("tool", &tool).unwrap();
    clean(&CompactRequest::from(typed));
}

/// It may have been written to the model, or by it.
#[tokio::test]
async fn an_error_quotes_nothing_of_what_could_not_be_read() {
    let answering = |body: String| {
        service_fn(move |_: Request<RequestBody>| {
            let body = body.clone();
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body))) }
        })
    };
    let quoted = format!("{OWN} \" {TOKEN}");
    let items = json!([{"type": "reasoning", "summary": quoted}]);
    let compact = Compact::new(answering(json!({"output": items}).to_string()));
    let error = clean_error(compact.send(CompactRequest::new("m", "hi")).await.unwrap_err());
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    assert!(chain.concat().contains("`summary`"), "{chain:?}");

    let done = json!({"type": "response.output_item.done", "item": items[0]});
    let responses = Responses::new(answering(format!("data: {done}\n\n")));
    clean_error(call(&responses).await.unwrap());
    clean_error(ResponsesRequest::from_body(&quoted).unwrap_err());
    clean_error(CompactRequest::from_body(&quoted).unwrap_err());
}
