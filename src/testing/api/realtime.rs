//! `realtime/calls`: an SDP offer in any of its three wrappings gets an answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

#[cfg(feature = "ws")]
use super::lock;
use super::{Answer, Api, Call, Whole};
use crate::testing::api_error::ApiError;
use crate::testing::intake::form_type;
use crate::testing::multipart::Multipart;
use crate::testing::params::{self, optional};

/// As little as an SDP answer can be; nobody listens at its port.
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
                   m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 127.0.0.1\r\na=recvonly\r\n\
                   a=rtpmap:111 opus/48000/2\r\n";

impl Api {
    pub(super) fn realtime_call(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let body = call.body()?;
        let headers = call.request.headers();
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map_or("", |kind| kind.split(';').next().unwrap_or_default().trim());
        let session = if let Some(form) = form_type(headers) {
            from_form(form, &body)?
        } else if kind == "application/sdp" {
            check(std::str::from_utf8(&body).unwrap_or_default())?;
            Value::Null
        } else if kind == "application/json" {
            let object = params::object(&body)?;
            let session = optional(&object, "session", "an object", Value::is_object)?;
            check(params::string(&object, "sdp")?)?;
            session.cloned().unwrap_or_default()
        } else {
            return Err(ApiError::unsupported_type(kind));
        };
        let id = self.ids.item("rtc");
        self.remember_call(&id, body.len(), session);
        let path = call.request.path().trim_end_matches('/');
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/sdp"));
        if let Ok(location) = HeaderValue::try_from(format!("{path}/{id}")) {
            headers.insert(header::LOCATION, location);
        }
        let (status, body) = (StatusCode::CREATED, Bytes::from_static(SDP.as_bytes()));
        Ok(Answer::Whole(Whole { status, headers, body, cut: false }))
    }

    #[cfg(feature = "ws")]
    fn remember_call(&self, id: &str, weight: usize, session: Value) {
        lock(&self.calls).insert(id.to_owned(), weight, session);
    }

    /// Without WebSockets nobody asks.
    #[cfg(not(feature = "ws"))]
    fn remember_call(&self, _: &str, _: usize, _: Value) {}

    /// The session that a call was made with, null if it came without one.
    #[cfg(feature = "ws")]
    pub(in crate::testing) fn call(&self, id: &str) -> Option<Value> {
        lock(&self.calls).get(id).cloned()
    }
}

/// The session in a form.
fn from_form(kind: &str, body: &[u8]) -> Result<Value, ApiError> {
    let mut form = Multipart::new(kind, body.len())?;
    form.push(body)?;
    let parts = form.finish()?;
    let part = |name| parts.iter().find(|part| part.name == name);
    let sdp = part("sdp").and_then(|part| part.text());
    check(sdp.ok_or_else(|| ApiError::missing("sdp"))?)?;
    let Some(session) = part("session") else { return Ok(Value::Null) };
    match serde_json::from_str(session.text().unwrap_or_default()) {
        Ok(Value::Object(session)) => Ok(Value::Object(session)),
        _ => Err(ApiError::invalid_type("session", "an object", "a string")),
    }
}

/// Whether it may be SDP at all.
fn check(sdp: &str) -> Result<(), ApiError> {
    if sdp.starts_with("v=0") && sdp.contains("\nm=") {
        return Ok(());
    }
    Err(ApiError::invalid_value("sdp", "Invalid value for 'sdp': this is no SDP offer."))
}
