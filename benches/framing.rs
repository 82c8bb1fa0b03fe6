//! Framing alone: bytes to server-sent events, beside the two crates that others use.
//!
//! `cargo bench --bench framing`

mod support;

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{FutureExt, StreamExt, stream};
use support::measure::{Contender, Figure, interleaved};
use support::workload::{self, Cut, Shape};
use tower_openai::sse::Decoder;

fn ours(chunks: &[Bytes]) -> usize {
    let mut decoder = Decoder::new();
    let mut events = 0;
    for chunk in chunks {
        decoder.push(chunk.clone());
        while let Some(event) = decoder.next_event().expect("within the limits") {
            black_box(event.data_bytes());
            events += 1;
        }
    }
    events
}

fn sse_stream(chunks: &[Bytes]) -> usize {
    let body = http_body_util::StreamBody::new(stream::iter(
        chunks.iter().cloned().map(|chunk| Ok::<_, Infallible>(http_body::Frame::data(chunk))),
    ));
    let mut events = sse_stream::SseStream::new(body);
    let count = async {
        let mut count = 0;
        while let Some(event) = events.next().await {
            black_box(event.expect("an event"));
            count += 1;
        }
        count
    };
    count.now_or_never().expect("never pending")
}

fn eventsource_stream(chunks: &[Bytes]) -> usize {
    let mut events = stream::iter(chunks.iter().cloned().map(Ok::<_, Infallible>)).eventsource();
    let count = async {
        let mut count = 0;
        while let Some(event) = events.next().await {
            black_box(event.expect("an event"));
            count += 1;
        }
        count
    };
    count.now_or_never().expect("never pending")
}

fn compare(title: &str, chunks: &[Bytes], events: usize, slow_peer: bool) {
    let bytes: usize = chunks.iter().map(Bytes::len).sum();
    assert_eq!(ours(chunks), events);
    assert_eq!(sse_stream(chunks), events);
    let mut contenders = vec![
        Contender::new("tower-openai", || {
            black_box(ours(chunks));
        }),
        Contender::new("sse-stream", || {
            black_box(sse_stream(chunks));
        }),
    ];
    if slow_peer {
        contenders.push(Contender::new("eventsource-stream", || {
            black_box(eventsource_stream(chunks));
        }));
    }
    for Figure { name, median, min, max } in interleaved(events, contenders) {
        let rate = bytes as f64 / events as f64 / median;
        println!("| {title} | {name} | {median:.0} | {min:.0}..{max:.0} | {rate:.2} |");
    }
}

fn main() {
    println!("| chunks | decoder | ns/event | range | GB/s |\n| --- | --- | --- | --- | --- |");
    let events = workload::deltas(Shape::Text);
    for (title, cut) in workload::CUTS {
        compare(title, &workload::chunks(&events, cut), events.len(), true);
    }
    let line = workload::long_line(8 << 20);
    compare("8 MiB line, 1 chunk", &workload::chunks(&line, Cut::Events(1)), 1, true);
    compare("8 MiB line, 4,096 chunks", &workload::chunks(&line, Cut::Bytes(2048)), 1, false);
    let image = [workload::image(1 << 20)];
    compare("1 MiB image, 1 chunk", &workload::chunks(&image, Cut::Events(1)), 1, true);
    compare("1 MiB image, 16 KiB", &workload::chunks(&image, Cut::Bytes(16 << 10)), 1, true);
}
