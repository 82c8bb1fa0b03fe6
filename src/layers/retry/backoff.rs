//! How long to wait between attempts: any iterator of delays, and the one that is used by default.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;

/// The delays of one call, in order.
pub(in crate::layers) type Delays = Box<dyn Iterator<Item = Duration> + Send + Sync>;

/// Makes the delays of a call, once the call needs them.
#[derive(Clone)]
pub(in crate::layers) enum Schedule {
    Exponential(ExponentialBackoff),
    Custom(Arc<dyn Fn() -> Delays + Send + Sync>),
}

impl Schedule {
    pub(in crate::layers) fn custom<T>(delays: T) -> Self
    where
        T: IntoIterator<Item = Duration> + Clone + Send + Sync + 'static,
        T::IntoIter: Send + Sync + 'static,
    {
        Self::Custom(Arc::new(move || Box::new(delays.clone().into_iter())))
    }

    pub(in crate::layers) fn delays(&self) -> Delays {
        match self {
            Self::Exponential(backoff) => Box::new(backoff.into_iter()),
            Self::Custom(make) => make(),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential(ExponentialBackoff { base, factor, cap, .. }) => {
                write!(f, "{base:?} x {factor}")?;
                if *cap < Duration::MAX { write!(f, " up to {cap:?}") } else { Ok(()) }
            }
            Self::Custom(_) => f.write_str("delays of the caller's"),
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential(backoff) => backoff.fmt(f),
            Self::Custom(_) => f.debug_struct("Custom").finish_non_exhaustive(),
        }
    }
}

/// Delays that grow by a factor up to a cap, each multiplied by a random number.
///
/// Delay `n`, counted from 0, is `base × factorⁿ`, at most the cap, times a number drawn from the
/// jitter's range, and again at most the cap. It never ends. The default is the official SDKs': 500 ms,
/// doubled up to 8 s, times 0.75 to 1.
///
/// ```
/// use std::time::Duration;
/// use tower_openai::layers::retry::ExponentialBackoff;
///
/// let backoff = ExponentialBackoff::new(Duration::from_millis(100), Duration::from_secs(1))?
///     .factor(3.0)?
///     .jitter(1.0..=1.0)?;
/// let delays: Vec<_> = backoff.into_iter().map(|delay| delay.as_millis()).take(4).collect();
/// assert_eq!(delays, [100, 300, 900, 1000]);
/// # Ok::<(), tower_openai::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct ExponentialBackoff {
    base: Duration,
    factor: f64,
    cap: Duration,
    /// Lowest and highest.
    jitter: (f64, f64),
    seed: Option<u64>,
}

impl ExponentialBackoff {
    /// From `base`, doubled each time up to `cap`, times 0.75 to 1.
    ///
    /// # Errors
    ///
    /// If `base` is zero, or longer than `cap`.
    pub fn new(base: Duration, cap: Duration) -> Result<Self, Error> {
        if base.is_zero() {
            return Err(Error::build("a backoff cannot grow from a base of zero"));
        }
        if base > cap {
            return Err(Error::build(format!(
                "the base of a backoff, {base:?}, is longer than its cap, {cap:?}"
            )));
        }
        Ok(Self { base, cap, ..Self::SDK })
    }

    /// Both official SDKs'.
    pub(super) const SDK: Self = Self {
        base: Duration::from_millis(500),
        factor: 2.0,
        cap: Duration::from_secs(8),
        jitter: (0.75, 1.0),
        seed: None,
    };

    /// The reference's, which has no cap.
    pub(super) const CODEX: Self = Self {
        base: Duration::from_millis(200),
        factor: 2.0,
        cap: Duration::MAX,
        jitter: (0.9, 1.1),
        seed: None,
    };

    /// The same with what is said here in its place, times in milliseconds; `None` if nothing is.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), [`factor`](Self::factor) and [`jitter`](Self::jitter).
    pub(in crate::layers) fn changed(
        self,
        base_ms: Option<u64>,
        cap_ms: Option<u64>,
        factor: Option<f64>,
        jitter: Option<(f64, f64)>,
    ) -> Result<Option<Self>, Error> {
        if (base_ms, cap_ms, factor, jitter) == (None, None, None, None) {
            return Ok(None);
        }
        let time = |said: Option<u64>, own| said.map_or(own, Duration::from_millis);
        let (low, high) = jitter.unwrap_or(self.jitter);
        let changed = Self::new(time(base_ms, self.base), time(cap_ms, self.cap))?
            .factor(factor.unwrap_or(self.factor))?
            .jitter(low..=high)?;
        Ok(Some(Self { seed: self.seed, ..changed }))
    }

    /// Each delay is `factor` times the one before; 1 keeps it constant.
    ///
    /// # Errors
    ///
    /// If `factor` is less than 1 or not finite.
    pub fn factor(mut self, factor: f64) -> Result<Self, Error> {
        if !(factor.is_finite() && factor >= 1.0) {
            return Err(Error::build(format!(
                "the factor of a backoff must be a number from 1 on, not {factor}"
            )));
        }
        self.factor = factor;
        Ok(self)
    }

