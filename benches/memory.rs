//! Resident memory of open streams, beside hyper's bare body.
//!
//! `cargo bench --bench memory`. Linux only: it reads `/proc/self/statm`.
//!
//! Each figure comes from a process of its own, so that no figure meets what another has left in
//! the allocator, and the server is yet another one. Every stream is read by a task of its own over
//! a connection of its own, HTTP/1.1 without TLS.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use support::client::{Client, Drain, DrainFixed, Expected, OursPreset, OursStack};
use support::measure::{self, Figure};
use support::process::{self, ServerProcess};
use support::server::{self, Answer};
use tokio::sync::Semaphore;

/// What the streams do while the memory is looked at.
#[derive(Clone, Copy)]
struct Situation {
    title: &'static str,
    answer: Answer,
    streams: usize,
    /// How many may be on their way to their first events at a time. What a call needs until its
    /// head is there leaves holes among what stays: with all at once, the allocator has grown to
    /// all of it, and resident memory tells of the opening too.
    opening: usize,
    /// Whether a consumer stops after its first event, else it reads on.
    stalls: bool,
}

const IDLE: Situation = Situation {
    title: "idle after 6 events",
    answer: Answer::Idle,
    streams: 2000,
    opening: 20,
    stalls: false,
};

const BURST: Situation = Situation {
    title: "idle after 1,000 events at once",
    answer: Answer::Burst,
    streams: 500,
    opening: 20,
    stalls: false,
};

const STALLED: Situation = Situation {
    title: "consumer stalled, 5 MB to come",
    answer: Answer::Flood,
    streams: 500,
    opening: 20,
    stalls: true,
};

const SITUATIONS: [Situation; 6] = [
    IDLE,
    BURST,
    STALLED,
    Situation { opening: IDLE.streams, ..IDLE },
    Situation { opening: BURST.streams, ..BURST },
    Situation { opening: STALLED.streams, ..STALLED },
];

/// Measures one client, given the server's origin.
type Measure = fn(&str, Situation);

const CLIENTS: [(&str, Measure); 4] = [
    (Drain::NAME, measure_one::<Drain>),
    (DrainFixed::NAME, measure_one::<DrainFixed>),
    (OursStack::NAME, measure_one::<OursStack>),
    (OursPreset::NAME, measure_one::<OursPreset>),
];

fn main() {
    server::run_if_asked();
    process::allow_files(2100);
    let args: Vec<String> = std::env::args().collect();
    if let [_, one, origin, situation, client] = args.as_slice() {
        if one == "--one" {
            let number = |text: &str| text.parse::<usize>().expect("a number");
            let (_, measure) = CLIENTS[number(client)];
            return measure(origin, SITUATIONS[number(situation)]);
        }
    }
    let server = ServerProcess::start();
    println!("KB (1,000 bytes) per stream: median (range) of {} rounds.\n", measure::rounds());
    println!("| streams | opened at a time | client | RSS per stream |\n| --- | --- | --- | --- |");
    for (number, Situation { title, streams, opening, .. }) in SITUATIONS.into_iter().enumerate() {
        let mut figures = vec![Vec::new(); CLIENTS.len()];
        for _ in 0..measure::rounds() {
            for (client, figures) in figures.iter_mut().enumerate() {
                figures.push(in_a_process(&server.origin, number, client));
            }
        }
        for ((name, _), figures) in CLIENTS.into_iter().zip(figures) {
            let Figure { median, min, max, .. } = measure::figure(name, figures);
            println!(
                "| {streams}, {title} | {opening} | {name} | {median:.1} ({min:.1}..{max:.1}) |"
            );
        }
    }
}

/// Has a process of its own measure; KB per stream.
fn in_a_process(origin: &str, situation: usize, client: usize) -> f64 {
    let program = std::env::current_exe().expect("the path of this program");
    let numbers = [situation.to_string(), client.to_string()];
    let output = Command::new(program).args(["--one", origin]).args(numbers).output();
    let output = output.expect("the process runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes = text.trim().parse::<f64>();
    bytes.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))) / 1000.0
}

/// Prints the bytes per stream and ends the process.
fn measure_one<C: Client>(origin: &str, situation: Situation) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        // What is there once for all streams is not counted.
        C::new(origin, Answer::EventChunks).read_all(2, Expected::of(Answer::EventChunks)).await;
        let before = process::resident();
        open_all::<C>(origin, situation).await;
        println!("{}", process::resident().saturating_sub(before) / situation.streams);
        std::process::exit(0);
    })
}

/// Brings all streams to where they stay.
async fn open_all<C: Client>(origin: &str, situation: Situation) {
    let Situation { answer, streams, opening, stalls, .. } = situation;
    let client = C::new(origin, answer);
    let amount = if stalls { 1 } else { Expected::of(answer).amount::<C>() };
    let opening = Arc::new(Semaphore::new(opening));
    let settled = Arc::new(Semaphore::new(0));
    for _ in 0..streams {
        let turn = Arc::clone(&opening).acquire_owned().await.expect("it is never closed");
        let (client, settled) = (client.clone(), Arc::clone(&settled));
        tokio::spawn(async move {
            let mut stream = client.open().await;
            drop(client);
            C::read(&mut stream, amount).await;
            // No point to wait at: who reads on does so at once.
            settled.add_permits(1);
            drop((settled, turn));
            if !stalls {
                C::read(&mut stream, usize::MAX).await;
            }
            std::future::pending::<()>().await;
            drop(stream);
        });
    }
    drop(settled.acquire_many(streams as u32).await);
    // For a stalled stream the connection's task reads ahead as far as it may.
    tokio::time::sleep(Duration::from_millis(300)).await;
}
