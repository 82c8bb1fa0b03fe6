//! What only Codex's backend has: memories and search.

use serde_json::Value;

use super::{Answer, Api, Call};
use crate::testing::api_error::ApiError;
use crate::testing::json::{Json, object};
use crate::testing::params::{self, optional};

impl Api {
    /// `memories/trace_summarize`: two sentences for each trace.
    pub(super) fn memories(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = call.object()?;
        params::string(&object, "model")?;
        let traces = params::array(&object, "traces")?;
        let output = traces.iter().map(|trace| {
            let id = trace.get("id").and_then(Value::as_str);
            let items = trace.get("items").and_then(Value::as_array).map_or(0, Vec::len);
            let id = id.ok_or_else(|| ApiError::missing("traces[].id"))?;
            Ok(object! {
                "trace_summary": format!("The trace {id} has {items} items."),
                "memory_summary": format!("Nothing in {id} is worth remembering."),
            })
        });
        let output = output.collect::<Result<Vec<Json>, ApiError>>()?;
        Ok(Answer::json(&object! { "output": output }))
    }

    /// `alpha/search`: a text that says what was searched for.
    pub(super) fn search(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = call.object()?;
        params::string(&object, "id")?;
        params::string(&object, "model")?;
        let commands = optional(&object, "commands", "an object", Value::is_object)?;
        optional(&object, "settings", "an object", Value::is_object)?;
        let queries: Vec<&str> = commands
            .and_then(|commands| commands.get("search_query")?.as_array())
            .into_iter()
            .flatten()
            .filter_map(|query| query.get("q")?.as_str())
            .collect();
        let output = match queries.as_slice() {
            [] => String::from("The loopback server found nothing."),
            queries => format!("The loopback server found nothing about {}.", queries.join(", ")),
        };
        let encrypted = self.ids.item("gAAAAABsearched");
        Ok(Answer::json(&object! { "output": output, "encrypted_output": encrypted }))
    }
}
