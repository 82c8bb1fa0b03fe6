//! The JSON of an event to its type, cheaply where events repeat themselves.

use std::borrow::Cow;

use serde::de::DeserializeSeed;

use super::template::{Filled, Template};
use super::{decoder, surrogates};
use crate::model::wire::TaggedSeed;
use crate::model::{CallDelta, Extra, IdCache, ResponseEvent, SummaryTextDelta, TextDelta};

/// How many items may send deltas by turns before templates are of no use.
const TEMPLATES: usize = 4;

/// The longest event that is learnt from, in bytes: its template stays as long as the stream.
const LONGEST: usize = 8 * 1024;

/// How often a template may be learnt for nothing before learning is given up.
const PATIENCE: u8 = 16;

/// Decodes the events of one stream.
///
/// Deltas of one item are alike but for their text and number, so each is read against a
/// [`Template`] of the last one that was parsed in full. What fits no template is parsed.
#[derive(Debug, Default)]
pub(super) struct EventDecoder {
    ids: IdCache,
    templates: Vec<(Template, Prototype)>,
    /// The template that the next new one replaces.
    oldest: usize,
    /// Templates learnt since one was of use.
    in_vain: u8,
}

impl EventDecoder {
    /// Reads the delta at the front of `wire`, its frame included, if it repeats an earlier one.
    #[inline]
    pub(super) fn repeat(&mut self, wire: &[u8]) -> Option<Repeated<'_>> {
        for (template, prototype) in &self.templates {
            if let Some((filled, length)) = template.fill_frame(wire) {
                let (delta, sequence_number) = (delta(filled)?, filled.sequence_number);
                self.in_vain = 0;
                return Some(Repeated { prototype, delta, sequence_number, length });
            }
        }
        None
    }

    /// The same from the event's data alone, for one that did not come in one piece; `None` leaves
    /// it to [`parse`](Self::parse).
    pub(super) fn repeat_data<'a>(
        &mut self,
        data: &[u8],
        around: impl FnOnce() -> Option<(&'a [u8], &'a [u8])>,
    ) -> Option<Repeated<'_>> {
        for (template, prototype) in &mut self.templates {
            if let Some(filled) = template.fill(data) {
                let (delta, sequence_number) = (delta(filled)?, filled.sequence_number);
                self.in_vain = 0;
                if !template.has_frame() {
                    frame(template, around);
                }
                return Some(Repeated { prototype, delta, sequence_number, length: data.len() });
            }
        }
        None
    }

    /// Decodes any event; `around` are the bytes before and behind its data, if they may be
    /// expected again. Invalid UTF-8 is read as U+FFFD, and so is half of a pair of surrogates.
    pub(super) fn parse<'a>(
        &mut self,
        data: &[u8],
        around: impl FnOnce() -> Option<(&'a [u8], &'a [u8])>,
    ) -> Result<ResponseEvent, serde_json::Error> {
        let mut text = decoder::text(data);
        let event = match self.parse_text(&text) {
            Ok(event) => event,
            Err(error) => {
                text = surrogates::mended(&text).map(Cow::Owned).ok_or(error)?;
                self.parse_text(&text)?
            }
        };
        if self.in_vain < PATIENCE && text.len() <= LONGEST {
            if let Some(prototype) = Prototype::of(&event) {
                let mut template = Template::learn(&text);
                if let Some(template) = &mut template {
                    frame(template, around);
                }
                self.learn(template, prototype);
            }
        }
        Ok(event)
    }

    fn parse_text(&mut self, text: &str) -> Result<ResponseEvent, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let event = TaggedSeed::new(&mut self.ids).deserialize(&mut json)?;
        json.end()?;
        Ok(event)
    }

    fn learn(&mut self, template: Option<Template>, prototype: Prototype) {
        self.in_vain += 1;
        let Some(template) = template else { return };
        match self.templates.get_mut(self.oldest) {
            Some(place) => *place = (template, prototype),
            None => {
                // Most streams need one, and a vector would start with room for four.
                self.templates.reserve_exact(1);
                self.templates.push((template, prototype));
            }
        }
        self.oldest = (self.oldest + 1) % TEMPLATES;
    }
}

/// A delta that repeats an earlier one.
pub(super) struct Repeated<'a> {
    prototype: &'a Prototype,
    delta: String,
    pub(super) sequence_number: Option<u64>,
    /// How many bytes it had.
    pub(super) length: usize,
}

impl Repeated<'_> {
    #[inline]
    pub(super) fn into_event(self) -> ResponseEvent {
        self.prototype.event(self.delta, self.sequence_number)
    }
}

/// Tells a template the bytes around the data it was learnt from, if they may be expected again.
fn frame<'a>(template: &mut Template, around: impl FnOnce() -> Option<(&'a [u8], &'a [u8])>) {
    if let Some((before, behind)) = around() {
        template.set_frame(before, behind);
    }
}

