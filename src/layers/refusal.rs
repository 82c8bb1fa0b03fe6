//! A call that may be refused before it is made.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::{BoxError, Error};

pin_project! {
    /// The future of the inner call, or the error because of which there is none.
    #[project = CallOrRefusalProj]
    #[derive(Debug)]
    pub(super) enum CallOrRefusal<F> {
        Call { #[pin] future: F },
        Refusal { error: Option<Error> },
    }
}

impl<F> CallOrRefusal<F> {
    #[inline]
    pub(super) fn call(future: F) -> Self {
        Self::Call { future }
    }

    pub(super) fn refusal(error: Error) -> Self {
        Self::Refusal { error: Some(error) }
    }
}

impl<F, T, E> Future for CallOrRefusal<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            // On the usual way, here and in the other layers, neither `map_err` nor `?`: they move a
            // response once more.
            CallOrRefusalProj::Call { future } => match ready!(future.poll(cx)) {
                Ok(done) => Poll::Ready(Ok(done)),
                Err(error) => Poll::Ready(Err(error.into())),
            },
            CallOrRefusalProj::Refusal { error } => refuse(error),
        }
    }
}

/// The end of a call that was refused. Polled again, it stays pending instead of panicking.
#[inline]
pub(super) fn refuse<T>(error: &mut Option<Error>) -> Poll<Result<T, BoxError>> {
    match error.take() {
        Some(error) => Poll::Ready(Err(error.into())),
        None => Poll::Pending,
    }
}
