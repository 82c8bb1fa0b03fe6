//! A file on disk as a body.

use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::fs::{self, File};
use tokio::io::{AsyncRead, ReadBuf};

use crate::error::one_line;
use crate::{Error, ErrorKind, Stage};

/// How much is read at once.
const PIECE: u64 = 64 * 1024;

/// The length of the file at `path`.
///
/// # Errors
///
/// A path that leads nowhere, or to something else than a file, or to one whose length is not known.
pub(super) async fn look(path: &Path) -> Result<u64, Error> {
    let refused = |error: io::Error| {
        let message = format!("the file `{}` cannot be uploaded: {error}", name(path));
        Error::build(message).with_source(error)
    };
    let metadata = fs::metadata(path).await.map_err(refused)?;
    if !metadata.is_file() {
        return Err(Error::build(format!("`{}` is no file: only files are uploaded", name(path))));
    }
    // Files that a system makes up as they are read say that they are empty.
    if metadata.len() == 0 && !is_empty(path).await.map_err(refused)? {
        return Err(Error::build(format!(
            "the file `{}` does not tell its length: upload a copy of it",
            name(path)
        )));
    }
    Ok(metadata.len())
}

async fn is_empty(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path).await?;
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    poll_fn(|cx| Pin::new(&mut file).poll_read(cx, &mut buffer)).await?;
    Ok(buffer.filled().is_empty())
}

fn name(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

type Opening = Pin<Box<dyn Future<Output = io::Result<(File, u64)>> + Send + Sync>>;

/// Reads a file from its start, as long as it is as long as it was.
///
/// What tokio reads for it is at most one piece, and one more is here; dropping the body leaves at
/// most that one read to be finished on a thread of tokio's.
pub(super) struct FileBody {
    path: Arc<Path>,
    /// How long the file was.
    len: u64,
    left: u64,
    state: State,
}

enum State {
    Opening(Opening),
    /// The piece is empty between two reads.
    Reading(File, BytesMut),
    Done,
}

impl FileBody {
    pub(super) fn new(path: &Arc<Path>, len: u64) -> Self {
        let path = Arc::clone(path);
        let to_open = Arc::clone(&path);
        let opening = Box::pin(async move {
            let file = File::open(&to_open).await?;
            let len = file.metadata().await?.len();
            Ok((file, len))
        });
        Self { path, len, left: len, state: State::Opening(opening) }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match &mut self.state {
                State::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok((file, len)) if len == self.len => {
                        self.state = State::Reading(file, BytesMut::new());
                    }
                    Ok((_, len)) => return self.fail(self.changed(&format!("has {len} bytes"))),
                    Err(error) => return self.fail(self.unreadable(error)),
                },
                State::Reading(..) if self.left == 0 => self.state = State::Done,
                State::Reading(file, piece) => {
                    if piece.is_empty() {
                        // Of the last piece one byte more than there should be, to see whether there is.
                        let room = if self.left > PIECE { PIECE } else { self.left + 1 };
                        *piece = BytesMut::zeroed(room as usize);
                    }
                    let mut buffer = ReadBuf::new(piece);
                    let result = ready!(Pin::new(file).poll_read(cx, &mut buffer));
                    let read = buffer.filled().len();
                    if let Err(error) = result {
                        return self.fail(self.unreadable(error));
                    }
                    if read == 0 {
                        return self.fail(self.changed("is shorter now"));
                    }
                    if read as u64 > self.left {
                        return self.fail(self.changed("is longer now"));
                    }
                    self.left -= read as u64;
                    let mut whole = std::mem::take(piece);
                    whole.truncate(read);
                    return Poll::Ready(Some(Ok(whole.freeze())));
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.state = State::Done;
        Poll::Ready(Some(Err(error)))
    }

    fn changed(&self, how: &str) -> Error {
        self.error(format!(
            "the file `{}` has changed while it was uploaded: it had {} bytes and {how}",
            name(&self.path),
            self.len
        ))
    }

    fn unreadable(&self, error: io::Error) -> Error {
        self.error(format!("the file `{}` cannot be read: {error}", name(&self.path)))
            .with_source(error)
    }

    /// Part of it may have been sent.
    fn error(&self, message: String) -> Error {
        Error::new(ErrorKind::Build, message).with_stage(Stage::Unknown)
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll_piece(cx).map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done) || (self.left == 0 && self.len > 0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
