//! The head of a response, as far as callers want it.

use std::fmt;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, response};

use crate::error;
use crate::model::{PublicRateLimits, RateLimitSnapshot};
use crate::redaction;

/// The head of a successful response: every endpoint's answer carries one.
#[derive(Clone)]
pub struct ResponseMeta {
    status: StatusCode,
    headers: Headers,
    extensions: Extensions,
}

#[derive(Clone)]
enum Headers {
    /// As they came.
    Whole(Box<HeaderMap>),
    /// In memory of their own, and as a map once it is asked for: open streams are many and a map is
    /// large, a few kilobytes for the headers of the API.
    Packed { list: Box<[(HeaderName, HeaderValue)]>, map: OnceLock<Box<HeaderMap>> },
}

impl ResponseMeta {
    /// For an answer that is there as a whole, and soon gone.
    pub(crate) fn whole(parts: response::Parts) -> Self {
        let response::Parts { status, mut headers, extensions, .. } = parts;
        for (name, value) in &mut headers {
            if redaction::is_sensitive_header(name) {
                value.set_sensitive(true);
            }
        }
        Self { status, headers: Headers::Whole(Box::new(headers)), extensions }
    }

    /// For an answer that goes on.
    pub(crate) fn packed(parts: response::Parts) -> Self {
        let headers = Headers::Packed { list: own(&parts.headers), map: OnceLock::new() };
        Self { status: parts.status, headers, extensions: parts.extensions }
    }

    /// The status, a success.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        match &self.headers {
            Headers::Whole(map) => map,
            Headers::Packed { list, map } => {
                map.get_or_init(|| Box::new(list.iter().cloned().collect()))
            }
        }
    }

    /// What layers below the endpoint left in the response's extensions.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The server's id of the request: `x-request-id`, else `x-oai-request-id`.
    pub fn request_id(&self) -> Option<&str> {
        error::request_id_header(self.headers())
    }

    /// The model that the server says it uses, from `openai-model`.
    pub fn model(&self) -> Option<&str> {
        self.headers().get("openai-model")?.to_str().ok()
    }

    /// The Codex rate limits that the headers report. Those of the public API:
    /// [`public_rate_limits`](Self::public_rate_limits).
    pub fn rate_limits(&self) -> Vec<RateLimitSnapshot> {
        RateLimitSnapshot::from_headers(self.headers())
    }

    /// The rate limits of the public API and of Azure (`x-ratelimit-*`), if the headers report any.
    pub fn public_rate_limits(&self) -> Option<PublicRateLimits> {
        PublicRateLimits::from_headers(self.headers())
    }
}

impl fmt::Debug for ResponseMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseMeta")
            .field("status", &self.status)
            .field("headers", &redaction::Headers(self.headers()))
            .finish_non_exhaustive()
    }
}

/// A copy of the headers in memory of their own.
///
/// A transport's header values are slices of its read buffer; kept for the life of a stream they
/// would keep that buffer too, 16 KiB or more for each open stream.
fn own(headers: &HeaderMap) -> Box<[(HeaderName, HeaderValue)]> {
    let mut values = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let mut values: Bytes = values.freeze();
    let copies = headers.iter().map(|(name, value)| {
        let mut copy = match HeaderValue::from_maybe_shared(values.split_to(value.len())) {
            Ok(copy) => copy,
            // It was a header value before.
            Err(_) => value.clone(),
        };
        copy.set_sensitive(value.is_sensitive() || redaction::is_sensitive_header(name));
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or(name.clone());
        (name, copy)
    });
    copies.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_do_not_hold_the_buffer_they_came_in() {
        let buffer = Bytes::from(b"req_1; secret=1; value".to_vec());
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: Bytes| {
            headers.append(name, HeaderValue::from_maybe_shared(value).unwrap());
        };
        put("x-request-id", buffer.slice(..5));
        put("set-cookie", buffer.slice(7..15));
        put("x-other", buffer.slice(17..));
        put("x-other", Bytes::new());
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.headers = headers.clone();
        let meta = ResponseMeta::packed(parts);
        assert_eq!(*meta.headers(), headers);
        drop(headers);
        assert!(buffer.is_unique());
        assert!(meta.headers()["set-cookie"].is_sensitive());
    }
}
