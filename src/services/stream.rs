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
use super::options::TurnState;
use super::request::ResponsesRequest;
use super::responses::Responses;
use crate::extensions::Call;
use crate::sse::{ResponseStream, SseSource, StreamSettings};
use crate::{BoxError, Error};

/// What a stream needs to know of the call that opens it.
#[derive(Debug)]
pub(super) struct Opening {
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

pin_project! {
    /// The future of [`Responses`](super::Responses) and of
    /// [`RetrieveStream`](super::RetrieveStream).
    ///
    /// Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponsesFuture<F, RB> {
        #[pin]
        state: State<F, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        Refused { error: Option<Error> },
        Calling { #[pin] future: F, opening: Option<Opening> },
        Collecting { #[pin] body: RB, refusal: Refusal },
        Done,
    }
}

impl<F, RB> ResponsesFuture<F, RB> {
    pub(super) fn calling(future: F, opening: Opening) -> Self {
        Self { state: State::Calling { future, opening: Some(opening) } }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, RB, E> Future for ResponsesFuture<F, RB>
where
    F: Future<Output = Result<http::Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<ResponseStream<SseSource<RB>>, Error>;

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
                    let call = opening.as_ref().map(|opening| &opening.call);
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
                        Some(opening) if is_stream(&parts) => {
                            state.set(State::Done);
                            return Poll::Ready(Ok(opened(parts, body, opening)));
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

impl<F, RB> fmt::Debug for ResponsesFuture<F, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Calling { .. } => "Calling",
            State::Collecting { .. } => "Collecting",
            State::Done => "Done",
        };
        f.debug_struct("ResponsesFuture").field("state", &state).finish_non_exhaustive()
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

fn opened<RB>(parts: response::Parts, body: RB, opening: Opening) -> ResponseStream<SseSource<RB>> {
    let Opening { settings, turn_state, call: _, place } = opening;
    let source = SseSource::with_limits(body, settings.limits);
    let stream = ResponseStream::new(source, parts, settings, turn_state);
    match place {
        Some(Place { response_id, after }) => stream.beginning_at(response_id, after),
        None => stream,
    }
}
