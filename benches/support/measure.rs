//! Interleaved rounds: every contender runs once per round, so that a change of the machine's speed
//! meets all of them, and the median of the rounds is reported.

use std::time::{Duration, Instant};

/// One thing to measure.
pub struct Contender<'a> {
    pub name: &'static str,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// The times of one contender, per unit of work.
pub struct Figure {
    pub name: &'static str,
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// Rounds to run: `ROUNDS=n` in the environment, at least 7.
pub fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(9).max(7)
}

/// Measures all contenders in interleaved rounds; nanoseconds per unit, `units` in each run.
pub fn interleaved(units: usize, mut contenders: Vec<Contender<'_>>) -> Vec<Figure> {
    const SLICE: Duration = Duration::from_millis(40);
    // Warms up, and finds how many runs fill a slice.
    let repeats: Vec<u32> = contenders
        .iter_mut()
        .map(|contender| {
            let start = Instant::now();
            let mut runs = 0;
            while runs < 3 || start.elapsed() < SLICE {
                (contender.run)();
                runs += 1;
                if start.elapsed() > SLICE * 10 {
                    break;
                }
            }
            (f64::from(runs) * SLICE.as_secs_f64() / start.elapsed().as_secs_f64()).ceil() as u32
        })
        .collect();
    let mut times = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds() {
        for ((contender, repeats), times) in contenders.iter_mut().zip(&repeats).zip(&mut times) {
            let start = Instant::now();
            for _ in 0..*repeats {
                (contender.run)();
            }
            let nanos = start.elapsed().as_secs_f64() * 1e9;
            times.push(nanos / f64::from(*repeats) / units as f64);
        }
    }
    contenders.iter().zip(times).map(|(contender, times)| figure(contender.name, times)).collect()
}

/// The figure of a list of measurements.
pub fn figure(name: &'static str, mut times: Vec<f64>) -> Figure {
    times.sort_by(f64::total_cmp);
    Figure { name, median: times[times.len() / 2], min: times[0], max: times[times.len() - 1] }
}
