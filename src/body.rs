//! Bodies: what an endpoint sends and what the preset hands back.
//!
//! A request body has to survive a retry, so [`RequestBody`] is either bytes or a *replayable
//! source*: a shared opener that yields a fresh body each time. Its clone is always an unread body
//! from the start, and a retried request can never go out empty:
//!
//! ```
//! use tower_openai::RequestBody;
//!
//! let body = RequestBody::from(r#"{"model":"gpt-5.2"}"#);
//! let spare = body.clone(); // a reference count, no copy
//! assert_eq!(spare.as_bytes().map(|bytes| bytes.len()), Some(19));
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, header};
use http_body::{Body, Frame, SizeHint};

use crate::{BoxError, Error};

type OpenBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send + Sync>>;
type Opener = Arc<dyn Fn() -> OpenBody + Send + Sync>;

/// The body of a request: bytes, or a source that can be opened again.
///
/// `Clone` yields an unread body from the start, whatever was read of the original.
#[derive(Clone, Default)]
pub struct RequestBody(Kind);

enum Kind {
    Bytes {
        bytes: Bytes,
        sent: bool,
        /// Not to be sent before it is compressed.
        withheld: bool,
    },
    /// Boxed, for hyper keeps room for many requests per connection.
    Source(Box<Source>),
}

struct Source {
    open: Opener,
    len: Option<u64>,
    reading: Option<OpenBody>,
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Bytes { bytes: Bytes::new(), sent: false, withheld: false }
    }
}

impl Clone for Kind {
    fn clone(&self) -> Self {
        match self {
            Kind::Bytes { bytes, withheld, .. } => {
                Kind::Bytes { bytes: bytes.clone(), sent: false, withheld: *withheld }
            }
            Kind::Source(source) => Kind::Source(Box::new(Source {
                open: Arc::clone(&source.open),
                len: source.len,
                reading: None,
            })),
        }
    }
}

impl RequestBody {
    /// An empty body.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body that `open` yields afresh for each attempt, for uploads that do not fit in memory.
    ///
    /// `len` is the exact length in bytes, when it is known; it becomes `content-length`.
    /// `open` is called when the body is first polled, never before; an opening that fails
    /// should yield a body whose first frame is the error.
    pub fn replayable<B>(len: Option<u64>, open: impl Fn() -> B + Send + Sync + 'static) -> Self
    where
        B: Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<BoxError>,
    {
        let open: Opener = Arc::new(move || Box::pin(Erased { inner: open() }));
        Self(Kind::Source(Box::new(Source { open, len, reading: None })))
    }

    /// The whole body, if it is held as bytes; `None` for a replayable source.
    ///
    /// Also `None` while the body of a request that asks for compression has not reached a
    /// `CompressionLayer`: these are not yet the bytes to send or to sign. Such a body yields an
    /// error when it is read.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Bytes { bytes, withheld: false, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The bytes, if it is held as bytes, whether they are to be sent like this or not: for who only
    /// looks at them.
    #[cfg(feature = "telemetry")]
    pub(crate) fn content(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Bytes { bytes, .. } => Some(bytes),
            Kind::Source(_) => None,
        }
    }

    /// Makes reading it an error until a `CompressionLayer` has [released](Self::release) it, so that
    /// asking for compression in a stack that does none is not without effect.
    pub(crate) fn withhold(&mut self) {
        if let Kind::Bytes { withheld, .. } = &mut self.0 {
            *withheld = true;
        }
    }

    /// Takes [`withhold`](Self::withhold) back.
    #[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
    pub(crate) fn release(&mut self) {
        if let Kind::Bytes { withheld, .. } = &mut self.0 {
            *withheld = false;
        }
    }

    /// Whether reading it is an error.
    #[cfg(feature = "client")]
    pub(crate) fn is_withheld(&self) -> bool {
        matches!(self.0, Kind::Bytes { withheld: true, .. })
    }
}

impl<T: Into<Bytes>> From<T> for RequestBody {
    fn from(bytes: T) -> Self {
        Self(Kind::Bytes { bytes: bytes.into(), sent: false, withheld: false })
    }
}

