use super::*;
use serde_json::{Value, json};

fn sent(request: ResponsesRequest) -> Value {
    let (body, _) = request.encode(ItemIds::default(), true).unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn stream_is_forced_whatever_the_payload_says() {
    assert_eq!(sent(ResponsesRequest::new("m", "hi"))["stream"], true);
    let own = json!({"stream": false, "model": "m", "anything": [1, 2]});
    let own = ResponsesRequest::from_body(&own).unwrap();
    assert_eq!(own.model_name().as_deref(), Some("m"));
    assert_eq!(sent(own), json!({"stream": true, "model": "m", "anything": [1, 2]}));
}

#[test]
fn setters_reach_both_kinds_of_payload() {
    let own = ResponsesRequest::from_body(&json!({"model": "m"})).unwrap();
    for request in [ResponsesRequest::new("m", "hi"), own] {
        let body = sent(request.model("n").temperature(0.5).store(false).set("new_knob", &7));
        assert_eq!(body["model"], "n");
        assert_eq!(body["temperature"], 0.5);
        assert_eq!(body["store"], false);
        assert_eq!(body["new_knob"], 7);
    }
}

#[test]
fn the_rarer_members_have_setters_too() {
    let own = ResponsesRequest::from_body(&json!({"model": "m"})).unwrap();
    for request in [ResponsesRequest::new("m", "hi"), own] {
        let body = sent(
            request
                .top_logprobs(3)
                .max_tool_calls(4)
                .truncation(Truncation::Auto)
                .background(true)
                .conversation("conv_1")
                .prompt_cache_retention("24h".into())
                .service_tier(ServiceTier::Flex)
                .metadata([("a", "b")])
                .client_metadata([("c", "d")])
                .safety_identifier("person")
                .user("user"),
        );
        let expected = json!({"top_logprobs": 3, "max_tool_calls": 4, "truncation": "auto",
            "background": true, "conversation": "conv_1", "prompt_cache_retention": "24h",
            "service_tier": "flex", "metadata": {"a": "b"}, "client_metadata": {"c": "d"},
            "safety_identifier": "person", "user": "user"});
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(body[name], *value, "{name}");
        }
    }
}

#[test]
fn a_known_member_can_be_overridden_by_name() {
    let body = sent(ResponsesRequest::new("m", "hi").set("input", "plain").instructions("i"));
    assert_eq!(body["input"], "plain");
    assert_eq!(body["instructions"], "i");
}

#[test]
fn a_field_set_by_name_leaves_the_request_typed() {
    let item = json!({"type": "message", "id": "msg_1", "role": "user", "content": []});
    let item: ResponseItem = serde_json::from_value(item).unwrap();
    let request = ResponsesRequest::new("m", item)
        .store(false)
        .set("metadata", &json!({"a": "b"}))
        .set("service_tier", "flex")
        .push("more");
    assert!(request.payload().is_some_and(|payload| payload.metadata.is_some()));
    let (body, _) = request.encode(ItemIds::WhenStored, true).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["metadata"], json!({"a": "b"}));
    assert_eq!(body["service_tier"], "flex");
    assert_eq!(body["input"][0].get("id"), None);
    assert_eq!(body["input"].as_array().map(Vec::len), Some(2));
}

#[test]
fn another_spelling_of_the_same_leaves_the_request_typed() {
    let tool = json!({"strict": true, "type": "function", "parameters": {"type": "object"},
        "name": "f", "description": "d"});
    let request = ResponsesRequest::new("m", "hi")
        .set("temperature", &1)
        .set("top_p", &0.5)
        .set("max_output_tokens", &7)
        .set("reasoning", &json!({"summary": "auto", "effort": "low"}))
        .set("tools", &[tool])
        .push("more");
    let payload = request.payload().expect("a typed request");
    assert_eq!((payload.temperature, payload.tools.len()), (Some(1.0), 1));
    let body = sent(request);
    assert_eq!(body["temperature"], 1.0);
    assert_eq!(body["tools"][0]["parameters"], json!({"type": "object"}));
    // What the types would say in another way stays as it is.
    for (name, value) in [("input", json!("plain")), ("max_output_tokens", json!(7.5))] {
        let request = ResponsesRequest::new("m", "hi").set(name, &value);
        assert!(request.payload().is_none(), "{name}");
        assert_eq!(sent(request)[name], value);
    }
}

#[test]
fn a_number_that_json_has_no_word_for_is_an_error() {
    let own = || ResponsesRequest::from_body(&json!({"model": "m"})).unwrap();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let typed = || ResponsesRequest::new("m", "hi");
        for request in [typed().temperature(value), typed().top_p(value), own().top_p(value)] {
            let error = request.options.headers().unwrap_err();
            assert!(error.to_string().contains("give a finite number"), "{error}");
        }
        let mut payload = ResponsesApiRequest::new("m", "hi");
        payload.temperature = Some(value);
        let error = ResponsesRequest::from(payload).encode(ItemIds::default(), true).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Build);
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        assert!(chain.concat().contains("`temperature`"), "{chain:?}");
    }
}

#[test]
fn what_is_wrong_is_told_and_not_dropped() {
    let problem = |request: ResponsesRequest| {
        let error = request.options.headers().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Build);
        error.to_string()
    };
    let request = || ResponsesRequest::new("m", "hi");
    assert!(problem(request().header("bad name", "x")).contains("`bad name`"));
    assert!(problem(request().header("x-good", "a\nb")).contains("x-good"));
    let own = ResponsesRequest::from_body(&json!({})).unwrap();
    assert!(problem(own.push("more")).contains("push"));
    assert!(ResponsesRequest::from_body(&[1, 2]).is_err());
}
