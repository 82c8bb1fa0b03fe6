//! The endpoints that do not stream: what they have in common.
//!
//! An endpoint is three small things in its file: a request, whose [`UnaryRequest`] writes it; an
//! answer, whose [`Answer`] reads it; and the `unary_endpoint!` that makes the service and its layer
//! of them. The rest is here: one HTTP response becomes an [`ApiResponse`] or an error.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{StatusCode, response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::collect::{Collecting, Refusal, Stop};
use super::encode::Outgoing;
use super::options::{ResponsesOptions, TURN_STATE, TurnState};
use super::{ApiResponse, HttpService, ResponseMeta, SessionForm};
use crate::error::{self, Unreadable};
use crate::extensions::{BodyFault, Call, StreamTimeouts};
use crate::model::ItemIds;
use crate::sse::{AnswerFacts, Audience, StreamEnd};
use crate::{BoxError, Error, RequestBody, Stage};

/// The request of an endpoint that does not stream.
pub(super) trait UnaryRequest: Sized {
    /// The endpoint's name, for [`Call::endpoint`], telemetry and errors.
    const ENDPOINT: &'static str;
    /// The most bytes that an answer may have where the endpoint's settings do not say.
    const BODY_LIMIT: usize = 16 * 1024 * 1024;
    /// What is read of the answer.
    type Answer: Answer;

    /// The model that is asked.
    fn model(&self) -> Option<String> {
        None
    }

    /// The request to send, and the options to send it with.
    ///
    /// # Errors
    ///
    /// A request that cannot be written.
    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error>;

    /// What has been read, unless it says that the request has failed.
    ///
    /// # Errors
    ///
    /// What the answer says.
    fn outcome(answer: Self::Answer) -> Result<Self::Answer, Error> {
        Ok(answer)
    }
}

/// What an endpoint that does not stream reads.
pub(super) trait Answer: Sized {
    /// Whether an answer of this status is read; any other is an error.
    fn is_expected(status: StatusCode) -> bool {
        status.is_success()
    }

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// What cannot be read. The caller adds which endpoint's answer it was.
    fn read(head: &ResponseMeta, body: &Bytes) -> Result<Self, Unreadable>;

    /// What it tells of the call.
    fn facts(&self) -> AnswerFacts<'_> {
        AnswerFacts::default()
    }
}

/// How an endpoint that does not stream behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UnarySettings {
    /// How long calls may wait, where the request does not say.
    pub(super) timeouts: StreamTimeouts,
    /// The most bytes that an answer may have; `None`: as the request's type says.
    pub(super) body_limit: Option<usize>,
    /// Which items are sent with their ids, for endpoints that send items.
    pub(super) item_ids: ItemIds,
    /// How sessions are sent, for the endpoint that sends one.
    pub(super) session_form: SessionForm,
}

/// What the preset says to its endpoints.
#[cfg(feature = "client")]
#[derive(Clone, Copy)]
pub(crate) struct PresetSettings {
    pub(crate) item_ids: ItemIds,
    pub(crate) session_form: SessionForm,
    /// The layers of the stack have them too; an upload makes its own limit for the head from them.
    pub(crate) timeouts: StreamTimeouts,
}

/// What a future needs to know of its call.
struct Expected<T> {
    call: Call,
    limit: usize,
    turn_state: Option<TurnState>,
    fault: Option<BodyFault>,
    is_expected: fn(StatusCode) -> bool,
    read: fn(&ResponseMeta, &Bytes) -> Result<T, Unreadable>,
    outcome: fn(T) -> Result<T, Error>,
    facts: for<'a> fn(&'a T) -> AnswerFacts<'a>,
}

/// Sends one typed request over a service that is ready.
pub(super) fn call<S, R>(
    http: &mut S,
    request: R,
    settings: &UnarySettings,
) -> UnaryFuture<S::Future, S::ResponseBody, R::Answer>
where
    S: HttpService<RequestBody>,
    R: UnaryRequest,
{
    match open(request, settings) {
        Ok((request, expected)) => UnaryFuture {
            state: State::Calling { future: http.call(request) },
            expected: Some(expected),
        },
        Err(error) => UnaryFuture { state: State::Refused { error: Some(error) }, expected: None },
    }
}

/// The HTTP request of a typed one, and what its future needs to know.
fn open<R: UnaryRequest>(
    request: R,
    settings: &UnarySettings,
) -> Result<(http::Request<RequestBody>, Expected<R::Answer>), Error> {
    let call = Call::unary(R::ENDPOINT, request.model());
    let (outgoing, mut options) = request.write(settings)?;
    let timeouts = options.timeouts_or(settings.timeouts);
    let (turn_state, fault) = (options.turn_state.clone(), outgoing.fault());
    let request = outgoing.into_request(&mut options, timeouts, call.clone())?;
    let expected = Expected {
        call,
        limit: settings.body_limit.unwrap_or(R::BODY_LIMIT),
        turn_state,
        fault,
        is_expected: R::Answer::is_expected,
        read: R::Answer::read,
        outcome: R::outcome,
        facts: R::Answer::facts,
    };
    Ok((request, expected))
}

