//! How often a stream allocates, and how much: from the socket on, and in decoding alone; and how
//! often a unary call does, layer by layer.
//!
//! `cargo bench --bench allocations`
//!
//! Counting slows every allocation, which is why no times are taken here.

mod support;

use std::alloc::System;
use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::client::{
    Client, Drain, DrainFixed, Expected, OursPreset, OursStack, WithEventsource, WithSseStream,
};
use support::process::ServerProcess;
use support::server::{self, Answer};
use support::stacks;
use support::unary::{self, Caller, Hyper, Reqwest};
use support::workload::{self, Cut};
use tokio::runtime::Runtime;
use tower::{ServiceExt, service_fn};
use tower_openai::RequestBody;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::sse::Decoder;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    server::run_if_asked();
    println!("| what | chunks | per event: allocations | reallocations | bytes |");
    println!("| --- | --- | --- | --- | --- |");
    let server = ServerProcess::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    for (title, answer) in [
        ("1 event", Answer::EventChunks),
        ("16 KiB", Answer::Blocks16),
        ("64 KiB", Answer::Blocks64),
    ] {
        end_to_end::<Drain>(&runtime, &server, title, answer);
        end_to_end::<DrainFixed>(&runtime, &server, title, answer);
        end_to_end::<OursStack>(&runtime, &server, title, answer);
        end_to_end::<OursPreset>(&runtime, &server, title, answer);
        end_to_end::<WithSseStream>(&runtime, &server, title, answer);
        end_to_end::<WithEventsource>(&runtime, &server, title, answer);
    }
    for (title, cut) in workload::CUTS {
        decoding(title, cut);
    }
    unary::<Hyper>(&runtime, &server);
    unary::<unary::OursStack>(&runtime, &server);
    unary::<unary::OursPreset>(&runtime, &server);
    unary::<Reqwest>(&runtime, &server);
    layers(&runtime);
}

/// The calls of `benches/unary.rs`.
fn unary<C: Caller>(runtime: &Runtime, server: &ServerProcess) {
    const CALLS: usize = 1_000;
    let client = C::new(&server.origin);
    runtime.block_on(client.clone().call_all(10));
    print(C::NAME, "unary", CALLS, || runtime.block_on(client.call_all(CALLS)));
}

/// The calls of `benches/layers.rs`.
fn layers(runtime: &Runtime) {
    println!("\n| layer | backend | per call: allocations | reallocations | bytes |");
    println!("| --- | --- | --- | --- | --- |");
    let _timer = stacks::hold_timer(runtime);
    let _entered = runtime.enter();
    for mut row in stacks::rows() {
        // A first run fills what is kept.
        (row.run)();
        print(row.name, row.backend, stacks::CALLS, row.run);
    }
}

fn print(what: &str, title: &str, units: usize, run: impl FnOnce()) {
    let region = Region::new(ALLOCATOR);
    run();
    let counted = region.change();
    let per = |count: usize| count as f64 / units as f64;
    println!(
        "| {what} | {title} | {:.3} | {:.3} | {:.0} |",
        per(counted.allocations),
        per(counted.reallocations),
        // What a reallocation adds is in `bytes_allocated`.
        per(counted.bytes_allocated),
    );
}

fn end_to_end<C: Client>(runtime: &Runtime, server: &ServerProcess, title: &str, answer: Answer) {
    const STREAMS: u32 = 20;
    let client = C::new(&server.origin, answer);
    let expected = Expected::of(answer);
    runtime.block_on(client.clone().read_all(2, expected));
    print(C::NAME, title, expected.events() * STREAMS as usize, || {
        runtime.block_on(client.read_all(STREAMS, expected));
    });
}

/// Framing alone, and framing with typed events, of delta events in memory.
fn decoding(title: &str, cut: Cut) {
    const BEFORE: usize = workload::DELTAS / 10;
    let mut events = workload::answer();
    // The events around the deltas are dear, and few in a long answer.
    events.retain(|event| event.contains("output_text.delta"));
    let chunks = workload::chunks(&events, cut);
    // A first clone of a chunk allocates; a socket's chunks come shared.
    drop(chunks.clone());
    let mut decoder = Decoder::new();
    let frame = |decoder: &mut Decoder, chunks: &[Bytes]| {
        for chunk in chunks {
            decoder.push(chunk.clone());
            while decoder.next_event().expect("within the limits").is_some() {}
        }
    };
    print("framing alone", title, events.len(), || frame(&mut decoder, &chunks));

    let frames = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
    let mut body = Some(StreamBody::new(stream::iter(frames)));
    let http = service_fn(move |_: http::Request<RequestBody>| {
        std::future::ready(Ok::<_, Infallible>(http::Response::new(body.take().expect("one call"))))
    });
    let request = ResponsesRequest::new("gpt-5.2", "hello");
    let mut stream = now(Responses::new(http).oneshot(request)).expect("a stream");
    for _ in 0..BEFORE {
        now(stream.next());
    }
    let rest = events.len() - BEFORE;
    print("framing and typed events", title, rest, || {
        for _ in 0..rest {
            now(stream.next()).expect("an event").expect("no error");
        }
    });
}

/// The output of a future that never waits.
fn now<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("never pending")
}
