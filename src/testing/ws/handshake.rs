//! The handshake: who may open a WebSocket, and which.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use sha1::{Digest, Sha1};

use super::Session;
use super::opening::Opening;
use super::play::Play;
use super::realtime::{Opened, Realtime};
use super::responses::Responses;
use super::shape;
use super::socket::Socket;
use super::turns::Turns;
use crate::BoxError;
use crate::testing::api_error::ApiError;
use crate::testing::exchange::{Arrival, Exchange};
use crate::testing::intake::Upload;
use crate::testing::params::Query;
use crate::testing::plan::{Plan, api_headers};
use crate::testing::play::Playing;
use crate::testing::record::{Delivery, Head, RecordedRequest};
use crate::testing::route::{self, authorize};
use crate::testing::script::{Content, Script};

/// The WebSockets of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Responses,
    Realtime,
}

/// A path ends so, with any prefix before it.
const PATHS: [(&str, Kind); 2] = [("responses", Kind::Responses), ("realtime", Kind::Realtime)];

/// A request for a WebSocket.
pub(in crate::testing) struct Handshake {
    kind: Kind,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// `None` for an ordinary request, whatever upgrade it asks for where there is no WebSocket.
    pub(in crate::testing) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        if request.version() != Version::HTTP_11
            || !names(request.headers(), header::UPGRADE, "websocket")
        {
            return None;
        }
        let path = request.uri().path();
        let (_, kind) = PATHS.iter().find(|(pattern, _)| route::ids(pattern, path).is_some())?;
        Some(Self { kind: *kind, upgrade: hyper::upgrade::on(request) })
    }
}

/// Whether a header, a list, names `token`.
fn names(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Why there is no WebSocket.
#[derive(Debug)]
enum Refusal {
    Api(ApiError),
    /// The client speaks another version of the protocol.
    Version,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// What RFC 6455 asks of a client; the answer to its key.
fn accept(method: &Method, path: &str, headers: &HeaderMap) -> Result<String, Refusal> {
    if method != Method::GET {
        return Err(ApiError::wrong_method(method, path, "GET").into());
    }
    if !names(headers, header::CONNECTION, "upgrade") {
        let why = "A WebSocket handshake needs the header 'Connection: Upgrade'.";
        return Err(ApiError::invalid_request(why).into());
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::Version);
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        let why = "A WebSocket handshake needs one header 'Sec-WebSocket-Key'.";
        return Err(ApiError::invalid_request(why).into());
    };
    if !STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16) {
        let why = "The value of 'Sec-WebSocket-Key' must be 16 bytes in Base64.";
        return Err(ApiError::invalid_request(why).into());
    }
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    Ok(STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize()))
}

impl Exchange {
    /// Answers a handshake.
    ///
    /// # Errors
    ///
    /// Where the connection is to be closed without an answer.
    pub(in crate::testing) async fn open(
        self,
        request: Request<Incoming>,
        handshake: Handshake,
    ) -> Result<Response<Playing>, BoxError> {
        let (parts, _) = request.into_parts();
        let route = route::find(&parts.method, parts.uri.path());
        let head = Head {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers,
        };
        let delivery = self.shared.log.push(self.connection, head, Bytes::new(), 0);
        let queued = |path: &str| self.shared.next_script(path, Script::answers_handshakes);
        let script = match self.shared.script(&delivery.request, queued) {
            Ok(script) => script,
            Err(error) => return Ok(self.refuse(&error.into(), delivery)),
        };
        // What a header or a handler asks for may be meant for the turns.
        let (script, usual) = match script {
            Some(script) if !script.answers_handshakes() => (None, Some(script)),
            script => (script, None),
        };
        match script {
            Some(script) if !matches!(script.content, Content::Frames(_)) => {
                let upload = Upload::None;
                let arrival = Arrival { route, upload, delivery, multiplexed: false };
                self.play(script, arrival).await
            }
            script => {
                let script = script.unwrap_or_else(Script::handshake);
                self.upgrade(handshake, script, usual, delivery).await
            }
        }
    }

    fn refuse(&self, refusal: &Refusal, delivery: Delivery) -> Response<Playing> {
        let plan = match refusal {
            Refusal::Api(error) => Plan::refusal(error, &self.shared.ids),
            Refusal::Version => {
                let mut error = ApiError::of_status(StatusCode::UPGRADE_REQUIRED);
                error.message = "This server speaks version 13 of the WebSocket protocol.".into();
                let mut plan = Plan::refusal(&error, &self.shared.ids);
                let version = HeaderValue::from_static("13");
                plan.headers.insert(header::SEC_WEBSOCKET_VERSION, version);
                plan
            }
        };
        self.respond(plan, delivery, false)
    }

    /// Lets the client in, if the API would.
    async fn upgrade(
        self,
        handshake: Handshake,
        script: Script,
        usual: Option<Script>,
        delivery: Delivery,
    ) -> Result<Response<Playing>, BoxError> {
        let request = delivery.request.clone();
        let (session, accepted) = match self.check(handshake.kind, &request, usual) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(self.refuse(&refusal, delivery)),
        };
        if !script.head_delay.is_zero() {
            tokio::time::sleep(script.head_delay).await;
        }
        let session = opened(&script, session);
        let mut response = Response::new(Playing::replaced(self.wire.clone()));
        *response.status_mut() = script.status.unwrap_or(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        *headers = api_headers(&self.shared.ids);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accepted)?);
        // Browsers offer it, and take no other answer.
        if names(request.headers(), header::SEC_WEBSOCKET_PROTOCOL, "realtime") {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("realtime"));
        }
        headers.extend(script.headers);
        self.tasks.spawn(Socket::run(handshake.upgrade, self.wire, session, delivery));
        Ok(response)
    }

    /// What the API checks, in its order: the key, the handshake, what is asked for. The session, and
    /// the answer to the client's nonce.
    fn check(
        &self,
        kind: Kind,
        request: &RecordedRequest,
        usual: Option<Script>,
    ) -> Result<(Box<dyn Session>, String), Refusal> {
        let headers = request.headers();
        if let Some(key) = &self.shared.settings.key {
            authorize(headers, key)?;
        }
        let accepted = accept(request.method(), request.path(), headers)?;
        let turns = Turns::new(self.shared.clone(), request.path().to_owned(), usual);
        let session: Box<dyn Session> = match kind {
            Kind::Responses => Box::new(Responses::new(turns)),
            Kind::Realtime => {
                let query = request.target().split_once('?').map_or("", |(_, query)| query);
                let call = |id: &str| self.shared.api.call(id);
                Box::new(Realtime::new(turns, Opened::new(&Query::new(query), headers, call)?))
            }
        };
        Ok((session, accepted))
    }
}

/// The session, after what `script` says first.
fn opened(script: &Script, session: Box<dyn Session>) -> Box<dyn Session> {
    let Content::Frames(frames) = &script.content else { return session };
    let play = Play::new(shape::frames(script, frames.clone()));
    Box::new(Opening::new(play, script.ending, script.reason.clone(), session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_the_rfc_s_example() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let accepted = accept(&Method::GET, "/v1/responses", &headers).unwrap();
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
