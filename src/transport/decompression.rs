//! Response decompression.
//!
//! # Problem
//!
//! A gateway may compress an event stream. The client then has to ask for an encoding it knows,
//! hand out each event as soon as its bytes have come in, and tell a stream that was cut from one
//! that ended. [`DecompressionLayer`] is tower-http's decompression with the encodings this crate
//! was built with (features `gzip`, `br`, `zstd`), plus errors that say what they are: what fails
//! in the decoder is a [`TransportError`], what fails below passes through as it was.
//!
//! A gzip body of several members, which RFC 1952 allows and hardly a server sends, is refused:
//! tower-http reads the first, and might take that for all.
//!
//! A request that carries its own `accept-encoding` keeps it. A response in another encoding, or
//! in several, passes through as it is.
//!
//! # Place
//!
//! Above the idle timer, which then counts bytes on the wire; below retry, which reads error
//! bodies.
//!
//! # Limits
//!
//! Output comes in frames of at most 4 KiB and is decoded only when it is asked for, so a small
//! response that expands without end costs what its reader keeps. The decoders' windows are theirs
//! to choose, up to 32 KiB (gzip), 16 MiB (br) and 128 MiB (zstd), which is why the last two are
//! not on by default.
//!
//! # Example
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_openai::transport::HyperTransport;
//! use tower_openai::transport::decompression::DecompressionLayer;
//!
//! # fn main() -> Result<(), tower_openai::Error> {
//! let http = ServiceBuilder::new()
//!     .layer(DecompressionLayer::new())
//!     .service(HyperTransport::new()?);
//! # drop(http);
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, Entry};
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service, service_fn};
use tower_http::decompression as inner;

use super::TransportError;
use crate::{BoxError, ErrorKind, Stage};

/// Decompresses responses in all encodings this crate was built with.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecompressionLayer(());

impl DecompressionLayer {
    /// The layer.
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for DecompressionLayer {
    type Service = Decompression<S>;

    fn layer(&self, inner: S) -> Decompression<S> {
        Decompression { inner }
    }
}

/// The service of [`DecompressionLayer`].
#[derive(Clone, Debug)]
pub struct Decompression<S> {
    inner: S,
}

impl<S, B, RB> Service<Request<B>> for Decompression<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Response = Response<DecompressionBody<RB>>;
    type Error = S::Error;
    type Future = DecompressionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // A map without room for one more sends none, and is answered as it is.
        if let Ok(Entry::Vacant(entry)) = request.headers_mut().try_entry(ACCEPT_ENCODING) {
            let _ = entry.try_insert(const { HeaderValue::from_static(ACCEPTED) });
        }
        DecompressionFuture { inner: self.inner.call(request) }
    }
}

/// The encodings this crate was built with.
const ACCEPTED: &str = match (cfg!(feature = "zstd"), cfg!(feature = "gzip"), cfg!(feature = "br"))
{
    (true, true, true) => "zstd,gzip,br",
    (true, true, false) => "zstd,gzip",
    (true, false, true) => "zstd,br",
    (true, false, false) => "zstd",
    (false, true, true) => "gzip,br",
    (false, true, false) => "gzip",
    // One of them brings this module.
    (false, false, _) => "br",
};

pin_project! {
    /// The future of [`Decompression`].
    #[must_use = "futures do nothing unless polled"]
    pub struct DecompressionFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F> fmt::Debug for DecompressionFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecompressionFuture").finish_non_exhaustive()
    }
}

