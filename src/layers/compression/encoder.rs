//! The encodings, and the compressors themselves.

use std::{fmt, io};

use bytes::Bytes;
use http::HeaderValue;

use super::Settings;
use crate::Error;
use crate::services::Compression;

/// An encoding that this build can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    #[cfg(feature = "compression-zstd")]
    Zstd,
    #[cfg(feature = "compression-gzip")]
    Gzip,
}

impl Coding {
    /// What `wish` asks for.
    ///
    /// # Errors
    ///
    /// An encoding that this build does not have.
    pub(super) fn of(wish: Compression) -> Result<Option<Self>, Error> {
        #[cfg(not(all(feature = "compression-zstd", feature = "compression-gzip")))]
        let missing = |feature: &str| {
            Err(Error::build(format!(
                "this compression needs `tower-openai` to be built with the feature `{feature}`"
            )))
        };
        match wish {
            Compression::Auto | Compression::None => Ok(None),
            #[cfg(feature = "compression-zstd")]
            Compression::Zstd => Ok(Some(Self::Zstd)),
            #[cfg(not(feature = "compression-zstd"))]
            Compression::Zstd => missing("compression-zstd"),
            #[cfg(feature = "compression-gzip")]
            Compression::Gzip => Ok(Some(Self::Gzip)),
            #[cfg(not(feature = "compression-gzip"))]
            Compression::Gzip => missing("compression-gzip"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "compression-zstd")]
            Self::Zstd => "zstd",
            #[cfg(feature = "compression-gzip")]
            Self::Gzip => "gzip",
        }
    }

    /// The value of `content-encoding`.
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compresses whole bodies.
#[derive(Default)]
pub(super) struct Encoder {
    #[cfg(feature = "compression-zstd")]
    zstd: zstd_context::Kept,
}

impl Encoder {
    pub(super) fn encode(
        &self,
        coding: Coding,
        settings: &Settings,
        bytes: &[u8],
    ) -> io::Result<Bytes> {
        let mut encoded = match coding {
            #[cfg(feature = "compression-zstd")]
            Coding::Zstd => self.zstd.compress(settings.zstd_level, bytes)?,
            #[cfg(feature = "compression-gzip")]
            Coding::Gzip => gzip(settings.gzip_level, bytes)?,
        };
        // It is kept for as long as the call may be retried.
        encoded.shrink_to_fit();
        Ok(encoded.into())
    }
}

#[cfg(feature = "compression-gzip")]
fn gzip(level: u32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    use std::io::Write as _;

    // JSON shrinks to a quarter or less.
    let out = Vec::with_capacity(bytes.len() / 4 + 64);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(feature = "compression-zstd")]
mod zstd_context {
    use std::io;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use zstd::bulk::Compressor;

    /// One context, for making one takes longer than compressing a small body.
    #[derive(Default)]
    pub(super) struct Kept(Mutex<Option<Compressor<'static>>>);

    impl Kept {
        pub(super) fn compress(&self, level: i32, bytes: &[u8]) -> io::Result<Vec<u8>> {
            // Taken out, so that nothing is locked while it works. A call that finds none makes
            // its own.
            let kept = self.lock().take();
            let mut context = kept.unwrap_or_default();
            context.set_compression_level(level)?;
            let encoded = context.compress(bytes)?;
            *self.lock() = Some(context);
            Ok(encoded)
        }

        fn lock(&self) -> MutexGuard<'_, Option<Compressor<'static>>> {
            // Each section is one move.
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
