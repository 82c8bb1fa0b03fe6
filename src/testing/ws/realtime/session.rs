//! The configuration of a session: what it begins with, and how it is updated.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::validate::check;
use crate::testing::api_error::ApiError;
use crate::testing::ids::Ids;
use crate::testing::params::Query;
use crate::testing::turn::unix_seconds;

/// How a session was asked for.
pub(in crate::testing::ws) struct Opened {
    model: Option<String>,
    quicksilver: bool,
    transcription: bool,
    /// The header of the API before this one.
    beta: bool,
    /// The session of the call that it attaches to, if it does.
    call: Option<Value>,
}

impl Opened {
    /// Reads the query and the headers; `call` finds the session of a call.
    ///
    /// # Errors
    ///
    /// 404 for a call that there is not.
    pub(in crate::testing::ws) fn new(
        query: &Query,
        headers: &HeaderMap,
        call: impl FnOnce(&str) -> Option<Value>,
    ) -> Result<Self, ApiError> {
        let find =
            |id: &str| call(id).ok_or_else(|| ApiError::not_found("Call", id, "call_id_not_found"));
        let beta = headers.get_all("openai-beta").iter();
        let beta = beta.filter_map(|value| value.to_str().ok());
        Ok(Self {
            model: query.get("model").map(str::to_owned),
            quicksilver: query.get("intent") == Some("quicksilver"),
            transcription: query.get("intent") == Some("transcription"),
            beta: beta.flat_map(|value| value.split(',')).any(|beta| beta.trim() == "realtime=v1"),
            call: query.get("call_id").map(find).transpose()?,
        })
    }

    /// Why the session ends before it has begun.
    pub(super) fn refusal(&self) -> Option<ApiError> {
        if self.beta {
            let why = "The Realtime Beta API is no longer supported. Please use /v1/realtime for \
                       the GA API.";
            return Some(ApiError::invalid_request(why).code("beta_api_shape_disabled"));
        }
        let named = self.model.is_some() || self.call.is_some();
        if named || self.quicksilver || self.transcription {
            return None;
        }
        let why = "You must provide a model parameter.";
        Some(ApiError::invalid_request(why).param("model").code("missing_model"))
    }
}

/// A session as the API tells it.
pub(super) struct Config {
    session: Value,
    /// Whether its type was chosen by the client.
    chosen: bool,
    quicksilver: bool,
}

impl Config {
    pub(super) fn new(opened: &Opened, ids: &Ids, age: Duration) -> Self {
        let (id, expires_at) = (ids.item("sess"), unix_seconds().saturating_add(age.as_secs()));
        let mut this =
            Self { session: Value::Null, chosen: false, quicksilver: opened.quicksilver };
        let kind = if opened.transcription { "transcription" } else { "realtime" };
        let mut session = defaults(kind);
        merge(&mut session, &json!({ "id": id, "expires_at": expires_at }));
        if let (Some(model), false) = (&opened.model, opened.transcription) {
            merge(&mut session, &json!({ "model": model }));
        }
        if let Some(call) = &opened.call {
            merge(&mut session, call);
        }
        this.session = session;
        this
    }

    pub(super) fn json(&self) -> Value {
        self.session.clone()
    }

    /// The value at a path, null if there is none.
    pub(super) fn at(&self, path: &str) -> &Value {
        self.session.pointer(path).unwrap_or(&Value::Null)
    }

    pub(super) fn is_quicksilver(&self) -> bool {
        self.quicksilver
    }

    /// Whether it answers at all.
    pub(super) fn is_transcription(&self) -> bool {
        self.at("/type") == "transcription"
    }

