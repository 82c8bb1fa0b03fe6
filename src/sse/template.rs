//! Reads a delta event by its difference from an earlier one.
//!
//! The deltas of an item differ in three values only: the sequence number, the delta and the
//! padding. A [`Template`] holds the other bytes of an event that was parsed in full. An event that
//! repeats them needs no JSON parser: its constant bytes are compared, the values between them are
//! read. That is a parse and not a guess, because the values are read as JSON tokens and the bytes
//! around them are those of a valid document; anything else is refused and goes to the parser.
//!
//! What holds for the JSON holds for the lines it stands in: no value can have a line end. So an
//! event of which the frame is known too needs no search for its lines either.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What an event must repeat, and where its own values stand.
#[derive(Debug)]
pub(super) struct Template {
    /// The event as it came on the wire; of one whose frame is not known the JSON only.
    wire: Box<[u8]>,
    /// Where its JSON is.
    json: Range<usize>,
    /// The values, in the order of their places, and where each begins and ends in `wire`.
    holes: [Option<(Hole, usize, usize)>; 3],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hole {
    SequenceNumber,
    Delta,
    Padding,
}

/// What an event that fits its template says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Filled<'a> {
    /// `None` if the template has none.
    pub(super) sequence_number: Option<u64>,
    /// The delta with its quotes.
    pub(super) delta: &'a [u8],
    /// Whether the delta needs unescaping.
    pub(super) has_escapes: bool,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    sequence_number: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: &'a RawValue,
    #[serde(borrow)]
    obfuscation: Option<&'a RawValue>,
}

impl Template {
    /// The template of a valid event, if it has the shape that templates are for.
    pub(super) fn learn(json: &str) -> Option<Self> {
        let values: Values<'_> = serde_json::from_str(json).ok()?;
        let place = |hole, value: &RawValue| {
            let start = (value.get().as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
            let end = start + value.get().len();
            match hole {
                // An integer, so that the hole can be read as one.
                Hole::SequenceNumber => value.get().parse::<u64>().ok().map(|_| (hole, start, end)),
                Hole::Delta | Hole::Padding => {
                    value.get().starts_with('"').then_some((hole, start, end))
                }
            }
        };
        let mut holes = [
            match values.sequence_number {
                Some(value) => Some(place(Hole::SequenceNumber, value)?),
                None => None,
            },
            Some(place(Hole::Delta, values.delta)?),
            match values.obfuscation {
                Some(value) => Some(place(Hole::Padding, value)?),
                None => None,
            },
        ];
        holes.sort_by_key(|hole| hole.map_or(usize::MAX, |(_, start, _)| start));
        Some(Self { wire: json.as_bytes().into(), json: 0..json.len(), holes })
    }

    /// Sets the bytes before and behind the JSON of events on the wire.
    pub(super) fn set_frame(&mut self, before: &[u8], behind: &[u8]) {
        let json = self.wire.get(self.json.clone()).unwrap_or_default();
        let place = before.len()..before.len() + json.len();
        for (_, start, end) in self.holes.iter_mut().flatten() {
            *start = *start - self.json.start + place.start;
            *end = *end - self.json.start + place.start;
        }
        self.wire = [before, json, behind].concat().into();
        self.json = place;
    }

    /// Whether [`set_frame`](Self::set_frame) has been called.
    pub(super) fn has_frame(&self) -> bool {
        self.json.start > 0
    }

    /// Reads the JSON of an event that fits; `None` says nothing about one that does not.
    pub(super) fn fill<'a>(&self, json: &'a [u8]) -> Option<Filled<'a>> {
        let (filled, rest) = self.read(json, self.json.clone())?;
        rest.is_empty().then_some(filled)
    }

    /// Reads the event that fits at the front of `wire`, its frame included; how many bytes it has.
    #[inline]
    pub(super) fn fill_frame<'a>(&self, wire: &'a [u8]) -> Option<(Filled<'a>, usize)> {
        if !self.has_frame() {
            return None;
        }
        let (filled, rest) = self.read(wire, 0..self.wire.len())?;
        Some((filled, wire.len() - rest.len()))
    }

    /// Reads what fits this part of the template, and gives what follows it.
    #[inline]
    fn read<'a>(&self, json: &'a [u8], part: Range<usize>) -> Option<(Filled<'a>, &'a [u8])> {
        let mut filled = Filled { sequence_number: None, delta: &[], has_escapes: false };
        let mut rest = json;
        let mut constant = part.start;
        for hole in &self.holes {
            let &Some((hole, start, end)) = hole else { break };
            rest = rest.strip_prefix(self.wire.get(constant..start)?)?;
            constant = end;
            rest = match hole {
                Hole::SequenceNumber => {
                    let (number, rest) = integer(rest)?;
                    filled.sequence_number = Some(number);
                    rest
                }
                Hole::Delta => {
                    let string = string(rest)?;
                    (filled.delta, filled.has_escapes) = (string.quoted, string.has_escapes);
                    string.rest
                }
                Hole::Padding => {
                    let string = string(rest)?;
                    // Nobody will unescape it, so nobody would see that an escape is bad.
                    if string.has_escapes {
                        return None;
                    }
                    string.rest
                }
            };
        }
        let rest = rest.strip_prefix(self.wire.get(constant..part.end)?)?;
        Some((filled, rest))
    }
}

