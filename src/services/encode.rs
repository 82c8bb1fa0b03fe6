//! The first half of every endpoint: a payload and its options become an HTTP request.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};

use super::options::{Compression, ResponsesOptions};
use crate::extensions::{Call, RequestCompression};
use crate::{Error, RequestBody};

/// A JSON request to `path`, which is relative to the provider's base URL.
///
/// # Errors
///
/// An option that no header can hold, or compression of a body that is said to be encoded already.
pub(super) fn json_request(
    path: &'static str,
    accept: HeaderValue,
    body: Bytes,
    options: &mut ResponsesOptions,
    call: Call,
) -> Result<Request<RequestBody>, Error> {
    let mut headers = options.headers()?;
    let compress = matches!(options.compression, Compression::Zstd | Compression::Gzip);
    if compress && headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Error::build(
            "compression is asked for, but the header `content-encoding` says that the body is \
             encoded already: leave one of them out",
        ));
    }
    headers.insert(header::ACCEPT, accept);
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert(const { HeaderValue::from_static("application/json") });
    let mut request = Request::new(RequestBody::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(path);
    *request.headers_mut() = headers;
    *request.extensions_mut() = std::mem::take(&mut options.extensions);
    request.extensions_mut().insert(call);
    if options.compression != Compression::Auto {
        request.extensions_mut().insert(RequestCompression::new(options.compression));
    }
    if compress {
        request.body_mut().withhold();
    }
    Ok(request)
}
