//! What the tests of this binary share: a service that answers by a script, and what it saw.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};
use tower_openai::BoxError;
use tower_openai::extensions::{Attempt, AttemptSummary, Attempts};
use tower_openai::layers::{RetriedError, RetryBody, RetryLayer, RetryPolicy};

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Answer = Result<Response<Body>, BoxError>;
pub(crate) type Retried = Result<Response<RetryBody<Body>>, BoxError>;

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], text: impl Into<Bytes>) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Ok(response.body(body(text)).unwrap())
}

pub(crate) fn status(status: u16) -> Answer {
    answer(status, &[], "")
}

pub(crate) fn fails(error: impl Into<BoxError>) -> Answer {
    Err(error.into())
}

/// A request as the service inside saw it.
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) attempt: u32,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Answers by a script, each time at once; after its end with 200.
#[derive(Clone, Default)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
}

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = answers.into_iter().collect();
        Self(Arc::new(Mutex::new(Script { answers, seen: Vec::new() })))
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().seen.len()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap().seen)
    }
}

impl<B: Into<Bytes>> Service<Request<B>> for Scripted {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut script = self.0.lock().unwrap();
        let (head, body) = request.into_parts();
        let attempt = Attempt::of(&head.extensions).number();
        let body = body.into();
        script.seen.push(Seen { at: Instant::now(), attempt, headers: head.headers, body });
        ready(script.answers.pop_front().unwrap_or_else(|| status(200)))
    }
}

pub(crate) fn post() -> Request<Bytes> {
    Request::post("https://api.test/responses").body(Bytes::from_static(b"the same body")).unwrap()
}

/// What became of one call.
pub(crate) struct Run {
    pub(crate) result: Retried,
    pub(crate) seen: Vec<Seen>,
    pub(crate) attempts: Vec<AttemptSummary>,
}

impl Run {
    pub(crate) fn status(&self) -> u16 {
        self.result.as_ref().expect("an answer").status().as_u16()
    }

    /// The waits, as the list of attempts has them. The clock has to agree.
    #[track_caller]
    pub(crate) fn delays(&self) -> Vec<Duration> {
        let told: Vec<_> = self.attempts.iter().filter_map(AttemptSummary::delay).collect();
        let slept: Vec<_> = self.seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert_eq!(told.len(), slept.len());
        for (told, slept) in told.iter().zip(slept) {
            // Tokio's timer has a resolution of 1 ms.
            assert!(slept >= *told && slept <= *told + ms(1), "{told:?} told, {slept:?} slept");
        }
        told
    }
}

/// The list that the layer leaves with the end of a call; empty if there was no retry.
pub(crate) fn attempts(result: &Retried) -> Vec<AttemptSummary> {
    match result {
        Ok(response) => response.extensions().get().map_or(&[][..], Attempts::all).to_vec(),
        Err(error) => match error.downcast_ref::<RetriedError>() {
            Some(error) => error.attempts().to_vec(),
            None => Vec::new(),
        },
    }
}

pub(crate) async fn run(policy: RetryPolicy, answers: impl IntoIterator<Item = Answer>) -> Run {
    run_request(policy, post(), answers).await
}

pub(crate) async fn run_request(
    policy: RetryPolicy,
    request: Request<Bytes>,
    answers: impl IntoIterator<Item = Answer>,
) -> Run {
    let service = Scripted::new(answers);
    let result = RetryLayer::new(policy).layer(service.clone()).oneshot(request).await;
    Run { attempts: attempts(&result), seen: service.seen(), result }
}
