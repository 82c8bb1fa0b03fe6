//! The part of a policy that a request may override: plain values.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::extensions::RetryOverride;

/// The longest `max_hint`: nothing sleeps for years because a server says so.
pub(in crate::layers) const LONGEST_HINT: Duration = Duration::from_secs(24 * 60 * 60);

/// `Duration::min`, which is not `const`.
pub(in crate::layers) const fn at_most(time: Duration, longest: Duration) -> Duration {
    if time.as_nanos() > longest.as_nanos() { longest } else { time }
}

/// A set of statuses from 400 to 599.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct StatusSet([u64; 4]);

impl StatusSet {
    const LOWEST: u16 = 400;
    const HIGHEST: u16 = 599;

    pub(super) const NONE: Self = Self([0; 4]);

    /// All that mean failure.
    pub(super) const ALL: Self = Self([u64::MAX; 4]);

    /// 408, 409, 429 and all from 500 on.
    pub(super) const fn usual() -> Self {
        Self::NONE.with(408, true).with(409, true).with(429, true).with_5xx(true)
    }

    pub(super) const fn holds(code: u16) -> bool {
        code >= Self::LOWEST && code <= Self::HIGHEST
    }

    pub(super) fn contains(&self, status: StatusCode) -> bool {
        let code = status.as_u16();
        let at = code.wrapping_sub(Self::LOWEST);
        let word = self.0.get(usize::from(at / 64)).copied().unwrap_or_default();
        Self::holds(code) && word >> (at % 64) & 1 == 1
    }

    /// With `code`, which it must be able to hold, in it or not.
    pub(super) const fn with(self, code: u16, present: bool) -> Self {
        let Self([mut a, mut b, mut c, mut d]) = self;
        let at = code.saturating_sub(Self::LOWEST);
        let bit = 1 << (at % 64);
        let word = match at / 64 {
            0 => &mut a,
            1 => &mut b,
            2 => &mut c,
            _ => &mut d,
        };
        *word = if present { *word | bit } else { *word & !bit };
        Self([a, b, c, d])
    }

    pub(super) const fn with_5xx(mut self, present: bool) -> Self {
        let mut code = 500;
        while code <= Self::HIGHEST {
            self = self.with(code, present);
            code += 1;
        }
        self
    }
}

impl fmt::Debug for StatusSet {
    /// As ranges: `408-409 429 500-599`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |code: u16| StatusCode::from_u16(code).is_ok_and(|code| self.contains(code));
        let starts = (Self::LOWEST..=Self::HIGHEST).filter(|&code| has(code) && !has(code - 1));
        for (n, start) in starts.enumerate() {
            let end = (start..=Self::HIGHEST).take_while(|&code| has(code)).last();
            let end = end.filter(|end| *end > start).map_or(String::new(), |end| format!("-{end}"));
            write!(f, "{}{start}{end}", if n > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// What the server's wish to wait counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hints {
    Ignored,
    /// The wait is the hint or the own backoff, whichever is longer.
    AtLeast,
    /// The wait is the hint; one of zero counts if `zero` is set.
    Instead {
        zero: bool,
    },
}

/// What a request may override.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) max_retries: u32,
    pub(super) statuses: StatusSet,
    pub(super) transport: bool,
    pub(super) hints: Hints,
    pub(super) max_hint: Duration,
    /// Whether a longer hint makes the answer final; else it is ignored.
    pub(super) long_is_final: bool,
}

impl Rules {
    pub(super) const STANDARD: Self = Self {
        max_retries: 2,
        statuses: StatusSet::usual(),
        transport: true,
        hints: Hints::AtLeast,
        max_hint: Duration::from_secs(60),
        long_is_final: true,
    };

    pub(super) fn honour_hints(&mut self, honour: bool) {
        self.hints = match self.hints {
            _ if !honour => Hints::Ignored,
            Hints::Ignored => Hints::AtLeast,
            honoured => honoured,
        };
    }

    pub(super) fn with(mut self, own: &RetryOverride) -> Self {
        self.max_retries = own.max_retries.unwrap_or(self.max_retries);
        self.max_hint = own.max_hint.unwrap_or(self.max_hint).min(LONGEST_HINT);
        self.transport = own.on_transport.unwrap_or(self.transport);
        self.statuses = with_statuses(self.statuses, own);
        if let Some(honour) = own.honour_hints {
            self.honour_hints(honour);
        }
        self
    }

