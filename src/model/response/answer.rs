//! What a response says, for callers that want no more than that.

use super::Response;
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
}
