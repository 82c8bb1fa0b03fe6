//! The `x-ratelimit-*` headers of the public API and of Azure.

use std::time::Duration;

use http::HeaderMap;

use super::text_header;

/// What the `x-ratelimit-*` headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicRateLimits {
    /// Requests per window (`…-requests`).
    pub requests: Option<LimitState>,
    /// Tokens per window (`…-tokens`).
    pub tokens: Option<LimitState>,
    /// Tokens per window of the whole project (`…-project-tokens`).
    pub project_tokens: Option<LimitState>,
    /// Tokens of accounts that pay by use (`…-tokens_usage_based`).
    pub tokens_usage_based: Option<LimitState>,
}

/// One limit and how much of it is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitState {
    /// The limit.
    pub limit: Option<u64>,
    /// How much is left.
    pub remaining: Option<u64>,
    /// How long until all of it is available again. The next call may well be possible earlier.
    pub reset: Option<Duration>,
}

impl PublicRateLimits {
    /// Reads the headers; `None` when none of them can be read.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        if !headers.keys().any(|name| name.as_str().starts_with("x-ratelimit-")) {
            return None;
        }
        let limits = Self {
            requests: LimitState::from_headers(headers, "requests"),
            tokens: LimitState::from_headers(headers, "tokens"),
            project_tokens: LimitState::from_headers(headers, "project-tokens"),
            tokens_usage_based: LimitState::from_headers(headers, "tokens_usage_based"),
        };
        (limits != Self::default()).then_some(limits)
    }
}

impl LimitState {
    fn from_headers(headers: &HeaderMap, of: &str) -> Option<Self> {
        let header = |what: &str| text_header(headers, &format!("x-ratelimit-{what}-{of}"));
        let state = Self {
            limit: header("limit").and_then(count),
            remaining: header("remaining").and_then(count),
            reset: header("reset").and_then(go_duration),
        };
        (state != Self::default()).then_some(state)
    }
}

/// A count, which may have thousands commas.
fn count(text: &str) -> Option<u64> {
    if text.contains(',') { text.replace(',', "").parse() } else { text.parse() }.ok()
}

/// A duration as Go writes it: pairs of number and unit (`1h2m3.5s`, `20ms`); a bare number is seconds.
fn go_duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = number(text) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut rest = text;
    let mut total = None::<Duration>;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_numeric(c))?;
        let (digits, tail) = rest.split_at(end);
        let end = tail.find(is_numeric).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            // Go writes the micro sign; the Greek letter looks the same.
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number(digits)? * unit).ok()?;
        total = Some(total.unwrap_or_default().checked_add(part)?);
        rest = tail;
    }
    total
}

/// Digits with at most one point: neither a sign nor an exponent, nor `inf`.
fn number(text: &str) -> Option<f64> {
    if text.chars().all(is_numeric) { text.parse().ok() } else { None }
}

fn is_numeric(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn reads_durations() {
        for (text, nanos) in [
            ("1s", 1_000_000_000),
            ("6m0s", 360_000_000_000),
            ("20ms", 20_000_000),
            ("120ms", 120_000_000),
            ("59.73s", 59_730_000_000),
            ("1m30.951s", 90_951_000_000),
            ("1h2m3s", 3_723_000_000_000),
            ("2m", 120_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1m2ms", 60_002_000_000),
            ("7us", 7_000),
            ("7\u{b5}s", 7_000),
            ("7\u{3bc}s", 7_000),
            ("15ns", 15),
            ("0s", 0),
            ("0", 0),
            ("17", 17_000_000_000),
            ("0.5", 500_000_000),
            (".5s", 500_000_000),
        ] {
            assert_eq!(go_duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        let long = "9".repeat(400);
        for text in [
            "",
            "-1",
            "-1s",
            "+1s",
            "s",
            "ms",
            "1x",
            "1s2",
            "1 s",
            "1m-2s",
            "1e9",
            "inf",
            "NaN",
            "1.2.3s",
            ".",
            ".s",
            "1d",
            "1S",
            "99999999999999999999",
            &long,
            &format!("{long}h"),
            "18446744073709551615s1s",
            "5124095576030431h5124095576030431h",
        ] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn reads_counts() {
        for (text, expected) in [
            ("0", Some(0)),
            ("150000", Some(150_000)),
            ("1,000,000", Some(1_000_000)),
            ("-1", None),
            ("1.5", None),
            (",", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn reads_all_families() {
        let limits = PublicRateLimits::from_headers(&headers(&[
            ("x-ratelimit-limit-requests", " 60 "),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150,000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("x-ratelimit-remaining-project-tokens", "5"),
            ("x-ratelimit-limit-tokens_usage_based", "9"),
        ]))
        .unwrap();
        let secs = |secs| Some(Duration::from_secs(secs));
        assert_eq!(
            limits,
            PublicRateLimits {
                requests: Some(LimitState { limit: Some(60), remaining: Some(59), reset: secs(1) }),
                tokens: Some(LimitState {
                    limit: Some(150_000),
                    remaining: Some(149_984),
                    reset: secs(360)
                }),
                project_tokens: Some(LimitState { remaining: Some(5), ..Default::default() }),
                tokens_usage_based: Some(LimitState { limit: Some(9), ..Default::default() }),
            }
        );
    }

    #[test]
    fn unreadable_headers_are_missing() {
        assert_eq!(PublicRateLimits::from_headers(&HeaderMap::new()), None);
        // Azure's Responses endpoint has been seen to send these.
        let azure = headers(&[
            ("x-ratelimit-limit-tokens", "-1"),
            ("x-ratelimit-remaining-tokens", "-1"),
            ("x-ratelimit-reset-tokens", "0"),
        ]);
        let tokens = PublicRateLimits::from_headers(&azure).unwrap().tokens.unwrap();
        assert_eq!((tokens.limit, tokens.remaining), (None, None));
        assert_eq!(tokens.reset, Some(Duration::ZERO));
        let bad = headers(&[("x-ratelimit-reset-tokens", "soon")]);
        assert_eq!(PublicRateLimits::from_headers(&bad), None);
    }
}
