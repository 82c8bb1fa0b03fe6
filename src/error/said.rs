//! What the API's own error object means: the same table for HTTP bodies and for stream events.

use http::StatusCode;
use serde::de::IgnoredAny;

use super::{Error, ErrorKind, Facts, http_status, retry_hint};
use crate::model::{ApiError, IncompleteReason, Response};
use crate::redaction;

/// The longest message that is kept, in bytes.
const MESSAGE: usize = 1000;

/// What a code, or failing that a type, of the API means; `None` if it says nothing by itself.
pub(super) fn kind_of(name: &str) -> Option<ErrorKind> {
    Some(match name {
        "context_length_exceeded" => ErrorKind::ContextWindow,
        "insufficient_quota" => ErrorKind::Quota,
        "usage_limit_reached" => ErrorKind::UsageLimit,
        "usage_not_included" => ErrorKind::UsageNotIncluded,
        "cyber_policy"
        | "misalignment_policy_violation"
        | "image_content_policy_violation"
        | "moderation_blocked"
        | "content_filter" => ErrorKind::Policy,
        "invalid_prompt" | "bio_policy" | "data_residency_mismatch" => ErrorKind::InvalidRequest,
        "invalid_image"
        | "invalid_image_format"
        | "invalid_base64_image"
        | "invalid_image_url"
        | "image_too_large"
        | "image_too_small"
        | "image_parse_error"
        | "invalid_image_mode"
        | "image_file_too_large"
        | "unsupported_image_media_type"
        | "empty_image_file"
        | "failed_to_download_image"
        | "image_file_not_found" => ErrorKind::InvalidRequest,
        "server_is_overloaded" | "slow_down" => ErrorKind::Overloaded,
        "rate_limit_exceeded" => ErrorKind::RateLimited,
        "invalid_api_key" | "authentication_error" => ErrorKind::Auth,
        "permission_error" => ErrorKind::Permission,
        "not_found_error" | "model_not_found" => ErrorKind::NotFound,
        "rate_limit_error" | "requests" | "tokens" => ErrorKind::RateLimited,
        "invalid_request_error" | "image_generation_user_error" => ErrorKind::InvalidRequest,
        "server_error" => ErrorKind::Server,
        "vector_store_timeout" => ErrorKind::Timeout,
        "previous_response_not_found" => ErrorKind::ChainLost,
        "websocket_connection_limit_reached" => ErrorKind::ConnectionExpired,
        _ => return None,
    })
}

/// Kinds that stand whatever a status or a header says of retrying.
pub(super) fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ContextWindow
            | ErrorKind::Quota
            | ErrorKind::UsageLimit
            | ErrorKind::UsageNotIncluded
            | ErrorKind::Policy
    )
}

/// The kind that an error object's code names, or its type.
pub(super) fn kind_of_error(error: &ApiError) -> Option<ErrorKind> {
    error.code().and_then(kind_of).or_else(|| error.kind.as_deref().and_then(kind_of))
}

/// The error of a `response.failed`, or of an `error` event.
///
/// An unknown code is taken for a failure of the server, which another try may get past.
/// `status` is the one that some servers put into the event: it speaks where the code does not.
pub(crate) fn in_stream(
    error: Option<&ApiError>,
    event: &str,
    status: Option<StatusCode>,
) -> Error {
    let Some(said) = error else {
        return Error::new(
            ErrorKind::Server,
            format!("the server sent `{event}` without an error"),
        );
    };
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    let kind = match status {
        Some(status) => http_status::kind(status, said, &[]),
        None => kind_of_error(said).unwrap_or(ErrorKind::Server),
    };
    let mut error = Error::new(kind, sentence(kind, said.message.as_deref()));
    error.0.status = status;
    error.0.retryable = http_status::by_status_alone(kind, said);
    error.0.facts = facts(said);
    if kind == ErrorKind::RateLimited {
        error.0.retry_after = said.message.as_deref().and_then(retry_hint::in_text);
    }
    error
}

/// The error of a `response.incomplete`: it keeps the response with its partial output.
pub(crate) fn incomplete(response: Box<Response>) -> Error {
    let reason = response.incomplete_reason().map_or("unknown", IncompleteReason::as_str);
    let message = format!("the answer is incomplete, reason: {}", one_line(reason));
    Error::new(ErrorKind::Incomplete, message).with_response(response)
}

/// The error of an event whose data is not what the protocol says.
///
/// The parser's words are its source as text, without the data.
pub(crate) fn undecodable(number: u64, name: &str, data: &str, error: &serde_json::Error) -> Error {
    let problem = match serde_json::from_str::<IgnoredAny>(data) {
        Ok(_) => "not what its type asks for",
        Err(_) => "not JSON",
    };
    let message = format!("event {number} (`{}`) is {problem}", one_line(name));
    Error::new(ErrorKind::Protocol, message).with_source(parser_words(error))
}

/// What a JSON parser says is wrong, and where: on one line, without the text that it found there,
/// which may be anything that was written to the model or by it.
pub(crate) fn parser_words(error: &serde_json::Error) -> String {
    one_line(&without_quotes(&error.to_string()))
}

