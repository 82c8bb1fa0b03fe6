mod barge_in;
mod codex_events;
mod events;
mod hostile;
mod one_response;
mod session;
mod transcript;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads it and writes it, which must give the same members.
#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned>(json: Value) -> T {
    let value: T = serde_json::from_str(&json.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&value).unwrap(), json);
    value
}
