//! The JSON of an event to its type, cheaply where events repeat themselves.

use super::template::{Filled, Template};
use crate::model::ResponseEvent;

/// How many items may send deltas by turns before templates are of no use.
const TEMPLATES: usize = 4;

/// How often a template may be learnt for nothing before learning is given up.
const PATIENCE: u8 = 16;

/// Decodes the events of one stream.
///
/// Deltas of one item are alike but for their text and number, so each is read against a
/// [`Template`] of the last one that was parsed in full. What fits no template is parsed.
#[derive(Debug, Default)]
pub(super) struct EventDecoder {
    templates: Vec<Learnt>,
    /// The template that the next new one replaces.
    oldest: usize,
    /// Templates learnt since one was of use.
    in_vain: u8,
}

#[derive(Debug)]
struct Learnt {
    template: Template,
    /// The event with its delta taken out: what the constant bytes say.
    prototype: ResponseEvent,
}

impl EventDecoder {
    /// Decodes the data of one event. Invalid UTF-8 is read as U+FFFD.
    #[inline]
    pub(super) fn decode(&mut self, data: &[u8]) -> Result<ResponseEvent, serde_json::Error> {
        for learnt in &self.templates {
            if let Some(event) = learnt.template.fill(data).and_then(|filled| learnt.event(filled))
            {
                self.in_vain = 0;
                return Ok(event);
            }
        }
        self.parse(data)
    }

    fn parse(&mut self, data: &[u8]) -> Result<ResponseEvent, serde_json::Error> {
        let text = String::from_utf8_lossy(data);
        let mut event: ResponseEvent = serde_json::from_str(&text)?;
        if self.in_vain < PATIENCE && event.delta_mut().is_some() {
            if let Some(template) = Template::learn(&text) {
                self.learn(template, event.clone());
            }
        }
        Ok(event)
    }

    fn learn(&mut self, template: Template, mut prototype: ResponseEvent) {
        if let Some((delta, _)) = prototype.delta_mut() {
            *delta = String::new();
        }
        let learnt = Learnt { template, prototype };
        match self.templates.get_mut(self.oldest) {
            Some(place) => *place = learnt,
            None => {
                // Most streams need one, and a vector would start with room for four.
                self.templates.reserve_exact(1);
                self.templates.push(learnt);
            }
        }
        self.oldest = (self.oldest + 1) % TEMPLATES;
        self.in_vain += 1;
    }
}

impl Learnt {
    /// The event that the prototype and the values make; `None` leaves it to the parser.
    #[inline]
    fn event(&self, filled: Filled<'_>) -> Option<ResponseEvent> {
        let text = match filled.escaped {
            None => std::str::from_utf8(filled.delta).ok()?.to_owned(),
            Some(quoted) => serde_json::from_slice(quoted).ok()?,
        };
        let mut event = self.prototype.clone();
        let (delta, sequence_number) = event.delta_mut()?;
        *delta = text;
        *sequence_number = filled.sequence_number;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
