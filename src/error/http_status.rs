//! What an answer means that is not a success: status, then the API's error object, then headers.

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Error, ErrorKind, Stage, cut, retry_hint, said};
use crate::model::{ApiError, ErrorBody, PublicRateLimits, RateLimitSnapshot};

impl Error {
    /// The error of an answer that is no success, as an endpoint would give it: the API's error object
    /// in `body`, which may be cut short, then `status`, then what `headers` say.
    ///
    /// At most 64 KiB of the body are kept. A status below 400 is an
    /// [`ErrorKind::Protocol`]: what was asked for did not come.
    ///
    /// ```
    /// use http::{HeaderMap, StatusCode};
    /// use tower_openai::{Error, ErrorKind};
    ///
    /// let body = r#"{"error": {"message": "No such model.", "code": "model_not_found"}}"#;
    /// let error = Error::from_response(StatusCode::NOT_FOUND, &HeaderMap::new(), body);
    /// assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, Some("model_not_found")));
    /// assert_eq!(error.to_string(), "No such model. (status 404, code model_not_found)");
    /// ```
    pub fn from_response(status: StatusCode, headers: &HeaderMap, body: impl Into<Bytes>) -> Self {
        let mut body = body.into();
        body.truncate(super::answer::KEPT);
        Self::refused(status, headers, body)
    }

    fn refused(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let said = ErrorBody::parse(&body).map(ErrorBody::into_error);
        let said = said.or_else(|| cut::read(&body)).unwrap_or_default();
        let kind = kind(status, &said, &body);
        let message = match said.message.as_deref().map(str::trim) {
            _ if status.is_redirection() => unsaid(kind, status, headers, &body),
            Some(message) if !message.is_empty() => said::one_line(message),
            _ if said.code.is_some() => said::sentence(kind, None),
            _ => unsaid(kind, status, headers, &body),
        };
        let mut error = Self::new(kind, message).with_stage(Stage::Sent);
        let inner = &mut error.0;
        inner.status = Some(status);
        inner.facts = said::facts(&said);
        inner.request_id = request_id_header(headers).map(|id| said::one_line(id).into());
        inner.cf_ray = text(headers, "cf-ray");
        inner.authorization_error = text(headers, "x-openai-authorization-error");
        if inner.facts.code.is_none() {
            inner.facts.code = code_in_header(headers).or(inner.authorization_error.clone());
        }
        inner.retry_after = retry_hint::in_headers(headers)
            .or_else(|| said.message.as_deref().and_then(retry_hint::in_text));
        inner.retryable = by_status_alone(kind, &said);
        if !said::is_final(kind) {
            match text(headers, "x-should-retry").as_deref() {
                Some("true") => inner.retryable = Some(true),
                Some("false") => inner.retryable = Some(false),
                _ => {}
            }
        }
        inner.rate_limits = rate_limits(kind, headers);
        inner.public_rate_limits = PublicRateLimits::from_headers(headers).map(Box::new);
        inner.body = body;
        error
    }
}

/// The error of a success whose body cannot be a stream of events.
pub(crate) fn not_a_stream(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let said = ErrorBody::parse(&body).map(ErrorBody::into_error);
    let mut error = match said {
        // A failure that came under the wrong status.
        Some(said) => said::in_stream(Some(&said), "error", None),
        None => {
            let content_type = text(headers, "content-type").unwrap_or_else(|| "none".into());
            let message = format!(
                "the server answered {} without an event stream (content type: {content_type}, \
                 {} bytes): check the base URL and what stands between",
                status.as_u16(),
                body.len(),
            );
            Error::new(ErrorKind::Protocol, message)
        }
    };
    error.0.stage = Stage::Sent;
    error.0.body = body;
    error.under_head(status, headers)
}

/// The error of a success where a connection was to be switched.
#[cfg(feature = "ws")]
pub(crate) fn not_switched(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
    let message = format!(
        "the server answered {} and did not switch to WebSocket: check the URL and what stands \
         between",
        status.as_u16(),
    );
    let mut error = Error::new(ErrorKind::Protocol, message).with_stage(Stage::Sent);
    error.0.body = body;
    error.under_head(status, headers)
}

