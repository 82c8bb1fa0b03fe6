//! [`ApiError`] and [`ErrorBody`]: errors as the API, and those who imitate it, word them.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;

use super::macros::wire_struct;
use super::{PlanType, RawJson, RawObject};

wire_struct! {
    /// An error as the API words it: the object called `error`.
    ///
    /// The same in HTTP bodies, in `error` events and in failed responses. A member of an unexpected
    /// shape reads as `None` and stays in `extra`.
    #[derive(Default)]
    pub struct ApiError {
        /// What happened, for people.
        lenient message: Option<String>,
        /// The error's class (wire `type`), such as `invalid_request_error`.
        lenient kind as "type": Option<Box<str>>,
        /// The request's parameter that is at fault.
        lenient param: Option<Box<str>>,
        /// What happened, for programs, such as `context_length_exceeded`.
        lenient code: Option<ErrorCode>,
        /// The account's plan, with usage limits (Codex).
        lenient plan_type: Option<PlanType>,
        /// When the usage limit ends, in seconds since 1970 (Codex).
        lenient resets_at: Option<i64>,
    }
}

impl ApiError {
    /// The code as text.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_ref().map(ErrorCode::as_str)
    }

    /// Finds the error among the members of an object; `None` when nothing there looks like one.
    pub(crate) fn find<'a>(member: impl Fn(&str) -> Option<&'a RawJson>) -> Option<Self> {
        let text = |name| member(name).and_then(|raw| raw.parse::<String>().ok());
        let detail = || Self::from_detail(member("detail")?);
        let flat = || Self {
            message: text("message"),
            kind: text("type").map(Into::into),
            param: text("param").map(Into::into),
            code: member("code").and_then(|raw| raw.parse().ok()),
            plan_type: text("plan_type").map(Into::into),
            resets_at: member("resets_at").and_then(|raw| raw.parse().ok()),
            ..Self::default()
        };
        if let Some(mut error) = member("error").and_then(Self::from_error) {
            // OAuth's form: `error` is the code, the text stands beside it.
            let beside = text("error_description").or_else(|| text("message"));
            match (beside, member("error").is_some_and(is_object)) {
                (Some(beside), false) => {
                    error.code = error.code.or(error.message.map(ErrorCode::from));
                    error.message = Some(beside);
                }
                (beside, _) => error.message = error.message.or(beside),
            }
            return Some(error);
        }
        detail().or_else(|| Some(flat()).filter(|error| *error != Self::default()))
    }

    /// From the member `error`.
    fn from_error(raw: &RawJson) -> Option<Self> {
        if is_object(raw) {
            return raw.parse().ok();
        }
        if let Ok(text) = raw.parse::<String>() {
            let message = Some(text).filter(|text| !text.is_empty())?;
            return Some(Self { message: Some(message), ..Self::default() });
        }
        let code: ErrorCode = raw.parse().ok().filter(|code: &ErrorCode| code.as_str() != "0")?;
        Some(Self { code: Some(code), ..Self::default() })
    }

    /// From the member `detail`: a text, an error object, or a list of what is wrong with the request.
    fn from_detail(raw: &RawJson) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wrong {
            #[serde(default)]
            loc: Vec<RawJson>,
            msg: String,
        }

        if is_object(raw) {
            return raw.parse().ok();
        }
        if let Ok(message) = raw.parse() {
            return Some(Self { message: Some(message), ..Self::default() });
        }
        let wrongs: Vec<RawJson> = raw.parse().ok()?;
        let mut message = String::new();
        let mut first = None;
        for Wrong { loc, msg } in wrongs.iter().filter_map(|raw| raw.parse().ok()) {
            let path: Vec<String> = loc
                .iter()
                .map(|step| step.parse().unwrap_or_else(|_| step.as_str().to_owned()))
                .collect();
            let path = path.join(".");
            let separator = if message.is_empty() { "" } else { "; " };
            message.push_str(separator);
            if !path.is_empty() {
                message.push_str(&path);
                message.push_str(": ");
            }
            message.push_str(&msg);
            first = first.or(Some(path).filter(|path| !path.is_empty()));
        }
        let message = Some(message).filter(|message| !message.is_empty())?;
        Some(Self { message: Some(message), param: first.map(Into::into), ..Self::default() })
    }
}