    /// Takes over what `update` has; the rest stays.
    ///
    /// # Errors
    ///
    /// Whatever the API refuses; nothing has changed then.
    pub(super) fn update(
        &mut self,
        update: &Map<String, Value>,
        voiced: bool,
    ) -> Result<(), ApiError> {
        let kind = check(update, self.quicksilver)?;
        let old = self.at("/type").as_str().unwrap_or_default();
        let mut session = self.session.clone();
        if kind != old {
            if self.chosen {
                let why =
                    format!("Passing a {kind} session update to a {old} session is not allowed.");
                return Err(ApiError::invalid_value("session.type", why));
            }
            let (id, expires_at) = (self.at("/id"), self.at("/expires_at"));
            session = defaults(kind);
            merge(&mut session, &json!({ "id": id, "expires_at": expires_at }));
        }
        if update.get("model").is_some_and(|model| self.at("/model") != model) {
            let why = "The model of a session cannot be changed.";
            return Err(ApiError::invalid_value("session.model", why));
        }
        let voice = update.get("audio").and_then(|audio| audio.pointer("/output/voice"));
        if voiced && voice.is_some_and(|voice| voice != self.at("/audio/output/voice")) {
            let why = "Cannot update a conversation's voice if assistant audio is present.";
            let error = ApiError::invalid_request(why).param("session.audio.output.voice");
            return Err(error.code("cannot_update_voice"));
        }
        merge(&mut session, &Value::Object(update.clone()));
        self.session = session;
        self.chosen = true;
        Ok(())
    }
}

fn defaults(kind: &str) -> Value {
    let format = json!({ "type": "audio/pcm", "rate": 24000 });
    let vad = json!({
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
        "silence_duration_ms": 500, "idle_timeout_ms": null,
        "create_response": true, "interrupt_response": true,
    });
    let input = json!({
        "format": format, "transcription": null, "noise_reduction": null, "turn_detection": vad,
    });
    if kind == "transcription" {
        return json!({
            "type": kind, "object": "realtime.transcription_session",
            "audio": { "input": input }, "include": null,
        });
    }
    json!({
        "type": kind, "object": "realtime.session", "model": null, "output_modalities": ["audio"],
        "instructions": "Your knowledge cutoff is 2023-10.", "tools": [], "tool_choice": "auto",
        "max_output_tokens": "inf", "tracing": null, "truncation": "auto", "prompt": null,
        "audio": {
            "input": input, "output": { "format": format, "voice": "marin", "speed": 1.0 },
        },
        "include": null,
    })
}

/// Objects are gone into, all else is replaced. What says of which type it is, is one thing.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                let whole = !matches!(&**key, "audio" | "input" | "output");
                match into.get_mut(key) {
                    Some(old) if !whole || !value.is_object() => merge(old, value),
                    _ => drop(into.insert(key.clone(), value.clone())),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let opened = Opened::new(&Query::new("model=m"), &HeaderMap::new(), |_| None).unwrap();
        Config::new(&opened, &Ids::new(Some(1)), Duration::from_secs(1))
    }

    fn update(config: &mut Config, update: Value) -> Result<(), String> {
        let refused = |error: ApiError| error.body().into_value()["error"]["code"].to_string();
        config.update(update.as_object().unwrap(), false).map_err(refused)
    }

    #[test]
    fn only_what_is_present_changes() {
        let mut config = config();
        let before = config.json();
        let detection = json!({ "audio": { "input": { "turn_detection": null } } });
        let mut with_type = detection;
        with_type["type"] = "realtime".into();
        with_type["instructions"] = "".into();
        update(&mut config, with_type).unwrap();
        assert_eq!(config.at("/audio/input/turn_detection"), &Value::Null);
        assert_eq!(config.at("/instructions"), "");
        assert_eq!(config.at("/audio/input/format"), &before["audio"]["input"]["format"]);
        assert_eq!(config.at("/audio/output"), &before["audio"]["output"]);
        let sparse = json!({ "type": "realtime", "audio": { "input": {
            "turn_detection": { "type": "server_vad", "silence_duration_ms": 200 } } } });
        update(&mut config, sparse).unwrap();
        assert_eq!(config.at("/audio/input/turn_detection/silence_duration_ms"), 200);
    }

    #[test]
    fn a_session_may_last_for_ever() {
        let opened = Opened::new(&Query::new("model=m"), &HeaderMap::new(), |_| None).unwrap();
        let config = Config::new(&opened, &Ids::new(Some(1)), Duration::MAX);
        assert_eq!(config.at("/expires_at"), u64::MAX);
    }

    #[test]
    fn type_and_model_are_fixed() {
        let mut config = config();
        let kind = |kind: &str| json!({ "type": kind });
        update(&mut config, kind("transcription")).unwrap();
        assert_eq!(config.at("/object"), "realtime.transcription_session");
        assert_eq!(update(&mut config, kind("realtime")), Err("\"invalid_value\"".into()));
        let mut config = self::config();
        let other = json!({ "type": "realtime", "model": "other" });
        assert_eq!(update(&mut config, other), Err("\"invalid_value\"".into()));
    }
}