/// `x-request-id`, else `x-oai-request-id`.
pub(crate) fn request_id_header(headers: &HeaderMap) -> Option<&str> {
    plain(headers, "x-request-id").or_else(|| plain(headers, "x-oai-request-id"))
}

fn plain<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<Box<str>> {
    plain(headers, name).map(|value| said::one_line(value).into())
}

/// What is to be said of a body that nothing here has decoded.
pub(crate) fn undecoded(headers: &HeaderMap) -> Option<String> {
    let coding = text(headers, "content-encoding").filter(|coding| &**coding != "identity")?;
    Some(format!(
        "it is encoded as `{coding}`, which nothing here decodes: put a `DecompressionLayer` that can \
         above the transport, or leave `accept-encoding` out"
    ))
}

/// The code in `x-error-json`: base64 of an error body.
fn code_in_header(headers: &HeaderMap) -> Option<Box<str>> {
    let value = headers.get("x-error-json")?.as_bytes();
    let json = base64::prelude::BASE64_STANDARD.decode(value).ok()?;
    let body = ErrorBody::parse(&json)?;
    Some(said::one_line(body.error().code()?).into())
}

/// An overload that only the status tells passes; one that the server names by its code does not
/// pass soon.
pub(super) fn by_status_alone(kind: ErrorKind, said: &ApiError) -> Option<bool> {
    let alone = kind == ErrorKind::Overloaded && said::kind_of_error(said) != Some(kind);
    alone.then_some(true)
}

/// What a refusal of this status means when its body says nothing.
#[cfg(feature = "telemetry")]
pub(crate) fn kind_of_status(status: StatusCode) -> ErrorKind {
    kind(status, &ApiError::default(), b"")
}

pub(super) fn kind(status: StatusCode, said: &ApiError, body: &[u8]) -> ErrorKind {
    const BAD_IMAGE: &[u8] = b"The image data you provided does not represent a valid image";
    let by_status = match status.as_u16() {
        400 if memchr::memmem::find(body, BAD_IMAGE).is_some() => ErrorKind::InvalidRequest,
        401 => ErrorKind::Auth,
        402 => ErrorKind::Quota,
        403 => ErrorKind::Permission,
        404 => ErrorKind::NotFound,
        407 => ErrorKind::Proxy,
        408 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        529 => ErrorKind::Overloaded,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Protocol,
    };
    match said::kind_of_error(said) {
        // They say less than the status does: a model that is not found may be one that this key
        // must not see.
        None | Some(ErrorKind::Server | ErrorKind::InvalidRequest) => by_status,
        Some(ErrorKind::NotFound) if by_status != ErrorKind::InvalidRequest => by_status,
        Some(kind) => kind,
    }
}

/// The line for a body without a message.
fn unsaid(kind: ErrorKind, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let reason = status.canonical_reason().unwrap_or("an unknown status");
    if let (Some(problem), Err(_)) = (undecoded(headers), std::str::from_utf8(body)) {
        return format!("the server answered {reason}, but its body cannot be read: {problem}");
    }
    let body = String::from_utf8_lossy(body);
    if status == StatusCode::FORBIDDEN && body.contains("Cloudflare") && body.contains("blocked") {
        return "Cloudflare blocked the request; the API may not be available from this region"
            .to_owned();
    }
    if kind == ErrorKind::Policy {
        return said::sentence(kind, None);
    }
    if status.is_redirection() {
        return format!(
            "the server answered {reason}: redirects are not followed, so check the base URL"
        );
    }
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let html = content_type.is_some_and(|value| value.contains("html"))
        || body.trim_start().starts_with('<');
    match body.trim() {
        "" => format!("the server answered {reason} without a body"),
        _ if html => format!("the server answered {reason} with a page in place of an API error"),
        json if cut::read(json.as_bytes()).is_some() => {
            format!("the server answered {reason} with an API error that is cut short")
        }
        body => said::one_line(body),
    }
}

