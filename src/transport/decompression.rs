//! Response decompression.
//!
//! # Problem
//!
//! A gateway may compress an event stream. The client then has to ask for an encoding it knows,
//! hand out each event as soon as its bytes have come in, and tell a stream that was cut from one
//! that ended. [`DecompressionLayer`] reads the encodings this crate was built with (features `gzip`,
//! `br`, `zstd`) with the decoders of async-compression. Its errors say what they are: what fails
//! in the decoder is a [`TransportError`], what fails below passes through as it was.
//!
//! A body may be several compressed streams one behind the other, where the encoding knows that
//! (gzip's members, zstd's frames): all of them are read. What else stands behind the end is an
//! error.
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
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

#[cfg(feature = "br")]
use async_compression::tokio::bufread::BrotliDecoder;
#[cfg(feature = "gzip")]
use async_compression::tokio::bufread::GzipDecoder;
#[cfg(feature = "zstd")]
use async_compression::tokio::bufread::ZstdDecoder;
use bytes::{Buf, Bytes};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, Entry};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tower::{Layer, Service};

use super::TransportError;
use crate::{BoxError, ErrorKind, Stage};

/// The largest frame of decoded bytes.
const FRAME: usize = 4 * 1024;

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
        let response = match ready!(self.project().inner.poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Err(error)),
        };
        Poll::Ready(Ok(match response.headers().contains_key(CONTENT_ENCODING) {
            true => decode(response),
            false => plain(response),
        }))
    }
}

fn plain<RB>(response: Response<RB>) -> Response<DecompressionBody<RB>> {
    response.map(|body| DecompressionBody { state: State::Plain { body } })
}

/// Apart, so that the way past it stays short: most responses have no encoding.
#[inline(never)]
fn decode<RB>(response: Response<RB>) -> Response<DecompressionBody<RB>>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    let Some(decoder) = decoder(response.headers()) else { return plain(response) };
    let mut response = response.map(|body| {
        let decoder = decoder(Compressed::new(body));
        let body = Box::new(Decoded { decoder, at_end: false });
        DecompressionBody { state: State::Encoded { body } }
    });
    // They were about the bytes on the wire.
    response.headers_mut().remove(CONTENT_ENCODING);
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// What makes the decoder of the one encoding that these headers name, if it is known.
fn decoder<RB>(headers: &HeaderMap) -> Option<fn(Compressed<RB>) -> Decoder<RB>>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let (Some(encoding), None) = (encodings.next(), encodings.next()) else { return None };
    match encoding.as_bytes() {
        #[cfg(feature = "gzip")]
        b"gzip" => Some(Decoder::gzip),
        #[cfg(feature = "br")]
        b"br" => Some(Decoder::br),
        #[cfg(feature = "zstd")]
        b"zstd" => Some(Decoder::zstd),
        _ => None,
    }
}

pin_project! {
    /// The response body of [`Decompression`].
    ///
    /// A corrupt body ends with a [`TransportError`] of the kind
    /// [`Protocol`](ErrorKind::Protocol), one cut short with
    /// [`Truncated`](ErrorKind::Truncated). Errors of the body below stay what they are.
    pub struct DecompressionBody<RB> {
        #[pin]
        state: State<RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<RB> {
        Plain { #[pin] body: RB },
        // Boxed: room for a decoder is a lot to move through every layer above.
        Encoded { body: Box<Decoded<RB>> },
    }
}

impl<RB: Default> Default for DecompressionBody<RB> {
    fn default() -> Self {
        Self { state: State::Plain { body: RB::default() } }
    }
}

impl<RB> fmt::Debug for DecompressionBody<RB> {
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
            State::Encoded { .. } => SizeHint::default(),
        }
    }
}

// ===== a body that is decoded =====

struct Decoded<RB> {
    decoder: Decoder<RB>,
    /// Whether all that was compressed has come out.
    at_end: bool,
}

impl<RB> Decoded<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.at_end {
            let mut space = [const { MaybeUninit::uninit() }; FRAME];
            let mut decoded = ReadBuf::uninit(&mut space);
            match ready!(self.decoder.poll_read(cx, &mut decoded)) {
                // An error behind it is there again the next time.
                _ if !decoded.filled().is_empty() => {
                    let data = Bytes::copy_from_slice(decoded.filled());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Err(err) if !self.decoder.source().is_blank() => return self.fail(err),
                // Also of the answer to a `HEAD`, which has no body to decode.
                Ok(()) | Err(_) => self.at_end = true,
            }
        }
        let source = self.decoder.source();
        match ready!(Pin::new(&mut *source).poll_fill_buf(cx)).map(<[u8]>::len) {
            Ok(0) => {
                Poll::Ready(source.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Ok(_) => {
                self.fail(io::Error::new(io::ErrorKind::InvalidData, "more after its end mark"))
            }
            Err(err) => self.fail(err),
        }
    }

    /// The last that comes.
    fn fail(&mut self, err: io::Error) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.at_end = true;
        let below = self.decoder.source().stop();
        Poll::Ready(Some(Err(below.unwrap_or_else(|| undecodable(err).into()))))
    }
}

