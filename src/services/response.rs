//! What an endpoint that does not stream answers: a value, and the head it came under.

use std::fmt;
use std::ops::Deref;

use super::ResponseMeta;

/// A typed answer with the head it came under: request id, rate limits, headers.
///
/// It reads like the value itself, by [`Deref`]:
///
/// ```
/// use http_body_util::Full;
/// use tower::{ServiceExt, service_fn};
/// use tower_openai::RequestBody;
/// use tower_openai::services::{Compact, CompactRequest};
///
/// # tokio_test::block_on(async {
/// let http = service_fn(|_: http::Request<RequestBody>| async {
///     let body = Full::from(r#"{"id":"resp_1","output":[]}"#);
///     http::Response::builder().header("x-request-id", "req_1").body(body)
/// });
/// let answer = Compact::new(http).oneshot(CompactRequest::new("gpt-5.2", "hello")).await?;
/// assert_eq!(answer.id.as_deref(), Some("resp_1"));
/// assert_eq!(answer.meta().request_id(), Some("req_1"));
/// let output = answer.into_value().output;
/// assert!(output.is_empty());
/// # Ok::<_, tower_openai::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct ApiResponse<T> {
    value: T,
    meta: ResponseMeta,
}

impl<T> ApiResponse<T> {
    pub(crate) fn new(value: T, meta: ResponseMeta) -> Self {
        Self { value, meta }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The head.
    pub fn meta(&self) -> &ResponseMeta {
        &self.meta
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The value and the head.
    pub fn into_parts(self) -> (T, ResponseMeta) {
        (self.value, self.meta)
    }

    /// Another value under the same head.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> ApiResponse<U> {
        ApiResponse { value: change(self.value), meta: self.meta }
    }
}

impl<T> Deref for ApiResponse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for ApiResponse<T> {
    /// Shows the headers without the secret ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiResponse").field("value", &self.value).field("meta", &self.meta).finish()
    }
}