    /// The wait that comes of the own backoff and the server's hint; `None` makes the answer final.
    pub(super) fn wait(&self, own: Duration, hint: Option<Duration>) -> Option<Duration> {
        let Some(hint) = hint else { return Some(own) };
        match self.hints {
            Hints::Ignored => Some(own),
            _ if hint > self.max_hint => (!self.long_is_final).then_some(own),
            Hints::AtLeast => Some(own.max(hint)),
            Hints::Instead { zero } if zero || !hint.is_zero() => Some(hint),
            Hints::Instead { .. } => Some(own),
        }
    }
}

fn with_statuses(statuses: StatusSet, own: &RetryOverride) -> StatusSet {
    let statuses = own.on_429.map_or(statuses, |retry| statuses.with(429, retry));
    own.on_5xx.map_or(statuses, |retry| statuses.with_5xx(retry))
}

/// Of which answers the body is read before the policy decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peekable {
    statuses: StatusSet,
    /// Also of those whose header asks for another attempt.
    on_request: bool,
    /// For how long, in milliseconds: each call carries this.
    millis: u32,
}

impl Peekable {
    pub(super) const NOTHING: Self =
        Self { statuses: StatusSet::NONE, on_request: false, millis: 0 };

    /// `custom`: a classifier of the caller's may want to see any failure.
    pub(super) fn of(rules: &Rules, custom: bool, time: Duration) -> Self {
        let statuses = if custom { StatusSet::ALL } else { rules.statuses };
        let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Self { statuses, on_request: !matches!(rules.hints, Hints::Ignored), millis }
    }

    pub(super) const fn time(&self) -> Duration {
        Duration::from_millis(self.millis as u64)
    }

    /// As the request wants it.
    pub(super) fn with(self, own: &RetryOverride) -> Self {
        let on_request = own.honour_hints.unwrap_or(self.on_request);
        // Whoever wants all of them, a classifier above all, wants those too that are not tried again.
        let statuses = match self.statuses {
            StatusSet::ALL => StatusSet::ALL,
            some => with_statuses(some, own),
        };
        Self { statuses, on_request, ..self }
    }

    pub(super) fn takes(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        StatusSet::holds(status.as_u16())
            && (self.statuses.contains(status)
                || self.on_request && should_retry(headers) == Some(true))
    }
}

/// What `x-should-retry` says; anything but `true` and `false` says nothing.
pub(super) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match headers.get("x-should-retry")?.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_set_is_the_statuses_put_in() {
        let usual = StatusSet::usual();
        for code in 100..1000 {
            let expected = matches!(code, 408 | 409 | 429 | 500..=599);
            assert_eq!(usual.contains(StatusCode::from_u16(code).unwrap()), expected, "{code}");
        }
        assert_eq!(format!("{usual:?}"), "408-409 429 500-599");
        assert_eq!(format!("{:?}", usual.with_5xx(false).with(409, false)), "408 429");
        assert_eq!(format!("{:?}", StatusSet::NONE), "");
        assert_eq!(format!("{:?}", StatusSet::ALL), "400-599");
    }

    #[test]
    fn hints_and_own_backoff_make_the_wait() {
        let (own, zero, short, long) = (
            Duration::from_millis(500),
            Duration::ZERO,
            Duration::from_millis(100),
            Duration::from_secs(61),
        );
        let wait = |hints, hint| Rules { hints, ..Rules::STANDARD }.wait(own, Some(hint));
        assert_eq!(wait(Hints::Ignored, long), Some(own));
        assert_eq!(wait(Hints::AtLeast, short), Some(own));
        assert_eq!(wait(Hints::AtLeast, Duration::from_secs(60)), Some(Duration::from_secs(60)));
        assert_eq!(wait(Hints::AtLeast, long), None);
        for zero_counts in [true, false] {
            let hints = Hints::Instead { zero: zero_counts };
            assert_eq!(wait(hints, short), Some(short));
            assert_eq!(wait(hints, long), None);
            assert_eq!(wait(hints, zero), Some(if zero_counts { zero } else { own }));
        }
        let lenient = Rules { long_is_final: false, ..Rules::STANDARD };
        assert_eq!(lenient.wait(own, Some(long)), Some(own));
        assert_eq!(lenient.wait(own, None), Some(own));
    }
}
