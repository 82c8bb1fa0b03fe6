//! From the socket to typed events, beside hyper's client that throws the same bytes away and beside
//! the crates that others put on it; and the same events over a WebSocket, one to a frame.
//!
//! `cargo bench --bench end_to_end`, or one part of it: `-- event`, `-- 16`, `-- 64`, `-- image`,
//! `-- paced`. For a profiler, `-- profile event tower-openai 1000` runs one client on one stream, a
//! thousand times.
//!
//! The server is a process of its own on processor 0, the client has processor 1; what is reported
//! is the client's processor time, kernel included.

mod support;

use std::future::{Future, poll_fn};
use std::pin::pin;

use support::client::{
    Client, Drain, DrainFixed, Expected, OursPreset, OursStack, WithEventsource, WithSseStream,
};
use support::measure::{self, Contender, Figure, Reading, Rounds};
use support::process::{self, ServerProcess};
use support::server::{self, Answer, IMAGES, PACED_STREAMS};
use support::socket::{OursDriven, OursInline, WithTungstenite};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// The streams that come as fast as they are read, and who reads them.
const FLOWING: [(&str, Answer, Reader); 5] = [
    ("one event per chunk", Answer::EventChunks, Reader::Task),
    ("one event per chunk, read in `block_on`", Answer::EventChunks, Reader::Main),
    ("blocks of 16 KiB", Answer::Blocks16, Reader::Task),
    ("blocks of 64 KiB", Answer::Blocks64, Reader::Task),
    ("images of 1 MiB", Answer::Images, Reader::Task),
];

#[derive(Clone, Copy)]
enum Reader {
    /// A task, as in a server.
    Task,
    /// The future that `block_on` runs, as in a program's `main`: waking it takes a system call,
    /// and hyper wakes the reader once per chunk.
    Main,
}

/// Where the two drains stand among the contenders.
const ADAPTIVE: usize = 0;
const FIXED: usize = 1;

fn main() {
    server::run_if_asked();
    process::allow_files(1024);
    if !process::pin(1) {
        println!("Not pinned: the client shares processors with the server.\n");
    }
    let server = ServerProcess::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bench = Bench { runtime: runtime.expect("a runtime"), origin: server.origin.clone() };
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let wanted = args.next().unwrap_or_default();
    if wanted == "profile" {
        return bench.profile(&args.collect::<Vec<_>>());
    }
    println!(
        "CPU and wall time are ns per event: median (range) of {} rounds. The ratios are of CPU \
         time, to hyper in the same round: with its own growing read buffer, and with the 16 KiB \
         that `HyperTransport` has.\n",
        measure::rounds()
    );
    println!("| stream | client | CPU | wall | x hyper | x hyper, 16 KiB |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (title, answer, reader) in FLOWING {
        if title.contains(&wanted) {
            print(title, &bench.flowing(answer, reader));
        }
    }
    if "200 paced streams".contains(&wanted) {
        let (rounds, polls) = bench.paced();
        print("200 paced streams", &rounds);
        println!(
            "\nPolls of the reading task per paced event:\n\n| client | polls |\n| --- | --- |"
        );
        for (name, polls) in polls {
            println!("| {name} | {polls:.2} |");
        }
    }
    println!("\nConnections opened: {}", bench.connections());
}

fn print(title: &str, rounds: &Rounds) {
    let show = |Figure { median, min, max, .. }: &Figure, digits: usize| {
        format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
    };
    let ratios = rounds.ratios(ADAPTIVE).into_iter().zip(rounds.ratios(FIXED));
    for ((cpu, wall), (adaptive, fixed)) in rounds.cpu().iter().zip(rounds.wall()).zip(ratios) {
        let (cpu, wall, name) = (show(cpu, 0), show(&wall, 0), cpu.name);
        let (adaptive, fixed) = (show(&adaptive, 2), show(&fixed, 2));
        println!("| {title} | {name} | {cpu} | {wall} | {adaptive} | {fixed} |");
    }
}

/// Runs one round: what it cost, and how often the reading tasks were polled.
type PacedRound<'a> = Box<dyn FnMut() -> (Reading, usize) + 'a>;

struct Bench {
    runtime: Runtime,
    origin: String,
}

impl Bench {
    /// One stream after the other, as fast as they come.
    fn flowing(&self, answer: Answer, reader: Reader) -> Rounds {
        let units = if answer == Answer::Images { IMAGES } else { Expected::of(answer).events() };
        measure::both_clocks(units, self.contenders(answer, reader))
    }