fn undecodable(err: io::Error) -> TransportError {
    let (kind, message) = match err.kind() {
        io::ErrorKind::UnexpectedEof => {
            (ErrorKind::Truncated, "the compressed response body ended before its end mark")
        }
        _ => (ErrorKind::Protocol, "the compressed response body cannot be decoded"),
    };
    TransportError::new(kind, Stage::Streaming, message).with_source(err)
}

enum Decoder<RB> {
    #[cfg(feature = "gzip")]
    Gzip(GzipDecoder<Compressed<RB>>),
    #[cfg(feature = "br")]
    Br(BrotliDecoder<Compressed<RB>>),
    #[cfg(feature = "zstd")]
    Zstd(ZstdDecoder<Compressed<RB>>),
}

impl<RB> Decoder<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    #[cfg(feature = "gzip")]
    fn gzip(source: Compressed<RB>) -> Self {
        let mut decoder = GzipDecoder::new(source);
        // What is written in pieces is often sent as a member for each.
        decoder.multiple_members(true);
        Self::Gzip(decoder)
    }

    #[cfg(feature = "br")]
    fn br(source: Compressed<RB>) -> Self {
        Self::Br(BrotliDecoder::new(source))
    }

    #[cfg(feature = "zstd")]
    fn zstd(source: Compressed<RB>) -> Self {
        let mut decoder = ZstdDecoder::new(source);
        decoder.multiple_members(true);
        Self::Zstd(decoder)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        decoded: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(decoder) => Pin::new(decoder).poll_read(cx, decoded),
            #[cfg(feature = "br")]
            Self::Br(decoder) => Pin::new(decoder).poll_read(cx, decoded),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => Pin::new(decoder).poll_read(cx, decoded),
        }
    }

    fn source(&mut self) -> &mut Compressed<RB> {
        match self {
            #[cfg(feature = "gzip")]
            Self::Gzip(decoder) => decoder.get_mut(),
            #[cfg(feature = "br")]
            Self::Br(decoder) => decoder.get_mut(),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

// ===== the bytes on the wire, as decoders read them =====

struct Compressed<RB> {
    body: Pin<Box<RB>>,
    /// What has come and is not decoded yet.
    chunk: Bytes,
    begun: bool,
    ended: bool,
    trailers: Option<HeaderMap>,
    /// Why the body broke off; decoders only know IO errors.
    failure: Option<BoxError>,
}

impl<RB> Compressed<RB> {
    fn new(body: RB) -> Self {
        Self {
            body: Box::pin(body),
            chunk: Bytes::new(),
            begun: false,
            ended: false,
            trailers: None,
            failure: None,
        }
    }

    /// Whether it ended before its first byte.
    fn is_blank(&self) -> bool {
        self.ended && !self.begun && self.failure.is_none()
    }

    /// Reads no more; why the body broke off, if it did.
    fn stop(&mut self) -> Option<BoxError> {
        self.chunk.clear();
        self.ended = true;
        self.trailers = None;
        self.failure.take()
    }
}

impl<RB> AsyncBufRead for Compressed<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() && !this.ended {
            let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) else {
                this.ended = true;
                break;
            };
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => {
                    this.begun |= !data.is_empty();
                    this.chunk = data;
                }
                Ok(Err(other)) => {
                    this.trailers = other.into_trailers().ok();
                    this.ended = this.trailers.is_some();
                }
                Err(err) => {
                    this.ended = true;
                    this.failure = Some(err.into());
                }
            }
        }
        match this.failure {
            Some(_) => Poll::Ready(Err(io::Error::other("the body below broke off"))),
            None => Poll::Ready(Ok(&this.chunk)),
        }
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().chunk.advance(count);
    }
}

/// Only because [`AsyncBufRead`] asks for it.
impl<RB> AsyncRead for Compressed<RB>
where
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = self.chunk.len().min(into.remaining());
        into.put_slice(&self.get_mut().chunk.split_to(count));
        Poll::Ready(Ok(()))
    }
}