impl fmt::Debug for RequestBody {
    /// Shows the length, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RequestBody");
        match &self.0 {
            Kind::Bytes { bytes, .. } => out.field("bytes", &bytes.len()),
            Kind::Source(source) => out.field("source", &source.len),
        };
        out.finish()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Bytes { withheld: true, .. } => Poll::Ready(Some(Err(not_compressed().into()))),
            Kind::Bytes { bytes, sent, .. } => {
                if *sent || bytes.is_empty() {
                    return Poll::Ready(None);
                }
                *sent = true;
                Poll::Ready(Some(Ok(Frame::data(bytes.clone()))))
            }
            Kind::Source(source) => {
                let Source { open, reading, .. } = &mut **source;
                reading.get_or_insert_with(|| open()).as_mut().poll_frame(cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            // There is an error to be read.
            Kind::Bytes { withheld: true, .. } => false,
            Kind::Bytes { bytes, sent, .. } => *sent || bytes.is_empty(),
            Kind::Source(source) => match &source.reading {
                Some(body) => body.is_end_stream(),
                None => source.len == Some(0),
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Bytes { withheld: true, .. } => SizeHint::new(),
            Kind::Bytes { sent: true, .. } => SizeHint::with_exact(0),
            Kind::Bytes { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Source(source) => match (&source.reading, source.len) {
                (Some(body), _) => body.size_hint(),
                (None, Some(len)) => SizeHint::with_exact(len),
                (None, None) => SizeHint::new(),
            },
        }
    }
}

/// Refuses a header of the caller's that tells where a body ends: one that does not fit the body cuts
/// it off, or lets the server wait for the rest. `subject` is what cannot be with it.
///
/// # Errors
///
/// Such a header.
pub(crate) fn refuse_framing(subject: &str, name: &HeaderName) -> Result<(), Error> {
    if *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING {
        return Err(Error::build(format!(
            "{subject}: the header `{name}` tells how long the body is, which the transport sees for \
             itself; leave it out"
        )));
    }
    Ok(())
}

/// A request asked for compression, and nothing did it.
pub(crate) fn not_compressed() -> Error {
    Error::build(
        "compression is asked for, but there is no `CompressionLayer` between the endpoint and the \
         transport: add one, or leave the option `compression` out",
    )
}

pin_project_lite::pin_project! {
    /// Any body with its error boxed.
    struct Erased<B> {
        #[pin]
        inner: B,
    }
}

impl<B> Body for Erased<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response body of any type, boxed: what the preset's stack hands back.
pub struct ResponseBody(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>);

impl ResponseBody {
    /// Boxes `body`.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Box::pin(Erased { inner: body }))
    }
}

/// Without data; layers that answer themselves need one.
impl Default for ResponseBody {
    fn default() -> Self {
        Self::new(RequestBody::empty())
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    #[tokio::test]
    async fn a_clone_of_a_read_body_is_unread() {
        let mut body = RequestBody::from("hello");
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "hello");
        assert!(body.is_end_stream());
        assert_eq!(body.clone().collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_source_is_opened_once_per_clone_and_from_the_start() {
        let body = RequestBody::replayable(Some(5), || Full::new(Bytes::from_static(b"hello")));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(body.as_bytes().is_none());
        let again = body.clone();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(again.collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_withheld_body_is_an_error_in_place_of_its_bytes() {
        let mut body = RequestBody::from("hello");
        body.withhold();
        let mut body = body.clone();
        assert!(body.as_bytes().is_none() && !body.is_end_stream());
        assert_eq!(body.size_hint().upper(), None);
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("CompressionLayer"), "{error}");
    }

    #[test]
    fn debug_shows_lengths_only() {
        let text = format!("{:?}", RequestBody::from("sk-secret"));
        assert!(!text.contains("sk-secret"), "{text}");
    }

    #[test]
    fn bodies_are_send_sync_unpin_where_promised() {
        fn request<T: Clone + Send + Sync + Unpin + 'static>() {}
        fn response<T: Send + Unpin + 'static>() {}
        request::<RequestBody>();
        response::<ResponseBody>();
    }
}
