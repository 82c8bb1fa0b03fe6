//! The call, and once more without compression if the answer is 415.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower::Service;

use super::Shared;
use super::encoder::Coding;
use super::refusals::Refusal;
use crate::{BoxError, Error, RequestBody};

pin_project! {
    /// The response future of [`WithCompression`](super::WithCompression).
    #[must_use = "futures do nothing unless polled"]
    pub struct WithCompressionFuture<S, F> {
        #[pin]
        state: State<S, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F> {
        Refused { error: Option<Error> },
        Plain { #[pin] future: F },
        // Boxed, beside all that compressing allocates, so that the future stays small.
        Compressed { #[pin] future: F, fallback: Option<Box<Fallback<S>>> },
        // Until the service is ready for the second call.
        Waiting { fallback: Option<Box<Fallback<S>>> },
        Again { #[pin] future: F, refused: Option<(Arc<Shared>, Refusal)> },
        Done,
    }
}

/// What the second call needs.
struct Fallback<S> {
    service: S,
    original: Request<RequestBody>,
    coding: Coding,
    shared: Arc<Shared>,
}

impl<S, F> WithCompressionFuture<S, F> {
    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }

    #[inline]
    pub(super) fn plain(future: F) -> Self {
        Self { state: State::Plain { future } }
    }

    pub(super) fn compressed(
        future: F,
        service: S,
        original: Request<RequestBody>,
        coding: Coding,
        shared: Arc<Shared>,
    ) -> Self {
        let fallback = Some(Box::new(Fallback { service, original, coding, shared }));
        Self { state: State::Compressed { future, fallback } }
    }
}

impl<S, F, RB> Future for WithCompressionFuture<S, F>
where
    S: Service<Request<RequestBody>, Response = Response<RB>, Future = F>,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<Response<RB>, S::Error>>,
{
    type Output = Result<Response<RB>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refused { error } => match error.take() {
                    Some(error) => return Poll::Ready(Err(error.into())),
                    None => State::Done,
                },
                StateProj::Plain { future } => {
                    return match ready!(future.poll(cx)) {
                        Ok(response) => Poll::Ready(Ok(response)),
                        Err(error) => Poll::Ready(Err(error.into())),
                    };
                }
                StateProj::Compressed { future, fallback } => {
                    let result = ready!(future.poll(cx));
                    match (result, fallback.take()) {
                        (Ok(response), fallback @ Some(_)) if is_refusal(&response) => {
                            // Its body goes with it.
                            drop(response);
                            State::Waiting { fallback }
                        }
                        (result, _) => {
                            state.set(State::Done);
                            return Poll::Ready(result.map_err(Into::into));
                        }
                    }
                }
                StateProj::Waiting { fallback: waiting } => {
                    let ready = match waiting {
                        Some(fallback) => ready!(fallback.service.poll_ready(cx)),
                        None => return Poll::Pending,
                    };
                    match (ready, waiting.take()) {
                        (Ok(()), Some(fallback)) => fallback.call(),
                        (Ok(()), None) => State::Done,
                        (Err(error), _) => {
                            state.set(State::Done);
                            return Poll::Ready(Err(error.into()));
                        }
                    }
                }
                StateProj::Again { future, refused } => {
                    let result = ready!(future.poll(cx));
                    // Refused either way, or not looked at, it says nothing of the encoding.
                    if let (Ok(response), Some((shared, refusal))) = (&result, refused.take()) {
                        if response.status().as_u16() < 400 {
                            shared.refusals.remember(refusal);
                        }
                    }
                    state.set(State::Done);
                    return Poll::Ready(result.map_err(Into::into));
                }
                StateProj::Done => return Poll::Pending,
            };
            state.set(next);
        }
    }
}

impl<S> Fallback<S> {
    fn call(self) -> State<S, S::Future>
    where
        S: Service<Request<RequestBody>>,
    {
        let Self { mut service, original, coding, shared } = self;
        let refusal = Refusal::new(coding, original.uri());
        let future = service.call(original);
        State::Again { future, refused: Some((shared, refusal)) }
    }
}

fn is_refusal<RB>(response: &Response<RB>) -> bool {
    response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE
}

impl<S, F> fmt::Debug for WithCompressionFuture<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Plain { .. } => "Plain",
            State::Compressed { .. } => "Compressed",
            State::Waiting { .. } => "Waiting",
            State::Again { .. } => "Again",
            State::Done => "Done",
        };
        f.debug_struct("WithCompressionFuture").field("state", &state).finish_non_exhaustive()
    }
}