/// A JSON integer of at most 19 digits that is not negative, and what follows it.
#[inline]
fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    let mut rest = bytes;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        rest = tail;
    }
    match (bytes.len() - rest.len(), bytes.first()) {
        (1, _) => Some((number, rest)),
        // JSON has no leading zeros. What has more digits may not fit.
        (2..=19, Some(b'1'..=b'9')) => Some((number, rest)),
        _ => None,
    }
}

/// A JSON string and what follows it.
///
/// Whether its escapes are valid is left to whoever unescapes them.
struct JsonString<'a> {
    quoted: &'a [u8],
    has_escapes: bool,
    rest: &'a [u8],
}

#[inline]
fn string(bytes: &[u8]) -> Option<JsonString<'_>> {
    let [b'"', text @ ..] = bytes else { return None };
    let length = plain(text);
    match text.get(length)? {
        b'"' => {
            let (quoted, rest) = bytes.split_at_checked(length + 2)?;
            Some(JsonString { quoted, has_escapes: false, rest })
        }
        b'\\' => string_with_escapes(bytes),
        // A control character, which JSON does not allow.
        _ => None,
    }
}

/// Apart, so that the way past it stays short.
#[inline(never)]
fn string_with_escapes(bytes: &[u8]) -> Option<JsonString<'_>> {
    let mut end = 1;
    loop {
        end += plain(bytes.get(end..)?);
        match bytes.get(end)? {
            b'"' => break,
            b'\\' => end += 2,
            _ => return None,
        }
    }
    let (quoted, rest) = bytes.split_at_checked(end + 1)?;
    Some(JsonString { quoted, has_escapes: true, rest })
}

