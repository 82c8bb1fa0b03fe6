use serde_json::{Value, json};

use super::*;

/// An entry with what has to be there and nothing else.
fn least() -> Value {
    json!({"slug": "m", "display_name": "M", "supported_reasoning_levels": [],
        "shell_type": "default", "visibility": "list", "supported_in_api": true, "priority": -1,
        "base_instructions": "", "supports_reasoning_summaries": true, "support_verbosity": false,
        "truncation_policy": {"mode": "bytes", "limit": 10000},
        "supports_parallel_tool_calls": true, "experimental_supported_tools": []})
}

/// An entry with every member, none of them as by default.
fn fullest() -> Value {
    json!({"slug": "gpt-5.2-codex", "display_name": "GPT-5.2 Codex", "description": "d",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [{"effort": "xhigh", "description": "More"}],
        "shell_type": "shell_command", "visibility": "hide", "supported_in_api": false,
        "priority": 7, "additional_speed_tiers": ["fast"],
        "service_tiers": [{"id": "priority", "name": "Fast", "description": "1.5x"}],
        "default_service_tier": "priority", "availability_nux": {"message": "new"},
        "upgrade": {"model": "gpt-6"}, "base_instructions": "You are",
        "model_messages": {"instructions_template": "t", "instructions_variables": {"a": "b"}},
        "supports_reasoning_summaries": false, "default_reasoning_summary": "detailed",
        "support_verbosity": true, "default_verbosity": "low",
        "apply_patch_tool_type": "freeform", "web_search_tool_type": "text_and_image",
        "truncation_policy": {"mode": "tokens", "limit": 100},
        "supports_parallel_tool_calls": false, "supports_image_detail_original": true,
        "context_window": 272_000, "max_context_window": 400_000,
        "auto_compact_token_limit": 200_000, "effective_context_window_percent": 90,
        "experimental_supported_tools": ["grep"], "input_modalities": ["text", "audio"],
        "supports_search_tool": true, "use_responses_lite": true,
        "auto_review_model_override": "r", "tool_mode": "code", "multi_agent_version": "v2"})
}

