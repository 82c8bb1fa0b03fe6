//! Compresses request bodies.
//!
//! A conversation is sent whole with every turn, megabytes of JSON that shrink to a fraction.
//! [`CompressionLayer`] compresses a body once and says so in `content-encoding`:
//!
//! | the request asks for ([`RequestCompression`]) | what is sent |
//! |---|---|
//! | nothing ([`Compression::Auto`]) | compressed as the layer is made, by `CompressionLayer::zstd` or `gzip`, or not at all, by [`new`](CompressionLayer::new); only from a [threshold](CompressionLayer::threshold) on, and only if that makes it smaller |
//! | [`Compression::Zstd`], [`Compression::Gzip`] | compressed that way, however small |
//! | [`Compression::None`] | as it is |
//!
//! Endpoints take the wish from [`ResponsesOptions`](crate::services::ResponsesOptions), and see to
//! it that it is an error in a stack without this layer. An empty body is never compressed.
//! A [replayable source](RequestBody::replayable) passes through as it is, unless the request asks.
//!
//! A server that cannot read the encoding answers `415`. That answer is dropped, and the request goes
//! out once more as it was. If it then succeeds, with a status below 400, the origin is remembered and
//! gets nothing in that encoding any more, until
//! [`forget_refusals`](CompressionLayer::forget_refusals): a server that learns the encoding is not
//! found out by itself. The memory is shared by all clones of the layer and the services made by them,
//! and holds the 64 origins that refused last.
//!
//! **Place:** outside retry, so that a body is compressed once for all attempts; outside signing,
//! which has to see the final bytes; inside telemetry, for which a fallback is one call; inside
//! [`ProviderLayer`](super::ProviderLayer), which makes the origin known. Responses are another
//! layer's, `DecompressionLayer`.
//!
//! **Cost:** compressing happens in `call`, on the caller's thread: 5 MB of JSON take 5 to 20 ms at
//! zstd's level 3, by how well they shrink. One zstd context (1.3 MB at that level) is kept for the
//! next body; calls on other threads meanwhile make their own. A request that is compressed is cloned
//! with its headers for the fallback; its bytes are shared.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::RequestBody;
//! use tower_openai::layers::CompressionLayer;
//!
//! # tokio_test::block_on(async {
//! let transport = service_fn(|request: Request<RequestBody>| async move {
//!     assert_eq!(request.headers()["content-encoding"], "zstd");
//!     let sent = request.body().as_bytes().map_or(0, |bytes| bytes.len());
//!     Ok::<_, std::io::Error>(Response::new(sent))
//! });
//! let stack = ServiceBuilder::new().layer(CompressionLayer::zstd()).service(transport);
//!
//! let body = RequestBody::from("la ".repeat(10_000));
//! let request = Request::post("https://api.openai.com/v1/responses").body(body)?;
//! assert!(stack.oneshot(request).await?.into_body() < 100);
//! # Ok::<_, tower_openai::BoxError>(()) }).unwrap();
//! ```
//!
//! **Errors:** those of the service inside, and [`ErrorKind::Build`](crate::ErrorKind::Build) with
//! nothing sent:
//!
//! - the body is to be compressed, by the request or by the layer, and has a `content-encoding`
//!   already; one that was encoded on purpose goes with [`Compression::None`];
//! - the request asks for an encoding that this build does not have, or for any with a body that is
//!   a source.

mod encoder;
mod future;
mod refusals;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use self::encoder::{Coding, Encoder};
pub use self::future::WithCompressionFuture;
use self::refusals::Refusals;
use crate::extensions::RequestCompression;
use crate::services::Compression;
use crate::{BoxError, Error, RequestBody};

const THRESHOLD: usize = 1024;

/// Compresses request bodies; see the [module](self).
#[derive(Clone)]
#[must_use]
pub struct CompressionLayer {
    settings: Settings,
    shared: Arc<Shared>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    default: Option<Coding>,
    threshold: usize,
    #[cfg(feature = "compression-zstd")]
    zstd_level: i32,
    #[cfg(feature = "compression-gzip")]
    gzip_level: u32,
}

/// What the clones of a layer have in common.
#[derive(Default)]
struct Shared {
    encoder: Encoder,
    refusals: Refusals,
}

impl CompressionLayer {
    /// Compresses the requests that ask for it, and no others.
    pub fn new() -> Self {
        let settings = Settings {
            default: None,
            threshold: THRESHOLD,
            #[cfg(feature = "compression-zstd")]
            zstd_level: 3,
            #[cfg(feature = "compression-gzip")]
            gzip_level: 6,
        };
        Self { settings, shared: Arc::default() }
    }

    /// Compresses with Zstandard what does not ask for anything else.
    #[cfg(feature = "compression-zstd")]
    pub fn zstd() -> Self {
        let mut layer = Self::new();
        layer.settings.default = Some(Coding::Zstd);
        layer
    }

    /// Compresses with gzip what does not ask for anything else.
    #[cfg(feature = "compression-gzip")]
    pub fn gzip() -> Self {
        let mut layer = Self::new();
        layer.settings.default = Some(Coding::Gzip);
        layer
    }

