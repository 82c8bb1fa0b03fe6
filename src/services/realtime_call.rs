//! `POST realtime/calls`: answer a WebRTC offer, and so begin a realtime call.
//!
//! [`RealtimeCall`] is a [`Service`](tower::Service) of [`RealtimeCallRequest`] over any HTTP service;
//! its response is the SDP answer for the peer connection and the id of the call. It stands above
//! `ProviderLayer` in a stack, as [`Responses`](super::Responses) does.
//!
//! | request | sent as |
//! |---|---|
//! | without a session | the offer itself, `application/sdp` |
//! | with a session, [`SessionForm::Multipart`] | a form with the parts `sdp` and `session`: the public API |
//! | with a session, [`SessionForm::Json`] | `{"sdp":…,"session":…}`: the API behind a ChatGPT login |
//!
//! The preset takes the last for base URLs with `/backend-api` in them. A session's `id` is the
//! server's to give and is left out.
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{RealtimeCall, RealtimeCallRequest};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/realtime/calls");
//!     let answer = http::Response::builder().status(201).header("location", "/v1/realtime/calls/rtc_1");
//!     answer.body(http_body_util::Full::from("v=0\r\n"))
//! });
//!
//! let session = serde_json::json!({"type": "realtime", "model": "gpt-realtime"});
//! let offer = RealtimeCallRequest::new("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n").session(&session);
//! let answer = RealtimeCall::new(http).send(offer).await?;
//! assert_eq!((answer.call_id.as_str(), answer.sdp.as_str()), ("rtc_1", "v=0\r\n"));
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! # Errors
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers as for
//! `Responses`. So is one without SDP, or without the id of the call in `location`. A session that is
//! no JSON object, or that contains the form's boundary, is refused with nothing sent
//! ([`ErrorKind::Build`](crate::ErrorKind::Build)). An answer may have 1 MiB.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Serialize;

use super::ResponseMeta;
use super::encode::{Outgoing, Target};
use super::endpoint::unary_endpoint;
use super::multipart::Form;
use super::options::{ResponsesOptions, call_options};
use super::unary::{Answer, UnaryRequest, UnarySettings};
use crate::Error;
use crate::error::Unreadable;
use crate::model::RawObject;

/// The boundary of the form, as the Codex client has it.
const BOUNDARY: &str = "codex-realtime-call-boundary";

/// How an offer and a session are sent together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionForm {
    /// As a `multipart/form-data` form: the public API.
    #[default]
    Multipart,
    /// As one JSON object: the API behind a ChatGPT login.
    Json,
}

impl SessionForm {
    /// That of the API at this base URL.
    #[cfg(feature = "client")]
    pub(crate) fn of(base_url: &str) -> Self {
        if base_url.contains("/backend-api") { Self::Json } else { Self::Multipart }
    }
}

/// A request to begin a realtime call.
#[derive(Clone)]
#[must_use]
pub struct RealtimeCallRequest {
    sdp: String,
    session: Option<RawObject>,
    form: Option<SessionForm>,
    options: ResponsesOptions,
}

impl RealtimeCallRequest {
    /// Offers this SDP.
    pub fn new(sdp: impl Into<String>) -> Self {
        let options = ResponsesOptions::default();
        Self { sdp: sdp.into(), session: None, form: None, options }
    }

    /// The session to begin with: anything that serialises to a JSON object. Its `id` is left out.
    ///
    /// Another value, or one that does not serialise, is an error when the request is sent.
    pub fn session(mut self, session: &(impl Serialize + ?Sized)) -> Self {
        let json = serde_json::to_vec(session);
        match json.and_then(|json| serde_json::from_slice::<RawObject>(&json)) {
            Ok(mut session) => {
                session.remove("id");
                self.session = Some(session);
            }
            Err(error) => self.options.fail(format!("the session is no JSON object: {error}")),
        }
        self
    }

    /// How offer and session are sent together, in place of the endpoint's way.
    pub fn session_form(mut self, form: SessionForm) -> Self {
        self.form = Some(form);
        self
    }

    call_options!();
}

impl<T: Into<String>> From<T> for RealtimeCallRequest {
    /// An offer without a session.
    fn from(sdp: T) -> Self {
        Self::new(sdp)
    }
}

