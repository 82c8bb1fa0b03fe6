//! When the server says to come back: headers and prose.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// The wait that an answer's headers ask for: `retry-after-ms`, then `retry-after`.
///
/// A date is taken against the answer's own `date` header, so that the two clocks need not agree;
/// one that has passed says nothing.
pub(crate) fn in_headers(headers: &HeaderMap) -> Option<Duration> {
    const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let milliseconds = text(RETRY_AFTER_MS).and_then(|text| text.parse::<f64>().ok());
    if let Some(wait) = milliseconds.and_then(|milliseconds| saturating(milliseconds / 1e3)) {
        return Some(wait);
    }
    let value = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = value.parse::<f64>() {
        return saturating(seconds);
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = match text(header::DATE).map(httpdate::parse_http_date) {
        Some(Ok(date)) => date,
        _ => now()?,
    };
    then.duration_since(now).ok().filter(|wait| !wait.is_zero())
}

/// A build without timers may be one without a clock.
fn now() -> Option<std::time::SystemTime> {
    cfg!(feature = "timeout").then(std::time::SystemTime::now)
}

/// A number too large to be a [`Duration`] is a very long wait all the same.
fn saturating(seconds: f64) -> Option<Duration> {
    let wait = || Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    (seconds >= 0.0 && seconds.is_finite()).then(wait)
}

fn from_seconds(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// The wait that a message asks for in words: what follows the first "try again in".
///
/// Understands `28ms`, `11.054s`, `6m0s`, `1h`, `35 seconds`, `2 minutes`, `500 milliseconds`, `2 days`.
/// A wait that is understood in part only is not known.
pub(crate) fn in_text(message: &str) -> Option<Duration> {
    const PHRASE: &str = "try again in";
    let bytes = message.as_bytes();
    let at = bytes
        .windows(PHRASE.len())
        .position(|window| window.eq_ignore_ascii_case(PHRASE.as_bytes()))?;
    let mut rest = message.get(at + PHRASE.len()..)?;
    let mut total: Option<Duration> = None;
    while let Some((number, unit, tail)) = number_and_unit(rest) {
        let part = from_seconds(number * seconds_in(unit)?)?;
        total = Some(total.unwrap_or_default().checked_add(part)?);
        rest = tail;
    }
    total
}

/// One `number unit` pair, and the rest of the text.
fn number_and_unit(text: &str) -> Option<(f64, &str, &str)> {
    let text = text.trim_start_matches(' ');
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    // A full stop that ends the sentence is no decimal point, but then no unit follows either.
    let number: f64 = number.parse().ok()?;
    let rest = rest.trim_start_matches(' ');
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    Some((number, unit, rest)).filter(|_| !unit.is_empty())
}

fn seconds_in(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "d" | "day" | "days" => 86_400.0,
        "h" | "hour" | "hours" => 3600.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_text() {
        let cases = [
            ("Please try again in 28ms.", Some(0.028)),
            ("Rate limit reached. Please try again in 11.054s. Visit https://…", Some(11.054)),
            ("Try again in 35 seconds.", Some(35.0)),
            ("TRY AGAIN IN 3S", Some(3.0)),
            ("try again in 6m0s", Some(360.0)),
            ("try again in 1m30.5s", Some(90.5)),
            ("try again in 1h", Some(3600.0)),
            ("try again in 2 minutes", Some(120.0)),
            ("try again in 500 milliseconds", Some(0.5)),
            ("try again in 1h 2m 3s, or upgrade", Some(3723.0)),
            ("try again in 5s. 3s later", Some(5.0)),
            ("try again in 2 days", Some(172_800.0)),
            ("try again in 1d12h", Some(129_600.0)),
            ("try again in 1 day 1s.", Some(86_401.0)),
            ("try again in 2 weeks", None),
            ("try again in 1h 2weeks", None),
            ("try again in 1h 99999999999999999999999s", None),
            ("try again in a moment", None),
            ("try again in", None),
            ("try again in 5", None),
            ("try again in 1.2.3s", None),
            ("try again in 99999999999999999999999s", None),
            ("retry in 5s", None),
            ("\u{20ac}\u{20ac} try again in 2s \u{20ac}", Some(2.0)),
        ];
        for (text, seconds) in cases {
            assert_eq!(in_text(text), seconds.map(Duration::from_secs_f64), "{text}");
        }
    }

    #[test]
    fn retry_after_headers() {
        let wait = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            in_headers(&headers).map(|wait| wait.as_secs_f64())
        };
        assert_eq!(wait(&[("retry-after", "2")]), Some(2.0));
        assert_eq!(wait(&[("retry-after", " 0.5 ")]), Some(0.5));
        assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "1500")]), Some(1.5));
        for bad in ["soon", "-1", "inf", "nan", ""] {
            assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", bad)]), Some(9.0), "{bad}");
        }
        for bad in ["-1", "inf", "nan", "soon", ""] {
            assert_eq!(wait(&[("retry-after", bad)]), None, "{bad}");
        }
        for name in ["retry-after", "retry-after-ms"] {
            assert_eq!(wait(&[(name, "1e300")]), Some(Duration::MAX.as_secs_f64()), "{name}");
        }
        let date = ("date", "Fri, 31 Dec 1999 23:59:50 GMT");
        assert_eq!(wait(&[date, ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]), Some(9.0));
        assert_eq!(wait(&[date, ("retry-after", "Fri, 31 Dec 1999 23:59:40 GMT")]), None);
        assert_eq!(wait(&[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]), None);
    }
}
