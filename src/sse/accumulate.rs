//! The events of a stream, put together to the response they tell of.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{
    Content, ContentPart, Message, ReasoningItem, Refusal, Response, ResponseEvent, ResponseItem,
    Role,
};

/// Puts a response together from its events.
///
/// Deltas are merged into the items they belong to. A snapshot that a lifecycle event carries is
/// what the server says and replaces what was put together; only a finished response without
/// output (some servers leave it out) keeps the items that had come.
///
/// ```
/// use tower_openai::model::ResponseEvent;
/// use tower_openai::sse::ResponseAccumulator;
///
/// let mut response = ResponseAccumulator::new();
/// for json in [
///     r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hel"}"#,
///     r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"lo"}"#,
/// ] {
///     response.push(&serde_json::from_str::<ResponseEvent>(json)?);
/// }
/// assert_eq!(response.response().output_text(), "Hello");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResponseAccumulator {
    /// Its `output` stands for the items once they are asked for.
    response: Response,
    /// Where in `response.output` the item of an index is: a server need not count up by one.
    places: HashMap<u32, usize>,
    /// The index of the last item, and the item looked for last with its place: events come in runs
    /// of one item.
    last_index: Option<u32>,
    recent: Option<(u32, usize)>,
}

impl ResponseAccumulator {
    /// A response of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The response as far as it has come.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// The response as far as it has come.
    pub fn into_response(self) -> Response {
        self.response
    }

    /// Takes in one event, in the order of the stream.
    pub fn push(&mut self, event: &ResponseEvent) {
        if let Some(snapshot) = event.response() {
            return self.replace(snapshot, event.is_terminal());
        }
        match event {
            ResponseEvent::OutputItemAdded(event) | ResponseEvent::OutputItemDone(event) => {
                match self.place(event.output_index, event.item.id()) {
                    Some(place) => *place = event.item.clone(),
                    None => {
                        self.append(event.output_index, event.item.clone());
                    }
                }
            }
            ResponseEvent::ContentPartAdded(event) | ResponseEvent::ContentPartDone(event) => {
                let of = Of::new(&event.item_id, event.output_index, event.content_index);
                if let Some(part) = self.part(of, || event.part.clone()) {
                    *part = event.part.clone();
                }
            }
            ResponseEvent::OutputTextAnnotationAdded(event) => {
                let of = Of::new(&event.item_id, event.output_index, event.content_index);
                let part = self.part(of, || ContentPart::output_text(""));
                if let (Some(ContentPart::OutputText(part)), Some(annotation)) =
                    (part, &event.annotation)
                {
                    part.annotations.push(annotation.clone());
                }
            }
            _ => self.push_text(event),
        }
    }

    fn push_text(&mut self, event: &ResponseEvent) {
        use ResponseEvent as E;
        match event {
            E::OutputTextDelta(e) | E::RefusalDelta(e) | E::ReasoningTextDelta(e) => {
                let of = Of::new(&e.item_id, e.output_index, e.content_index);
                self.text(of, event, Text::More(&e.delta));
            }
            E::OutputTextDone(e) | E::ReasoningTextDone(e) => {
                let of = Of::new(&e.item_id, e.output_index, e.content_index);
                self.text(of, event, Text::All(&e.text));
            }
            E::RefusalDone(e) => {
                let of = Of::new(&e.item_id, e.output_index, e.content_index);
                self.text(of, event, Text::All(&e.refusal));
            }
            E::ReasoningSummaryTextDelta(e) => {
                let of = Of::new(&e.item_id, e.output_index, e.summary_index);
                self.text(of, event, Text::More(&e.delta));
            }
            E::ReasoningSummaryTextDone(e) => {
                let of = Of::new(&e.item_id, e.output_index, e.summary_index);
                self.text(of, event, Text::All(&e.text));
            }
            E::FunctionCallArgumentsDelta(e)
            | E::CustomToolCallInputDelta(e)
            | E::McpCallArgumentsDelta(e)
            | E::CodeInterpreterCallCodeDelta(e) => {
                let of = Of::new(&e.item_id, e.output_index, None);
                self.given(of, Text::More(&e.delta));
            }
            E::FunctionCallArgumentsDone(e) | E::McpCallArgumentsDone(e) => {
                self.given(Of::new(&e.item_id, e.output_index, None), Text::All(&e.arguments));
            }
            E::CustomToolCallInputDone(e) => {
                self.given(Of::new(&e.item_id, e.output_index, None), Text::All(&e.input));
            }
            E::CodeInterpreterCallCodeDone(e) => {
                self.given(Of::new(&e.item_id, e.output_index, None), Text::All(&e.code));
            }
            _ => {}
        }
    }

