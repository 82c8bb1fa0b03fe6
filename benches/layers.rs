//! What each layer adds to a unary call, beside tower's and tower-http's own.
//!
//! `cargo bench --bench layers`; `cargo bench --bench allocations` counts the allocations of the
//! same calls. `-- only Telemetry Idle` measures those rows, and what they stand beside. For a
//! profiler, `-- profile "RetryLayer, 2" ready 1000` makes the calls of one row alone, a thousand
//! times a thousand.
//!
//! A timer that is earlier than all others is held the whole time, as a busy runtime has one.

mod support;

use support::measure::{Contender, Figure, both_clocks};
use support::stacks::{self, CALLS, Row};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _timer = stacks::hold_timer(&runtime);
    let _entered = runtime.enter();
    let mut rows = stacks::rows();
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    match args.next().as_deref() {
        Some("profile") => return profile(&mut rows, &args.collect::<Vec<_>>()),
        Some("only") => rows = only(rows, &args.collect::<Vec<_>>()),
        _ => {}
    }
    let beside: Vec<_> = rows.iter().map(|row| (row.backend, row.beside, row.sizes)).collect();
    let contenders = rows.into_iter().map(|row| Contender::new(row.name, row.run)).collect();
    let figures = both_clocks(CALLS, contenders).cpu();

    println!(
        "| layer | backend | ns/call | range | over the bare service | over | ns | bytes of future, answer |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let of = |backend, name| {
        let rows = figures.iter().zip(&beside);
        let mut rows = rows.filter(|(figure, row)| row.0 == backend && figure.name == name);
        rows.next().map_or(f64::NAN, |(figure, _)| figure.median)
    };
    for (Figure { name, median, min, max }, (backend, beside, sizes)) in figures.iter().zip(&beside)
    {
        let bare = median - of(*backend, figures[0].name);
        let over = median - of(*backend, beside);
        println!(
            "| {name} | {backend} | {median:.0} | {min:.0}..{max:.0} | {bare:.0} | {beside} | \
             {over:.0} | {}, {} |",
            sizes.0, sizes.1
        );
    }
}

/// The rows of these names, those they stand beside, and the bare service.
fn only(rows: Vec<Row>, names: &[String]) -> Vec<Row> {
    let named = |row: &&Row| names.iter().any(|name| row.name.contains(name.as_str()));
    let bare = rows[0].name;
    let beside: Vec<_> = rows.iter().filter(named).map(|row| row.beside).chain([bare]).collect();
    rows.into_iter().filter(|row| named(&row) || beside.contains(&row.name)).collect()
}

/// One row, again and again, with nothing else in the process.
fn profile(rows: &mut [Row], args: &[String]) {
    let [name, backend, times] = args else { panic!("profile <layer> <backend> <times>") };
    let row = rows.iter_mut().find(|row| row.name.contains(name) && row.backend == backend);
    let row = row.expect("a row of this name");
    for _ in 0..times.parse().expect("a number") {
        (row.run)();
    }
}