fn is_object(raw: &RawJson) -> bool {
    raw.as_str().starts_with('{')
}

/// The body of an HTTP error.
///
/// Reads what the API sends, and what the backends, gateways and imitations around it do:
///
/// | body | read as |
/// |---|---|
/// | `{"error":{"message":…,"type":…,"param":…,"code":…}}` | as it says |
/// | `[{"error":{…}}]` | the first |
/// | `{"error":"text"}` | message |
/// | `{"error":"invalid_grant","error_description":"text"}` | code and message |
/// | `{"detail":"text"}`, `{"detail":{…}}` | message; as it says |
/// | `{"detail":[{"loc":["body","input"],"msg":"text"}]}` | message and param |
/// | `{"message":…,"code":…}` | as it says |
///
/// ```
/// use tower_openai::model::ErrorBody;
///
/// let body = ErrorBody::parse(br#"{"error":{"message":"No.","code":404}}"#).unwrap();
/// assert_eq!(body.error().code(), Some("404"));
/// assert!(ErrorBody::parse(b"<html>").is_none());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorBody {
    error: ApiError,
    members: RawObject,
}

impl ErrorBody {
    /// Reads an error body; `None` when it is not JSON or does not speak of an error.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let members = serde_json::from_slice::<RawObject>(body)
            .ok()
            .or_else(|| serde_json::from_slice::<Vec<RawObject>>(body).ok()?.into_iter().next())?;
        let error = ApiError::find(|name| members.get(name))?;
        Some(Self { error, members })
    }

    /// The error.
    #[must_use]
    pub fn error(&self) -> &ApiError {
        &self.error
    }

    /// Takes the error out.
    #[must_use]
    pub fn into_error(self) -> ApiError {
        self.error
    }

    /// Whether the body is an error and no event or item: those have a `type`, and perhaps a member
    /// that the flat form of an error has too. So then only the member `error` tells.
    pub(crate) fn is_nothing_else(&self) -> bool {
        let has = |name| self.members.get(name).is_some_and(|raw| !raw.is_null());
        has("error") || !has("type")
    }

    /// All members of the body.
    #[must_use]
    pub fn members(&self) -> &RawObject {
        &self.members
    }
}

impl Serialize for ErrorBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

/// An error's code: text, which some servers write as a number.
///
/// It is written in the form it came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode {
    text: Box<str>,
    number: Option<Number>,
}

impl ErrorCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<&str> for ErrorCode {
    fn from(text: &str) -> Self {
        Self { text: text.into(), number: None }
    }
}

