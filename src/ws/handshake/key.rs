//! The nonce of a handshake, and the server's proof that it has read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::header::{HeaderValue, SEC_WEBSOCKET_KEY};
use sha1::{Digest, Sha1};

use crate::Error;

/// What a key is hashed with (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// So many keys are remembered for one call; more attempts are hardly in flight at once.
const MOST: usize = 64;

/// The keys that the attempts of one call have sent. On the request, so that whoever sends it can
/// renew the key.
#[derive(Clone, Debug)]
pub(super) struct Keys(Arc<Mutex<Issued>>);

#[derive(Debug)]
struct Issued {
    keys: Vec<HeaderValue>,
    /// The first key has gone out.
    used: bool,
}

impl Keys {
    /// Gives a request its first key.
    pub(super) fn new<B>(request: &mut Request<B>) -> Result<Self, Error> {
        let key = random_key().map_err(|error| {
            Error::build("the system has no random numbers for the key of the WebSocket")
                .with_source(error.to_string())
        })?;
        request.headers_mut().insert(SEC_WEBSOCKET_KEY, key.clone());
        let keys = Self(Arc::new(Mutex::new(Issued { keys: vec![key], used: false })));
        request.extensions_mut().insert(keys.clone());
        Ok(keys)
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this is the proof of one of the keys.
    pub(super) fn prove(&self, accept: &[u8]) -> bool {
        self.lock().keys.iter().any(|key| proof(key.as_bytes()).as_bytes() == accept)
    }
}

/// Gives a handshake that was sent before, by a layer that sends again, a key of its own.
///
/// Any other request stays as it is. For `map_request` in front of a transport; `HyperTransport`
/// does it by itself. [Where it matters](crate::ws::handshake#a-key-for-each-attempt).
pub fn fresh_key<B>(mut request: Request<B>) -> Request<B> {
    renew(&mut request);
    request
}

pub(crate) fn renew<B>(request: &mut Request<B>) {
    let Some(keys) = request.extensions().get::<Keys>().cloned() else { return };
    let mut issued = keys.lock();
    if !std::mem::replace(&mut issued.used, true) {
        return;
    }
    // Without random numbers the old key still works.
    let Ok(key) = random_key() else { return };
    if issued.keys.len() >= MOST {
        issued.keys.remove(0);
    }
    issued.keys.push(key.clone());
    drop(issued);
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, key);
}

fn random_key() -> Result<HeaderValue, getrandom::Error> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)?;
    // Base64 is always a header value.
    HeaderValue::from_str(&STANDARD.encode(nonce)).map_err(|_| getrandom::Error::UNEXPECTED)
}

fn proof(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_that_of_the_rfc() {
        assert_eq!(proof(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_request_that_is_sent_again_has_another_key_and_either_proof_counts() {
        let mut first = Request::new(());
        let keys = Keys::new(&mut first).unwrap();
        let (first, again) = (fresh_key(first.clone()), fresh_key(first));
        let key = |request: &Request<()>| request.headers()[SEC_WEBSOCKET_KEY].clone();
        assert_ne!(key(&first), key(&again));
        for request in [&first, &again] {
            assert_eq!(STANDARD.decode(key(request)).unwrap().len(), 16);
            assert!(keys.prove(proof(key(request).as_bytes()).as_bytes()));
        }
        assert!(!keys.prove(proof(b"another").as_bytes()));
        assert!(fresh_key(Request::new(())).headers().is_empty());
    }

    #[test]
    fn keys_do_not_pile_up() {
        let mut request = Request::new(());
        let keys = Keys::new(&mut request).unwrap();
        (0..1000).for_each(|_| renew(&mut request));
        assert_eq!(keys.lock().keys.len(), MOST);
        assert!(keys.prove(proof(request.headers()[SEC_WEBSOCKET_KEY].as_bytes()).as_bytes()));
    }
}
