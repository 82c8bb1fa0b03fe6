//! What is shown of an error, and what is not.

use std::fmt;

use super::Error;
use crate::redaction;

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn optional<T: fmt::Debug>(
            out: &mut fmt::DebugStruct<'_, '_>,
            name: &str,
            value: &Option<T>,
        ) {
            if let Some(value) = value {
                out.field(name, value);
            }
        }
        let inner = &*self.0;
        let mut out = f.debug_struct("Error");
        out.field("kind", &inner.kind).field("stage", &inner.stage);
        out.field("message", &inner.message);
        optional(&mut out, "status", &inner.status);
        optional(&mut out, "code", &inner.facts.code);
        optional(&mut out, "type", &inner.facts.error_type);
        optional(&mut out, "param", &inner.facts.param);
        optional(&mut out, "request_id", &inner.request_id);
        optional(&mut out, "cf_ray", &inner.cf_ray);
        optional(&mut out, "retry_after", &inner.retry_after);
        optional(&mut out, "response_id", &inner.response_id);
        optional(&mut out, "sequence_number", &inner.sequence_number);
        #[cfg(feature = "ws")]
        optional(&mut out, "close_code", &self.close_code().map(u16::from));
        // Not by its own `Debug`: a type from elsewhere may show what is secret.
        let causes: Vec<_> = self.chain().skip(1).map(ToString::to_string).collect();
        if !causes.is_empty() {
            out.field("source", &redaction::scrub(&causes.join(": ")));
        }
        out.finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(&inner.message)?;
        let mut separator = " (";
        let mut fact = |name: &str, value: &dyn fmt::Display| {
            let result = write!(f, "{separator}{name} {value}");
            separator = ", ";
            result
        };
        if let Some(status) = &inner.status {
            fact("status", &status.as_u16())?;
        }
        if let Some(code) = &inner.facts.code {
            fact("code", code)?;
        }
        if let Some(wait) = &inner.retry_after {
            fact("retry after", &format_args!("{wait:?}"))?;
        }
        if let Some(id) = &inner.request_id {
            fact("request", id)?;
        }
        if let Some(ray) = &inner.cf_ray {
            fact("cf-ray", ray)?;
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn display_is_one_line_without_the_cause() {
        let mut error = Error::new(ErrorKind::RateLimited, "slow down").with_source("the cause");
        error.0.status = Some(StatusCode::TOO_MANY_REQUESTS);
        error.0.retry_after = Some(Duration::from_millis(1500));
        assert_eq!(error.to_string(), "slow down (status 429, retry after 1.5s)");
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        assert_eq!(chain.len(), 2);
        assert_eq!(chain[1], "the cause");
    }

    #[test]
    fn debug_does_not_show_what_a_foreign_cause_lets_out() {
        #[derive(Debug)]
        struct Telling(#[expect(dead_code, reason = "its `Debug` shows it")] &'static str);

        impl fmt::Display for Telling {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("refused sk-planted-key-1")
            }
        }

        impl std::error::Error for Telling {}

        let error = Error::new(ErrorKind::Transport, "reset").with_source(Telling("hidden-2"));
        let text = format!("{error:?} {error:#?}");
        assert!(text.contains("refused [redacted]"), "{text}");
        assert!(!text.contains("planted") && !text.contains("hidden"), "{text}");
    }
}