fn read(value: Value) -> ModelInfo {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_is_not_said_has_its_default() {
    let model = read(least());
    assert_eq!(serde_json::to_value(&model).unwrap(), least(), "and is not written");
    assert_eq!(model.default_reasoning_summary, ReasoningSummary::Auto);
    assert_eq!(model.web_search_tool_type, WebSearchToolType::Text);
    assert_eq!(model.effective_context_window_percent, 95);
    assert_eq!(model.input_modalities, [InputModality::Text, InputModality::Image]);
    let no = [
        model.supports_image_detail_original,
        model.supports_search_tool,
        model.use_responses_lite,
    ];
    assert_eq!(no, [false; 3]);
    let texts = [
        &model.description,
        &model.default_service_tier,
        &model.auto_review_model_override,
        &model.tool_mode,
    ];
    assert_eq!(texts, [&None; 4]);
    let numbers = [model.context_window, model.max_context_window, model.auto_compact_token_limit];
    assert_eq!(numbers, [None; 3]);
    assert_eq!((&model.upgrade, &model.multi_agent_version), (&None, &None));
    assert!(model.default_reasoning_level.is_none() && model.default_verbosity.is_none());
    assert!(model.additional_speed_tiers.is_empty() && model.service_tiers.is_empty());
    assert!(model.availability_nux.is_none() && model.model_messages.is_none());
    assert!(model.apply_patch_tool_type.is_none());
    assert_eq!(model.effective_context_window(), None);
}

#[test]
fn what_is_said_is_read_and_written_again() {
    let model = read(fullest());
    assert!(model.extra.is_empty(), "each has its field: {:?}", model.extra);
    assert_eq!(serde_json::to_value(&model).unwrap(), fullest());
    assert_eq!(model.effective_context_window(), Some(244_800));
    assert_eq!(model.input_modalities[1], "audio");
    assert_eq!(model.supported_reasoning_levels[0].effort, ReasoningEffort::XHigh);
    // Empty in another spelling than the usual one.
    let mut spelled = least();
    spelled["description"] = Value::Null;
    spelled["input_modalities"] = json!(["text", "image"]);
    spelled["effective_context_window_percent"] = json!(95);
    spelled["default_reasoning_summary"] = Value::Null;
    spelled["web_search_tool_type"] = json!("text");
    spelled["not_known"] = json!([1]);
    assert_eq!(serde_json::to_value(read(spelled.clone())).unwrap(), spelled);
    let mut none = least();
    none["input_modalities"] = json!([]);
    assert!(read(none).input_modalities.is_empty());
}

#[test]
fn a_member_of_another_type_is_kept_aside() {
    let mut entry = least();
    for name in [
        "description",
        "service_tiers",
        "availability_nux",
        "effective_context_window_percent",
        "input_modalities",
        "default_reasoning_summary",
        "context_window",
        "tool_mode",
    ] {
        entry[name] = json!({"new": 1.5});
    }
    let model = read(entry.clone());
    assert_eq!((model.extra.len(), model.effective_context_window_percent), (8, 95));
    assert_eq!(serde_json::to_value(&model).unwrap(), entry);
}

#[test]
fn what_every_client_relies_on_has_to_be_there() {
    let least = least();
    for name in least.as_object().unwrap().keys() {
        let mut entry = least.clone();
        entry.as_object_mut().unwrap().remove(name);
        let error = serde_json::from_value::<ModelInfo>(entry).unwrap_err().to_string();
        assert!(error.contains(&format!("missing field `{name}`")), "{error}");
    }
}

#[test]
fn a_bad_entry_is_kept_in_its_place() {
    let (bad, worse) = (json!({"slug": "x"}), json!(7));
    for entries in [
        json!([bad, least(), worse, fullest()]),
        json!([least(), worse]),
        json!([bad, worse, least()]),
        json!([]),
    ] {
        let text = json!({"models": entries, "new": true}).to_string();
        let catalog: ModelsResponse = serde_json::from_str(&text).unwrap();
        let written = serde_json::to_value(&catalog).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(&text).unwrap());
        for entry in &catalog.unreadable {
            assert_eq!(entry.raw().parse::<Value>().unwrap(), entries[entry.index()]);
            assert!(entry.problem().contains("display_name") || entry.raw().as_str() == "7");
        }
        assert_eq!(
            catalog.models.len() + catalog.unreadable.len(),
            entries.as_array().unwrap().len()
        );
    }
    // What is taken out leaves no hole.
    let text = json!({"models": [least(), bad, worse]}).to_string();
    let mut catalog: ModelsResponse = serde_json::from_str(&text).unwrap();
    assert_eq!(catalog.get("m").unwrap().priority, -1);
    catalog.models.clear();
    assert_eq!(serde_json::to_value(&catalog).unwrap(), json!({"models": [bad, worse]}));
}

#[test]
fn entries_that_are_all_bad_are_an_error() {
    for (body, words) in [
        (json!({"models": [{"slug": "x"}, 7]}), "none of the 2 entries"),
        (json!({"object": "list", "data": []}), "missing field `models`"),
        (json!({"models": {}}), "`models`"),
        (json!([]), "an object"),
    ] {
        let error = serde_json::from_value::<ModelsResponse>(body).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn the_public_list_needs_ids_only() {
    let text = json!({"object": "list", "data": [{"id": "a"},
        {"id": "b", "object": "model", "created": 1_686_935_002, "owned_by": "openai",
         "shutdown_date": "2026-12-01", "permission": []},
        {"id": "c", "created": "soon", "owned_by": null}]});
    let list: ModelList = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&list).unwrap(), text);
    assert_eq!(list.data[0], Model::new("a"));
    assert_eq!(list.data[1].owned_by.as_deref(), Some("openai"));
    assert!(serde_json::from_value::<ModelList>(json!({"data": [{}]})).is_err());
}
