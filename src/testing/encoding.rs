//! Reads request bodies that were compressed.

#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
use std::io;

use bytes::Bytes;
use http::{HeaderMap, header};

use super::api_error::ApiError;

/// Bodies that expand to more are as good as broken.
#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
const MAX_DECODED: u64 = 64 * 1024 * 1024;

/// The body without its `content-encoding`.
///
/// # Errors
///
/// 415 for an encoding that this build does not read, 400 for a body that is not in it.
pub(super) fn decode(headers: &HeaderMap, body: &Bytes) -> Result<Bytes, ApiError> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let encoding = match (values.next(), values.next()) {
        (None, _) => return Ok(body.clone()),
        (Some(encoding), None) => encoding.to_str().unwrap_or("?"),
        (Some(_), Some(_)) => return Err(ApiError::encoded("several")),
    };
    match encoding {
        "identity" => Ok(body.clone()),
        #[cfg(feature = "compression-gzip")]
        "gzip" => read(encoding, Ok(flate2::read::GzDecoder::new(&**body))),
        #[cfg(feature = "compression-zstd")]
        "zstd" => read(encoding, zstd::stream::read::Decoder::with_buffer(&**body)),
        other => Err(ApiError::encoded(other)),
    }
}

#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
fn read(encoding: &str, decoder: io::Result<impl io::Read>) -> Result<Bytes, ApiError> {
    use std::io::Read as _;

    let broken = |problem: String| {
        ApiError::invalid_request(format!("The request body is not valid {encoding}: {problem}."))
    };
    let mut decoded = Vec::new();
    let length = decoder
        .and_then(|decoder| decoder.take(MAX_DECODED + 1).read_to_end(&mut decoded))
        .map_err(|error| broken(error.to_string()))?;
    if length as u64 > MAX_DECODED {
        return Err(broken("it expands to more than 64 MiB".to_owned()));
    }
    Ok(decoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: &str, body: &'static [u8]) -> Result<Bytes, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
        decode(&headers, &Bytes::from_static(body)).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn an_encoding_is_read_refused_or_broken() {
        assert_eq!(decode(&HeaderMap::new(), &Bytes::from("x")).unwrap(), "x");
        assert_eq!(decoded("identity", b"x").unwrap(), "x");
        for unknown in ["br", "gzip, zstd", "?"] {
            assert_eq!(decoded(unknown, b"x"), Err(415), "{unknown}");
        }
        let known = if cfg!(feature = "compression-gzip") { 400 } else { 415 };
        assert_eq!(decoded("gzip", b"no gzip"), Err(known));
        let known = if cfg!(feature = "compression-zstd") { 400 } else { 415 };
        assert_eq!(decoded("zstd", b"no zstd"), Err(known));
    }

    #[cfg(feature = "compression-zstd")]
    #[test]
    fn a_bomb_is_broken() {
        let zeros = io::Read::take(io::repeat(0), MAX_DECODED + 1);
        let bomb = zstd::encode_all(zeros, 1).unwrap();
        assert_eq!(decoded("zstd", Vec::leak(bomb)), Err(400));
    }
}
