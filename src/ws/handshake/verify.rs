//! Whether an answer is the one that the handshake asked for (RFC 6455, section 4.1).

use http::{HeaderMap, StatusCode, header};

use super::{Offer, tokens};
use crate::{Error, ErrorKind, Stage};

impl Offer {
    /// Holds the head of a `101` against what was offered.
    pub(super) fn verify(&self, headers: &HeaderMap) -> Result<(), Error> {
        let problem = self.problem(headers);
        problem.map_or(Ok(()), |problem| {
            let message = format!("the server's answer is no handshake of a WebSocket: {problem}");
            let error = Error::new(ErrorKind::Protocol, message).with_stage(Stage::Sent);
            Err(error.under_head(StatusCode::SWITCHING_PROTOCOLS, headers))
        })
    }

    fn problem(&self, headers: &HeaderMap) -> Option<&'static str> {
        let has = |name, wanted: &str| {
            tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
        };
        if !has(&header::CONNECTION, "upgrade") {
            return Some("`connection` does not say `upgrade`");
        }
        if !has(&header::UPGRADE, "websocket") {
            return Some("`upgrade` does not say `websocket`");
        }
        let mut accepts = headers.get_all(header::SEC_WEBSOCKET_ACCEPT).iter();
        match (accepts.next(), accepts.next()) {
            (Some(accept), None) if self.keys.prove(accept.as_bytes().trim_ascii()) => {}
            (None, _) => return Some("it has no `sec-websocket-accept`"),
            _ => return Some("`sec-websocket-accept` is not the proof of the key that was sent"),
        }
        if tokens(headers, &header::SEC_WEBSOCKET_EXTENSIONS).next().is_some() {
            return Some("it takes an extension that was not offered");
        }
        let mut subprotocols = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL);
        match (subprotocols.next(), subprotocols.next()) {
            (None, _) => None,
            (Some(one), None) if self.subprotocols.iter().any(|offered| offered == one) => None,
            _ => Some("it takes a subprotocol that was not offered"),
        }
    }
}
