//! What a response says, for callers that want no more than that.

use std::fmt;

use serde::de::DeserializeOwned;

use super::{IncompleteReason, Response, ResponseStatus};
use crate::model::{FunctionCall, Message, ResponseItem};

impl Response {
    /// The model's refusal: the first one of its messages.
    ///
    /// A response that refuses is a success with no [text](Self::output_text): ask for this wherever
    /// an empty text would mislead.
    ///
    /// ```
    /// use tower_openai::model::Response;
    ///
    /// let response: Response = serde_json::from_str(
    ///     r#"{"id":"resp_1","status":"completed","output":[{"type":"message","role":"assistant",
    ///         "content":[{"type":"refusal","refusal":"I can't help with that."}]}]}"#,
    /// )?;
    /// assert_eq!(response.output_text(), "");
    /// assert_eq!(response.refusal(), Some("I can't help with that."));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.output.iter().filter_map(ResponseItem::as_message).find_map(Message::refusal)
    }

    /// The calls of the application's functions, in order. Each is to be answered with a
    /// [`ResponseItem::function_call_output`].
    ///
    /// ```
    /// use tower_openai::model::{Response, ResponseItem};
    /// use tower_openai::services::ResponsesRequest;
    ///
    /// let response: Response = serde_json::from_str(
    ///     r#"{"id":"resp_1","status":"completed","output":[{"type":"function_call",
    ///         "call_id":"call_1","name":"get_weather","arguments":"{\"city\":\"Oslo\"}"}]}"#,
    /// )?;
    /// let outputs = response.function_calls().map(|call| {
    ///     assert_eq!(call.name, "get_weather");
    ///     ResponseItem::function_call_output(&call.call_id, "Rain.")
    /// });
    /// let next = ResponsesRequest::new("gpt-5.2", outputs.collect::<Vec<_>>())
    ///     .previous_response_id(&response.id);
    /// # let _ = next;
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn function_calls(&self) -> impl Iterator<Item = &FunctionCall> {
        self.output.iter().filter_map(ResponseItem::as_function_call)
    }

    /// Reads the [text](Self::output_text) as the JSON of a `T`: what the model says when a
    /// [`TextFormat`](crate::model::TextFormat) asks for JSON.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use tower_openai::Client;
    /// use tower_openai::model::{Schema, TextFormat};
    /// use tower_openai::services::ResponsesRequest;
    ///
    /// #[derive(Deserialize)]
    /// struct Recipe {
    ///     title: String,
    ///     steps: Vec<String>,
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let server = tower_openai::testing::Server::start().await?;
    /// # let client = Client::builder().base_url(server.base_url()).build()?;
    /// let schema = Schema::object()
    ///     .property("title", Schema::string())
    ///     .property("steps", Schema::array(Schema::string()))
    ///     .closed();
    /// let request = ResponsesRequest::new("gpt-5.2", "How do I boil an egg?")
    ///     .text(TextFormat::json_schema("recipe", schema));
    /// let recipe: Recipe = client.create_response().send(request).await?.parse()?;
    /// println!("{}: {} steps", recipe.title, recipe.steps.len());
    /// # Ok::<_, tower_openai::BoxError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// An [`OutputError`] that says what came in place of it: a refusal, a call, an answer that was cut
    /// short, no text, or other text.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, OutputError> {
        let text = self.output_text();
        let problem = match (self.refusal(), self.function_calls().next()) {
            (Some(refusal), _) => Problem::Refusal(refusal.to_owned()),
            (None, Some(call)) if text.is_empty() => Problem::Call(call.name.clone()),
            _ if self.status == Some(ResponseStatus::Incomplete) => {
                Problem::Incomplete(self.incomplete_reason().cloned())
            }
            _ if text.is_empty() => Problem::NoText,
            _ => match serde_json::from_str(&text) {
                Ok(value) => return Ok(value),
                Err(error) => Problem::Json(error),
            },
        };
        Err(OutputError(problem))
    }
}

/// What came in place of the JSON that was asked for; from [`Response::parse`].
#[derive(Debug)]
pub struct OutputError(Problem);

#[derive(Debug)]
enum Problem {
    Refusal(String),
    Call(String),
    Incomplete(Option<IncompleteReason>),
    NoText,
    Json(serde_json::Error),
}

impl OutputError {
    /// The model's words, if it refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match &self.0 {
            Problem::Refusal(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the answer was cut short, and so may come whole with more room for it.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        matches!(self.0, Problem::Incomplete(_))
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::Refusal(refusal) => write!(f, "the model refused: {refusal}"),
            Problem::Call(name) => write!(f, "the model called `{name}` and said nothing yet"),
            Problem::Incomplete(reason) => {
                let reason = reason.as_ref().map_or("unknown", IncompleteReason::as_str);
                write!(f, "the answer is incomplete, reason: {reason}")
            }
            Problem::NoText => f.write_str("the answer has no text"),
            Problem::Json(_) => f.write_str("the answer is not the JSON that was asked for"),
        }
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Problem::Json(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_and_calls_are_found_among_other_items() {
        let message = |part| json!({"type": "message", "role": "assistant", "content": [part]});
        let call =
            |id| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": ""});
        let response: Response = serde_json::from_value(json!({"id": "r", "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            message(json!({"type": "output_text", "text": "a"})),
            call("call_1"),
            message(json!({"type": "refusal", "refusal": "first"})),
            {"type": "hologram"},
            call("call_2"),
            message(json!({"type": "refusal", "refusal": "second"})),
        ]}))
        .unwrap();
        assert_eq!(response.refusal(), Some("first"));
        let calls: Vec<_> = response.function_calls().map(|call| &*call.call_id).collect();
        assert_eq!(calls, ["call_1", "call_2"]);
        assert_eq!(Response::default().refusal(), None);
        assert_eq!(Response::default().function_calls().count(), 0);
    }

    #[test]
    fn output_is_parsed_or_what_came_instead_is_told() {
        let response = |status: &str, item: serde_json::Value| -> Response {
            let details = json!({"reason": "max_output_tokens"});
            serde_json::from_value(json!({"id": "r", "status": status, "output": [item],
                "incomplete_details": details}))
            .unwrap()
        };
        let part = |part| json!({"type": "message", "role": "assistant", "content": [part]});
        let text = |text| part(json!({"type": "output_text", "text": text}));
        let numbers = response("completed", text("[1, 2]")).parse::<Vec<u8>>();
        assert_eq!(numbers.unwrap(), [1, 2]);

        let told = |status, item| {
            let error = response(status, item).parse::<Vec<u8>>().unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            (error.to_string(), source, error.refusal().map(str::to_owned), error.is_incomplete())
        };
        let refused = told("completed", part(json!({"type": "refusal", "refusal": "No."})));
        assert_eq!(refused, ("the model refused: No.".into(), None, Some("No.".into()), false));
        let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": ""});
        assert!(told("completed", call).0.contains("called `f`"));
        let cut = told("incomplete", text("[1, "));
        assert!(cut.0.ends_with("max_output_tokens") && cut.3, "{cut:?}");
        assert_eq!(told("completed", text("")).0, "the answer has no text");
        let other = told("completed", text("one"));
        assert!(other.0.contains("not the JSON") && other.1.is_some(), "{other:?}");
    }
}
