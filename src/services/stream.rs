//! The second half of a streaming endpoint: an HTTP response becomes a stream or an error.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{StatusCode, header, response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::CallOnce;
use super::collect::Refusal;
use super::options::{TURN_STATE, TurnState};
use super::request::ResponsesRequest;
use super::responses::Responses;
use crate::extensions::Call;
use crate::sse::{EventStream, ResponseStream, SseSource, StreamSettings};
use crate::{BoxError, Error};

/// What a stream needs to know of the call that opens it.
#[derive(Debug)]
pub struct Opening {
    pub(super) settings: StreamSettings,
    pub(super) turn_state: Option<TurnState>,
    pub(super) call: Call,
    /// Where it begins, if not with the response.
    pub(super) place: Option<Place>,
}

/// A place in the stream of a stored response.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) response_id: String,
    /// Behind this event; `None`: before the first.
    pub(super) after: Option<u64>,
}

/// A stream that a [`StreamFuture`] gives: [`ResponseStream`] or [`EventStream`].
///
/// Sealed; a bound that tells which streams there are.
pub trait OpenStream<RB>: sealed::Open<RB> {}

impl<St: sealed::Open<RB>, RB> OpenStream<RB> for St {}

mod sealed {
    use super::*;

    pub trait Open<RB>: Sized {
        /// What it needs to know of the request beside the [`Opening`].
        type Rule;

        fn open(parts: response::Parts, body: RB, opening: Opening, rule: Self::Rule) -> Self;
    }
}

impl<RB> sealed::Open<RB> for ResponseStream<SseSource<RB>> {
    type Rule = ();

    fn open(parts: response::Parts, body: RB, opening: Opening, (): ()) -> Self {
        let Opening { settings, turn_state, call: _, place } = opening;
        let source = SseSource::with_limits(body, settings.limits);
        let stream = Self::new(source, parts, settings, turn_state);
        match place {
            Some(Place { response_id, after }) => stream.beginning_at(response_id, after),
            None => stream,
        }
    }
}

impl<T, RB> sealed::Open<RB> for EventStream<T, SseSource<RB>> {
    /// How many terminal events there will be.
    type Rule = u64;

    fn open(parts: response::Parts, body: RB, opening: Opening, finals: u64) -> Self {
        let Opening { settings, turn_state, call: _, place: _ } = opening;
        let note = parts.headers.get(TURN_STATE).and_then(|value| value.to_str().ok());
        if let (Some(state), Some(note)) = (turn_state, note) {
            state.capture(note);
        }
        let source = SseSource::with_limits(body, settings.limits);
        Self::new(source, parts, settings, finals)
    }
}

pin_project! {
    /// The future of the endpoints that stream.
    ///
    /// `F` is the future and `RB` the response body of the HTTP service inside, `St` the stream.
    /// Dropping it cancels the call. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct StreamFuture<F, RB, St>
    where
        // For the type of a field.
        St: OpenStream<RB>,
    {
        #[pin]
        state: State<F, RB, St::Rule>,
    }
}

/// The future of [`Responses`](super::Responses) and of
/// [`RetrieveStream`](super::RetrieveStream).
pub type ResponsesFuture<F, RB> = StreamFuture<F, RB, ResponseStream<SseSource<RB>>>;

pin_project! {
    #[project = StateProj]
    enum State<F, RB, R> {
        Refused { error: Option<Error> },
        Calling { #[pin] future: F, opening: Option<(Opening, R)> },
        Collecting { #[pin] body: RB, refusal: Refusal },
        Done,
    }
}

impl<F, RB> ResponsesFuture<F, RB> {
    pub(super) fn calling(future: F, opening: Opening) -> Self {
        Self::calling_by(future, opening, ())
    }
}

impl<F, RB, St: OpenStream<RB>> StreamFuture<F, RB, St> {
    pub(super) fn calling_by(future: F, opening: Opening, rule: St::Rule) -> Self {
        Self { state: State::Calling { future, opening: Some((opening, rule)) } }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, RB, St, E> Future for StreamFuture<F, RB, St>
where
    F: Future<Output = Result<http::Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
    St: OpenStream<RB>,
{
    type Output = Result<St, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refused { error } => match error.take() {
                    Some(error) => return Poll::Ready(Err(error)),
                    None => State::Done,
                },
                StateProj::Calling { future, opening } => {
                    let result = ready!(future.poll(cx));
                    let opening = opening.take();
                    let call = opening.as_ref().map(|(opening, _)| &opening.call);
                    let (parts, body) = match result {
                        Ok(mut response) => {
                            if let Some(call) = call {
                                call.attach_to(response.extensions_mut());
                            }
                            response.into_parts()
                        }
                        Err(error) => {
                            let error = Error::from(error.into());
                            let error = match call {
                                Some(call) => error.without_secrets_of(call),
                                None => error,
                            };
                            state.set(State::Done);
                            return Poll::Ready(Err(error));
                        }
                    };
                    match opening {
                        Some((opening, rule)) if is_stream(&parts) => {
                            state.set(State::Done);
                            return Poll::Ready(Ok(St::open(parts, body, opening, rule)));
                        }
                        _ => State::Collecting { body, refusal: Refusal::new(parts) },
                    }
                }
                StateProj::Collecting { body, refusal } => {
                    let error = ready!(refusal.poll_read(body, cx));
                    state.set(State::Done);
                    return Poll::Ready(Err(error));
                }
                StateProj::Done => return Poll::Pending,
            };
            state.set(next);
        }
    }
}

impl<F, RB, St: OpenStream<RB>> fmt::Debug for StreamFuture<F, RB, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Calling { .. } => "Calling",
            State::Collecting { .. } => "Collecting",
            State::Done => "Done",
        };
        f.debug_struct("StreamFuture").field("state", &state).finish_non_exhaustive()
    }
}

/// One call of an endpoint that streams.
///
/// `F` is the future and `RB` the response body of the HTTP service below the endpoint.
pub type StreamCall<X, Req, F, RB> =
    CallOnce<X, Req, ResponsesFuture<F, RB>, ResponseStream<SseSource<RB>>>;

/// The future of [`Responses::stream_request`].
///
/// `F` is the future and `RB` the response body of the HTTP service below the endpoint.
pub type StreamRequest<S, F, RB> = StreamCall<Responses<S>, ResponsesRequest, F, RB>;

/// Whether the answer may be a stream. A content type that is missing or odd is given its chance:
/// without a terminal event the stream is an error all the same.
fn is_stream(parts: &response::Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let essence = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    parts.status.is_success()
        && parts.status != StatusCode::NO_CONTENT
        && !matches!(essence.as_str(), "text/html" | "application/json")
}
