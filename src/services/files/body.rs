//! The body of an upload, watched while it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::error::one_line;
use crate::extensions::BodyFault;
use crate::{BoxError, Error, ErrorKind, RequestBody, Stage};

/// How far an upload has come.
///
/// Within an attempt `sent` only grows. An attempt after the first one sends the whole file again, and
/// begins with nothing sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadProgress {
    /// How many bytes the transport has taken.
    pub sent: u64,
    /// How many there are.
    pub total: u64,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// Who hears of it.
pub(in crate::services) type Progress = Arc<dyn Fn(UploadProgress) + Send + Sync>;

/// What the attempts of an upload have in common.
pub(in crate::services) struct Watch {
    name: Box<str>,
    total: u64,
    attempts: AtomicU32,
    progress: Option<Progress>,
    fault: BodyFault,
}

impl Watch {
    pub(in crate::services) fn new(
        name: &str,
        total: u64,
        progress: Option<Progress>,
    ) -> Arc<Self> {
        let (name, attempts) = (one_line(name).into(), AtomicU32::new(0));
        Arc::new(Self { name, total, attempts, progress, fault: BodyFault::default() })
    }

    /// `body`, watched.
    pub(in crate::services) fn body(self: &Arc<Self>, body: RequestBody) -> RequestBody {
        let watch = Arc::clone(self);
        RequestBody::replayable(Some(self.total), move || {
            let attempt = watch.attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let watched = Watched {
                body: body.clone(),
                watch: Arc::clone(&watch),
                attempt,
                sent: 0,
                failed: false,
            };
            watched.tell();
            watched
        })
    }

    /// What is wrong with the file.
    pub(in crate::services) fn fault(&self) -> BodyFault {
        self.fault.clone()
    }
}

/// One attempt.
struct Watched {
    body: RequestBody,
    watch: Arc<Watch>,
    attempt: u32,
    sent: u64,
    /// Nothing follows an error.
    failed: bool,
}

impl Watched {
    fn tell(&self) {
        let Some(progress) = &self.watch.progress else { return };
        // An attempt that was given up may be read for a while.
        if self.attempt == self.watch.attempts.load(Ordering::Relaxed) {
            let (total, attempt) = (self.watch.total, self.attempt);
            progress(UploadProgress { sent: self.sent, total, attempt });
        }
    }
}

/// Part of it may have been sent.
fn wrong_length(message: String) -> Error {
    Error::new(ErrorKind::Build, message).with_stage(Stage::Unknown)
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let (name, total) = (&self.watch.name, self.watch.total);
        let error = match frame {
            Some(Ok(frame)) => {
                let sent = self.sent + frame.data_ref().map_or(0, |data| data.len() as u64);
                if sent <= total {
                    self.sent = sent;
                    self.tell();
                    return Poll::Ready(Some(Ok(frame)));
                }
                wrong_length(format!(
                    "`{name}` has more than the {total} bytes that were announced"
                ))
            }
            None if self.sent == total => return Poll::Ready(None),
            None => {
                let sent = self.sent;
                wrong_length(format!("`{name}` has {sent} bytes and not the {total} announced"))
            }
            Some(Err(error)) => Error::from(error),
        };
        self.watch.fault.keep(&error);
        self.failed = true;
        Poll::Ready(Some(Err(error.into())))
    }

    /// Not before `poll_frame` has seen that nothing is missing: nobody polls a body that is over.
    fn is_end_stream(&self) -> bool {
        self.failed || (self.sent == self.watch.total && self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