    /// Each delay is multiplied by a random number of this range, its lower end excluded;
    /// `1.0..=1.0` is off.
    ///
    /// # Errors
    ///
    /// If an end is negative or not finite, if the range is empty, or if its upper end is zero.
    pub fn jitter(mut self, range: RangeInclusive<f64>) -> Result<Self, Error> {
        let (low, high) = (*range.start(), *range.end());
        if !(low.is_finite() && high.is_finite() && low >= 0.0 && low <= high && high > 0.0) {
            return Err(Error::build(format!(
                "the jitter of a backoff must be a range of numbers from 0 on that ends above 0, \
                 not {low} to {high}"
            )));
        }
        self.jitter = (low, high);
        Ok(self)
    }

    /// Draws the same numbers for every call: for tests. Without a seed each call draws its own.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Default for ExponentialBackoff {
    fn default() -> Self {
        Self::SDK
    }
}

impl IntoIterator for ExponentialBackoff {
    type Item = Duration;
    type IntoIter = ExponentialDelays;

    fn into_iter(self) -> ExponentialDelays {
        let seed = self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        ExponentialDelays { next: self.base.as_secs_f64(), random: SplitMix64(seed), backoff: self }
    }
}

/// The delays of an [`ExponentialBackoff`]; without end.
#[derive(Clone, Debug)]
pub struct ExponentialDelays {
    backoff: ExponentialBackoff,
    /// In seconds, without jitter.
    next: f64,
    random: SplitMix64,
}

impl Iterator for ExponentialDelays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let ExponentialBackoff { factor, cap, jitter: (low, high), .. } = self.backoff;
        let now = self.next;
        self.next = (now * factor).min(cap.as_secs_f64());
        let drawn = high - (high - low) * self.random.fraction();
        Some(Duration::try_from_secs_f64(now * drawn).map_or(cap, |delay| delay.min(cap)))
    }
}

/// Sebastiano Vigna's generator: jitter wants spread, not secrecy.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// From 0 to just below 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // 53 bits are what an `f64` holds exactly.
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn take(backoff: ExponentialBackoff, n: usize) -> Vec<Duration> {
        backoff.into_iter().take(n).collect()
    }

    #[test]
    fn delays_stay_in_their_range_and_under_the_cap() {
        for seed in 0..500 {
            let delays = take(ExponentialBackoff::default().seed(seed), 8);
            for (n, delay) in delays.iter().enumerate() {
                let full = (MS * 500 * 2u32.pow(n as u32)).min(MS * 8000);
                assert!(*delay > full.mul_f64(0.7499) && *delay <= full, "{n}: {delay:?}");
            }
        }
        let wide = ExponentialBackoff::new(MS, 4 * MS).unwrap().jitter(0.0..=2.0).unwrap();
        assert!(take(wide.seed(7), 100).iter().all(|delay| *delay <= 4 * MS));
    }

    #[test]
    fn a_seed_repeats_and_its_absence_does_not() {
        let backoff = ExponentialBackoff::default();
        assert_eq!(take(backoff.seed(1), 5), take(backoff.seed(1), 5));
        assert_ne!(take(backoff.seed(1), 5), take(backoff.seed(2), 5));
        assert_ne!(take(backoff, 5), take(backoff, 5));
    }

    #[test]
    fn jitter_spreads_evenly() {
        let backoff = ExponentialBackoff::new(MS * 1000, MS * 1000).unwrap();
        let drawn = backoff.jitter(0.0..=1.0).unwrap().seed(3).into_iter().take(10_000);
        let mut tenths = [0; 10];
        drawn.for_each(|delay| tenths[(delay.as_millis() as usize / 100).min(9)] += 1);
        assert!(tenths.iter().all(|n| (850..1150).contains(n)), "{tenths:?}");
    }

    #[test]
    fn growth_without_end_saturates() {
        let delays = take(ExponentialBackoff::CODEX.factor(1e300).unwrap(), 5);
        assert!(delays[0] < MS * 221);
        assert!(delays[4] > Duration::MAX / 2, "{delays:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let backoff = ExponentialBackoff::default();
        let ranges = [-1.0..=1.0, f64::NAN..=1.0, 0.5..=f64::INFINITY, 1.0..=0.5, 0.0..=0.0];
        let refused = [
            ExponentialBackoff::new(Duration::ZERO, MS),
            ExponentialBackoff::new(2 * MS, MS),
            backoff.factor(0.0),
            backoff.factor(0.99),
            backoff.factor(f64::NAN),
            backoff.factor(f64::INFINITY),
        ];
        for refused in refused.into_iter().chain(ranges.map(|range| backoff.jitter(range))) {
            assert_eq!(refused.unwrap_err().kind(), crate::ErrorKind::Build);
        }
    }
}