    fn replace(&mut self, snapshot: &Response, terminal: bool) {
        let output = std::mem::take(&mut self.response.output);
        self.response = snapshot.clone();
        if terminal && self.response.output.is_empty() {
            self.response.output = output;
        } else {
            // A snapshot lists its items without gaps.
            self.places = (0..).zip(0..self.response.output.len()).collect();
            self.last_index = (0..).take(self.response.output.len()).last();
            self.recent = None;
        }
    }

    /// Where the item at an index is, or the one with an id if there is no index.
    fn position(&mut self, index: Option<u32>, id: Option<&str>) -> Option<usize> {
        match (index, id) {
            (Some(index), _) => {
                if let Some((_, place)) = self.recent.filter(|(recent, _)| *recent == index) {
                    return Some(place);
                }
                let place = *self.places.get(&index)?;
                self.recent = Some((index, place));
                Some(place)
            }
            (None, Some(id)) => self.response.output.iter().rposition(|i| i.id() == Some(id)),
            (None, None) => self.response.output.len().checked_sub(1),
        }
    }

    fn place(&mut self, index: Option<u32>, id: Option<&str>) -> Option<&mut ResponseItem> {
        let position = self.position(index, id)?;
        self.response.output.get_mut(position)
    }

    /// Adds an item and says where it is.
    fn append(&mut self, index: Option<u32>, item: ResponseItem) -> usize {
        let next = self.last_index.map_or(0, |last| last.saturating_add(1));
        let index = index.unwrap_or(next);
        let place = self.response.output.len();
        self.places.insert(index, place);
        self.last_index = Some(index);
        self.recent = Some((index, place));
        self.response.output.push(item);
        place
    }

    /// The item that a delta belongs to. One that was never announced is begun with `new`.
    fn item(
        &mut self,
        of: Of<'_>,
        new: impl FnOnce() -> ResponseItem,
    ) -> Option<&mut ResponseItem> {
        let position = match self.position(of.index, of.item) {
            Some(position) => position,
            None => self.append(of.index, new()),
        };
        self.response.output.get_mut(position)
    }

    /// A part of a message or of reasoning; one that was never announced is begun with `new`.
    fn part(&mut self, of: Of<'_>, new: impl FnOnce() -> ContentPart) -> Option<&mut ContentPart> {
        let new = new();
        let begin = || match &new {
            ContentPart::SummaryText(_) | ContentPart::ReasoningText(_) => {
                let mut item = ReasoningItem::default();
                item.id = of.item.map(Into::into);
                item.into()
            }
            _ => {
                let mut item = Message::new(Role::Assistant, Vec::new());
                item.id = of.item.map(Into::into);
                item.into()
            }
        };
        let parts = match self.item(of, begin)? {
            ResponseItem::Message(message) => match &mut message.content {
                Content::Parts(parts) => parts,
                Content::Text(_) => return None,
            },
            ResponseItem::Reasoning(item) => match new {
                ContentPart::SummaryText(_) => &mut item.summary,
                _ => item.content.get_or_insert_default(),
            },
            _ => return None,
        };
        // An index beyond the next place is that of the next place.
        let at = of.part.map_or(parts.len().saturating_sub(1), |part| part as usize);
        if at >= parts.len() {
            parts.push(new);
            return parts.last_mut();
        }
        parts.get_mut(at)
    }

    fn text(&mut self, of: Of<'_>, event: &ResponseEvent, text: Text<'_>) {
        use ResponseEvent as E;
        let new = || match event {
            E::RefusalDelta(_) | E::RefusalDone(_) => Refusal::default().into(),
            E::ReasoningTextDelta(_) | E::ReasoningTextDone(_) => ContentPart::reasoning_text(""),
            E::ReasoningSummaryTextDelta(_) | E::ReasoningSummaryTextDone(_) => {
                ContentPart::summary_text("")
            }
            _ => ContentPart::output_text(""),
        };
        match self.part(of, new) {
            Some(ContentPart::OutputText(part)) => text.put(&mut part.text),
            Some(ContentPart::Refusal(part)) => text.put(&mut part.refusal),
            Some(
                ContentPart::ReasoningText(part)
                | ContentPart::SummaryText(part)
                | ContentPart::Text(part),
            ) => text.put(&mut part.text),
            _ => {}
        }
    }

    /// What a call is given: arguments, input, code. A call that was never announced has no name and
    /// is left out.
    fn given(&mut self, of: Of<'_>, text: Text<'_>) {
        match self.place(of.index, of.item) {
            Some(ResponseItem::FunctionCall(call)) => text.put(&mut call.arguments),
            Some(ResponseItem::CustomToolCall(call)) => text.put(&mut call.input),
            Some(ResponseItem::McpCall(call)) => text.put(&mut call.arguments),
            Some(ResponseItem::CodeInterpreterCall(call)) => {
                text.put(call.code.get_or_insert_default());
            }
            _ => {}
        }
    }
}

