//! [`RealtimeReconnect`]: a socket in the place of one that broke.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::{OpenRealtime, Realtime, RealtimeConnected, RealtimeRequest};
use crate::model::realtime::codex::Transcript;
use crate::services::HttpService;
use crate::{Error, RequestBody};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);
const LONGEST_HINT: Duration = Duration::from_secs(60);

/// Opens a conversation again that has broken: with the same session, and with what was said.
///
/// Nothing is done behind the caller: events end with an error, which is asked about here. It may be
/// that a socket is worth opening again, by its [error](Error::is_retryable): after the close codes
/// 1001, 1005, 1006, 1011, 1012, 1013 and 1015, and when it broke or went silent. An answer that was being given is
/// lost with the socket; what was said in the conversation is carried over as far as the transcript
/// has it, except into a call that was [joined](RealtimeRequest::join), which has it still. Each attempt is a whole handshake, so that credentials are fresh.
///
/// Up to 5 attempts, after 0.5 s, 1 s, 2 s, 4 s and 8 s, each shortened by up to a quarter at random;
/// later if the server asks for it, and no more if that is above 60 s. A conversation that breaks
/// again and again is opened again and again: count, if that is to end.
///
/// ```
/// use tower_openai::model::realtime::codex::{Interpreter, RealtimeConversationVersion};
/// use tower_openai::services::{Realtime, RealtimeReconnect, RealtimeRequest};
/// # use tower_openai::transport::HyperTransport;
///
/// # async fn talk(realtime: Realtime<HyperTransport>) -> Result<(), tower_openai::BoxError> {
/// let again = RealtimeReconnect::new(realtime.clone(), RealtimeRequest::new("gpt-realtime"));
/// let mut interpreter = Interpreter::new(RealtimeConversationVersion::V2);
/// let (mut events, mut writer) = realtime.send(again.request().clone()).await?.inline();
/// while let Some(event) = events.next().await {
///     match event {
///         Ok(event) => drop(interpreter.read(&event)),
///         Err(error) => match again.after(&error, interpreter.transcript()) {
///             Some(opening) => (events, writer) = opening.await?.inline(),
///             None => eprintln!("{error}"),
///         },
///     }
/// }
/// # drop(writer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RealtimeReconnect<S> {
    realtime: Realtime<S>,
    request: RealtimeRequest,
    attempts: u32,
}

impl<S> RealtimeReconnect<S> {
    /// Opens with this request over this endpoint.
    pub fn new(realtime: Realtime<S>, request: RealtimeRequest) -> Self {
        Self { realtime, request, attempts: 5 }
    }

    /// How often to try, at most. Default: 5.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The request that is sent again.
    pub fn request(&self) -> &RealtimeRequest {
        &self.request
    }

    /// The request that is sent again, to change: say to a session that has changed since.
    pub fn request_mut(&mut self) -> &mut RealtimeRequest {
        &mut self.request
    }

    /// Opens the conversation again, if this end of it is one that another socket may get past.
    ///
    /// `None` for an error that it would run into again, and for one that ended nothing.
    pub fn after(&self, error: &Error, transcript: &Transcript) -> Option<RealtimeReconnecting<S>>
    where
        S: HttpService<RequestBody> + Clone,
    {
        if self.attempts == 0 || !error.is_retryable() {
            return None;
        }
        let request = self.request_after(transcript);
        Some(RealtimeReconnecting {
            again: Self { request, ..self.clone() },
            made: 0,
            state: State::Waiting { sleep: Box::pin(tokio::time::sleep(pause(0))) },
        })
    }
}

impl<S> RealtimeReconnect<S> {
    /// The request, with what was said since unless the server has that.
    pub(super) fn request_after(&self, transcript: &Transcript) -> RealtimeRequest {
        let request = self.request.clone();
        if request.joins_a_call() { request } else { request.carry_over_too(transcript) }
    }
}

/// Whether another attempt may get past it, and the server does not ask for a long wait.
fn is_soon(error: &Error) -> bool {
    error.is_retryable() && error.retry_after().is_none_or(|wait| wait <= LONGEST_HINT)
}

/// How long to wait before the attempt after `made` others.
fn pause(made: u32) -> Duration {
    let whole = FIRST.saturating_mul(2_u32.saturating_pow(made)).min(LONGEST);
    let mut byte = [0];
    // Without random numbers all wait the whole of it.
    let _ = getrandom::fill(&mut byte);
    whole.mul_f64(1.0 - f64::from(byte[0]) / 255.0 / 4.0)
}

pin_project! {
    /// The future of [`RealtimeReconnect::after`].
    ///
    /// Dropping it gives up.
    #[must_use = "futures do nothing unless polled"]
    pub struct RealtimeReconnecting<S>
    where
        S: HttpService<RequestBody>,
    {
        again: RealtimeReconnect<S>,
        made: u32,
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S>
    where
        S: HttpService<RequestBody>,
    {
        Waiting { sleep: Pin<Box<tokio::time::Sleep>> },
        Opening { #[pin] open: OpenRealtime<S> },
        Done,
    }
}

impl<S> Future for RealtimeReconnecting<S>
where
    S: HttpService<RequestBody> + Clone,
{
    /// The error is that of the last attempt.
    type Output = Result<RealtimeConnected, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Waiting { sleep } => {
                    ready!(sleep.as_mut().poll(cx));
                    *this.made += 1;
                    State::Opening { open: this.again.realtime.send(this.again.request.clone()) }
                }
                StateProj::Opening { open } => match ready!(open.poll(cx)) {
                    Err(error) if *this.made < this.again.attempts && is_soon(&error) => {
                        let hint = error.retry_after().unwrap_or_default();
                        let sleep = Box::pin(tokio::time::sleep(pause(*this.made).max(hint)));
                        State::Waiting { sleep }
                    }
                    result => {
                        this.state.set(State::Done);
                        return Poll::Ready(result);
                    }
                },
                StateProj::Done => return Poll::Pending,
            };
            this.state.set(next);
        }
    }
}

impl<S: HttpService<RequestBody>> fmt::Debug for RealtimeReconnecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeReconnecting").field("made", &self.made).finish_non_exhaustive()
    }
}
