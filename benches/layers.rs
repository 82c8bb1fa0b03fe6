//! What each layer adds to a unary call, beside tower's and tower-http's own.
//!
//! `cargo bench --bench layers`; `cargo bench --bench allocations` counts the allocations of the
//! same calls.

mod support;

use support::measure::{Contender, Figure, interleaved};
use support::stacks::{self, CALLS};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let rows = stacks::rows();
    let backends: Vec<_> = rows.iter().map(|row| row.backend).collect();
    let contenders = rows.into_iter().map(|row| Contender::new(row.name, row.run)).collect();
    let figures = interleaved(CALLS, contenders);

    println!("| layer | backend | ns/call | range | over the bare service |");
    println!("| --- | --- | --- | --- | --- |");
    for (Figure { name, median, min, max }, backend) in figures.iter().zip(&backends) {
        let bare = backends.iter().position(|other| other == backend).map(|bare| &figures[bare]);
        let over = match bare {
            Some(bare) if *backend != "none" => format!("{:.0}", median - bare.median),
            _ => String::new(),
        };
        println!("| {name} | {backend} | {median:.0} | {min:.0}..{max:.0} | {over} |");
    }
}
