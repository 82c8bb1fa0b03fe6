//! What is wrong with an answer that is a success and no stream.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::IgnoredAny;

use super::http_status::{request_id_header, text, undecoded};
use super::{Error, ErrorKind, Stage, said};
use crate::model::{ApiError, ErrorBody};

/// The most of the body that the error keeps.
pub(super) const KEPT: usize = 64 * 1024;

/// Why an answer is not what its endpoint reads.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is not JSON, or not the JSON of the endpoint's type.
    Json(serde_json::Error),
    /// Something is missing; a sentence that goes on after "the answer of `compact`".
    Other(&'static str),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl Error {
    /// Says under which head the answer came that this error is about.
    pub(crate) fn under_head(mut self, status: StatusCode, headers: &HeaderMap) -> Self {
        self.0.status = self.0.status.or(Some(status));
        self.under_headers(headers)
    }

    /// The same where there is no status.
    pub(crate) fn under_headers(mut self, headers: &HeaderMap) -> Self {
        let inner = &mut *self.0;
        if inner.request_id.is_none() {
            inner.request_id = request_id_header(headers).map(|id| said::one_line(id).into());
        }
        if inner.cf_ray.is_none() {
            inner.cf_ray = text(headers, "cf-ray");
        }
        // The head was there, whatever a cause knows.
        if inner.stage == Stage::Unknown {
            inner.stage = Stage::Streaming;
        }
        self
    }
}

/// The error of an answer of `endpoint` that is longer than it may be.
pub(crate) fn answer_too_large(endpoint: &str, limit: usize) -> Error {
    let message = format!(
        "the answer of `{endpoint}` is longer than {limit} bytes: set `body_limit` on the endpoint \
         if it may be"
    );
    Error::new(ErrorKind::TooLarge, message).with_stage(Stage::Streaming)
}

/// The error of an answer of `endpoint` that nobody asked for; `what` goes on after "the answer of
/// `models`".
pub(crate) fn unasked(
    endpoint: &str,
    status: StatusCode,
    headers: &HeaderMap,
    what: &str,
) -> Error {
    let message = format!("the answer of `{endpoint}` {what}");
    Error::new(ErrorKind::Protocol, message).with_stage(Stage::Sent).under_head(status, headers)
}

/// The error of an answer of `endpoint` that cannot be read.
///
/// The parser's words are its source as text, without what they quote of the answer.
pub(crate) fn unreadable(
    endpoint: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Bytes,
    problem: &Unreadable,
) -> Error {
    let mut error = match problem {
        Unreadable::Json(parser) => match failure(body) {
            Some(said) => said::in_stream(Some(&said), "error", None).with_stage(Stage::Sent),
            None => not_the_type(endpoint, headers, body, parser),
        },
        Unreadable::Other(problem) => {
            Error::new(ErrorKind::Protocol, format!("the answer of `{endpoint}` {problem}"))
                .with_stage(Stage::Streaming)
        }
    };
    error.0.body = Bytes::copy_from_slice(body.get(..KEPT).unwrap_or(body));
    error.under_head(status, headers)
}

/// What a body says that is an error, under whatever status it came.
fn failure(body: &[u8]) -> Option<ApiError> {
    let said = ErrorBody::parse(body).filter(ErrorBody::is_nothing_else)?.into_error();
    (said.message.is_some() || said.code.is_some()).then_some(said)
}

fn not_the_type(
    endpoint: &str,
    headers: &HeaderMap,
    body: &Bytes,
    parser: &serde_json::Error,
) -> Error {
    let content_type = text(headers, header::CONTENT_TYPE.as_str());
    let content_type = content_type.as_deref().unwrap_or("none");
    let place = match parser.line() {
        // What is missing has no place.
        0 => String::new(),
        line => format!(": line {line}, column {}", parser.column()),
    };
    // Which of the three it is, the parser does not always say: the types put words of theirs before
    // its own.
    let (kind, message) = match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => (
            ErrorKind::Protocol,
            format!("the answer of `{endpoint}` is JSON, but not what it should be{place}"),
        ),
        Err(error) if error.is_eof() && !body.iter().all(u8::is_ascii_whitespace) => (
            ErrorKind::Truncated,
            format!("the answer of `{endpoint}` ends in the middle, after {} bytes", body.len()),
        ),
        Err(_) => (
            ErrorKind::Protocol,
            match undecoded(headers) {
                Some(problem) => format!("the answer of `{endpoint}` is not JSON: {problem}"),
                None => format!(
                    "the answer of `{endpoint}` is not JSON (content type: {content_type}, {} bytes): \
                     check the base URL and what stands between",
                    body.len()
                ),
            },
        ),
    };
    let error = Error::new(kind, message).with_stage(Stage::Streaming);
    error.with_source(said::parser_words(parser))
}
