//! Requests, servers and sources that count what they are asked for.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tower::Service;
use tower_openai::layers::auth::{CredentialsError, Token, TokenSource};
use tower_openai::{BoxError, Error, RequestBody};

pub(crate) const ORIGIN: &str = "https://gw.test";

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) fn get(uri: &str) -> Request<RequestBody> {
    Request::get(uri).body(RequestBody::from("body")).unwrap()
}

pub(crate) fn ours() -> Request<RequestBody> {
    get("https://gw.test/responses")
}

#[track_caller]
pub(crate) fn own_error(error: BoxError) -> Error {
    *error.downcast::<Error>().expect("an error of this crate")
}

/// Answers 200 to the tokens it takes and 401, with a body, to all others. Must be made ready before
/// each call, which a clone is not. Notes the headers of each request.
pub(crate) struct Gate {
    ready: bool,
    shared: Arc<GateState>,
}

#[derive(Default)]
struct GateState {
    takes: Mutex<Vec<String>>,
    seen: Mutex<Vec<HeaderMap>>,
    delay: Mutex<Duration>,
}

impl Gate {
    pub(crate) fn taking(token: &str) -> Self {
        let gate = Self { ready: false, shared: Arc::default() };
        gate.take_only(token);
        gate
    }

    pub(crate) fn take_only(&self, token: &str) {
        *self.shared.takes.lock().unwrap() = vec![format!("Bearer {token}")];
    }

    /// How long an answer takes.
    pub(crate) fn delay(self, delay: Duration) -> Self {
        *self.shared.delay.lock().unwrap() = delay;
        self
    }

    pub(crate) fn seen(&self) -> Vec<HeaderMap> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The token of each request.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let text = |headers: &HeaderMap| {
            let value = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap());
            value.unwrap_or("none").trim_start_matches("Bearer ").to_owned()
        };
        self.seen().iter().map(text).collect()
    }
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self { ready: false, shared: Arc::clone(&self.shared) }
    }
}

impl<B> Service<Request<B>> for Gate {
    type Response = Answer;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send + 'static>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    #[track_caller]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        let shared = Arc::clone(&self.shared);
        let headers = request.headers().clone();
        Box::pin(async move {
            let delay = *shared.delay.lock().unwrap();
            tokio::time::sleep(delay).await;
            let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let takes = shared.takes.lock().unwrap();
            let taken = token.is_some_and(|token| takes.iter().any(|known| known == token));
            shared.seen.lock().unwrap().push(headers);
            let mut response = Response::new(Full::from("refused"));
            if taken {
                response = Response::new(Full::from("welcome"));
            } else {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            Ok(response)
        })
    }
}

/// Hands out `token-1`, `token-2`, … and counts; takes a while, and fails when told to.
#[derive(Clone, Default)]
pub(crate) struct Numbered(Arc<NumberedState>);

#[derive(Default)]
struct NumberedState {
    asked: AtomicUsize,
    answered: AtomicUsize,
    takes: Mutex<Duration>,
    life: Mutex<Option<Duration>>,
    fails: Mutex<Option<CredentialsError>>,
    same: Mutex<bool>,
    same_once: Mutex<bool>,
}

impl Numbered {
    pub(crate) fn taking(delay: Duration) -> Self {
        let source = Self::default();
        *source.0.takes.lock().unwrap() = delay;
        source
    }

    pub(crate) fn living(self, life: Duration) -> Self {
        *self.0.life.lock().unwrap() = Some(life);
        self
    }

    /// From now on fails with this, or does not.
    pub(crate) fn fail(&self, error: Option<CredentialsError>) {
        *self.0.fails.lock().unwrap() = error;
    }

    /// From now on takes so long to answer.
    pub(crate) fn take(&self, delay: Duration) {
        *self.0.takes.lock().unwrap() = delay;
    }

    /// From now on always gives the same token.
    pub(crate) fn repeat(&self) {
        *self.0.same.lock().unwrap() = true;
    }

    /// Gives the first token to who asks next, however late the answer; does not count it.
    pub(crate) fn repeat_once(&self) {
        *self.0.same_once.lock().unwrap() = true;
    }

    /// How often it was asked, and how often it came to an answer.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.0.asked.load(Ordering::SeqCst), self.0.answered.load(Ordering::SeqCst))
    }
}

impl TokenSource for Numbered {
    async fn token(&self) -> Result<Token, CredentialsError> {
        let state = &self.0;
        state.asked.fetch_add(1, Ordering::SeqCst);
        let delay = *state.takes.lock().unwrap();
        let same_once = std::mem::take(&mut *state.same_once.lock().unwrap());
        tokio::time::sleep(delay).await;
        let number = match same_once {
            true => 1,
            false => state.answered.fetch_add(1, Ordering::SeqCst) + 1,
        };
        if let Some(error) = state.fails.lock().unwrap().clone() {
            return Err(error);
        }
        let number = if *state.same.lock().unwrap() { 1 } else { number };
        let token = Token::new(format!("token-{number}"))?;
        Ok(match *state.life.lock().unwrap() {
            Some(life) => token.expires_in(life),
            None => token,
        })
    }
}