/// The delta between its quotes as text, if it is text.
#[inline]
fn delta(filled: Filled<'_>) -> Option<String> {
    if filled.has_escapes {
        return unescape(filled.delta);
    }
    let [b'"', text @ .., b'"'] = filled.delta else { return None };
    // Checked after the copy: the check is slower on bytes that are not aligned.
    String::from_utf8(text.to_vec()).ok()
}

/// Apart, so that the way past it stays short.
#[inline(never)]
fn unescape(quoted: &[u8]) -> Option<String> {
    serde_json::from_slice(quoted).ok()
}

/// What the constant bytes of a template say: a delta event without its delta.
#[derive(Debug)]
enum Prototype {
    OutputText(TextDelta),
    Refusal(TextDelta),
    ReasoningText(TextDelta),
    SummaryText(SummaryTextDelta),
    Arguments(CallDelta),
    Input(CallDelta),
    McpArguments(CallDelta),
    Code(CallDelta),
}

/// An event like another one, with this delta and number. Written out, not cloned and filled in:
/// moving an event costs as much as reading its numbers, and the other's delta would be copied.
macro_rules! text {
    ($like:ident, $delta:expr, $number:expr) => {
        TextDelta {
            item_id: $like.item_id.clone(),
            output_index: $like.output_index,
            content_index: $like.content_index,
            delta: $delta,
            logprobs: $like.logprobs.as_ref().map(|_none| Vec::new()),
            sequence_number: $number,
            extra: $like.extra.clone(),
        }
    };
}

/// The same of a summary.
macro_rules! summary {
    ($like:ident, $delta:expr, $number:expr) => {
        SummaryTextDelta {
            item_id: $like.item_id.clone(),
            output_index: $like.output_index,
            summary_index: $like.summary_index,
            delta: $delta,
            sequence_number: $number,
            extra: $like.extra.clone(),
        }
    };
}

/// The same of a call.
macro_rules! call {
    ($like:ident, $delta:expr, $number:expr) => {
        CallDelta {
            item_id: $like.item_id.clone(),
            call_id: $like.call_id.clone(),
            output_index: $like.output_index,
            delta: $delta,
            sequence_number: $number,
            extra: $like.extra.clone(),
        }
    };
}

impl Prototype {
    /// The prototype of a delta, unless it speaks of more than its text.
    fn of(event: &ResponseEvent) -> Option<Self> {
        use ResponseEvent as E;
        let quiet = |extra: &Extra| {
            ["error", "headers", "safety_buffering"].iter().all(|name| extra.get(name).is_none())
        };
        let text = |event: &TextDelta| {
            let plain = quiet(&event.extra) && event.logprobs.iter().all(Vec::is_empty);
            plain.then(|| text!(event, String::new(), None))
        };
        let call =
            |event: &CallDelta| quiet(&event.extra).then(|| call!(event, String::new(), None));
        Some(match event {
            E::OutputTextDelta(event) => Self::OutputText(text(event)?),
            E::RefusalDelta(event) => Self::Refusal(text(event)?),
            E::ReasoningTextDelta(event) => Self::ReasoningText(text(event)?),
            E::ReasoningSummaryTextDelta(event) if quiet(&event.extra) => {
                Self::SummaryText(summary!(event, String::new(), None))
            }
            E::FunctionCallArgumentsDelta(event) => Self::Arguments(call(event)?),
            E::CustomToolCallInputDelta(event) => Self::Input(call(event)?),
            E::McpCallArgumentsDelta(event) => Self::McpArguments(call(event)?),
            E::CodeInterpreterCallCodeDelta(event) => Self::Code(call(event)?),
            _ => return None,
        })
    }

