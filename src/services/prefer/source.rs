//! The source of a stream that came over either transport.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::state::PreferHandle;
use crate::sse::{Broken, Reopened, Source, SseEvent};
use crate::{BoxError, Error};

pin_project! {
    /// The source of a stream of [`Prefer`](super::Prefer): `A` of the socket, `B` of HTTP.
    pub struct PreferSource<A, B> {
        #[pin]
        source: Either<A, B>,
    }
}

pin_project! {
    #[project = EitherProj]
    enum Either<A, B> {
        Socket { #[pin] source: A, handle: PreferHandle, broken: bool },
        Http { #[pin] source: B },
    }
}

impl<A, B> PreferSource<A, B> {
    pub(super) fn socket(source: A, handle: PreferHandle) -> Self {
        Self { source: Either::Socket { source, handle, broken: false } }
    }

    pub(super) fn http(source: B) -> Self {
        Self { source: Either::Http { source } }
    }

    pub(super) fn is_socket(&self) -> bool {
        matches!(self.source, Either::Socket { .. })
    }
}

/// Does the same with whichever source is read.
macro_rules! either {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self.project().source.project() {
            EitherProj::Socket { source, .. } => source.$method($($argument),*),
            EitherProj::Http { source } => source.$method($($argument),*),
        }
    };
}

impl<A: Source, B: Source> Source for PreferSource<A, B> {
    #[inline]
    fn ahead(self: Pin<&mut Self>) -> Option<&[u8]> {
        either!(self.ahead())
    }

    #[inline]
    fn skip(self: Pin<&mut Self>, length: usize) {
        either!(self.skip(length));
    }

    #[inline]
    fn advance(self: Pin<&mut Self>) -> Result<bool, BoxError> {
        either!(self.advance())
    }

    #[inline]
    fn event(&self) -> SseEvent<'_> {
        match &self.source {
            Either::Socket { source, .. } => source.event(),
            Either::Http { source } => source.event(),
        }
    }

    fn around(&self) -> Option<(&[u8], &[u8])> {
        match &self.source {
            Either::Socket { source, .. } => source.around(),
            Either::Http { source } => source.around(),
        }
    }

    fn poll_chunk(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), BoxError>>> {
        either!(self.poll_chunk(cx))
    }

    fn bytes_read(&self) -> u64 {
        match &self.source {
            Either::Socket { source, .. } => source.bytes_read(),
            Either::Http { source } => source.bytes_read(),
        }
    }

    #[inline]
    fn done_with_event(self: Pin<&mut Self>) {
        either!(self.done_with_event());
    }

    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: usize) -> Poll<()> {
        match self.project().source.project() {
            EitherProj::Http { source } => source.poll_drain(cx, limit),
            EitherProj::Socket { source, handle, broken } => {
                if !*broken {
                    // The terminal event has come.
                    handle.succeeded();
                }
                source.poll_drain(cx, limit)
            }
        }
    }

    fn close(self: Pin<&mut Self>) {
        either!(self.close());
    }

    fn broken(self: Pin<&mut Self>, error: &Error) {
        if let EitherProj::Socket { handle, broken, .. } = self.project().source.project() {
            *broken = true;
            handle.broke(error);
        }
    }

    fn retries(&self, error: &Error) -> bool {
        match &self.source {
            Either::Http { source } => source.retries(error),
            Either::Socket { source, .. } => source.retries(error),
        }
    }

    fn poll_resume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        broken: &mut Broken,
    ) -> Poll<Result<Reopened, Error>> {
        either!(self.poll_resume(cx, broken))
    }
}

impl<A, B> fmt::Debug for PreferSource<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreferSource").field("socket", &self.is_socket()).finish_non_exhaustive()
    }
}