    /// The least size in bytes of a body that is compressed without being asked for. Default:
    /// 1,024.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.settings.threshold = bytes;
        self
    }

    /// The level of Zstandard, 1 (fastest) to 22 (smallest, slow and hundreds of megabytes of
    /// memory). Default: 3.
    ///
    /// # Errors
    ///
    /// If it is out of this range.
    #[cfg(feature = "compression-zstd")]
    pub fn zstd_level(mut self, level: i32) -> Result<Self, Error> {
        if !(1..=22).contains(&level) {
            return Err(Error::build(format!("the zstd level is 1 to 22, not {level}")));
        }
        self.settings.zstd_level = level;
        Ok(self)
    }

    /// The level of gzip, 1 (fastest) to 9 (smallest). Default: 6.
    ///
    /// # Errors
    ///
    /// If it is out of this range.
    #[cfg(feature = "compression-gzip")]
    pub fn gzip_level(mut self, level: u32) -> Result<Self, Error> {
        if !(1..=9).contains(&level) {
            return Err(Error::build(format!("the gzip level is 1 to 9, not {level}")));
        }
        self.settings.gzip_level = level;
        Ok(self)
    }

    /// Tries compression again with the origins that refused it: for this layer, its clones and
    /// their services.
    pub fn forget_refusals(&self) {
        self.shared.refusals.forget();
    }
}

impl Default for CompressionLayer {
    /// [`CompressionLayer::new`].
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CompressionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressionLayer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CompressionLayer {
    type Service = WithCompression<S>;

    fn layer(&self, inner: S) -> WithCompression<S> {
        WithCompression { inner, layer: self.clone() }
    }
}

/// The service of [`CompressionLayer`].
///
/// # Clone
///
/// The service inside is cloned for each request that is compressed, for the fallback; the one that
/// was made ready takes the first call.
#[derive(Clone, Debug)]
pub struct WithCompression<S> {
    inner: S,
    layer: CompressionLayer,
}

impl WithCompression<()> {
    /// The same as [`CompressionLayer::new`].
    pub fn layer() -> CompressionLayer {
        CompressionLayer::new()
    }
}

impl<S> WithCompression<S> {
    /// `inner`, with compression for the requests that ask for it.
    pub fn new(inner: S) -> Self {
        CompressionLayer::new().layer(inner)
    }

    inner_accessors!();
}

impl<S, RB> Service<Request<RequestBody>> for WithCompression<S>
where
    S: Service<Request<RequestBody>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = WithCompressionFuture<S, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    // Not inlined: where several ways to a future meet, it is moved.
    #[inline(never)]
    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        match self.layer.compress(&mut request) {
            Ok(None) => WithCompressionFuture::plain(self.inner.call(request)),
            Ok(Some((original, coding))) => {
                let spare = self.inner.clone();
                let shared = Arc::clone(&self.layer.shared);
                let future = self.inner.call(request);
                WithCompressionFuture::compressed(future, spare, original, coding, shared)
            }
            Err(error) => WithCompressionFuture::refused(error),
        }
    }
}

impl CompressionLayer {
    /// Compresses the body, if that is wanted; then returns the request as it was, and how the
    /// body is encoded now.
    fn compress(
        &self,
        request: &mut Request<RequestBody>,
    ) -> Result<Option<(Request<RequestBody>, Coding)>, Error> {
        request.body_mut().release();
        let wish = request.extensions().get::<RequestCompression>().copied();
        let wish = wish.map_or(Compression::Auto, RequestCompression::compression);
        let asked = wish != Compression::Auto;
        let Some(coding) = (if asked { Coding::of(wish)? } else { self.settings.default }) else {
            return Ok(None);
        };
        let Some(bytes) = request.body().as_bytes().cloned() else {
            return if asked { Err(cannot_compress_a_source()) } else { Ok(None) };
        };
        if request.headers().contains_key(CONTENT_ENCODING) {
            return Err(encoded_already());
        }
        if asked {
            // What is asked for is done once, by the outermost of several layers.
            settle(request);
        }
        let too_small = !asked && bytes.len() < self.settings.threshold;
        if bytes.is_empty() || too_small || self.shared.refusals.contains(coding, request.uri()) {
            return Ok(None);
        }
        let encoded =
            self.shared.encoder.encode(coding, &self.settings, &bytes).map_err(|error| {
                let problem = format!("the request body cannot be compressed with {coding}");
                Error::build(problem).with_source(error)
            })?;
        if !asked && encoded.len() >= bytes.len() {
            return Ok(None);
        }
        settle(request);
        let original = request.clone();
        describe(request.headers_mut(), coding, encoded.len())?;
        *request.body_mut() = RequestBody::from(encoded);
        Ok(Some((original, coding)))
    }
}

/// Tells the layers inside that there is nothing left to do.
fn settle(request: &mut Request<RequestBody>) {
    request.extensions_mut().insert(RequestCompression::new(Compression::None));
}

/// Makes the headers fit a body of `len` bytes.
fn describe(headers: &mut HeaderMap, coding: Coding, len: usize) -> Result<(), Error> {
    headers
        .try_insert(CONTENT_ENCODING, coding.header())
        .map_err(|error| Error::build("the request has too many headers").with_source(error))?;
    // Without one the transport adds it.
    if let Some(length) = headers.get_mut(CONTENT_LENGTH) {
        *length = HeaderValue::from(len);
    }
    Ok(())
}

fn encoded_already() -> Error {
    Error::build(
        "compression is asked for, but the header `content-encoding` says that the body is encoded \
         already: leave the header out, or ask for `Compression::None`",
    )
}

fn cannot_compress_a_source() -> Error {
    Error::build(
        "compression is asked for, but the body is a source that is read while it is sent: leave \
         the option `compression` out",
    )
}