impl<F, RB, E> Future for DecompressionFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Output = Result<Response<DecompressionBody<RB>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match ready!(self.project().inner.poll(cx)) {
            Ok(response) if response.headers().contains_key(CONTENT_ENCODING) => {
                decode(response, cx).map(Ok)
            }
            Ok(response) => {
                let plain = |body| DecompressionBody { state: State::Plain { body } };
                Poll::Ready(Ok(response.map(plain)))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// Hands `response` through tower-http's service: most have no encoding and need not pay for it.
///
/// Apart, so that the way past it stays short. Ready at once, because what that service waits for is
/// there.
#[inline(never)]
fn decode<RB>(response: Response<RB>, cx: &mut Context<'_>) -> Poll<Response<DecompressionBody<RB>>>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    #[cfg(feature = "gzip")]
    let is_gzip =
        response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let given = response.map(|inner| BelowBody { inner, last: Last::default() });
    let mut given = Some(given);
    let given = service_fn(move |_: Request<()>| std::future::ready(given.take().ok_or(Taken)));
    // By name, because another crate in the build may have switched on more of them.
    let mut service = inner::Decompression::new(given).no_deflate();
    if cfg!(not(feature = "gzip")) {
        service = service.no_gzip();
    }
    if cfg!(not(feature = "br")) {
        service = service.no_br();
    }
    if cfg!(not(feature = "zstd")) {
        service = service.no_zstd();
    }
    match pin!(service.call(Request::new(()))).poll(cx) {
        Poll::Ready(Ok(response)) => Poll::Ready(
            response
                .map(|body| Encoded {
                    body: Box::pin(body),
                    #[cfg(feature = "gzip")]
                    member: is_gzip.then(flate2::Crc::new),
                })
                .map(|body| DecompressionBody { state: State::Encoded { body } }),
        ),
        // It is asked once.
        Poll::Ready(Err(Taken)) | Poll::Pending => Poll::Pending,
    }
}

struct Taken;

pin_project! {
    /// The response body of [`Decompression`].
    ///
    /// A corrupt body ends with a [`TransportError`] of the kind
    /// [`Protocol`](ErrorKind::Protocol), one cut short with
    /// [`Truncated`](ErrorKind::Truncated). Errors of the body below stay what they are.
    pub struct DecompressionBody<RB>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        #[pin]
        state: State<RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<RB>
    where
        RB: Body<Data = Bytes>,
        RB::Error: Into<BoxError>,
    {
        Plain { #[pin] body: RB },
        Encoded { body: Encoded<RB> },
    }
}

struct Encoded<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    /// Boxed: room for a decoder is a lot to move through every layer above.
    body: Pin<Box<inner::DecompressionBody<BelowBody<RB>>>>,
    /// What a gzip member has held so far; `None` once that was compared with its trailer.
    #[cfg(feature = "gzip")]
    member: Option<flate2::Crc>,
}

impl<RB> Encoded<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(self.body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => Some(frame),
            Some(Err(err)) => {
                return Poll::Ready(Some(Err(match err.downcast::<BelowError>() {
                    Ok(below) => below.0,
                    Err(err) => undecodable(err).into(),
                })));
            }
            None => None,
        };
        #[cfg(feature = "gzip")]
        match (&mut self.member, frame.as_ref().and_then(Frame::data_ref)) {
            (Some(member), Some(data)) => member.update(data),
            (member, None) => {
                let last = self.body.get_ref().last;
                // The decoder stops behind the first member and does not tell of what follows in the
                // same chunk; but then the last bytes are not the trailer of what it has read.
                if member.take().is_some_and(|member| !last.is_trailer_of(&member)) {
                    let more = "there is more behind the first member of the gzip body";
                    return Poll::Ready(Some(Err(undecodable(more.into()).into())));
                }
            }
            (None, Some(_)) => {}
        }
        Poll::Ready(frame.map(Ok))
    }
}

/// The last bytes of a body.
#[derive(Clone, Copy, Debug, Default)]
struct Last([u8; 8]);

impl Last {
    fn note(&mut self, data: &[u8]) {
        for byte in data.iter().rev().take(self.0.len()).rev() {
            self.0.rotate_left(1);
            if let Some(last) = self.0.last_mut() {
                *last = *byte;
            }
        }
    }

    /// Whether they are what a gzip member with this content ends with: its checksum and its length.
    #[cfg(feature = "gzip")]
    fn is_trailer_of(self, member: &flate2::Crc) -> bool {
        u64::from_le_bytes(self.0) == u64::from(member.sum()) | u64::from(member.amount()) << 32
    }
}

impl<RB> Default for DecompressionBody<RB>
where
    RB: Body<Data = Bytes> + Default,
    RB::Error: Into<BoxError>,
{
    fn default() -> Self {
        Self { state: State::Plain { body: RB::default() } }
    }
}

impl<RB> fmt::Debug for DecompressionBody<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecompressionBody").finish_non_exhaustive()
    }
}

impl<RB> Body for DecompressionBody<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().state.project() {
            StateProj::Plain { body } => body.poll_frame(cx).map_err(Into::into),
            StateProj::Encoded { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Plain { body } => body.is_end_stream(),
            State::Encoded { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Plain { body } => body.size_hint(),
            State::Encoded { body } => body.body.size_hint(),
        }
    }
}

fn undecodable(err: BoxError) -> TransportError {
    let cut = err
        .downcast_ref::<io::Error>()
        .is_some_and(|err| err.kind() == io::ErrorKind::UnexpectedEof);
    let (kind, message) = if cut {
        (ErrorKind::Truncated, "the compressed response body ended before its end mark")
    } else {
        (ErrorKind::Protocol, "the compressed response body cannot be decoded")
    };
    TransportError::new(kind, Stage::Streaming, message).with_source(err)
}

// ===== what is below, with its body errors marked as such =====

pin_project! {
    #[derive(Default)]
    struct BelowBody<RB> {
        #[pin]
        inner: RB,
        last: Last,
    }
}

impl<RB> Body for BelowBody<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BelowError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BelowError>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx).map_err(|err| BelowError(err.into()));
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.last.note(frame.data_ref().map_or(&[], |data| data));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An error that is not the decoder's.
#[derive(Debug)]
struct BelowError(BoxError);

impl fmt::Display for BelowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for BelowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}
