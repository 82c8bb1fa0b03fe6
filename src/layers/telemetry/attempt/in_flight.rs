//! One request on the wire: its span, and what is reported of it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri, Version};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Level, Span};

use crate::extensions::{Attempt, Call, WatchedCall};
use crate::layers::telemetry::observe::{AttemptInfo, AttemptOutcome, CallInfo, Observe};
use crate::layers::telemetry::span::TARGET;
use crate::{BoxError, Error, ErrorKind, error, redaction};

/// Where a credential may be.
static AUTH_HEADERS: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("api-key")];

/// The headers of an answer that are traced; others may hold what is secret.
const HARMLESS: [&str; 14] = [
    "cf-ray",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "server",
    "x-oai-request-id",
    "x-request-id",
    "x-should-retry",
];

/// What the [`AUTH_HEADERS`] of a request hold.
pub(super) fn credentials(headers: &HeaderMap) -> [Option<HeaderValue>; 2] {
    AUTH_HEADERS.each_ref().map(|name| headers.get(name).cloned())
}

/// The span of an attempt; disabled if nobody listens.
pub(super) fn span<B>(request: &Request<B>, parent: Span, sent: u32) -> Span {
    let uri = request.uri();
    // Without a call, the span that the caller is in.
    let parent = if parent.is_disabled() { Span::current() } else { parent };
    tracing::span!(
        target: TARGET,
        parent: &parent,
        Level::INFO,
        "attempt",
        otel.name = request.method().as_str(),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.request.resend_count = (sent > 1).then(|| sent.saturating_sub(1)),
        url.full = %Redacted(uri),
        server.address = uri.host(),
        server.port = uri.port_u16(),
        tower_openai.auth_header = Empty,
        http.response.status_code = Empty,
        "http.response.header.x-request-id" = Empty,
        "http.response.header.cf-ray" = Empty,
        network.protocol.version = Empty,
        error.type = Empty,
    )
}

/// Scheme, host, port and path.
struct Redacted<'a>(&'a Uri);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(scheme), Some(host)) = (self.0.scheme_str(), self.0.host()) {
            write!(f, "{scheme}://{host}")?;
            if let Some(port) = self.0.port_u16() {
                write!(f, ":{port}")?;
            }
        }
        f.write_str(self.0.path())
    }
}

/// An attempt until its answer's head is there.
pub(super) struct InFlight {
    pub(super) span: Span,
    pub(super) call: Option<WatchedCall>,
    pub(super) own: Option<(Box<dyn Observe>, CallInfo)>,
    pub(super) attempt: Attempt,
    pub(super) sent: u32,
    pub(super) again: bool,
    /// What the [`AUTH_HEADERS`] held.
    pub(super) credentials: [Option<HeaderValue>; 2],
    /// What else was added to authorise it is among its secrets.
    pub(super) secrets: Option<Call>,
    pub(super) started: Instant,
}

