//! What a session may be updated with.

use serde_json::{Map, Value};

use crate::testing::api_error::ApiError;

const VOICES: [&str; 10] =
    ["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"];

const QUICKSILVER_VOICES: [&str; 9] =
    ["juniper", "maple", "spruce", "ember", "vale", "breeze", "arbor", "sol", "cove"];

/// A member and where it is.
struct At<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> At<'a> {
    /// The member `key`, unless it is absent.
    fn get(&self, key: &str) -> Option<At<'a>> {
        let value = self.value.get(key)?;
        Some(At { path: format!("{}.{key}", self.path), value })
    }

    /// The same, for a member that may be null.
    fn present(&self, key: &str) -> Option<At<'a>> {
        self.get(key).filter(|at| !at.value.is_null())
    }

    fn wrong(&self, why: impl std::fmt::Display) -> ApiError {
        ApiError::invalid_value(self.path.clone(), format!("Invalid value: {why}."))
    }

    fn wrong_type(&self, expected: &str) -> ApiError {
        ApiError::invalid_type(self.path.clone(), expected, "something else")
    }

    /// An object with no members but these.
    fn object(&self, known: &[&str]) -> Result<(), ApiError> {
        let object = self.value.as_object().ok_or_else(|| self.wrong_type("an object"))?;
        match object.keys().find(|key| !known.contains(&&***key)) {
            Some(unknown) => Err(ApiError::unknown_parameter(format!("{}.{unknown}", self.path))),
            None => Ok(()),
        }
    }

    fn one_of(&self, known: &[&'a str]) -> Result<&'a str, ApiError> {
        let text = self.value.as_str().ok_or_else(|| self.wrong_type("a string"))?;
        if known.contains(&text) {
            return Ok(text);
        }
        let known: Vec<_> = known.iter().map(|known| format!("'{known}'")).collect();
        Err(self.wrong(format!("'{text}'. Supported values are: {}", known.join(", "))))
    }

    fn between(&self, least: f64, most: f64) -> Result<(), ApiError> {
        let number = self.value.as_f64().ok_or_else(|| self.wrong_type("a number"))?;
        if (least..=most).contains(&number) {
            return Ok(());
        }
        Err(self.wrong(format!("{number} is not between {least} and {most}")))
    }

    fn is(&self, expected: &str, fits: impl Fn(&Value) -> bool) -> Result<(), ApiError> {
        if fits(self.value) { Ok(()) } else { Err(self.wrong_type(expected)) }
    }

    /// The member `type`, which has to be there.
    fn kind(&self, known: &[&'a str]) -> Result<&'a str, ApiError> {
        let kind =
            self.get("type").ok_or_else(|| ApiError::missing(format!("{}.type", self.path)))?;
        kind.one_of(known)
    }
}

/// Whether the API takes `update`; the type of the session in it.
///
/// # Errors
///
/// For whatever it does not, with the path of the member.
pub(super) fn check(
    update: &Map<String, Value>,
    quicksilver: bool,
) -> Result<&'static str, ApiError> {
    let value = Value::Object(update.clone());
    let session = At { path: "session".into(), value: &value };
    let kinds: &[&str] =
        if quicksilver { &["quicksilver"] } else { &["realtime", "transcription"] };
    match session.kind(kinds)? {
        "transcription" => {
            session.object(&["type", "audio", "include"])?;
            audio(&session, &["input"], &VOICES)?;
            Ok("transcription")
        }
        kind => {
            session.object(&[
                "type",
                "model",
                "instructions",
                "output_modalities",
                "audio",
                "tools",
                "tool_choice",
                "parallel_tool_calls",
                "reasoning",
                "max_output_tokens",
                "tracing",
                "truncation",
                "prompt",
                "include",
            ])?;
            let voices: &[&str] = if quicksilver { &QUICKSILVER_VOICES } else { &VOICES };
            audio(&session, &["input", "output"], voices)?;
            answers(&session)?;
            Ok(if kind == "quicksilver" { "quicksilver" } else { "realtime" })
        }
    }
}

/// The members that say how the model answers; also those of a `response.create`.
fn answers(of: &At<'_>) -> Result<(), ApiError> {
    if let Some(instructions) = of.present("instructions") {
        instructions.is("a string", Value::is_string)?;
    }
    if let Some(modalities) = of.present("output_modalities") {
        let one = |value: &Value| {
            value.as_array().is_some_and(
                |list| matches!(list.as_slice(), [one] if one == "text" || one == "audio"),
            )
        };
        if !one(modalities.value) {
            let given = modalities.value;
            let why = format!("{given}. Supported combinations are: ['text'] and ['audio']");
            return Err(modalities.wrong(why));
        }
    }
    if let Some(tokens) = of.present("max_output_tokens") {
        if tokens.value != "inf" {
            tokens.is("an integer or 'inf'", Value::is_u64)?;
            tokens.between(1.0, 4096.0)?;
        }
    }
    if let Some(choice) = of.present("tool_choice") {
        if !choice.value.is_object() {
            choice.one_of(&["auto", "none", "required"])?;
        }
    }
    let Some(tools) = of.present("tools") else { return Ok(()) };
    let list = tools.value.as_array().ok_or_else(|| tools.wrong_type("an array"))?;
    for (index, value) in list.iter().enumerate() {
        let tool = At { path: format!("{}[{index}]", tools.path), value };
        if tool.kind(&["function", "mcp"])? == "function" {
            tool.object(&["type", "name", "description", "parameters"])?;
            let missing = || ApiError::missing(format!("{}.name", tool.path));
            tool.get("name").ok_or_else(missing)?.is("a string", Value::is_string)?;
        }
    }
    Ok(())
}

fn audio(session: &At<'_>, sides: &[&str], voices: &[&str]) -> Result<(), ApiError> {
    let Some(audio) = session.present("audio") else { return Ok(()) };
    audio.object(sides)?;
    if let Some(input) = audio.present("input") {
        input.object(&["format", "transcription", "noise_reduction", "turn_detection"])?;
        if let Some(format) = input.present("format") {
            check_format(&format)?;
        }
        if let Some(reduction) = input.present("noise_reduction") {
            reduction.object(&["type"])?;
            reduction.kind(&["near_field", "far_field"])?;
        }
        if let Some(transcription) = input.present("transcription") {
            transcription.object(&["model", "language", "prompt", "delay", "languages"])?;
        }
        if let Some(detection) = input.present("turn_detection") {
            check_detection(&detection)?;
        }
    }
    let Some(output) = audio.present("output") else { return Ok(()) };
    output.object(&["format", "voice", "speed"])?;
    if let Some(format) = output.present("format") {
        check_format(&format)?;
    }
    if let Some(speed) = output.present("speed") {
        speed.between(0.25, 1.5)?;
    }
    match output.present("voice") {
        // A voice of the customer's own.
        Some(voice) if voice.value.is_object() => voice.object(&["id"]),
        Some(voice) => voice.one_of(voices).map(drop),
        None => Ok(()),
    }
}

fn check_format(format: &At<'_>) -> Result<(), ApiError> {
    format.object(&["type", "rate"])?;
    let kind = format.kind(&["audio/pcm", "audio/pcmu", "audio/pcma"])?;
    match format.present("rate") {
        Some(rate) if kind == "audio/pcm" && rate.value != 24000 => {
            Err(rate.wrong("audio/pcm has a rate of 24000"))
        }
        _ => Ok(()),
    }
}

fn check_detection(detection: &At<'_>) -> Result<(), ApiError> {
    if detection.kind(&["server_vad", "semantic_vad"])? == "semantic_vad" {
        return detection.object(&["type", "eagerness", "create_response", "interrupt_response"]);
    }
    detection.object(&[
        "type",
        "threshold",
        "prefix_padding_ms",
        "silence_duration_ms",
        "idle_timeout_ms",
        "create_response",
        "interrupt_response",
    ])?;
    if let Some(threshold) = detection.present("threshold") {
        threshold.between(0.0, 1.0)?;
    }
    for key in ["prefix_padding_ms", "silence_duration_ms"] {
        if let Some(ms) = detection.present(key) {
            ms.is("an integer", Value::is_u64)?;
        }
    }
    match detection.present("idle_timeout_ms") {
        Some(timeout) => timeout.between(5000.0, 30000.0),
        None => Ok(()),
    }
}

/// Whether the API takes the parameters of a `response.create`.
///
/// # Errors
///
/// For whatever it does not, with the path of the member.
pub(super) fn check_response(params: &Value) -> Result<(), ApiError> {
    let response = At { path: "response".into(), value: params };
    response.object(&[
        "output_modalities",
        "instructions",
        "audio",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "max_output_tokens",
        "conversation",
        "metadata",
        "prompt",
        "input",
    ])?;
    audio(&response, &["output"], &VOICES)?;
    if let Some(input) = response.present("input") {
        input.is("an array", Value::is_array)?;
    }
    answers(&response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(update: Value) -> (String, String) {
        let error = check(update.as_object().unwrap(), false).unwrap_err().body().into_value();
        let text = |key: &str| error["error"][key].as_str().unwrap_or_default().to_owned();
        (text("param"), text("code"))
    }

    #[test]
    fn refusals_have_the_path_of_the_member() {
        let with = |key: &str, value: Value| {
            let mut update = json!({ "type": "realtime" });
            update[key] = value;
            refusal(update)
        };
        let wrong = |path: &str| (path.to_owned(), "invalid_value".to_owned());
        let unknown = |path: &str| (path.to_owned(), "unknown_parameter".to_owned());
        assert_eq!(refusal(json!({})).0, "session.type");
        assert_eq!(with("modalities", json!([])), unknown("session.modalities"));
        assert_eq!(with("temperature", json!(0.8)), unknown("session.temperature"));
        assert_eq!(with("id", json!("s")), unknown("session.id"));
        let both = json!(["text", "audio"]);
        assert_eq!(with("output_modalities", both), wrong("session.output_modalities"));
        assert_eq!(with("max_output_tokens", json!(4097)), wrong("session.max_output_tokens"));
        assert_eq!(with("max_output_tokens", json!("2")).1, "invalid_type");
        let input = |value| json!({ "input": value });
        let rate = input(json!({ "format": { "type": "audio/pcm", "rate": 16000 } }));
        assert_eq!(with("audio", rate), wrong("session.audio.input.format.rate"));
        let idle = json!({ "type": "server_vad", "idle_timeout_ms": 4999 });
        let idle = with("audio", input(json!({ "turn_detection": idle })));
        assert_eq!(idle, wrong("session.audio.input.turn_detection.idle_timeout_ms"));
        for key in ["prefix_padding_ms", "silence_duration_ms"] {
            let mut detection = json!({ "type": "server_vad" });
            detection[key] = json!("300");
            let detection = with("audio", input(json!({ "turn_detection": detection })));
            let path = format!("session.audio.input.turn_detection.{key}");
            assert_eq!(detection, (path, "invalid_type".to_owned()));
        }
        let speed = json!({ "output": { "speed": 1.6 } });
        assert_eq!(with("audio", speed), wrong("session.audio.output.speed"));
        let voice = json!({ "output": { "voice": "cove" } });
        assert_eq!(with("audio", voice), wrong("session.audio.output.voice"));
        let tools = json!([{ "type": "function" }]);
        assert_eq!(with("tools", tools).0, "session.tools[0].name");
        let text = json!({ "type": "transcription", "instructions": "x" });
        assert_eq!(refusal(text), unknown("session.instructions"));
    }
}
