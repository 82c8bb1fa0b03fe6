//! The second half of a streaming endpoint: an HTTP response becomes a stream or an error.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderMap, StatusCode, header, response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::Service;

use super::HttpService;
use super::options::TurnState;
use super::request::ResponsesRequest;
use super::responses::Responses;
use crate::error;
use crate::extensions::Call;
use crate::sse::{Audience, ResponseStream, SseSource, StreamEnd, StreamSettings};
use crate::timer::Watchdog;
use crate::{BoxError, Error, RequestBody};

/// The most of a refusal's body that is read.
const REFUSAL_BYTES: usize = 64 * 1024;

/// The longest that a refusal's body is read.
const REFUSAL_TIME: Duration = Duration::from_secs(10);

/// What a stream needs to know of the call that opens it.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) settings: StreamSettings,
    pub(super) turn_state: Option<TurnState>,
    pub(super) call: Call,
}

pin_project! {
    /// The future of [`Responses`](super::Responses).
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

/// A refusal while its body is read.
struct Refusal {
    status: StatusCode,
    headers: HeaderMap,
    extensions: Extensions,
    audience: Audience,
    body: BytesMut,
    watchdog: Watchdog,
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
                    refusal.audience.end(StreamEnd::Error(&error));
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

pin_project! {
    /// The future of [`Responses::stream_request`].
    ///
    /// The future and body of `S` are parameters of their own, so that the compiler can tell that
    /// it is [`Send`] whatever the error of `S` is: an `async fn` over a service whose error is a
    /// [`BoxError`] could not be spawned.
    #[must_use = "futures do nothing unless polled"]
    pub struct StreamRequest<S, F, RB> {
        // Until the service is ready.
        waiting: Option<(Responses<S>, ResponsesRequest)>,
        #[pin]
        call: Option<ResponsesFuture<F, RB>>,
    }
}

impl<S, F, RB> StreamRequest<S, F, RB> {
    pub(super) fn new(service: Responses<S>, request: ResponsesRequest) -> Self {
        Self { waiting: Some((service, request)), call: None }
    }
}

impl<S, F, RB> Future for StreamRequest<S, F, RB>
where
    S: HttpService<RequestBody, Future = F, ResponseBody = RB>,
    F: Future<Output = Result<http::Response<RB>, S::Error>>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<ResponseStream<SseSource<RB>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some((service, _)) = this.waiting {
            let ready = ready!(service.poll_ready(cx));
            if let Some((mut service, request)) = this.waiting.take() {
                ready?;
                this.call.set(Some(service.call(request)));
            }
        }
        match this.call.as_pin_mut() {
            Some(call) => call.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<S, F, RB> fmt::Debug for StreamRequest<S, F, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRequest").field("call", &self.call).finish_non_exhaustive()
    }
}

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
    let Opening { settings, turn_state, call: _ } = opening;
    let source = SseSource::with_limits(body, settings.limits);
    ResponseStream::new(source, parts, settings, turn_state)
}

impl Refusal {
    fn new(parts: response::Parts) -> Self {
        Self {
            status: parts.status,
            headers: parts.headers,
            audience: Audience::open(&parts.extensions),
            extensions: parts.extensions,
            body: BytesMut::new(),
            watchdog: Watchdog::new(Some(REFUSAL_TIME)),
        }
    }

    /// Reads the body as far as it is wanted. What goes wrong meanwhile does not hide the status.
    fn poll_read<RB>(&mut self, mut body: Pin<&mut RB>, cx: &mut Context<'_>) -> Poll<Error>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        let cause = loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(None) => break None,
                Poll::Ready(Some(Err(error))) => break Some(error.into()),
                Poll::Ready(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    let room = REFUSAL_BYTES.saturating_sub(self.body.len());
                    self.body.extend_from_slice(data.get(..room).unwrap_or(&data));
                    if data.len() >= room {
                        break None;
                    }
                }
                Poll::Pending => {
                    let elapsed = ready!(self.watchdog.poll_expired(cx));
                    let cause = format!("the body did not end within {:?}", elapsed.limit);
                    break Some(cause.into());
                }
            }
        };
        let body = std::mem::take(&mut self.body).freeze();
        let error = if self.status.is_success() {
            error::not_a_stream(self.status, &self.headers, body)
        } else {
            Error::from_response(self.status, &self.headers, body)
        };
        let error = match cause {
            Some(cause) => error.with_source(cause),
            None => error,
        };
        let error = error.with_attempts(self.extensions.get());
        Poll::Ready(error.without_sent(&self.extensions))
    }
}
