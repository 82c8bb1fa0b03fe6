//! An upload under way.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow::{self, Break, Continue};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::steps::{Announced, Confirm, Confirmed, First, Plan, Stored, Transfer, UploadedFile};
use crate::services::{ApiResponse, HttpService, UnaryFuture, unary};
use crate::{BoxError, Error, RequestBody};

/// How long the server is left alone before it is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// How long it is asked.
const PATIENCE: Duration = Duration::from_secs(30);

pin_project! {
    /// The future of [`Files`](super::Files).
    ///
    /// `F` is the future and `RB` the response body of the HTTP service `S`. Dropping it cancels the
    /// upload. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct UploadFuture<S, F, RB> {
        #[pin]
        step: Step<F, RB>,
        under_way: Option<UnderWay<S>>,
    }
}

/// What all steps need.
struct UnderWay<S> {
    /// Made ready before each call; the first one was made with the one that the caller had ready.
    http: S,
    plan: Plan,
    /// When the server is given up.
    until: Option<Instant>,
}

/// What is sent once the service is ready.
enum Next {
    Transfer(Transfer),
    Confirm(Confirm),
}

pin_project! {
    #[project = StepProj]
    enum Step<F, RB> {
        Refused { error: Option<Error> },
        Announcing { #[pin] call: UnaryFuture<F, RB, Announced> },
        Sending { #[pin] call: UnaryFuture<F, RB, Stored> },
        Confirming { #[pin] call: UnaryFuture<F, RB, Confirmed> },
        Pausing { #[pin] pause: Sleep },
        Readying { next: Option<Next> },
        Done,
    }
}

impl<F, RB> Step<F, RB> {
    fn ready(next: Next) -> Self {
        Self::Readying { next: Some(next) }
    }
}

impl<S, F, RB> UploadFuture<S, F, RB> {
    pub(super) fn refused(error: Error) -> Self {
        Self { step: Step::Refused { error: Some(error) }, under_way: None }
    }

    /// Takes the first step on a service that is ready.
    pub(super) fn begin(mut http: S, plan: Plan, first: First) -> Self
    where
        S: HttpService<RequestBody, Future = F, ResponseBody = RB>,
    {
        let step = match first {
            First::Announce(announce) => {
                Step::Announcing { call: unary::call(&mut http, announce, &plan.settings) }
            }
            First::Confirm(confirm) => {
                Step::Confirming { call: unary::call(&mut http, confirm, &plan.settings) }
            }
        };
        Self { step, under_way: Some(UnderWay { http, plan, until: None }) }
    }
}

/// What follows a step: another one, or the result of the whole.
type Then<F, RB> = ControlFlow<Result<ApiResponse<UploadedFile>, Error>, Step<F, RB>>;

impl<S> UnderWay<S> {
    fn announced<F, RB>(&mut self, answer: Result<ApiResponse<Announced>, Error>) -> Then<F, RB> {
        match answer.map(|answer| self.plan.transfer(answer.into_value())) {
            Ok(Some(transfer)) => Continue(Step::ready(Next::Transfer(transfer))),
            Ok(None) => Continue(Step::Done),
            Err(error) => Break(Err(error.without_answer())),
        }
    }

    fn transferred<F, RB>(&self, answer: Result<ApiResponse<Stored>, Error>) -> Then<F, RB> {
        match answer {
            Ok(_) => Continue(Step::ready(Next::Confirm(self.plan.confirm()))),
            Err(error) => Break(Err(self.plan.not_sent(error))),
        }
    }

    fn confirmed<F, RB>(&mut self, answer: Result<ApiResponse<Confirmed>, Error>) -> Then<F, RB> {
        let result = match answer {
            Ok(answer) => self.plan.finish(answer),
            Err(error) => Some(Err(error.without_answer())),
        };
        if let Some(result) = result {
            return Break(result);
        }
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + PATIENCE);
        if now + PAUSE > until {
            return Break(Err(self.plan.not_ready(PATIENCE)));
        }
        Continue(Step::Pausing { pause: tokio::time::sleep(PAUSE) })
    }

    /// Calls the service, which is ready.
    fn call<F, RB>(&mut self, next: Option<Next>) -> Step<F, RB>
    where
        S: HttpService<RequestBody, Future = F, ResponseBody = RB>,
    {
        let settings = &self.plan.settings;
        match next {
            Some(Next::Transfer(transfer)) => {
                Step::Sending { call: unary::call(&mut self.http, transfer, settings) }
            }
            Some(Next::Confirm(confirm)) => {
                Step::Confirming { call: unary::call(&mut self.http, confirm, settings) }
            }
            None => Step::Done,
        }
    }
}

impl<S, F, RB> Future for UploadFuture<S, F, RB>
where
    S: HttpService<RequestBody, Future = F, ResponseBody = RB>,
    F: Future<Output = Result<http::Response<RB>, S::Error>>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<ApiResponse<UploadedFile>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let then = match (this.step.as_mut().project(), this.under_way.as_mut()) {
                (StepProj::Announcing { call }, Some(upload)) => {
                    upload.announced(ready!(call.poll(cx)))
                }
                (StepProj::Sending { call }, Some(upload)) => {
                    upload.transferred(ready!(call.poll(cx)))
                }
                (StepProj::Confirming { call }, Some(upload)) => {
                    upload.confirmed(ready!(call.poll(cx)))
                }
                (StepProj::Pausing { pause }, Some(upload)) => {
                    ready!(pause.poll(cx));
                    Continue(Step::ready(Next::Confirm(upload.plan.confirm())))
                }
                (StepProj::Readying { next }, Some(upload)) => {
                    match ready!(upload.http.poll_ready(cx)) {
                        Ok(()) => Continue(upload.call(next.take())),
                        Err(error) => Break(Err(Error::from(error.into()))),
                    }
                }
                (StepProj::Refused { error }, _) => match error.take() {
                    Some(error) => Break(Err(error)),
                    None => Continue(Step::Done),
                },
                (_, _) => return Poll::Pending,
            };
            match then {
                Continue(step) => this.step.set(step),
                Break(result) => {
                    // What is left of the upload goes before the caller has the result.
                    this.step.set(Step::Done);
                    *this.under_way = None;
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl<S, F, RB> fmt::Debug for UploadFuture<S, F, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Refused { .. } => "Refused",
            Step::Announcing { .. } => "Announcing",
            Step::Sending { .. } => "Sending",
            Step::Confirming { .. } => "Confirming",
            Step::Pausing { .. } => "Pausing",
            Step::Readying { .. } => "Readying",
            Step::Done => "Done",
        };
        f.debug_struct("UploadFuture").field("step", &step).finish_non_exhaustive()
    }
}
