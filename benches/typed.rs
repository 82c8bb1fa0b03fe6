//! Bytes to typed events with an owned delta, beside the ways others go.
//!
//! - `tower-openai`: `ResponseStream` over a body in memory, its timers and rules included.
//! - `sse-stream + serde`: the best that can be put together by hand: the faster of the known
//!   framers, and `serde_json` into a borrowed struct.
//! - `eventsource-stream + Value`: the way of `codex-api`: a struct with `Value` members.
//!
//! `cargo bench --bench typed`

mod support;

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use eventsource_stream::Eventsource;
use futures_util::{StreamExt, stream};
use http_body::{Body, Frame};
use serde::Deserialize;
use serde_json::Value;
use support::measure::{Contender, Figure, interleaved};
use support::workload::{self, Cut, Shape};
use tokio::runtime::{Builder, Runtime};
use tower_openai::model::ResponseEvent;
use tower_openai::sse::{ResponseStream, StreamSettings};

/// A body of chunks that are all there.
struct Chunks<'a>(std::slice::Iter<'a, Bytes>);

impl Body for Chunks<'_> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().cloned().map(|chunk| Ok(Frame::data(chunk))))
    }
}

thread_local! {
    // The stream's timers need one; they are never armed here.
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// Runs a future whose chunks are all there.
fn now<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// What a run has seen: events, and bytes of deltas.
type Seen = (usize, usize);

fn ours(chunks: &[Bytes]) -> Seen {
    let response = http::Response::new(Chunks(chunks.iter()));
    let mut stream = ResponseStream::from_response(response, StreamSettings::default());
    now(async {
        let mut seen = (0, 0);
        while let Some(Ok(event)) = stream.next().await {
            seen.0 += 1;
            seen.1 += match black_box(&event) {
                ResponseEvent::OutputTextDelta(event) => event.delta.len(),
                ResponseEvent::ReasoningSummaryTextDelta(event) => event.delta.len(),
                ResponseEvent::FunctionCallArgumentsDelta(event) => event.delta.len(),
                _ => 0,
            };
        }
        seen
    })
}

#[derive(Deserialize)]
struct Borrowed<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    sequence_number: Option<u64>,
    #[serde(borrow)]
    item_id: Option<&'a str>,
    output_index: Option<u32>,
    content_index: Option<u32>,
    summary_index: Option<u32>,
    delta: Option<String>,
    #[serde(borrow)]
    response: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    item: Option<&'a serde_json::value::RawValue>,
}

fn sse_stream(chunks: &[Bytes]) -> Seen {
    let mut events = sse_stream::SseStream::new(Chunks(chunks.iter()));
    now(async {
        let mut seen = (0, 0);
        while let Some(event) = events.next().await {
            let data = event.expect("an event").data.expect("data");
            let event: Borrowed<'_> = serde_json::from_str(&data).expect("JSON");
            seen.0 += 1;
            seen.1 += event.delta.as_ref().map_or(0, String::len);
            black_box((event.r#type, event.sequence_number, event.item_id, event.delta));
            black_box((event.output_index, event.content_index, event.summary_index));
            black_box((event.response, event.item));
        }
        seen
    })
}

#[derive(Deserialize)]
struct Flat {
    r#type: String,
    response: Option<Value>,
    item: Option<Value>,
    item_id: Option<String>,
    delta: Option<String>,
    summary_index: Option<i64>,
    content_index: Option<i64>,
}

fn eventsource_stream(chunks: &[Bytes]) -> Seen {
    let mut events = stream::iter(chunks.iter().cloned().map(Ok::<_, Infallible>)).eventsource();
    now(async {
        let mut seen = (0, 0);
        while let Some(event) = events.next().await {
            let data = event.expect("an event").data;
            let event: Flat = serde_json::from_str(&data).expect("JSON");
            seen.0 += 1;
            seen.1 += event.delta.as_ref().map_or(0, String::len);
            black_box((event.r#type, event.response, event.item, event.item_id, event.delta));
            black_box((event.summary_index, event.content_index));
        }
        seen
    })
}

fn compare(stream: &str, cut: &str, events: &[String], chunks: &[Bytes]) {
    // Streams of deltas alone have no end, which is an error after the last event.
    let seen = ours(chunks);
    assert_eq!(seen.0, events.len());
    assert_eq!(sse_stream(chunks), seen);
    assert_eq!(eventsource_stream(chunks), seen);
    let contenders = vec![
        Contender::new("tower-openai", || {
            black_box(ours(chunks));
        }),
        Contender::new("sse-stream + serde", || {
            black_box(sse_stream(chunks));
        }),
        Contender::new("eventsource-stream + Value", || {
            black_box(eventsource_stream(chunks));
        }),
    ];
    for Figure { name, median, min, max } in interleaved(events.len(), contenders) {
        println!("| {stream} | {cut} | {name} | {median:.0} | {min:.0}..{max:.0} |");
    }
}

fn main() {
    println!("| stream | chunks | way | ns/event | range |\n| --- | --- | --- | --- | --- |");
    let answer = workload::answer();
    for (title, cut) in workload::CUTS {
        compare("whole answer", title, &answer, &workload::chunks(&answer, cut));
    }
    for shape in [Shape::Text, Shape::Reasoning, Shape::Arguments, Shape::Interleaved] {
        let events = workload::deltas(shape);
        for (title, cut) in [("1 event", Cut::Events(1)), ("16 KiB", Cut::Bytes(16 << 10))] {
            let stream = format!("{shape:?} deltas");
            compare(&stream, title, &events, &workload::chunks(&events, cut));
        }
    }
    let image = [workload::image(1 << 20)];
    for (title, cut) in [("1 event", Cut::Events(1)), ("16 KiB", Cut::Bytes(16 << 10))] {
        compare("1 MiB image", title, &image, &workload::chunks(&image, cut));
    }
}
