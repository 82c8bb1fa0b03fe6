//! From the answer to a handshake to the connection behind it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{StatusCode, response};
use http_body::Body;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;

use super::{Offer, Upgraded};
use crate::extensions::Call;
use crate::services::Refusal;
use crate::sse::{AnswerFacts, Audience, StreamEnd};
use crate::{BoxError, Error, ErrorKind, Stage};

pin_project! {
    /// The future of [`Handshake`](super::Handshake).
    ///
    /// `F` is the future and `RB` the response body of the HTTP service inside. Dropping it cancels
    /// the handshake. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct HandshakeFuture<F, RB> {
        #[pin]
        state: State<F, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        Refused { error: Option<Error> },
        Calling { #[pin] future: F, offer: Offer },
        Collecting { #[pin] body: RB, refusal: Refusal },
        Switching { switching: Option<Box<Switching>> },
        Done,
    }
}

/// An answer that is good, until the connection is ours.
struct Switching {
    upgrade: OnUpgrade,
    head: response::Parts,
    audience: Audience,
    call: Option<Call>,
}

impl<F, RB> HandshakeFuture<F, RB> {
    pub(crate) fn calling(future: F, offer: Offer) -> Self {
        Self { state: State::Calling { future, offer } }
    }

    pub(crate) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, RB, E> Future for HandshakeFuture<F, RB>
where
    F: Future<Output = Result<http::Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Upgraded, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refused { error } => match error.take() {
                    Some(error) => Err(error),
                    None => Ok(State::Done),
                },
                StateProj::Calling { future, offer } => match ready!(future.poll(cx)) {
                    Ok(response) => head(response, offer, cx),
                    Err(error) => Err(without_secrets(Error::from(error.into()), &offer.call)),
                },
                StateProj::Collecting { body, refusal } => {
                    let error = ready!(refusal.poll_read(body, cx));
                    Err(error)
                }
                StateProj::Switching { switching } => {
                    if let Some(now) = switching {
                        let result = ready!(Pin::new(&mut now.upgrade).poll(cx));
                        let result = switching.take().map(|switching| switching.finish(result));
                        state.set(State::Done);
                        if let Some(result) = result {
                            return Poll::Ready(result);
                        }
                    }
                    return Poll::Pending;
                }
                StateProj::Done => return Poll::Pending,
            };
            match next {
                Ok(next) => state.set(next),
                Err(error) => {
                    state.set(State::Done);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

/// What to do with an answer.
fn head<F, RB>(
    mut response: http::Response<RB>,
    offer: &Offer,
    cx: &mut Context<'_>,
) -> Result<State<F, RB>, Error>
where
    RB: Body<Data = Bytes>,
{
    if let Some(call) = &offer.call {
        call.attach_to(response.extensions_mut());
    }
    let (mut head, body) = response.into_parts();
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(State::Collecting { body, refusal: Refusal::of_upgrade(head) });
    }
    let mut audience = Audience::open(&head.extensions);
    let upgrade = offer.verify(&head.headers).and_then(|()| {
        head.extensions
            .remove::<OnUpgrade>()
            .ok_or_else(|| lost().under_head(head.status, &head.headers))
    });
    match upgrade {
        Ok(upgrade) => {
            // It is empty. Layers that watch bodies see its end, and not that it was dropped.
            let mut body = std::pin::pin!(body);
            let _ = body.as_mut().poll_frame(cx);
            let switching = Switching { upgrade, head, audience, call: offer.call.clone() };
            Ok(State::Switching { switching: Some(Box::new(switching)) })
        }
        Err(error) => {
            let error = error.with_attempts(head.extensions.get());
            let error = without_secrets(error, &offer.call);
            audience.end(StreamEnd::Error(&error));
            Err(error)
        }
    }
}

impl Switching {
    fn finish(
        mut self,
        upgrade: Result<hyper::upgrade::Upgraded, hyper::Error>,
    ) -> Result<Upgraded, Error> {
        match upgrade {
            Ok(io) => {
                self.audience.answer(&AnswerFacts::default());
                Ok(Upgraded { io: Box::new(TokioIo::new(io)), head: self.head })
            }
            Err(error) => {
                let message = "the connection broke while it became a WebSocket";
                let error = Error::new(ErrorKind::Transport, message).with_source(error);
                let error = error.with_stage(Stage::Sent).with_attempts(self.head.extensions.get());
                let error = without_secrets(error, &self.call);
                self.audience.end(StreamEnd::Error(&error));
                Err(error)
            }
        }
    }
}

fn lost() -> Error {
    Error::new(
        ErrorKind::Build,
        "the server has switched to WebSocket, but the connection did not come with its answer: \
         either a layer makes a new response without the extensions of the one it was given (copy \
         them), or the transport is not hyper's",
    )
    .with_stage(Stage::Sent)
}

fn without_secrets(error: Error, call: &Option<Call>) -> Error {
    match call {
        Some(call) => error.without_secrets_of(call),
        None => error,
    }
}

impl<F, RB> fmt::Debug for HandshakeFuture<F, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Calling { .. } => "Calling",
            State::Collecting { .. } => "Collecting",
            State::Switching { .. } => "Switching",
            State::Done => "Done",
        };
        f.debug_struct("HandshakeFuture").field("state", &state).finish_non_exhaustive()
    }
}
