//! One unary call over loopback, from the typed request to the typed answer, beside hyper-util's
//! client and reqwest with the same bytes.
//!
//! `cargo bench --bench unary`; `cargo bench --bench allocations` counts the allocations of the same
//! calls. `-- profile reqwest 10` makes ten times a thousand calls of one client, for a profiler.
//!
//! The server is a process of its own on processor 0, the client has processor 1; what is reported
//! is the client's processor time, kernel included.

mod support;

use support::measure::{self, Contender, Figure};
use support::process::{self, ServerProcess};
use support::server;
use support::unary::{Caller, Hyper, OursPreset, OursStack, Reqwest};
use tokio::runtime::Runtime;

/// Calls of one run.
const CALLS: usize = 1_000;

fn main() {
    server::run_if_asked();
    if !process::pin(1) {
        println!("Not pinned: the client shares processors with the server.\n");
    }
    let server = ServerProcess::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut contenders = vec![
        contender::<Hyper>(&runtime, &server),
        contender::<OursStack>(&runtime, &server),
        contender::<OursPreset>(&runtime, &server),
        contender::<Reqwest>(&runtime, &server),
    ];
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [profile, client, times] = &args[..] {
        assert_eq!(profile, "profile");
        let one = contenders.iter_mut().find(|one| one.name.contains(client.as_str()));
        let one = one.expect("a client of this name");
        (0..times.parse().expect("a number")).for_each(|_| one.run());
        return;
    }
    let rounds = measure::both_clocks(CALLS, contenders);
    println!("| client | CPU, ns/call | range | wall | x hyper-util, CPU |");
    println!("| --- | --- | --- | --- | --- |");
    for ((cpu, wall), ratio) in rounds.cpu().iter().zip(rounds.wall()).zip(rounds.ratios(0)) {
        let Figure { name, median, min, max } = cpu;
        println!(
            "| {name} | {median:.0} | {min:.0}..{max:.0} | {:.0} | {:.2} ({:.2}..{:.2}) |",
            wall.median, ratio.median, ratio.min, ratio.max
        );
    }
}

fn contender<'a, C: Caller>(runtime: &'a Runtime, server: &ServerProcess) -> Contender<'a> {
    let client = C::new(&server.origin);
    Contender::new(C::NAME, move || {
        let calls = runtime.spawn(client.clone().call_all(CALLS));
        runtime.block_on(calls).expect("no panic");
    })
}
