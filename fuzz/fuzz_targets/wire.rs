//! What is read of the API's JSON is written so that it reads the same.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_openai::model::{Response, ResponseEvent, ResponseItem, ResponsesApiRequest};

fn round_trip<T>(data: &[u8])
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug,
{
    let Ok(read) = serde_json::from_slice::<T>(data) else { return };
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again = serde_json::from_slice::<T>(&written).expect("what was written can be read");
    assert_eq!(again, read);
}

fuzz_target!(|data: &[u8]| {
    if serde_json::from_slice::<Value>(data).is_err() {
        return;
    }
    round_trip::<ResponseEvent>(data);
    round_trip::<ResponseItem>(data);
    round_trip::<Response>(data);
    round_trip::<ResponsesApiRequest>(data);
});