pin_project! {
    /// The future of the endpoints that do not stream.
    ///
    /// `F` is the future and `RB` the response body of the HTTP service inside, `T` the value that is
    /// read. Dropping it cancels the call. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct UnaryFuture<F, RB, T> {
        #[pin]
        state: State<F, RB>,
        expected: Option<Expected<T>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        Refused { error: Option<Error> },
        Calling { #[pin] future: F },
        Reading { #[pin] body: RB, reading: Reading },
        Collecting { #[pin] body: RB, refusal: Refusal },
        Done,
    }
}

impl<F, RB, T, E> Future for UnaryFuture<F, RB, T>
where
    F: Future<Output = Result<http::Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<ApiResponse<T>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let (next, result) = match this.state.as_mut().project() {
                StateProj::Refused { error } => (State::Done, error.take().map(Err)),
                StateProj::Calling { future } => match (ready!(future.poll(cx)), &*this.expected) {
                    (Ok(response), Some(expected)) => (expected.head(response), None),
                    (Ok(_), None) => (State::Done, None),
                    (Err(error), expected) => {
                        let error = Error::from(error.into());
                        let error = match expected {
                            Some(expected) => expected.failure(error),
                            None => error,
                        };
                        (State::Done, Some(Err(error)))
                    }
                },
                StateProj::Reading { body, reading } => {
                    let stop = ready!(reading.collecting.poll_read(body, cx));
                    let expected = this.expected.as_ref();
                    (State::Done, expected.and_then(|expected| reading.finish(stop, expected)))
                }
                StateProj::Collecting { body, refusal } => {
                    let error = ready!(refusal.poll_read(body, cx));
                    (State::Done, Some(Err(error)))
                }
                StateProj::Done => return Poll::Pending,
            };
            // What is left of the body goes before the caller has the answer.
            this.state.set(next);
            if let Some(result) = result {
                return Poll::Ready(result);
            }
        }
    }
}

impl<F, RB, T> fmt::Debug for UnaryFuture<F, RB, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Calling { .. } => "Calling",
            State::Reading { .. } => "Reading",
            State::Collecting { .. } => "Collecting",
            State::Done => "Done",
        };
        f.debug_struct("UnaryFuture").field("state", &state).finish_non_exhaustive()
    }
}

impl<T> Expected<T> {
    /// The error of a call that had no answer.
    fn failure(&self, error: Error) -> Error {
        let error = match &self.fault {
            Some(fault) => fault.explain(error),
            None => error,
        };
        error.without_secrets_of(&self.call)
    }

    /// What to do with the answer that has this head.
    fn head<F, RB: Body>(&self, mut response: http::Response<RB>) -> State<F, RB> {
        // For whoever finds out later that the answer is an error.
        self.call.attach_to(response.extensions_mut());
        let (parts, body) = response.into_parts();
        if !(self.is_expected)(parts.status) {
            return State::Collecting { body, refusal: Refusal::new(parts) };
        }
        let note = parts.headers.get(TURN_STATE).and_then(|value| value.to_str().ok());
        if let (Some(state), Some(note)) = (&self.turn_state, note) {
            state.capture(note);
        }
        // One that is sure to be too long is not read at all.
        let too_long = body.size_hint().lower() > self.limit as u64;
        State::Reading { body, reading: Reading::new(parts, if too_long { 0 } else { self.limit }) }
    }
}

/// A success while its body is read.
struct Reading {
    /// `None` once it is handed out.
    meta: Option<ResponseMeta>,
    audience: Audience,
    collecting: Collecting,
}

impl Reading {
    fn new(parts: response::Parts, limit: usize) -> Self {
        let audience = Audience::open(&parts.extensions);
        let meta = Some(ResponseMeta::whole(parts));
        Self { meta, audience, collecting: Collecting::new(limit, None) }
    }

    /// The answer, told to the observers.
    fn finish<T>(
        &mut self,
        stop: Stop,
        expected: &Expected<T>,
    ) -> Option<Result<ApiResponse<T>, Error>> {
        let meta = self.meta.take()?;
        match self.read(stop, &meta, expected) {
            Ok(value) => {
                self.audience.answer(&(expected.facts)(&value));
                Some(Ok(ApiResponse::new(value, meta)))
            }
            Err(error) => {
                let error = error.with_attempts(meta.extensions().get());
                let error = error.without_secrets_of(&expected.call);
                self.audience.end(StreamEnd::Error(&error));
                Some(Err(error))
            }
        }
    }

    fn read<T>(
        &mut self,
        stop: Stop,
        meta: &ResponseMeta,
        expected: &Expected<T>,
    ) -> Result<T, Error> {
        let endpoint = expected.call.endpoint();
        let (status, headers) = (meta.status(), meta.headers());
        Err(match stop {
            Stop::End => {
                let body = self.collecting.take();
                match (expected.read)(meta, &body) {
                    Ok(value) => match (expected.outcome)(value) {
                        Ok(value) => return Ok(value),
                        Err(error) => error.with_stage(Stage::Sent),
                    },
                    Err(problem) => error::unreadable(endpoint, status, headers, &body, &problem),
                }
            }
            Stop::Full => error::answer_too_large(endpoint, expected.limit),
            Stop::Failed(error) => Error::from(error),
            Stop::Late(limit) => {
                Error::from(BoxError::from(format!("the body did not end within {limit:?}")))
            }
        }
        .under_head(status, headers))
    }
}

/// An answer that is one JSON value of its own type.
macro_rules! json_answer {
    ($Answer:ty $(, |$answer:ident| $facts:expr)?) => {
        impl $crate::services::unary::Answer for $Answer {
            fn read(
                _: &$crate::services::ResponseMeta,
                body: &bytes::Bytes,
            ) -> Result<Self, $crate::error::Unreadable> {
                serde_json::from_slice(body).map_err(Into::into)
            }

            $(fn facts(&self) -> $crate::sse::AnswerFacts<'_> {
                let $answer = self;
                $facts
            })?
        }
    };
}

pub(super) use json_answer;
