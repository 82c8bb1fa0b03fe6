//! Interleaved rounds: every contender runs once per round, so that a change of the machine's speed
//! meets all of them, and the median of the rounds is reported.

use std::ops::Sub;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// One thing to measure.
pub struct Contender<'a> {
    pub name: &'static str,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }

    pub fn run(&mut self) {
        (self.run)();
    }
}

/// A point in time on two clocks, or the distance of two of them.
#[derive(Clone, Copy)]
pub struct Reading {
    wall: Duration,
    /// Processor time of this process, kernel included.
    cpu: Duration,
}

impl Reading {
    pub fn now() -> Self {
        let of = |clock| {
            let time = clock_gettime(clock);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        Self { wall: of(ClockId::Monotonic), cpu: of(ClockId::ProcessCPUTime) }
    }

    /// What one of `units` cost.
    pub fn per(self, units: usize) -> Sample {
        let nanos = |time: Duration| time.as_secs_f64() * 1e9 / units as f64;
        Sample { wall: nanos(self.wall), cpu: nanos(self.cpu) }
    }
}

impl Sub for Reading {
    type Output = Self;

    fn sub(self, start: Self) -> Self {
        Self { wall: self.wall - start.wall, cpu: self.cpu - start.cpu }
    }
}

/// Nanoseconds per unit of work, of one contender in one round.
#[derive(Clone, Copy)]
pub struct Sample {
    pub wall: f64,
    pub cpu: f64,
}

/// What all contenders took in all rounds.
pub struct Rounds {
    names: Vec<&'static str>,
    /// Of each contender, one for each round.
    samples: Vec<Vec<Sample>>,
}

impl Rounds {
    /// Runs [`rounds`] rounds; `run` measures the contender of this place in `names`.
    pub fn run(names: Vec<&'static str>, mut run: impl FnMut(usize) -> Sample) -> Self {
        let mut samples = vec![Vec::new(); names.len()];
        for _ in 0..rounds() {
            for (contender, samples) in samples.iter_mut().enumerate() {
                samples.push(run(contender));
            }
        }
        Self { names, samples }
    }

    pub fn wall(&self) -> Vec<Figure> {
        self.figures(|sample| sample.wall)
    }

    pub fn cpu(&self) -> Vec<Figure> {
        self.figures(|sample| sample.cpu)
    }

    /// Processor time as a multiple of what contender `base` took in the same round.
    pub fn ratios(&self, base: usize) -> Vec<Figure> {
        let ratio = |(sample, base): (&Sample, &Sample)| sample.cpu / base.cpu;
        let ratios =
            |samples: &Vec<Sample>| samples.iter().zip(&self.samples[base]).map(ratio).collect();
        self.names
            .iter()
            .zip(&self.samples)
            .map(|(name, samples)| figure(name, ratios(samples)))
            .collect()
    }

    fn figures(&self, of: impl Fn(&Sample) -> f64) -> Vec<Figure> {
        let figures = self.names.iter().zip(&self.samples);
        figures.map(|(name, samples)| figure(name, samples.iter().map(&of).collect())).collect()
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
pub fn interleaved(units: usize, contenders: Vec<Contender<'_>>) -> Vec<Figure> {
    both_clocks(units, contenders).wall()
}

/// Like [`interleaved`], on both clocks.
pub fn both_clocks(units: usize, mut contenders: Vec<Contender<'_>>) -> Rounds {
    const SLICE: Duration = Duration::from_millis(40);
    // Warms up, and finds how many runs fill a slice.
    let repeats: Vec<u32> = contenders
        .iter_mut()
        .map(|contender| {
            let start = Instant::now();
            let mut runs = 0;
            while runs < 3 || start.elapsed() < SLICE {
                contender.run();
                runs += 1;
                if start.elapsed() > SLICE * 10 {
                    break;
                }
            }
            (f64::from(runs) * SLICE.as_secs_f64() / start.elapsed().as_secs_f64()).ceil() as u32
        })
        .collect();
    let names = contenders.iter().map(|contender| contender.name).collect();
    Rounds::run(names, |contender| {
        let repeats = repeats[contender];
        let start = Reading::now();
        for _ in 0..repeats {
            contenders[contender].run();
        }
        (Reading::now() - start).per(units * repeats as usize)
    })
}

/// The figure of a list of measurements.
pub fn figure(name: &'static str, mut times: Vec<f64>) -> Figure {
    times.sort_by(f64::total_cmp);
    Figure { name, median: times[times.len() / 2], min: times[0], max: times[times.len() - 1] }
}