/// `words` without the strings that serde quotes: `invalid type: string "…", expected …`.
fn without_quotes(words: &str) -> String {
    let mut out = String::new();
    let mut rest = words;
    while let Some((before, quote)) = rest.split_once("string \"") {
        out.push_str(before);
        out.push_str("a string");
        let mut is_escaped = false;
        let end = quote.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        rest = end.and_then(|end| quote.get(end + 1..)).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(feature = "ws")]
impl Error {
    /// With what the server said of it just before.
    pub(crate) fn with_said(mut self, said: &ApiError) -> Self {
        self.0.facts = facts(said);
        match &said.message {
            Some(message) => self.adding(format_args!("the server said: {}", one_line(message))),
            None => self,
        }
    }
}

pub(super) fn facts(said: &ApiError) -> Facts {
    let line = |name: &str| one_line(name).into();
    Facts {
        code: said.code().map(line),
        error_type: said.kind.as_deref().map(line),
        param: said.param.as_deref().map(line),
        plan_type: said.plan_type.as_ref().map(|plan| line(plan.as_str())),
        resets_at: said.resets_at,
    }
}

/// The server's message, or a sentence in its place.
pub(super) fn sentence(kind: ErrorKind, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => one_line(message),
        None => match kind {
            ErrorKind::Policy => "the request was refused because of a usage policy",
            ErrorKind::InvalidRequest => "the request is invalid",
            ErrorKind::RateLimited => "too many requests or tokens",
            ErrorKind::Overloaded => "the server is overloaded",
            ErrorKind::ChainLost => "the response that the request continues is not there",
            ErrorKind::ConnectionExpired => {
                "the connection is too old for another request: open another"
            }
            _ => "the server gave no message",
        }
        .to_owned(),
    }
}

/// One printable line without credentials, cut to a bearable length. A line that it made stays.
pub(crate) fn one_line(text: &str) -> String {
    // What a cut leaves: a last character may reach over the limit, and there are the dots.
    const CUT: usize = MESSAGE + 6;
    // Scrubbed before it is cut, so that the cut cannot hide half of a credential.
    let text = redaction::scrub(text);
    let limit = if text.len() > CUT { MESSAGE } else { CUT };
    let mut line = String::with_capacity(text.len().min(MESSAGE));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if line.len() + word.len() > limit {
            let room = MESSAGE.saturating_sub(line.len() + 1);
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(word.char_indices().take_while(|(at, _)| *at < room).map(|(_, c)| c));
            line.push_str("...");
            break;
        }
        if !word.is_empty() && !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_speaks_where_the_code_is_unknown() {
        for (code, kind, expected, retryable) in [
            ("unsupported_value", "invalid_request_error", ErrorKind::InvalidRequest, false),
            ("invalid_api_key", "invalid_request_error", ErrorKind::Auth, false),
            ("unheard_of", "requests", ErrorKind::RateLimited, true),
            ("context_length_exceeded", "server_error", ErrorKind::ContextWindow, false),
            ("unheard_of", "unheard_of", ErrorKind::Server, true),
        ] {
            let json = serde_json::json!({"code": code, "type": kind, "message": "m"});
            let said: ApiError = serde_json::from_value(json).unwrap();
            let error = in_stream(Some(&said), "error", None);
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (expected, retryable),
                "{code} {kind}"
            );
        }
    }

    #[test]
    fn a_parser_s_words_name_the_place_and_not_the_value() {
        let read = |json: &str| {
            let error = serde_json::from_str::<crate::model::ResponseEvent>(json).unwrap_err();
            let error = undecodable(7, "message", json, &error);
            format!("{error} {error:?} {:?}", error.chain().last().map(ToString::to_string))
        };
        let hidden = r#"pri\"vate\\"#;
        let shown = read(&format!(
            r#"{{"type":"response.output_item.done","item":{{"type":"message","role":"assistant",
                "content":[{{"type":"output_text","text":["{hidden}"]}}],"id":{{"x":"{hidden}"}}}}}}"#
        ));
        assert!(!shown.contains("pri"), "{shown}");
        let shown = read(&format!(
            r#"{{"type":"response.completed","response":{{"id":"r","output":"{hidden}"}}}}"#
        ));
        assert!(!shown.contains("pri") && !shown.contains("vate"), "{shown}");
        for part in ["`response`", "`output`", "invalid type: a string, expected", "line 1 column"]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert_eq!(without_quotes("string \"cut"), "a string");
        assert_eq!(without_quotes("string \"a\\\\\" and string \"\""), "a string and a string");
    }

    #[test]
    fn a_message_becomes_one_bounded_line() {
        assert_eq!(one_line(" a\n\n b\t\u{1b}[31mc "), "a b [31mc");
        assert!(one_line(&"word ".repeat(10_000)).len() < MESSAGE + 10);
        assert!(one_line(&"\u{20ac}".repeat(10_000)).len() < MESSAGE + 10);
        assert!(one_line(&"x".repeat(10_000)).starts_with('x'));
        for text in ["a  b\nc", "Bearer abc", &"word ".repeat(500), &"\u{20ac}".repeat(500)] {
            let line = one_line(text);
            assert_eq!(one_line(&line), line);
        }
        let cut = format!("{} sk-abcdefghijklmnopqrstuvwxyz", "x ".repeat(MESSAGE / 2 - 5));
        assert!(!one_line(&cut).contains("sk-abc"));
    }
}