/// All limits that the headers report; of a usage limit, the one that was hit.
fn rate_limits(kind: ErrorKind, headers: &HeaderMap) -> Vec<RateLimitSnapshot> {
    match kind {
        ErrorKind::UsageLimit => RateLimitSnapshot::reached(headers).into_iter().collect(),
        _ => RateLimitSnapshot::from_headers(headers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        Error::from_response(status, &headers, Bytes::copy_from_slice(body.as_bytes()))
    }

    fn coded(code: &str) -> String {
        format!(r#"{{"error":{{"message":"m","type":"t","param":null,"code":"{code}"}}}}"#)
    }

    /// Models of which a project has no access are not found either, says the code.
    #[test]
    fn the_status_tells_why_a_model_is_not_found() {
        for (status, kind, retryable) in [
            (400, ErrorKind::NotFound, false),
            (404, ErrorKind::NotFound, false),
            (401, ErrorKind::Auth, false),
            (403, ErrorKind::Permission, false),
            (503, ErrorKind::Server, true),
        ] {
            let error = error(status, &[], &coded("model_not_found"));
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{status}");
            assert_eq!(error.code(), Some("model_not_found"));
        }
    }

    #[test]
    fn status_alone() {
        let cases = [
            (400, ErrorKind::InvalidRequest, false),
            (401, ErrorKind::Auth, false),
            (403, ErrorKind::Permission, false),
            (404, ErrorKind::NotFound, false),
            (408, ErrorKind::Timeout, true),
            (409, ErrorKind::Conflict, true),
            (413, ErrorKind::TooLarge, false),
            (422, ErrorKind::InvalidRequest, false),
            (429, ErrorKind::RateLimited, true),
            (500, ErrorKind::Server, true),
            (502, ErrorKind::Server, true),
            (503, ErrorKind::Server, true),
            (504, ErrorKind::Server, true),
            (529, ErrorKind::Overloaded, true),
            (302, ErrorKind::Protocol, false),
        ];
        for (status, kind, retryable) in cases {
            let error = error(status, &[], "");
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{status}");
            assert_eq!(error.status().unwrap(), status);
            assert_eq!(error.stage(), Stage::Sent);
        }
    }

    #[test]
    fn code_before_status() {
        let cases = [
            (503, "server_is_overloaded", ErrorKind::Overloaded),
            (503, "slow_down", ErrorKind::Overloaded),
            (400, "context_length_exceeded", ErrorKind::ContextWindow),
            (400, "cyber_policy", ErrorKind::Policy),
            (403, "misalignment_policy_violation", ErrorKind::Policy),
            (429, "insufficient_quota", ErrorKind::Quota),
            (429, "usage_limit_reached", ErrorKind::UsageLimit),
            (429, "usage_not_included", ErrorKind::UsageNotIncluded),
            (429, "rate_limit_exceeded", ErrorKind::RateLimited),
            (400, "invalid_prompt", ErrorKind::InvalidRequest),
            (401, "invalid_api_key", ErrorKind::Auth),
            (500, "anything", ErrorKind::Server),
        ];
        for (status, code, kind) in cases {
            let error = error(status, &[], &coded(code));
            assert_eq!((error.kind(), error.code()), (kind, Some(code)), "{status}");
        }
        for status in [503, 529] {
            for code in ["server_is_overloaded", "slow_down"] {
                assert!(!error(status, &[], &coded(code)).is_retryable(), "{status} {code}");
            }
        }
        assert!(error(529, &[], &coded("anything")).is_retryable());
        // The same names as a type, as the usage errors have them.
        let body =
            r#"{"error":{"type":"usage_limit_reached","plan_type":"plus","resets_at":1704069000}}"#;
        let usage = error(429, &[], body);
        assert_eq!(usage.kind(), ErrorKind::UsageLimit);
        assert_eq!((usage.plan_type(), usage.resets_at()), (Some("plus"), Some(1_704_069_000)));
        assert!(!usage.is_retryable());
    }

    #[test]
    fn usage_limit_names_the_limit_that_was_hit() {
        let body = r#"{"error":{"type":"usage_limit_reached"}}"#;
        let headers = [
            ("x-codex-active-limit", "codex_other"),
            ("x-codex-other-limit-name", "codex_other"),
            ("x-codex-other-primary-used-percent", "100"),
            ("x-codex-primary-used-percent", "10"),
        ];
        let named = error(429, &headers, body);
        assert_eq!(named.rate_limits().len(), 1);
        assert_eq!(named.rate_limits()[0].limit_name.as_deref(), Some("codex_other"));
        let unnamed: Vec<_> =
            headers.into_iter().filter(|(name, _)| !name.ends_with("name")).collect();
        assert_eq!(error(429, &unnamed, body).rate_limits()[0].limit_name, None);
    }

    #[test]
    fn the_limits_of_the_public_api_are_apart() {
        let headers =
            [("x-ratelimit-remaining-tokens", "7"), ("x-ratelimit-reset-requests", "6m0s")];
        let limited = error(429, &headers, "");
        for error in [limited.facts(), limited] {
            let limits = error.public_rate_limits().unwrap();
            assert_eq!(limits.tokens.unwrap().remaining, Some(7));
            assert_eq!(limits.requests.unwrap().reset.unwrap().as_secs(), 360);
            assert!(error.rate_limits().is_empty());
        }
        assert_eq!(error(429, &[], "").public_rate_limits(), None);
    }

    #[test]
    fn auth_facts_come_from_headers() {
        let json = base64::prelude::BASE64_STANDARD.encode(r#"{"error":{"code":"token_expired"}}"#);
        let headers = [
            ("x-error-json", json.as_str()),
            ("x-openai-authorization-error", "missing_authorization_header"),
            ("x-oai-request-id", "req_2"),
            ("cf-ray", "ray_1"),
        ];
        let error = error(401, &headers, "");
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert_eq!(error.code(), Some("token_expired"));
        assert_eq!(error.authorization_error(), Some("missing_authorization_header"));
        assert_eq!((error.request_id(), error.cf_ray()), (Some("req_2"), Some("ray_1")));
    }

    #[test]
    fn cyber_policy_without_a_message_has_a_sentence() {
        let body = r#"{"error":{"message":"  ","code":"cyber_policy"}}"#;
        let error = error(400, &[], body);
        assert_eq!(error.kind(), ErrorKind::Policy);
        assert!(error.message().contains("policy"), "{error}");
    }

    #[test]
    fn hints_of_waiting_and_retrying() {
        let seconds = |error: Error| error.retry_after().map(|wait| wait.as_secs_f64());
        assert_eq!(seconds(error(429, &[("retry-after", "2")], "")), Some(2.0));
        let body = r#"{"error":{"message":"Please try again in 11.054s."}}"#;
        assert_eq!(seconds(error(429, &[], body)), Some(11.054));
        assert!(error(404, &[("x-should-retry", "true")], "").is_retryable());
        assert!(!error(500, &[("x-should-retry", "false")], "").is_retryable());
        let quota = error(429, &[("x-should-retry", "true")], &coded("insufficient_quota"));
        assert!(!quota.is_retryable(), "the code forbids it");
    }

    #[test]
    fn redirects_say_what_to_do_whatever_the_body() {
        let html = [("content-type", "text/html")];
        for (headers, body) in [
            (&[][..], ""),
            (&html[..], "<html>Moved</html>"),
            (&[][..], r#"{"message":"Moved Permanently"}"#),
            (&[][..], "Moved"),
        ] {
            let error = error(301, headers, body);
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(error.message().contains("redirects are not followed"), "{error}");
            assert!(error.message().contains("base URL"), "{error}");
        }
    }

    #[test]
    fn odd_bodies_are_one_line() {
        let html = error(502, &[("content-type", "text/html")], "<html><h1>502</h1></html>");
        assert!(!html.to_string().contains('<'), "{html}");
        assert_eq!(html.body(), "<html><h1>502</h1></html>");
        assert_eq!(error(500, &[], "upstream\nfailed").message(), "upstream failed");
        assert_eq!(error(400, &[], r#"{"detail":"Bad model"}"#).message(), "Bad model");
        let echo =
            error(401, &[], r#"{"error":{"message":"Incorrect API key: sk-abcdef0123456789"}}"#);
        assert!(!format!("{echo} {echo:?}").contains("sk-abcdef"), "{echo:?}");
    }
}
