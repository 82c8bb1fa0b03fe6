//! Error bodies in the API's words: one constructor per refusal, so that an answer and a named
//! script cannot disagree.

use std::borrow::Cow;

use http::StatusCode;

use super::json::{Json, object};

/// A status and the four members of an `error` object.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
    kind: &'static str,
    param: Option<Cow<'static, str>>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind, param: None, code: None }
    }

    pub(super) fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(super) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub(super) fn not_json() -> Self {
        Self::invalid_request(
            "We could not parse the JSON body of your request. (HINT: This likely means you \
             aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but \
             what was sent was not valid JSON.)",
        )
    }

    pub(super) fn missing(param: impl Into<Cow<'static, str>>) -> Self {
        let param = param.into();
        Self::invalid_request(format!("Missing required parameter: '{param}'."))
            .param(param)
            .code("missing_required_parameter")
    }

    /// A member that there is not.
    pub(super) fn unknown_parameter(param: impl Into<Cow<'static, str>>) -> Self {
        let param = param.into();
        Self::invalid_request(format!("Unknown parameter: '{param}'."))
            .param(param)
            .code("unknown_parameter")
    }

    pub(super) fn invalid_type(
        param: impl Into<Cow<'static, str>>,
        expected: &str,
        got: &str,
    ) -> Self {
        let param = param.into();
        Self::invalid_request(format!(
            "Invalid type for '{param}': expected {expected}, but got {got} instead."
        ))
        .param(param)
        .code("invalid_type")
    }

    pub(super) fn too_small(param: &'static str, least: u64, got: u64) -> Self {
        Self::invalid_request(format!(
            "Invalid '{param}': integer below minimum value. Expected a value >= {least}, but got \
             {got} instead."
        ))
        .param(param)
        .code("integer_below_min_value")
    }

    pub(super) fn too_large_number(param: &'static str, most: u64, got: u64) -> Self {
        Self::invalid_request(format!(
            "Invalid '{param}': integer above maximum value. Expected a value <= {most}, but got \
             {got} instead."
        ))
        .param(param)
        .code("integer_above_max_value")
    }

    pub(super) fn invalid_value(
        param: impl Into<Cow<'static, str>>,
        why: impl Into<String>,
    ) -> Self {
        Self::invalid_request(why).param(param).code("invalid_value")
    }

    /// A schema that does not say all that a strict one has to.
    pub(super) fn open_schema(of: &str, why: &str) -> Self {
        Self::invalid_request(format!("Invalid schema for {of}: {why}"))
    }

    /// A thing that is not there; `code` says of which kind.
    pub(super) fn not_found(kind: &str, id: &str, code: &'static str) -> Self {
        let message = format!("{kind} with id '{id}' not found.");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message).code(code)
    }

    pub(super) fn no_previous_response(id: &str) -> Self {
        Self::invalid_request(format!("Previous response with id '{id}' not found."))
            .param("previous_response_id")
            .code("previous_response_not_found")
    }

    pub(super) fn no_model(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            format!("The model '{id}' does not exist"),
        )
        .param("model")
        .code("model_not_found")
    }

    pub(super) fn forbidden(why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "invalid_request_error", why)
    }

    pub(super) fn unsupported_type(kind: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid_request_error",
            format!("Unsupported content type '{kind}'."),
        )
    }

    pub(super) fn no_key() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            "You didn't provide an API key. You need to provide your API key in an Authorization \
             header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    }

    /// Unlike the API, which repeats a masked key, this never says what was sent.
    pub(super) fn wrong_key() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_request_error",
            "Incorrect API key provided. You can find your API key at \
             https://platform.openai.com/account/api-keys.",
        )
        .code("invalid_api_key")
    }

    pub(super) fn unknown_url(method: &http::Method, path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            format!("Invalid URL ({method} {path})"),
        )
    }

    pub(super) fn wrong_method(method: &http::Method, path: &str, allowed: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request_error",
            format!(
                "Not allowed to {method} on {path}. (HINT: Perhaps you meant to make a {allowed} \
                 request to this path?)"
            ),
        )
        .code("method_not_supported")
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "The request body is larger than this server reads.",
        )
    }

    pub(super) fn encoded(encoding: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "invalid_request_error",
            format!("Unsupported content-encoding '{encoding}': send the body as it is."),
        )
    }

    pub(super) fn insufficient_quota() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
        )
        .code("insufficient_quota")
    }

    pub(super) fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "Our servers are currently overloaded. Please try again later.",
        )
        .code("server_is_overloaded")
    }

    /// What the API says with `status` when there is nothing particular to say.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::invalid_request("Invalid value for 'input': not understood.")
                .param("input")
                .code("invalid_value"),
            401 => Self::wrong_key(),
            403 => Self::new(
                status,
                "invalid_request_error",
                "You are not allowed to sample from this model.",
            )
            .code("model_not_allowed"),
            404 => Self::new(
                status,
                "invalid_request_error",
                "The model does not exist or you do not have access to it.",
            )
            .param("model")
            .code("model_not_found"),
            413 => Self::too_large(),
            429 => Self::new(
                status,
                "requests",
                "Rate limit reached on requests per min (RPM): Limit 500, Used 500, Requested 1. \
                 Please try again in 1s.",
            )
            .code("rate_limit_exceeded"),
            503 => Self::overloaded(),
            500..=599 => Self::new(
                status,
                "server_error",
                "The server had an error while processing your request. Sorry about that!",
            ),
            _ => Self::new(
                status,
                "invalid_request_error",
                status.canonical_reason().unwrap_or("The request was refused."),
            ),
        }
    }

    /// What a close frame says.
    #[cfg(feature = "ws")]
    pub(super) fn code_or_empty(&self) -> &'static str {
        self.code.unwrap_or_default()
    }

    pub(super) fn body(&self) -> Json {
        object! { "error": object! {
            "message": self.message.as_str(),
            "type": self.kind,
            "param": self.param.as_deref(),
            "code": self.code,
        } }
    }
}
