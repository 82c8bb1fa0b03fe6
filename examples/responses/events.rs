//! The events of a stream, as lines.

use std::io;

use serde::Serialize;
use tower_openai::model::ResponseEvent;
use tower_openai::sse::{EventSource, RawEvent, ResponseStream};

use crate::failure::Failure;
use crate::json_text::on_one_line;
use crate::lines::{note_skipped, print_json, print_line};

/// One JSON object per event and line, and one more that tells that it has come to its end.
pub(crate) async fn print_events<Src>(stream: ResponseStream<Src>) -> Result<(), Failure>
where
    Src: EventSource + Unpin,
{
    let mut events = stream.into_raw();
    while let Some(event) = events.try_next().await? {
        match event {
            RawEvent::Wire(json) => print_line(&on_one_line(json.as_str()))?,
            RawEvent::Head(ResponseEvent::ServerReasoningIncluded(_)) => {
                print_line(r#"{"type":"client.reasoning_included"}"#)?;
            }
            RawEvent::Head(event) => print_json(&event)?,
            _ => {}
        }
    }
    print_end(events.get_ref().response_id())?;
    note_skipped(events.get_ref().skipped_events());
    Ok(())
}

fn print_end(response_id: Option<&str>) -> io::Result<()> {
    #[derive(Serialize)]
    struct End<'a> {
        r#type: &'static str,
        outcome: &'static str,
        response_id: Option<&'a str>,
    }

    print_json(&End { r#type: "client.end", outcome: "completed", response_id })
}
