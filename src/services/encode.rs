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
    let mut extensions = std::mem::take(&mut options.extensions);
    extensions.insert(call);
    if options.compression != Compression::Auto {
        extensions.insert(RequestCompression::new(options.compression));
    }
    let wish = extensions.get::<RequestCompression>().map(|wish| wish.compression());
    let compress = matches!(wish, Some(Compression::Zstd | Compression::Gzip));
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
    let mut body = RequestBody::from(body);
    if compress {
        body.withhold();
    }
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(path);
    *request.headers_mut() = headers;
    *request.extensions_mut() = extensions;
    Ok(request)
}
