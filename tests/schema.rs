//! What is checked in under `schema/` is what the types say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tower_openai::model::realtime::codex::schema::definitions;

fn checked_in() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let mut found = BTreeMap::new();
    for folder in ["json", "typescript"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            found.insert(format!("{folder}/{name}"), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_checked_in_definitions_are_current() {
    const AGAIN: &str = "rm -r schema && cargo run --example export_schema -- schema";
    let mut checked_in = checked_in();
    for file in definitions().unwrap() {
        let text = checked_in.remove(&file.path);
        assert!(text.as_ref() == Some(&file.text), "{} is not current: {AGAIN}", file.path);
    }
    let left: Vec<_> = checked_in.keys().collect();
    assert!(left.is_empty(), "no type any more for {left:?}: {AGAIN}");
}

#[test]
fn every_import_of_typescript_leads_somewhere() {
    let definitions = definitions().unwrap();
    let mut imports = 0;
    for file in &definitions {
        for line in file.text.lines().filter(|line| line.starts_with("import type")) {
            let from = line.split('"').nth(1).unwrap().trim_start_matches("./");
            let path = format!("typescript/{from}.ts");
            assert!(definitions.iter().any(|other| other.path == path), "{}: {line}", file.path);
            imports += 1;
        }
    }
    assert!(imports > 20, "{imports}");
}

#[test]
fn every_schema_names_its_members_as_the_wire_does() {
    let definitions = definitions().unwrap();
    let schema = |name: &str| -> serde_json::Value {
        let path = format!("json/{name}.json");
        let file = definitions.iter().find(|file| file.path == path).unwrap();
        serde_json::from_str(&file.text).unwrap()
    };
    let started = schema("ThreadRealtimeStartedNotification");
    assert_eq!(started["title"], "ThreadRealtimeStartedNotification");
    assert_eq!(started["required"], serde_json::json!(["threadId", "version"]));
    let id = &started["properties"]["realtimeSessionId"]["type"];
    assert_eq!(*id, serde_json::json!(["string", "null"]));
    let start = schema("ThreadRealtimeStartParams");
    assert_eq!(start["required"], serde_json::json!(["threadId", "outputModality"]));
    let params = schema("ConversationStartParams");
    assert_eq!(params["required"], serde_json::json!(["output_modality"]));
    assert!(params["properties"]["realtime_session_id"].is_object());
}
