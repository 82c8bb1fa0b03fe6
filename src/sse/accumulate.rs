//! The events of a stream, put together to the response they tell of.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use crate::model::{
    Content, ContentPart, ItemEvent, Message, PartEvent, ReasoningItem, Refusal, Response,
    ResponseEvent, ResponseItem, Role,
};

/// Puts a response together from its events.
///
/// Deltas are merged into the items they belong to: those of their index, of their id, or of the id
/// of the call that they name. Some servers name none of these: their events are about the item that
/// has begun last, if it is of the kind that the event speaks of, and else about a new one.
///
/// A snapshot that a lifecycle event carries is what the server says and replaces what was put
/// together. One without output (some servers leave it out) keeps the items that had come, if the
/// response is finished or the same as before.
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
    /// Where the item of an id is, or of the id of its call: a server need not give an index.
    names: HashMap<Box<str>, usize>,
    /// The lists of parts whose indexes are not their places.
    parts: HashMap<List, HashMap<u32, usize>>,
    /// The index of the last item, and the item looked for last with its place: events come in runs
    /// of one item.
    last_index: Option<u32>,
    recent: Option<(u32, usize)>,
    /// The item that has begun last, until it is done.
    open: Option<usize>,
}

/// The parts of the item at a place: its summary, or its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum List {
    Summary(usize),
    Content(usize),
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
            return self.replace(snapshot, event);
        }
        match event {
            ResponseEvent::OutputItemAdded(event) => self.take_item(event, false),
            ResponseEvent::OutputItemDone(event) => self.take_item(event, true),
            ResponseEvent::ContentPartAdded(event) => self.take_part(event, true),
            ResponseEvent::ContentPartDone(event) => self.take_part(event, false),
            ResponseEvent::OutputTextAnnotationAdded(event) => {
                let of = Of::new(&event.item_id, event.output_index, event.content_index);
                let part = self.part(of, ContentPart::output_text(""), false);
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
                let of = Of::new(&e.item_id, e.output_index, None).call(&e.call_id);
                self.given(of, event, Text::More(&e.delta));
            }
            E::FunctionCallArgumentsDone(e) | E::McpCallArgumentsDone(e) => {
                let of = Of::new(&e.item_id, e.output_index, None);
                self.given(of, event, Text::All(&e.arguments));
            }
            E::CustomToolCallInputDone(e) => {
                let of = Of::new(&e.item_id, e.output_index, None).call(&e.call_id);
                self.given(of, event, Text::All(&e.input));
            }
            E::CodeInterpreterCallCodeDone(e) => {
                let of = Of::new(&e.item_id, e.output_index, None);
                self.given(of, event, Text::All(&e.code));
            }
            _ => {}
        }
    }

    fn replace(&mut self, snapshot: &Response, event: &ResponseEvent) {
        let goes_on = match event {
            ResponseEvent::Created(_) => false,
            _ => {
                event.is_terminal() || (!snapshot.id.is_empty() && snapshot.id == self.response.id)
            }
        };
        let output = mem::take(&mut self.response.output);
        self.response = snapshot.clone();
        if goes_on && self.response.output.is_empty() {
            self.response.output = output;
            return;
        }
        // A snapshot lists its items without gaps.
        let places = 0..self.response.output.len();
        self.places = (0..).zip(places.clone()).collect();
        self.last_index = (0..).take(places.len()).last();
        self.recent = None;
        self.open = places.clone().last();
        self.parts.clear();
        self.names.clear();
        places.for_each(|place| self.name(place));
    }

    /// An item begins, or is done.
    fn take_item(&mut self, event: &ItemEvent, done: bool) {
        let item = event.item.clone();
        let place = match self.earlier_form(event, done) {
            Some(place) => {
                self.put(place, item);
                place
            }
            None => self.append(event.output_index, item),
        };
        if !done {
            self.open = Some(place);
        } else if self.open == Some(place) {
            self.open = None;
        }
    }

    /// A part begins, or is done.
    fn take_part(&mut self, event: &PartEvent, begins: bool) {
        let of = Of::new(&event.item_id, event.output_index, event.content_index);
        if let Some(part) = self.part(of, event.part.clone(), begins) {
            *part = event.part.clone();
        }
    }

    /// Where the item of an event is, if it has come before.
    fn earlier_form(&mut self, event: &ItemEvent, done: bool) -> Option<usize> {
        let item = &event.item;
        if event.output_index.is_some() {
            return self.position(Of::new(&None, event.output_index, None));
        }
        if let Some(place) = item.id().and_then(|id| self.names.get(id)) {
            return Some(*place);
        }
        let old = |place: usize| self.response.output.get(place);
        let of_call = item.call_id().and_then(|id| self.names.get(id).copied());
        let same_kind = |place: &usize| old(*place).is_some_and(|old| old.kind() == item.kind());
        let agree =
            |old: Option<&str>, new: Option<&str>| old.is_none() || new.is_none() || old == new;
        of_call.filter(same_kind).or_else(|| {
            // A new item that has no name is none that had begun before.
            let open = self.open.filter(|_| done).filter(same_kind)?;
            let old = old(open)?;
            (agree(old.id(), item.id()) && agree(old.call_id(), item.call_id())).then_some(open)
        })
    }

    /// Where the item is that an event names; if it names none, the open one if that fits.
    fn item(&mut self, of: Of<'_>, fits: impl Fn(&ResponseItem) -> bool) -> Option<usize> {
        match of {
            Of { index: None, item: None, call: None, .. } => {
                self.open.filter(|open| self.response.output.get(*open).is_some_and(fits))
            }
            _ => self.position(of),
        }
    }

    /// Where the item at an index is, or the one of a name if there is no index.
    fn position(&mut self, of: Of<'_>) -> Option<usize> {
        let Some(index) = of.index else {
            let names = [of.item, of.call].into_iter().flatten();
            return names.filter_map(|name| self.names.get(name)).next().copied();
        };
        if let Some((_, place)) = self.recent.filter(|(recent, _)| *recent == index) {
            return Some(place);
        }
        let place = *self.places.get(&index)?;
        self.recent = Some((index, place));
        Some(place)
    }

    /// Adds an item, which is then the open one, and says where it is.
    fn append(&mut self, index: Option<u32>, item: ResponseItem) -> usize {
        let next = self.last_index.map_or(0, |last| last.saturating_add(1));
        let index = index.unwrap_or(next);
        let place = self.response.output.len();
        self.places.insert(index, place);
        self.last_index = Some(index);
        self.recent = Some((index, place));
        self.response.output.push(item);
        self.open = Some(place);
        self.name(place);
        place
    }

    /// Puts an item in the place of its earlier form.
    fn put(&mut self, place: usize, item: ResponseItem) {
        let Some(old) = self.response.output.get_mut(place) else { return };
        let old = mem::replace(old, item);
        for name in names(&old) {
            if self.names.get(name) == Some(&place) {
                self.names.remove(name);
            }
        }
        self.name(place);
        self.parts.remove(&List::Summary(place));
        self.parts.remove(&List::Content(place));
    }

    /// Lets the item at a place be found by its names. The output of a call has the name of the
    /// call, which came first and keeps it.
    fn name(&mut self, place: usize) {
        let Some(item) = self.response.output.get(place) else { return };
        for name in names(item) {
            self.names.entry(name.into()).or_insert(place);
        }
    }

    /// A part of a message or of reasoning, which is `new` if it was never announced. Without an
    /// index it is the last one if that is of the same kind, unless it is said to begin here.
    fn part(&mut self, of: Of<'_>, new: ContentPart, begins: bool) -> Option<&mut ContentPart> {
        let place = match self.item(of, |item| can_have(item, &new)) {
            Some(place) => place,
            None => self.append(of.index, item_for(&new, of.item)),
        };
        let (parts, list) = match self.response.output.get_mut(place)? {
            ResponseItem::Message(message) => match &mut message.content {
                Content::Parts(parts) => (parts, List::Content(place)),
                Content::Text(_) => return None,
            },
            ResponseItem::Reasoning(item) => match new {
                ContentPart::SummaryText(_) => (&mut item.summary, List::Summary(place)),
                _ => (item.content.get_or_insert_default(), List::Content(place)),
            },
            _ => return None,
        };
        let end = parts.len();
        let at = match of.part {
            Some(index) => place_in(&mut self.parts, list, index, end),
            None => match parts.last() {
                Some(last) if !begins && is_like(last, &new) => end - 1,
                _ => end,
            },
        };
        if at >= end {
            parts.push(new);
            return parts.last_mut();
        }
        parts.get_mut(at)
    }

    fn text(&mut self, of: Of<'_>, event: &ResponseEvent, text: Text<'_>) {
        use ResponseEvent as E;
        let new = match event {
            E::RefusalDelta(_) | E::RefusalDone(_) => Refusal::default().into(),
            E::ReasoningTextDelta(_) | E::ReasoningTextDone(_) => ContentPart::reasoning_text(""),
            E::ReasoningSummaryTextDelta(_) | E::ReasoningSummaryTextDone(_) => {
                ContentPart::summary_text("")
            }
            _ => ContentPart::output_text(""),
        };
        match self.part(of, new, false) {
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
    fn given(&mut self, of: Of<'_>, event: &ResponseEvent, text: Text<'_>) {
        let place = self.item(of, |item| is_given(item, event));
        match place.and_then(|place| self.response.output.get_mut(place)) {
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

/// What events may call an item by.
fn names(item: &ResponseItem) -> impl Iterator<Item = &str> {
    [item.id(), item.call_id()].into_iter().flatten().filter(|name| !name.is_empty())
}

/// The item of a part that was never announced.
fn item_for(part: &ContentPart, id: Option<&str>) -> ResponseItem {
    let id = id.map(Into::into);
    match part {
        ContentPart::SummaryText(_) | ContentPart::ReasoningText(_) => {
            ReasoningItem { id, ..ReasoningItem::default() }.into()
        }
        _ => Message { id, ..Message::new(Role::Assistant, Vec::new()) }.into(),
    }
}

/// Whether an item is of the kind that has such parts.
fn can_have(item: &ResponseItem, part: &ContentPart) -> bool {
    match part {
        ContentPart::SummaryText(_) | ContentPart::ReasoningText(_) => {
            matches!(item, ResponseItem::Reasoning(_))
        }
        ContentPart::OutputText(_) | ContentPart::Refusal(_) => {
            matches!(item, ResponseItem::Message(_))
        }
        _ => matches!(item, ResponseItem::Message(_) | ResponseItem::Reasoning(_)),
    }
}

/// Whether an event gives a call of this kind something.
fn is_given(item: &ResponseItem, event: &ResponseEvent) -> bool {
    use ResponseEvent as E;
    match item {
        ResponseItem::FunctionCall(_) => {
            matches!(event, E::FunctionCallArgumentsDelta(_) | E::FunctionCallArgumentsDone(_))
        }
        ResponseItem::CustomToolCall(_) => {
            matches!(event, E::CustomToolCallInputDelta(_) | E::CustomToolCallInputDone(_))
        }
        ResponseItem::McpCall(_) => {
            matches!(event, E::McpCallArgumentsDelta(_) | E::McpCallArgumentsDone(_))
        }
        ResponseItem::CodeInterpreterCall(_) => {
            matches!(event, E::CodeInterpreterCallCodeDelta(_) | E::CodeInterpreterCallCodeDone(_))
        }
        _ => false,
    }
}

/// Whether the text of a part like `new` can go into this one.
fn is_like(part: &ContentPart, new: &ContentPart) -> bool {
    let plain = matches!(part, ContentPart::Text(_)) && !matches!(new, ContentPart::Refusal(_));
    plain || mem::discriminant(part) == mem::discriminant(new)
}

/// Where in a list of `end` parts the one of an index is, or is to be: at the end, if the index goes
/// beyond it. From there on the indexes of this list are looked up.
fn place_in(
    known: &mut HashMap<List, HashMap<u32, usize>>,
    list: List,
    index: u32,
    end: usize,
) -> usize {
    let in_row = index as usize <= end;
    if known.is_empty() && in_row {
        return index as usize;
    }
    if let Some(places) = known.get_mut(&list) {
        return *places.entry(index).or_insert(end);
    }
    if in_row {
        return index as usize;
    }
    let places = (0..).zip(0..end).chain([(index, end)]).collect();
    known.insert(list, places);
    end
}

/// Where a piece of text belongs.
#[derive(Clone, Copy)]
struct Of<'a> {
    item: Option<&'a str>,
    call: Option<&'a str>,
    index: Option<u32>,
    part: Option<u32>,
}

impl<'a> Of<'a> {
    fn new(item: &'a Option<Arc<str>>, index: Option<u32>, part: Option<u32>) -> Self {
        Self { item: some_name(item), call: None, index, part }
    }

    /// The call that stands in for the item.
    fn call(self, call: &'a Option<Arc<str>>) -> Self {
        Self { call: some_name(call), ..self }
    }
}

/// Some servers write an id that they do not have as `""`.
fn some_name(name: &Option<Arc<str>>) -> Option<&str> {
    name.as_deref().filter(|name| !name.is_empty())
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