impl From<String> for ErrorCode {
    fn from(text: String) -> Self {
        Self { text: text.into(), number: None }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq<str> for ErrorCode {
    fn eq(&self, text: &str) -> bool {
        *self.text == *text
    }
}

impl PartialEq<&str> for ErrorCode {
    fn eq(&self, text: &&str) -> bool {
        *self.text == **text
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.number {
            Some(number) => number.serialize(serializer),
            None => self.text.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CodeVisitor;

        impl Visitor<'_> for CodeVisitor {
            type Value = ErrorCode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ErrorCode, E> {
                Ok(ErrorCode::from(text))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ErrorCode, E> {
                Ok(numbered(number.into()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ErrorCode, E> {
                Ok(numbered(number.into()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<ErrorCode, E> {
                let number = Number::from_f64(number);
                number.map(numbered).ok_or_else(|| E::custom("not a finite number"))
            }
        }

        fn numbered(number: Number) -> ErrorCode {
            ErrorCode { text: number.to_string().into(), number: Some(number) }
        }

        deserializer.deserialize_any(CodeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn parse(body: Value) -> ApiError {
        let parsed = ErrorBody::parse(body.to_string().as_bytes()).unwrap();
        let written = serde_json::to_value(&parsed).unwrap();
        assert_eq!(written, if body.is_array() { body[0].clone() } else { body });
        parsed.into_error()
    }

    #[test]
    fn reads_the_public_form() {
        let error = parse(json!({"error": {
            "message": "Too long.", "type": "invalid_request_error", "param": "input",
            "code": "context_length_exceeded"
        }}));
        assert_eq!(error.message.as_deref(), Some("Too long."));
        assert_eq!(error.kind.as_deref(), Some("invalid_request_error"));
        assert_eq!(error.param.as_deref(), Some("input"));
        assert_eq!(error.code(), Some("context_length_exceeded"));
        let error =
            parse(json!({"error": {"message": "x", "type": "y", "param": null, "code": null}}));
        assert_eq!((error.param.as_deref(), error.code()), (None, None));
    }

    #[test]
    fn reads_the_usage_limit_of_the_codex_backend() {
        let error = parse(json!({"error": {
            "type": "usage_limit_reached", "message": "x", "plan_type": "pro", "resets_at": 1_704_069_000
        }}));
        assert_eq!(error.kind.as_deref(), Some("usage_limit_reached"));
        assert_eq!(error.plan_type, Some(PlanType::Pro));
        assert_eq!(error.resets_at, Some(1_704_069_000));
    }

    #[test]
    fn reads_the_forms_of_others() {
        let message = |body| parse(body).message;
        assert_eq!(message(json!({"error": "text"})).as_deref(), Some("text"));
        assert_eq!(message(json!({"detail": "text"})).as_deref(), Some("text"));
        assert_eq!(message(json!({"message": "text"})).as_deref(), Some("text"));
        assert_eq!(message(json!([{"error": {"message": "text"}}])).as_deref(), Some("text"));
        assert_eq!(message(json!({"error": {}, "message": "text"})).as_deref(), Some("text"));
        assert_eq!(message(json!({"error": null, "message": "text"})).as_deref(), Some("text"));
        let error = parse(json!({"error": "invalid_grant", "error_description": "Expired."}));
        assert_eq!(
            (error.code(), error.message.as_deref()),
            (Some("invalid_grant"), Some("Expired."))
        );
        let error = parse(json!({"detail": {"code": "deactivated_workspace"}}));
        assert_eq!(error.code(), Some("deactivated_workspace"));
        let error = parse(json!({"detail": [
            {"loc": ["body", "input", 0], "msg": "field required", "type": "missing"},
            {"msg": "second"}, "odd"
        ]}));
        assert_eq!(error.message.as_deref(), Some("body.input.0: field required; second"));
        assert_eq!(error.param.as_deref(), Some("body.input.0"));
        let error = parse(json!({"code": 400, "message": "m", "type": "BadRequest", "param": "p"}));
        assert_eq!((error.code(), error.param.as_deref()), (Some("400"), Some("p")));
    }

    #[test]
    fn odd_shapes_never_fail() {
        let error = parse(
            json!({"error": {"message": ["a"], "type": 1, "param": {}, "code": [], "resets_at": "x"}}),
        );
        assert_eq!(error.message, None);
        assert_eq!(error.extra.get("message").unwrap().as_str(), r#"["a"]"#);
        assert_eq!(serde_json::to_value(&error).unwrap()["resets_at"], "x");
        assert_eq!(parse(json!({"error": 404})).code(), Some("404"));
        assert_eq!(parse(json!({"error": {}})), ApiError::default());
        for body in [
            "",
            "null",
            "{}",
            "[]",
            "7",
            r#""text""#,
            "<html>",
            r#"{"error":null}"#,
            r#"{"error":""}"#,
            r#"{"error":0}"#,
            r#"{"error":false}"#,
            r#"{"detail":[]}"#,
            r#"{"ok":true}"#,
            r#"{"error":{"#,
        ] {
            assert_eq!(ErrorBody::parse(body.as_bytes()), None, "{body}");
        }
        assert_eq!(ErrorBody::parse(b"\xff\xfe{}"), None);
    }

    #[test]
    fn codes_keep_their_form() {
        for text in ["\"a\"", "401", "-1", "1.5"] {
            let code: ErrorCode = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&code).unwrap(), text);
            assert_eq!(code.to_string(), text.trim_matches('"'));
        }
        assert_eq!(ErrorCode::from("a"), "a");
        assert!(serde_json::from_str::<ErrorCode>("true").is_err());
    }
}