/// How many bytes at the front are neither quote nor backslash nor control character.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGH: u64 = ONES * 0x80;
    let mut rest = bytes;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let found = zero(word ^ (ONES * u64::from(b'"')))
            | zero(word ^ (ONES * u64::from(b'\\')))
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let found = found & HIGH;
        if found != 0 {
            // The lowest mark is exact: borrows only travel upwards.
            return bytes.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
        }
        rest = tail;
    }
    let tail = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count();
    bytes.len() - rest.len() + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::QuickCheck;

    const EVENT: &str = r#"{"type":"response.output_text.delta","sequence_number":12,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"one","logprobs":[],"obfuscation":"abcdefghij"}"#;

    fn event(sequence_number: &str, delta: &str, padding: &str) -> String {
        EVENT
            .replace("12", sequence_number)
            .replace("\"one\"", &format!("\"{delta}\""))
            .replace("abcdefghij", padding)
    }

    #[test]
    fn reads_what_differs() {
        let template = Template::learn(EVENT).unwrap();
        let json = event("9999999999999999999", "caf\u{e9} and more", "");
        let filled = template.fill(json.as_bytes()).unwrap();
        assert_eq!(filled.sequence_number, Some(9_999_999_999_999_999_999));
        assert_eq!(filled.delta, "\"caf\u{e9} and more\"".as_bytes());
        assert!(!filled.has_escapes);
    }

    #[test]
    fn escapes_are_left_to_the_parser() {
        let template = Template::learn(EVENT).unwrap();
        let json = event("13", r#"say \"hi\" \\"#, "x");
        let filled = template.fill(json.as_bytes()).unwrap();
        assert_eq!(filled.delta, br#""say \"hi\" \\""#);
        assert!(filled.has_escapes);
    }

    #[test]
    fn a_frame_is_read_with_its_json() {
        let mut template = Template::learn(EVENT).unwrap();
        let mut wire = format!("data: {}\n\ndata: ", event("13", "two", ""));
        assert_eq!(template.fill_frame(wire.as_bytes()), None, "no frame is known");
        // The last one counts.
        template.set_frame(b"event: x\r\ndata:", b"\r\n\r\n");
        template.set_frame(b"data: ", b"\n\n");
        let (filled, length) = template.fill_frame(wire.as_bytes()).unwrap();
        assert_eq!((filled.sequence_number, filled.delta), (Some(13), b"\"two\"".as_slice()));
        assert_eq!(&wire[length..], "data: ");
        assert_eq!(template.fill(event("13", "two", "").as_bytes()), Some(filled));

        for end in 0..length {
            assert_eq!(template.fill_frame(&wire.as_bytes()[..end]), None, "cut at {end}");
        }
        for (other, with) in [("data: {", "data:{"), ("}\n\n", "}\nid: 1\n\n"), ("two", "t\nwo")] {
            wire = wire.replacen(other, with, 1);
            assert_eq!(template.fill_frame(wire.as_bytes()), None, "{wire}");
            wire = wire.replacen(with, other, 1);
        }
    }

    #[test]
    fn any_order_of_members_is_learnt() {
        let json = r#"{ "delta" : "a", "obfuscation":"b" ,"type":"t", "sequence_number": 7}"#;
        let template = Template::learn(json).unwrap();
        let other = json.replace("\"a\"", "\"xyz\"").replace('7', "8");
        let filled = template.fill(other.as_bytes()).unwrap();
        assert_eq!((filled.sequence_number, filled.delta), (Some(8), b"\"xyz\"".as_slice()));
    }

    #[test]
    fn foreign_shapes_are_refused() {
        let template = Template::learn(EVENT).unwrap();
        let cases = [
            EVENT.replace("msg_1", "msg_2"),
            EVENT.replace("output_text", "reasoning_text"),
            EVENT.replace("[]", "[1]"),
            EVENT.replace("\"content_index\":0,", ""),
            format!("{EVENT} "),
            format!("{EVENT}x"),
            EVENT.trim_end_matches('}').to_owned(),
            event("012", "x", ""),
            event("-1", "x", ""),
            event("1.5", "x", ""),
            event("18446744073709551615", "x", ""),
            event("18446744073709551616", "x", ""),
            event("", "x", ""),
            event("12", "a\nb", ""),
            event("12", "a\u{1}", ""),
            event("12", "open\\", ""),
            event("12", "x\",\"delta\":\"y", ""),
            String::new(),
        ];
        for case in cases {
            assert_eq!(template.fill(case.as_bytes()), None, "{case}");
        }
        for end in 0..EVENT.len() {
            assert_eq!(template.fill(&EVENT.as_bytes()[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn shapes_without_a_template() {
        for json in [
            r#"{"type":"t","delta":{"stdout":"x"}}"#,
            r#"{"type":"t","delta":"x","sequence_number":-1}"#,
            r#"{"type":"t","delta":"x","sequence_number":"1"}"#,
            r#"{"type":"t","delta":"x","delta":"y"}"#,
            r#"{"type":"t","delta":"x","obfuscation":5}"#,
            r#"{"type":"t"}"#,
        ] {
            assert!(Template::learn(json).is_none(), "{json}");
        }
    }

    /// Whatever is done to an event, a template reads what a JSON parser reads, or nothing.
    #[test]
    fn agrees_with_the_parser() {
        #[derive(Deserialize, PartialEq, Debug)]
        struct Parsed {
            sequence_number: u64,
            delta: String,
        }
        fn property(at: usize, with: Vec<u8>, delete: u8, delta: String) -> bool {
            let template = Template::learn(EVENT).unwrap();
            let quoted = serde_json::to_string(&delta).unwrap();
            let mut json = EVENT.replace("\"one\"", &quoted).into_bytes();
            let at = at % json.len();
            let end = (at + usize::from(delete % 4)).min(json.len());
            json.splice(at..end, with);
            let Some(filled) = template.fill(&json) else { return true };
            let Ok(delta) = serde_json::from_slice::<String>(filled.delta) else { return true };
            assert_eq!(filled.has_escapes, filled.delta.contains(&b'\\'));
            let read = Parsed { sequence_number: filled.sequence_number.unwrap(), delta };
            match serde_json::from_slice::<Parsed>(&json) {
                Ok(parsed) => parsed == read,
                // Padding is dropped, so that it need not be UTF-8; it is the one thing not looked at.
                Err(_) => std::str::from_utf8(&json).is_err(),
            }
        }
        let unchanged = Template::learn(EVENT).unwrap().fill(EVENT.as_bytes());
        assert_eq!(unchanged.unwrap().delta, b"\"one\"");
        QuickCheck::new()
            .tests(20_000)
            .quickcheck(property as fn(usize, Vec<u8>, u8, String) -> bool);
    }

    #[test]
    fn plain_finds_the_first_special_byte() {
        for length in 0..40 {
            for (at, special) in (0..length).flat_map(|at| [b'"', b'\\', 0x1F, 0].map(|s| (at, s)))
            {
                let mut bytes = vec![b'~'; length];
                bytes[at] = special;
                assert_eq!(plain(&bytes), at);
            }
            assert_eq!(plain(&vec![0x80; length]), length);
        }
    }
}
