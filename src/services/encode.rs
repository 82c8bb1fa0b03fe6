//! The first half of every endpoint: a payload and its options become an HTTP request.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use serde::Serialize;

use super::options::{Compression, ResponsesOptions};
use crate::extensions::{BodyFault, Call, RequestCompression, StreamTimeouts};
use crate::provider::encoded;
use crate::{Error, RequestBody, redaction};

/// Where a request goes: path and query, relative to the provider's base URL.
#[derive(Clone, Debug)]
pub(super) struct Target(Cow<'static, str>);

impl Target {
    /// This path, which begins with `/`.
    pub(super) const fn of(path: &'static str) -> Self {
        Self(Cow::Borrowed(path))
    }

    /// Appends a segment of the caller's, percent-encoded. `what` names it in the error.
    ///
    /// # Errors
    ///
    /// An empty segment, or `.` or `..`, would lead to another endpoint.
    pub(super) fn segment(mut self, what: &str, segment: &str) -> Result<Self, Error> {
        if matches!(segment, "" | "." | "..") {
            return Err(Error::build(format!(
                "{what} is `{segment}`, which is no part of a path: say which one is meant"
            )));
        }
        let path = self.0.to_mut();
        path.push('/');
        path.extend(encoded(segment));
        Ok(self)
    }

    /// Appends a path of the API's, which begins with `/`.
    pub(super) fn path(mut self, more: &'static str) -> Self {
        self.0.to_mut().push_str(more);
        self
    }

    /// Appends `key=value` to the query, percent-encoded.
    pub(super) fn query(mut self, key: &str, value: impl Display) -> Self {
        let sign = if self.0.contains('?') { '&' } else { '?' };
        let target = self.0.to_mut();
        target.push(sign);
        target.extend(encoded(key));
        target.push('=');
        target.extend(encoded(&value.to_string()));
        self
    }

    /// [`query`](Self::query), if there is a value.
    pub(super) fn query_if(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// [`query`](Self::query), once for each value.
    pub(super) fn query_each(
        self,
        key: &str,
        values: impl IntoIterator<Item = impl Display>,
    ) -> Self {
        values.into_iter().fold(self, |target, value| target.query(key, value))
    }

    pub(super) fn into_uri(self) -> Result<Uri, Error> {
        let uri = match self.0 {
            Cow::Borrowed(path) => return Ok(Uri::from_static(path)),
            Cow::Owned(path) => Uri::from_maybe_shared(Bytes::from(path)),
        };
        uri.map_err(|error| {
            Error::build("the path and query of the request are longer than 65,534 bytes")
                .with_source(error)
        })
    }
}

/// A request as its endpoint writes it, before its options are added.
#[derive(Debug)]
pub(super) struct Outgoing {
    method: Method,
    uri: Uri,
    accept: Option<HeaderValue>,
    /// Of a body; none is sent without one.
    content_type: Option<HeaderValue>,
    /// Whether the body may be compressed: JSON is, what the caller hands over as bytes is not.
    compressible: bool,
    body: RequestBody,
    /// Said where the transport may not see it.
    length: Option<u64>,
    fault: Option<BodyFault>,
}

#[allow(dead_code)] // Not every method has its endpoint in every build.
impl Outgoing {
    /// A request without a body.
    ///
    /// # Errors
    ///
    /// A path and query that are too long for a URL.
    pub(super) fn new(method: Method, target: Target) -> Result<Self, Error> {
        Ok(Self::to(method, target.into_uri()?))
    }

    /// The same for a whole URL, such as that of an upload.
    pub(super) fn to(method: Method, uri: Uri) -> Self {
        Self {
            method,
            uri,
            accept: None,
            content_type: None,
            compressible: false,
            body: RequestBody::empty(),
            length: None,
            fault: None,
        }
    }

    /// With the JSON of `payload`.
    ///
    /// # Errors
    ///
    /// A payload that does not serialise.
    pub(super) fn json(self, payload: &(impl Serialize + ?Sized)) -> Result<Self, Error> {
        match serde_json::to_vec(payload) {
            Ok(json) => Ok(self.json_text(json.into())),
            Err(error) => Err(Error::build("the request does not serialise").with_source(error)),
        }
    }

    /// With a body that is JSON text.
    pub(super) fn json_text(self, json: Bytes) -> Self {
        let json_type = const { HeaderValue::from_static("application/json") };
        Self { compressible: true, ..self.body(json_type, json.into()) }
    }

    /// With a body of another type.
    pub(super) fn body(self, content_type: HeaderValue, body: RequestBody) -> Self {
        Self { content_type: Some(content_type), body, ..self }
    }

    /// With a body that has no type, and `length` bytes whatever the transport knows of it.
    pub(super) fn octets(self, body: RequestBody, length: u64) -> Self {
        Self { body, length: Some(length), ..self }
    }

    /// With a body that leaves here what is wrong with it.
    pub(super) fn faulting(self, fault: BodyFault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// Where the body leaves what is wrong with it.
    pub(super) fn fault(&self) -> Option<BodyFault> {
        self.fault.clone()
    }

    /// Asks for an answer of this type. Endpoints that do not stream leave it to the server.
    pub(super) fn accept(self, media_type: HeaderValue) -> Self {
        Self { accept: Some(media_type), ..self }
    }

    /// The HTTP request: with the headers of `options`, its extensions, and how long the call may
    /// wait.
    ///
    /// # Errors
    ///
    /// An option that no header can hold, what was found wrong before, compression of a body that is
    /// said to be encoded already or that is not JSON, or another type for such a body.
    pub(super) fn into_request(
        self,
        options: &mut ResponsesOptions,
        timeouts: StreamTimeouts,
        call: Call,
    ) -> Result<Request<RequestBody>, Error> {
        let mut headers = options.headers()?;
        for secret in headers.values().filter(|value| value.is_sensitive()) {
            call.keep_header_secret(secret.clone());
        }
        let mut extensions = std::mem::take(&mut options.extensions);
        if let (Some(_), Some(query)) = (self.uri.scheme(), self.uri.query()) {
            // The server has made such a URL, and the query is what makes it good.
            query_secrets(query).into_iter().for_each(|secret| call.keep_secret(secret));
        }
        extensions.insert(call);
        if let Some(fault) = self.fault {
            extensions.insert(fault);
        }
        if timeouts != StreamTimeouts::new() {
            extensions.insert(timeouts);
        }
        if options.compression != Compression::Auto {
            extensions.insert(RequestCompression::new(options.compression));
        }
        let wish = extensions.get::<RequestCompression>().map(|wish| wish.compression());
        let compress = matches!(wish, Some(Compression::Zstd | Compression::Gzip));
        let mut body = self.body;
        match &self.content_type {
            Some(_) if self.compressible && compress => {
                if headers.contains_key(header::CONTENT_ENCODING) {
                    return Err(Error::build(
                        "compression is asked for, but the header `content-encoding` says that the \
                         body is encoded already: leave one of them out",
                    ));
                }
                body.withhold();
            }
            Some(_) if self.compressible => {}
            Some(_) if compress => {
                return Err(Error::build(
                    "compression is asked for, but the body is not JSON: leave `compression` out",
                ));
            }
            // Neither a body of the caller's bytes nor one that is not there is compressed.
            _ => drop(extensions.insert(RequestCompression::new(Compression::None))),
        }
        if let Some(accept) = self.accept {
            headers.insert(header::ACCEPT, accept);
        }
        if let Some(content_type) = self.content_type {
            if !self.compressible && headers.contains_key(header::CONTENT_TYPE) {
                return Err(Error::build(
                    "the request cannot be sent: the header `content-type` is not that of the body, a \
                     form with its boundary or SDP; leave it out",
                ));
            }
            headers.entry(header::CONTENT_TYPE).or_insert(content_type);
        }
        if let Some(length) = self.length {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = headers;
        *request.extensions_mut() = extensions;
        Ok(request)
    }
}

/// What of a signed query must not be shown: the whole, and what it says.
pub(super) fn query_secrets(query: &str) -> Vec<String> {
    redaction::spellings(query).chain(redaction::query_values(query)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn built(
        outgoing: Outgoing,
        mut options: ResponsesOptions,
    ) -> Result<Request<RequestBody>, Error> {
        let timeouts = StreamTimeouts::new();
        outgoing.into_request(&mut options, timeouts, Call::unary("test", None))
    }

    #[test]
    fn what_the_caller_puts_into_a_path_stays_in_its_segment() {
        let target = |id: &str| {
            Target::of("/responses")
                .segment("the id", id)
                .map(|target| target.path("/input_items").query("after", "a b&c").query("n", 7))
        };
        let uri = target("a/../b?c#d e\u{e9}").unwrap().into_uri().unwrap();
        assert_eq!(uri, "/responses/a%2F..%2Fb%3Fc%23d%20e%C3%A9/input_items?after=a%20b%26c&n=7");
        for empty in ["", ".", ".."] {
            let error = target(empty).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Build);
            assert!(error.message().starts_with("the id is"), "{error}");
        }
        assert_eq!(
            target(&"x".repeat(70_000)).unwrap().into_uri().unwrap_err().kind(),
            ErrorKind::Build
        );
    }

    #[test]
    fn what_is_secret_of_a_url_is_kept_out_of_errors_in_both_spellings() {
        let query = "sv=1&sig=abc%2Bdef%3D&se=2026-01-01T00%3A00";
        let uri = format!("https://x.test/a?{query}").parse().unwrap();
        let request = built(Outgoing::to(Method::PUT, uri), ResponsesOptions::new()).unwrap();
        let secrets = request.extensions().get::<Call>().unwrap().kept_secrets();
        for secret in ["abc%2Bdef%3D", "abc+def=", query] {
            assert!(secrets.iter().any(|known| known == secret), "{secret}");
        }
        let own = Outgoing::new(Method::GET, Target::of("/a").query("after", "item_12345"));
        let request = built(own.unwrap(), ResponsesOptions::new()).unwrap();
        assert!(request.extensions().get::<Call>().unwrap().kept_secrets().is_empty());
    }

    #[test]
    fn a_request_without_a_body_has_no_type_and_is_not_compressed() {
        let get = || Outgoing::new(Method::GET, Target::of("/models")).unwrap();
        let mut options = ResponsesOptions::new();
        options.compression = Compression::Gzip;
        let request = built(get(), options).unwrap();
        assert_eq!(request.method(), Method::GET);
        assert!(request.headers().is_empty(), "{:?}", request.headers());
        assert_eq!(request.body().as_bytes().map(Bytes::len), Some(0));
        let wish: &RequestCompression = request.extensions().get().unwrap();
        assert_eq!(wish.compression(), Compression::None);
    }

    #[test]
    fn bytes_of_the_callers_are_sent_as_they_are() {
        let sdp = HeaderValue::from_static("application/sdp");
        let post = || {
            let target = Target::of("/realtime/calls");
            Outgoing::new(Method::POST, target).unwrap().body(sdp.clone(), "v=0".into())
        };
        let request = built(post(), ResponsesOptions::new()).unwrap();
        assert_eq!(request.headers()["content-type"], "application/sdp");
        assert_eq!(request.body().as_bytes().unwrap(), "v=0");
        let mut options = ResponsesOptions::new();
        options.compression = Compression::Gzip;
        let error = built(post(), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains("not JSON"), "{error}");
    }

    /// As a gateway has it that hands on the headers of its own caller.
    #[test]
    fn a_type_of_the_callers_is_for_json_alone() {
        let form = HeaderValue::from_static("multipart/form-data; boundary=own");
        let post = || Outgoing::new(Method::POST, Target::of("/files")).unwrap();
        let options = || {
            let mut options = ResponsesOptions::new();
            options.add_header("content-type", "multipart/form-data; boundary=other");
            options
        };
        let error = built(post().body(form, "--own--".into()), options()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Build);
        assert!(error.message().contains("`content-type`"), "{error}");
        let sent = built(post().json_text(Bytes::from_static(b"{}")), options()).unwrap();
        assert_eq!(sent.headers()["content-type"], "multipart/form-data; boundary=other");
        assert!(built(post(), options()).is_ok());
    }
}