/// What an attempt came to.
pub(super) enum Came<'a, RB> {
    Answer(&'a Response<RB>),
    Error(&'a BoxError),
    Dropped,
}

impl InFlight {
    /// Tells everyone how it ended.
    pub(super) fn report<RB>(&self, came: Came<'_, RB>) {
        match came {
            Came::Answer(answer) => self.report_answer(answer),
            Came::Error(error) => {
                let kind = error::kind_of(&**error);
                let info = self.info(AttemptOutcome::Error(kind), Some(kind));
                self.tell(&AttemptInfo { error: Some(&**error), ..info }, None);
            }
            Came::Dropped => self.tell(&self.info(AttemptOutcome::Dropped, None), None),
        }
    }

    fn report_answer<RB>(&self, answer: &Response<RB>) {
        let (status, headers) = (answer.status(), answer.headers());
        // Its headers say why, its body belongs to the reader.
        let refused =
            is_refusal(status).then(|| Error::from_response(status, headers, Bytes::new()));
        let refused = refused.as_ref();
        let request_id = self.clean(error::request_id_header(headers));
        let cf_ray = self.clean(headers.get("cf-ray").and_then(|ray| ray.to_str().ok()));
        let authorization_error = self.clean(refused.and_then(Error::authorization_error));
        let code = self.clean(refused.and_then(Error::code));
        let info = AttemptInfo {
            version: Some(answer.version()),
            request_id: request_id.as_deref(),
            cf_ray: cf_ray.as_deref(),
            authorization_error: authorization_error.as_deref(),
            code: code.as_deref(),
            ..self.info(AttemptOutcome::Status(status), refused.map(Error::kind))
        };
        self.tell(&info, Some(headers));
    }

    /// What is known without an answer.
    fn info<'a>(&self, outcome: AttemptOutcome, error_kind: Option<ErrorKind>) -> AttemptInfo<'a> {
        AttemptInfo {
            attempt: self.attempt,
            sent: self.sent,
            after_unauthorized: self.again,
            outcome,
            error_kind,
            error: None,
            elapsed: self.started.elapsed(),
            version: None,
            auth_header: self.auth_header(),
            request_id: None,
            cf_ray: None,
            authorization_error: None,
            code: None,
        }
    }

    fn tell(&self, info: &AttemptInfo<'_>, headers: Option<&HeaderMap>) {
        self.record(info, headers);
        if let Some(watcher) = self.call.as_ref().and_then(|call| call.0.attempts()) {
            watcher.attempted(info);
        }
        if let Some((observer, call)) = &self.own {
            observer.on_attempt(call, info);
        }
    }

    fn auth_header(&self) -> Option<&'static HeaderName> {
        let mut headers = AUTH_HEADERS.iter().zip(&self.credentials);
        headers.find_map(|(name, sent)| sent.as_ref().map(|_| name))
    }

    fn record(&self, info: &AttemptInfo<'_>, headers: Option<&HeaderMap>) {
        let span = &self.span;
        if span.is_disabled() {
            return;
        }
        if let AttemptOutcome::Status(status) = info.outcome {
            span.record("http.response.status_code", status.as_u16());
            if is_refusal(status) {
                span.record("error.type", status.as_str());
            }
        } else if let Some(kind) = info.error_kind {
            span.record("error.type", kind.as_str());
        }
        if let Some(name) = info.auth_header {
            span.record("tower_openai.auth_header", name.as_str());
        }
        if info.error_kind.is_some() {
            span.record("otel.status_code", "ERROR");
        }
        if let Some(version) = info.version {
            span.record("network.protocol.version", version_text(version));
        }
        if let Some(id) = info.request_id {
            span.record("http.response.header.x-request-id", id);
        }
        if let Some(ray) = info.cf_ray {
            span.record("http.response.header.cf-ray", ray);
        }
        tracing::debug!(
            target: TARGET,
            parent: span,
            outcome = ?info.outcome,
            elapsed_ms = u64::try_from(info.elapsed.as_millis()).unwrap_or(u64::MAX),
            authorization_error = info.authorization_error,
            code = info.code,
            headers = headers.map(|headers| tracing::field::debug(Harmless(self, headers))),
            "the attempt ended"
        );
    }

    /// The server's words without the credential that was sent or what looks like one.
    fn clean<'a>(&self, text: Option<&'a str>) -> Option<Cow<'a, str>> {
        let text = text?;
        let sent = self.credentials.iter().flatten().filter_map(|sent| sent.to_str().ok());
        let sent = sent.map(|sent| sent.strip_prefix("Bearer ").unwrap_or(sent));
        let kept = self.secrets.as_ref().map(Call::kept_secrets).unwrap_or_default();
        let sent = sent.chain(kept.iter().map(String::as_str));
        Some(match redaction::scrub_known(text, sent) {
            Some(scrubbed) => Cow::Owned(redaction::scrub(&scrubbed).into_owned()),
            None => redaction::scrub(text),
        })
    }
}

/// Prints the headers that are known to be harmless.
struct Harmless<'a>(&'a InFlight, &'a HeaderMap);

impl fmt::Debug for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |name: &HeaderName| {
            let name = name.as_str();
            HARMLESS.contains(&name) || name.starts_with("x-ratelimit-")
        };
        let shown = self.1.iter().filter(|(name, _)| known(name));
        let shown = shown
            .filter_map(|(name, value)| Some((name.as_str(), self.0.clean(value.to_str().ok())?)));
        f.debug_map().entries(shown).finish()
    }
}

fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
