//! The second half of a streaming endpoint: an HTTP response becomes a stream or an error.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header, response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::collect::Refusal;
use super::encode::Outgoing;
use super::options::{ResponsesOptions, TURN_STATE, TurnState};
use super::request::ResponsesRequest;
use super::responses::Responses;
use super::{CallOnce, HttpService};
use crate::extensions::Call;
use crate::model::ItemIds;
use crate::sse::{EventStream, ResponseStream, SseSource, StreamSettings};
use crate::{BoxError, Error, RequestBody};

/// The request of an endpoint that streams.
pub(super) trait StreamingRequest: Sized {
    /// What the stream needs to know of the request beside the [`Opening`].
    type Rule;

    /// The request to send, and what it is.
    ///
    /// # Errors
    ///
    /// A request that cannot be written.
    fn write(self, settings: &StreamingSettings) -> Result<Written<Self::Rule>, Error>;
}

/// How an endpoint that streams behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamingSettings {
    pub(super) stream: StreamSettings,
    /// Which items are sent with their ids, for endpoints that send items.
    pub(super) item_ids: ItemIds,
}

/// What [`StreamingRequest::write`] makes of a request.
pub(super) struct Written<R = ()> {
    pub(super) outgoing: Outgoing,
    pub(super) options: ResponsesOptions,
    pub(super) call: Call,
    /// Where the stream begins, if not with the response.
    pub(super) place: Option<Place>,
    pub(super) rule: R,
}

/// Sends one typed request over a service that is ready.
pub(super) fn call<S, R, St>(
    http: &mut S,
    request: R,
    settings: &StreamingSettings,
) -> StreamFuture<S::Future, S::ResponseBody, St>
where
    S: HttpService<RequestBody>,
    R: StreamingRequest,
    St: sealed::Open<S::ResponseBody, Rule = R::Rule>,
{
    let state = match open(request, settings) {
        Ok((request, opening, rule)) => {
            State::Calling { future: http.call(request), opening: Some((opening, rule)) }
        }
        Err(error) => State::Refused { error: Some(error) },
    };
    StreamFuture { state }
}

/// The HTTP request of a typed one, and what its stream needs to know.
fn open<R: StreamingRequest>(
    request: R,
    settings: &StreamingSettings,
) -> Result<(http::Request<RequestBody>, Opening, R::Rule), Error> {
    let Written { outgoing, mut options, call, place, rule } = request.write(settings)?;
    let timeouts = options.timeouts_or(settings.stream.timeouts);
    let request = outgoing
        .accept(const { HeaderValue::from_static("text/event-stream") })
        .into_request(&mut options, timeouts, call.clone())?;
    let settings = StreamSettings { timeouts, ..settings.stream };
    let turn_state = options.turn_state;
    Ok((request, Opening { settings, turn_state, call, place }, rule))
}

/// What a stream needs to know of the call that opens it.
#[derive(Debug)]
pub struct Opening {
    settings: StreamSettings,
    turn_state: Option<TurnState>,
    call: Call,
    /// Where it begins, if not with the response.
    place: Option<Place>,
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