    /// The event with this delta.
    fn event(&self, delta: String, sequence_number: Option<u64>) -> ResponseEvent {
        use ResponseEvent as E;
        match self {
            Self::OutputText(like) => E::OutputTextDelta(text!(like, delta, sequence_number)),
            Self::Refusal(like) => E::RefusalDelta(text!(like, delta, sequence_number)),
            Self::ReasoningText(like) => E::ReasoningTextDelta(text!(like, delta, sequence_number)),
            Self::SummaryText(like) => {
                E::ReasoningSummaryTextDelta(summary!(like, delta, sequence_number))
            }
            Self::Arguments(like) => {
                E::FunctionCallArgumentsDelta(call!(like, delta, sequence_number))
            }
            Self::Input(like) => E::CustomToolCallInputDelta(call!(like, delta, sequence_number)),
            Self::McpArguments(like) => {
                E::McpCallArgumentsDelta(call!(like, delta, sequence_number))
            }
            Self::Code(like) => {
                E::CodeInterpreterCallCodeDelta(call!(like, delta, sequence_number))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl EventDecoder {
        fn decode(&mut self, data: &[u8]) -> Result<ResponseEvent, serde_json::Error> {
            match self.repeat_data(data, || None) {
                Some(repeated) => Ok(repeated.into_event()),
                None => self.parse(data, || None),
            }
        }
    }

    fn parsed(json: &str) -> ResponseEvent {
        serde_json::from_str(json).unwrap()
    }

    fn delta(item: &str, sequence_number: usize, text: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        format!(
            r#"{{"type":"response.output_text.delta","sequence_number":{sequence_number},"item_id":"{item}","output_index":0,"content_index":0,"delta":{text},"logprobs":[],"obfuscation":"x"}}"#
        )
    }

    #[test]
    fn deltas_read_by_template_are_those_that_are_parsed() {
        let mut decoder = EventDecoder::default();
        let texts = ["Hel", "lo", "", "\n\n", "caf\u{e9}", "\u{1F600}", "\"quoted\" \\ and \u{1}"];
        for (n, text) in texts.into_iter().cycle().take(50).enumerate() {
            for item in ["msg_1", "msg_2", "msg_3"] {
                let json = delta(item, n, text);
                assert_eq!(decoder.decode(json.as_bytes()).unwrap(), parsed(&json));
            }
        }
        assert_eq!(decoder.templates.len(), 3);
        assert_eq!(decoder.in_vain, 0);
    }

    #[test]
    fn every_flat_delta_has_a_template() {
        for kind in [
            "output_text",
            "refusal",
            "reasoning_text",
            "reasoning_summary_text",
            "function_call_arguments",
            "custom_tool_call_input",
            "mcp_call_arguments",
            "code_interpreter_call_code",
        ] {
            let mut decoder = EventDecoder::default();
            for text in ["a", "b"] {
                let json = format!(
                    r#"{{"type":"response.{kind}.delta","item_id":"i","output_index":1,"content_index":2,"summary_index":3,"delta":"{text}","sequence_number":4}}"#
                );
                assert_eq!(decoder.decode(json.as_bytes()).unwrap(), parsed(&json), "{kind}");
            }
            assert_eq!(decoder.templates.len(), 1, "{kind}");
        }
    }

    #[test]
    fn a_long_event_leaves_nothing_behind() {
        let mut decoder = EventDecoder::default();
        let long = delta("msg_1", 1, &"x".repeat(LONGEST));
        assert_eq!(decoder.decode(long.as_bytes()).unwrap(), parsed(&long));
        assert_eq!(decoder.templates.len(), 0);
        // A short one has been learnt from, and long ones are read by it.
        decoder.decode(delta("msg_1", 2, "x").as_bytes()).unwrap();
        assert_eq!(decoder.decode(long.as_bytes()).unwrap(), parsed(&long));
        assert_eq!((decoder.templates.len(), decoder.in_vain), (1, 0));
    }

    /// As JavaScript and Python read them: clients of theirs have no trouble with such text.
    #[test]
    fn half_of_a_pair_of_surrogates_reads_as_a_replacement() {
        let mut decoder = EventDecoder::default();
        for (text, expected) in [
            (r"a\ud83d", "a\u{fffd}"),
            (r"\ude00b", "\u{fffd}b"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1F600}"),
            (r"\uD83D\n\\ud83d", "\u{fffd}\n\\ud83d"),
        ] {
            for _ in 0..2 {
                let json = delta("msg_1", 1, "here").replace("here", text);
                let event = decoder.decode(json.as_bytes()).unwrap();
                let ResponseEvent::OutputTextDelta(event) = event else { panic!("a text delta") };
                assert_eq!(event.delta, expected);
            }
        }
        // Other errors stay what they are.
        let bad = delta("msg_1", 1, "here").replace("here", r"\ud83d\x");
        assert!(decoder.decode(bad.as_bytes()).unwrap_err().to_string().contains("escape"));
    }

    #[test]
    fn invalid_utf8_is_replaced_with_and_without_a_template() {
        let mut decoder = EventDecoder::default();
        for _ in 0..2 {
            let mut json = delta("msg_1", 1, "ab").into_bytes();
            let at = json.windows(4).position(|w| w == b"\"ab\"").unwrap() + 2;
            json[at] = 0xFF;
            let ResponseEvent::OutputTextDelta(event) = decoder.decode(&json).unwrap() else {
                panic!("a text delta");
            };
            assert_eq!(event.delta, "a\u{fffd}");
        }
    }

    #[test]
    fn shapes_that_never_repeat_are_not_learnt_for_ever() {
        let mut decoder = EventDecoder::default();
        for n in 0..100 {
            let json = delta(&format!("msg_{n}"), n, "x");
            assert_eq!(decoder.decode(json.as_bytes()).unwrap(), parsed(&json));
        }
        assert_eq!(decoder.in_vain, PATIENCE);
        assert!(decoder.templates.len() <= TEMPLATES);
    }
}
