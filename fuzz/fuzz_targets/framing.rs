//! However a stream is cut into chunks, the decoder finds the same events.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tower_openai::sse::Decoder;

/// Name, data, id and retry of each event, and how it ended.
type Found = (Vec<(String, Vec<u8>, String, Option<u128>)>, Option<String>, String);

fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Found {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    let mut error = None;
    'chunks: for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push((
                    event.name().into_owned(),
                    event.data_bytes().to_vec(),
                    event.id().to_owned(),
                    event.retry().map(|retry| retry.as_millis()),
                )),
                Ok(None) => break,
                Err(failed) => {
                    error = Some(failed.to_string());
                    break 'chunks;
                }
            }
        }
    }
    (events, error, decoder.last_event_id().to_owned())
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (stream, cuts) = input;
    let whole = decode(std::iter::once(stream.as_slice()));
    assert_eq!(decode(stream.chunks(1)), whole);

    let mut rest = stream.as_slice();
    let mut lengths = cuts.iter().cycle();
    let chunks = std::iter::from_fn(|| {
        let length = lengths.next().map_or(1, |cut| usize::from(*cut).max(1));
        let (chunk, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    });
    assert_eq!(decode(chunks), whole);
});