    fn contenders(&self, answer: Answer, reader: Reader) -> Vec<Contender<'_>> {
        let mut contenders = vec![
            self.contender::<Drain>(answer, reader),
            self.contender::<DrainFixed>(answer, reader),
            self.contender::<OursStack>(answer, reader),
            self.contender::<OursPreset>(answer, reader),
            self.contender::<WithSseStream>(answer, reader),
        ];
        // Quadratic in the length of a line: 30 ms and more for an image.
        if answer != Answer::Images {
            contenders.push(self.contender::<WithEventsource>(answer, reader));
        }
        // On a socket an event is a message.
        if answer == Answer::EventChunks {
            contenders.push(self.contender::<OursInline>(answer, reader));
            contenders.push(self.contender::<OursDriven>(answer, reader));
            contenders.push(self.contender::<WithTungstenite>(answer, reader));
        }
        contenders
    }

    fn run<F>(&self, reader: Reader, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match reader {
            Reader::Task => self.runtime.block_on(self.runtime.spawn(future)).expect("no panic"),
            Reader::Main => self.runtime.block_on(future),
        }
    }

    /// One client on one stream, again and again, with nothing else in the process.
    fn profile(&self, args: &[String]) {
        let [stream, client, times] = args else { panic!("profile <stream> <client> <times>") };
        let stream = FLOWING.iter().find(|(title, ..)| title.contains(stream));
        let (_, answer, reader) = *stream.expect("a stream of this name");
        let mut contenders = self.contenders(answer, reader);
        let contender = contenders.iter_mut().find(|contender| contender.name.contains(client));
        let contender = contender.expect("a client of this name");
        for _ in 0..times.parse().expect("a number") {
            contender.run();
        }
    }

    fn contender<C: Client>(&self, answer: Answer, reader: Reader) -> Contender<'_> {
        let expected = Expected::of(answer);
        let client = C::new(&self.origin, answer);
        Contender::new(C::NAME, move || self.run(reader, client.clone().read_all(1, expected)))
    }

    /// Many streams at once with one event at a time.
    fn paced(&self) -> (Rounds, Vec<(&'static str, f64)>) {
        let mut contenders = [
            self.paced_contender::<Drain>(),
            self.paced_contender::<DrainFixed>(),
            self.paced_contender::<OursStack>(),
            self.paced_contender::<OursPreset>(),
            self.paced_contender::<WithSseStream>(),
            self.paced_contender::<WithEventsource>(),
        ];
        let events = PACED_STREAMS as usize * Expected::of(Answer::Paced).events();
        let mut polls = vec![0.0; contenders.len()];
        let names: Vec<_> = contenders.iter().map(|(name, _)| *name).collect();
        let rounds = Rounds::run(names.clone(), |contender| {
            let (cost, polled) = (contenders[contender].1)();
            polls[contender] = polled as f64 / events as f64;
            cost.per(events)
        });
        (rounds, names.into_iter().zip(polls).collect())
    }

    fn paced_contender<C: Client>(&self) -> (&'static str, PacedRound<'_>) {
        let expected = Expected::of(Answer::Paced);
        let client = C::new(&self.origin, Answer::Paced);
        (C::NAME, Box::new(move || self.run(Reader::Task, paced_round(client.clone(), expected))))
    }

    /// How many connections the server has seen: few, if they were used again.
    fn connections(&self) -> String {
        use std::io::{Read, Write};
        let address = self.origin.trim_start_matches("http://");
        let mut socket = std::net::TcpStream::connect(address).expect("a connection");
        socket.write_all(b"GET /connections HTTP/1.1\r\n\r\n").expect("sent");
        socket.shutdown(std::net::Shutdown::Write).expect("shut down");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer.lines().last().unwrap_or_default().to_owned()
    }
}

async fn paced_round<C: Client>(client: C, expected: Expected) -> (Reading, usize) {
    let mut streams = JoinSet::new();
    for _ in 0..PACED_STREAMS {
        let client = client.clone();
        streams.spawn(async move { client.open().await });
    }
    let streams = streams.join_all().await;
    let start = Reading::now();
    let mut readers = JoinSet::new();
    for mut stream in streams {
        readers.spawn(async move {
            let (tally, polls) = counted(C::read(&mut stream, usize::MAX)).await;
            expected.check::<C>(tally);
            polls
        });
    }
    let polls = readers.join_all().await.iter().sum();
    (Reading::now() - start, polls)
}

/// A future's output, and how often it was polled.
async fn counted<F: Future>(future: F) -> (F::Output, usize) {
    let mut future = pin!(future);
    let mut polls = 0;
    let output = poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    (output, polls)
}