/// Where a piece of text belongs.
#[derive(Clone, Copy)]
struct Of<'a> {
    item: Option<&'a str>,
    index: Option<u32>,
    part: Option<u32>,
}

impl<'a> Of<'a> {
    fn new(item: &'a Option<Arc<str>>, index: Option<u32>, part: Option<u32>) -> Self {
        Self { item: item.as_deref(), index, part }
    }
}

#[derive(Clone, Copy)]
enum Text<'a> {
    More(&'a str),
    All(&'a str),
}

impl Text<'_> {
    fn put(self, text: &mut String) {
        match self {
            Self::More(more) => text.push_str(more),
            Self::All(all) => all.clone_into(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn accumulate(events: &[serde_json::Value]) -> serde_json::Value {
        let mut response = ResponseAccumulator::new();
        for event in events {
            response.push(&serde_json::from_str::<ResponseEvent>(&event.to_string()).unwrap());
        }
        serde_json::to_value(&response.response().output).unwrap()
    }

    #[test]
    fn deltas_merge_into_their_items() {
        let output = accumulate(&[
            json!({"type": "response.created", "response": {"id": "r", "output": []}}),
            json!({"type": "response.output_item.added", "output_index": 0,
                "item": {"id": "rs", "type": "reasoning", "summary": []}}),
            json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs",
                "output_index": 0, "summary_index": 0, "delta": "Thin"}),
            json!({"type": "response.output_item.added", "output_index": 2,
                "item": {"id": "fc", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}}),
            json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs",
                "output_index": 0, "summary_index": 0, "delta": "king"}),
            json!({"type": "response.function_call_arguments.delta", "item_id": "fc",
                "output_index": 2, "delta": "{\"a\":"}),
            json!({"type": "response.function_call_arguments.delta", "item_id": "fc",
                "output_index": 2, "delta": "1}"}),
        ]);
        assert_eq!(output[0]["summary"][0]["text"], "Thinking");
        assert_eq!(output[1]["arguments"], "{\"a\":1}");
    }

    /// With a search from end to end for each event this would take minutes.
    #[test]
    fn many_items_that_grow_by_turns_are_found_again() {
        const ITEMS: u32 = 30_000;
        let mut response = ResponseAccumulator::new();
        let mut push = |index: u32, delta: &str| {
            let event = json!({"type": "response.output_text.delta", "output_index": index,
                "content_index": 0, "delta": delta});
            response.push(&serde_json::from_value(event).unwrap());
        };
        // Not counted up by one, and not in order.
        for index in (0..ITEMS).rev() {
            push(index * 7, "a");
        }
        for index in 0..ITEMS {
            push(index * 7, "b");
            push((ITEMS - 1 - index) * 7, "c");
        }
        let response = response.into_response();
        assert_eq!(response.output.len(), ITEMS as usize);
        let text = response.output_text();
        assert_eq!(text.matches("abc").count() + text.matches("acb").count(), ITEMS as usize);
    }

    #[test]
    fn unannounced_items_and_huge_indexes_do_no_harm() {
        let output = accumulate(&[
            json!({"type": "response.output_text.delta", "item_id": "m", "output_index": u32::MAX,
                "content_index": u32::MAX, "delta": "a"}),
            json!({"type": "response.refusal.delta", "delta": "no"}),
            json!({"type": "response.function_call_arguments.delta", "item_id": "x", "delta": "{"}),
        ]);
        assert_eq!(output.as_array().unwrap().len(), 1);
    }

    #[test]
    fn snapshots_win() {
        let message = |text: &str| {
            json!({"id": "m", "type": "message", "role": "assistant",
                "content": [{"type": "output_text", "text": text}]})
        };
        let delta = json!({"type": "response.output_text.delta", "item_id": "m",
            "output_index": 0, "content_index": 0, "delta": "!"});
        // A fresh snapshot after a resumption, then more.
        let output = accumulate(&[
            delta.clone(),
            json!({"type": "response.in_progress", "response": {"id": "r", "output": [message("Hi")]}}),
            delta.clone(),
        ]);
        assert_eq!(output[0]["content"][0]["text"], "Hi!");
        // The end says what it was.
        let end = |output| json!({"type": "response.completed", "response": {"id": "r", "output": output}});
        let whole = accumulate(&[delta.clone(), end(json!([message("whole")]))]);
        assert_eq!(whole[0]["content"][0]["text"], "whole");
        // Or leaves it to what had come.
        assert_eq!(accumulate(&[delta, end(json!([]))])[0]["content"][0]["text"], "!");
    }
}
