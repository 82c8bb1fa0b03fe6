//! The conformance cases of `tests/corpus/sse-cases.jsonl`, and the rule behind them: how a stream
//! is cut into chunks changes nothing.

use base64::Engine as _;
use bytes::Bytes;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use serde::Deserialize;
use tower_openai::sse::Decoder;

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Event {
    event: String,
    data: String,
    id: String,
    retry: Option<serde_json::Number>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Final {
    last_event_id: String,
    retry_ms: Option<serde_json::Number>,
}

#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    input_base64: String,
    expected: Vec<Event>,
    r#final: Final,
    split_every_byte: bool,
    #[serde(default)]
    chunks_base64: Vec<String>,
    #[serde(default)]
    lenient: Vec<String>,
}

fn cases() -> Vec<Case> {
    include_str!("corpus/sse-cases.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a case per line"))
        .collect()
}

fn decode(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> (Vec<Event>, Final) {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap().into();
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk.as_ref()));
        while let Some(event) = decoder.next_event().expect("within the limits") {
            events.push(Event {
                event: event.name().into_owned(),
                data: event.data().into_owned(),
                id: event.id().to_owned(),
                retry: event.retry().map(milliseconds),
            });
        }
    }
    let end = Final {
        last_event_id: decoder.last_event_id().to_owned(),
        retry_ms: decoder.reconnection_time().map(milliseconds),
    };
    (events, end)
}

/// Compares; a case that leaves the retry value open has it taken over from what was decoded.
fn check(case: &Case, how: &str, (events, end): (Vec<Event>, Final)) {
    let mut expected = case.expected.clone();
    let mut expected_end = case.r#final.clone();
    if case.lenient.iter().any(|field| field == "retry") {
        for (expected, event) in expected.iter_mut().zip(&events) {
            expected.retry.clone_from(&event.retry);
        }
        expected_end.retry_ms.clone_from(&end.retry_ms);
    }
    assert_eq!(events, expected, "{} {how}", case.id);
    assert_eq!(end, expected_end, "{} {how}", case.id);
}

fn bytes(base64: &str) -> Vec<u8> {
    base64::prelude::BASE64_STANDARD.decode(base64).expect("base64 in the corpus")
}

#[test]
fn every_case_whole() {
    let cases = cases();
    assert_eq!(cases.len(), 109);
    for case in cases {
        check(&case, "whole", decode([bytes(&case.input_base64)]));
        if !case.chunks_base64.is_empty() {
            check(&case, "in its chunks", decode(case.chunks_base64.iter().map(|c| bytes(c))));
        }
    }
}

#[test]
fn every_case_byte_by_byte() {
    for case in cases() {
        check(&case, "byte by byte", decode(bytes(&case.input_base64).chunks(1)));
    }
}

#[test]
fn every_case_at_every_split() {
    for case in cases() {
        let input = bytes(&case.input_base64);
        let points: Vec<usize> = if case.split_every_byte {
            (0..=input.len()).collect()
        } else {
            // Large: the 32 first and the 32 last positions, where the lines begin and end.
            (0..32).chain(input.len() - 32..input.len()).collect()
        };
        for at in points {
            let (left, right) = input.split_at(at);
            check(&case, &format!("split at {at}"), decode([left, right]));
        }
    }
}

/// A stream made of pieces that matter to the decoder, and where to cut it.
#[derive(Clone, Debug)]
struct Cut {
    stream: Vec<u8>,
    sizes: Vec<usize>,
}

impl Arbitrary for Cut {
    fn arbitrary(g: &mut Gen) -> Self {
        const PIECES: [&[u8]; 20] = [
            b"\n",
            b"\r",
            b"\r\n",
            b"\n\n",
            b"data:",
            b"data: ",
            b"data",
            b"event: e",
            b"id: 1",
            b"id:\0",
            b"retry: 5",
            b": comment",
            b"x",
            b" ",
            b"\xEF\xBB\xBF",
            b"\xEF",
            b"\xBB",
            "\u{20ac}".as_bytes(),
            b"\xFF",
            b"{\"type\":\"t\"}",
        ];
        let stream = (0..usize::arbitrary(g) % 64)
            .flat_map(|_| g.choose(&PIECES).copied().unwrap_or_default().to_vec())
            .collect();
        let sizes = (0..64).map(|_| 1 + usize::arbitrary(g) % 9).collect();
        Self { stream, sizes }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let sizes = self.sizes.clone();
        Box::new(self.stream.shrink().map(move |stream| Self { stream, sizes: sizes.clone() }))
    }
}

#[test]
fn chunking_changes_nothing() {
    fn property(cut: Cut) -> bool {
        let mut rest = &*cut.stream;
        let mut chunks = Vec::new();
        for size in cut.sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, tail) = rest.split_at(rest.len().min(*size));
            chunks.push(chunk);
            rest = tail;
        }
        decode(chunks) == decode([&cut.stream])
    }
    QuickCheck::new().tests(20_000).quickcheck(property as fn(Cut) -> bool);
}
