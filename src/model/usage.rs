//! [`TokenUsage`]: what a response cost, in tokens.

use super::macros::wire_struct;

wire_struct! {
    /// What a response cost, in tokens (`response.usage`).
    ///
    /// The three totals are always there. The details are optional on the wire, and servers differ in
    /// what they put there; the accessors answer 0 for what is missing or has another shape.
    ///
    /// ```
    /// use tower_openai::model::TokenUsage;
    ///
    /// let usage: TokenUsage = serde_json::from_str(
    ///     r#"{"input_tokens":10,"input_tokens_details":{"cached_tokens":8},"output_tokens":5,"total_tokens":15}"#,
    /// )?;
    /// assert_eq!(usage.cached_input_tokens(), 8);
    /// assert_eq!(usage.reasoning_output_tokens(), 0);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[derive(Default)]
    pub struct TokenUsage {
        /// Tokens read, cached ones included.
        required input_tokens: u64,
        /// What the input tokens were.
        lenient input_tokens_details: Option<InputTokensDetails>,
        /// Tokens written, reasoning included.
        required output_tokens: u64,
        /// What the output tokens were.
        lenient output_tokens_details: Option<OutputTokensDetails>,
        /// Input and output.
        required total_tokens: u64,
    }
}

wire_struct! {
    /// What the input tokens were.
    #[derive(Default)]
    pub struct InputTokensDetails {
        /// Read from the prompt cache.
        lenient cached_tokens: u64,
        /// Written to the prompt cache.
        lenient cache_write_tokens: u64,
    }
}

wire_struct! {
    /// What the output tokens were.
    #[derive(Default)]
    pub struct OutputTokensDetails {
        /// Spent on reasoning.
        lenient reasoning_tokens: u64,
    }
}

impl TokenUsage {
    /// Input tokens that came from the prompt cache.
    #[must_use]
    pub fn cached_input_tokens(&self) -> u64 {
        self.input_tokens_details.as_ref().map_or(0, |details| details.cached_tokens)
    }

    /// Input tokens that were written to the prompt cache.
    #[must_use]
    pub fn cache_write_input_tokens(&self) -> u64 {
        self.input_tokens_details.as_ref().map_or(0, |details| details.cache_write_tokens)
    }

    /// Output tokens that were spent on reasoning.
    #[must_use]
    pub fn reasoning_output_tokens(&self) -> u64 {
        self.output_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn round_trip(value: Value) -> TokenUsage {
        let usage: TokenUsage = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(&usage).unwrap(), value);
        usage
    }

    #[test]
    fn reads_all_counts() {
        let usage = round_trip(json!({
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 7, "audio_tokens": 1},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 40},
            "total_tokens": 150,
            "cost": null
        }));
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (100, 50, 150));
        assert_eq!(usage.cached_input_tokens(), 60);
        assert_eq!(usage.cache_write_input_tokens(), 7);
        assert_eq!(usage.reasoning_output_tokens(), 40);
    }

    #[test]
    fn missing_and_odd_details_count_as_zero_and_survive() {
        for details in [
            json!({}),
            json!(null),
            json!("none"),
            json!({"cached_tokens": null, "reasoning_tokens": null}),
            json!({"cached_tokens": "many", "reasoning_tokens": -1}),
            json!({"cached_tokens": 0, "reasoning_tokens": 0}),
        ] {
            let usage = round_trip(json!({
                "input_tokens": 1,
                "input_tokens_details": details,
                "output_tokens": 2,
                "output_tokens_details": details,
                "total_tokens": 3
            }));
            assert_eq!(usage.total_tokens, 3);
            assert_eq!(usage.cached_input_tokens(), 0);
            assert_eq!(usage.cache_write_input_tokens(), 0);
            assert_eq!(usage.reasoning_output_tokens(), 0);
        }
        let usage = round_trip(json!({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}));
        assert_eq!(usage.cached_input_tokens(), 0);
    }

    #[test]
    fn totals_are_needed() {
        let error = serde_json::from_str::<TokenUsage>(r#"{"input_tokens":1,"output_tokens":2}"#);
        assert!(error.unwrap_err().to_string().contains("total_tokens"));
    }
}