impl fmt::Debug for RealtimeCallRequest {
    /// Shows how long the offer is, which holds the password of the connection, and how many members
    /// the session has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeCallRequest")
            .field("sdp", &self.sdp.len())
            .field("session", &self.session.as_ref().map(RawObject::len))
            .field("form", &self.form)
            .field("options", &self.options)
            .finish()
    }
}

impl UnaryRequest for RealtimeCallRequest {
    const ENDPOINT: &'static str = "realtime_call";
    const BODY_LIMIT: usize = 1024 * 1024;
    type Answer = RealtimeCallAnswer;

    fn model(&self) -> Option<String> {
        self.session.as_ref()?.get("model")?.parse().ok()
    }

    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        #[derive(Serialize)]
        struct Both<'a> {
            sdp: &'a str,
            session: &'a RawObject,
        }

        if self.sdp.trim().is_empty() {
            return Err(Error::build("the offer is empty: give the SDP of the peer connection"));
        }
        let post = Outgoing::new(Method::POST, Target::of("/realtime/calls"))?;
        let outgoing = match (&self.session, self.form.unwrap_or(settings.session_form)) {
            (None, _) => {
                let sdp_type = const { HeaderValue::from_static("application/sdp") };
                post.body(sdp_type, self.sdp.into())
            }
            (Some(session), SessionForm::Json) => post.json(&Both { sdp: &self.sdp, session })?,
            (Some(session), SessionForm::Multipart) => {
                let session = serde_json::to_vec(session).map_err(|error| {
                    Error::build("the session does not serialise").with_source(error)
                })?;
                let (content_type, form) = Form::with_boundary(BOUNDARY)
                    .typed("sdp", "application/sdp", self.sdp)
                    .typed("session", "application/json", session)
                    .into_body()?;
                post.body(content_type, form)
            }
        };
        Ok((outgoing, self.options))
    }
}

/// The answer to an offer.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RealtimeCallAnswer {
    /// The SDP to give to the peer connection.
    pub sdp: String,
    /// The id of the call, by which a server-side connection joins it.
    pub call_id: String,
}

impl fmt::Debug for RealtimeCallAnswer {
    /// Shows how long the SDP is, which holds the password of the connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeCallAnswer")
            .field("sdp", &self.sdp.len())
            .field("call_id", &self.call_id)
            .finish()
    }
}

impl Answer for RealtimeCallAnswer {
    fn read(head: &ResponseMeta, body: &Bytes) -> Result<Self, Unreadable> {
        let sdp = std::str::from_utf8(body).map_err(|_| Unreadable::Other("is not text"))?;
        if sdp.trim().is_empty() {
            return Err(Unreadable::Other("is empty: it should be SDP"));
        }
        let call_id = call_id(head.headers())
            .ok_or(Unreadable::Other("does not name the call: there is no id in `location`"))?;
        Ok(Self { sdp: sdp.to_owned(), call_id: call_id.to_owned() })
    }
}

/// The last part of the path in `location`, unless that is the path of the endpoint itself.
fn call_id(headers: &HeaderMap) -> Option<&str> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let place = location.split(['?', '#']).next()?;
    let path = match place.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => place,
    };
    let last = path.rsplit('/').find(|part| !part.is_empty())?;
    (!matches!(last, "calls" | "." | "..")).then_some(last)
}

unary_endpoint! {
    /// Turns an HTTP service into [`RealtimeCall`].
    pub struct RealtimeCallLayer;
    /// The endpoint `POST realtime/calls` over an HTTP service; see the [module](self).
    pub struct RealtimeCall: RealtimeCallRequest => RealtimeCallAnswer;
}

impl RealtimeCallLayer {
    /// How an offer and a session are sent together. Default: [`SessionForm::Multipart`].
    pub fn session_form(mut self, form: SessionForm) -> Self {
        self.settings.session_form = form;
        self
    }
}

impl<S> RealtimeCall<S> {
    /// How an offer and a session are sent together. Default: [`SessionForm::Multipart`].
    #[must_use]
    pub fn session_form(mut self, form: SessionForm) -> Self {
        self.settings.session_form = form;
        self
    }
}
