//! `multipart/form-data`, as far as the API asks for it.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
use memchr::memmem;

use crate::{Error, RequestBody};

/// A form while it is put together: the parts as they will be sent, in order.
pub(super) struct Form {
    boundary: Cow<'static, str>,
    parts: Vec<Part>,
}

struct Part {
    /// From `content-disposition` to the empty line.
    head: String,
    body: Bytes,
}

impl Form {
    /// A form with a boundary of the API's.
    pub(super) const fn with_boundary(boundary: &'static str) -> Self {
        Self { boundary: Cow::Borrowed(boundary), parts: Vec::new() }
    }

    /// Adds a part of its own media type.
    pub(super) fn typed(self, name: &str, media_type: &str, body: impl Into<Bytes>) -> Self {
        let head = format!(
            "Content-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"
        );
        self.part(head, body.into())
    }

    fn part(mut self, head: String, body: Bytes) -> Self {
        self.parts.push(Part { head, body });
        self
    }

    /// The content type and the body, which is in memory once and held as bytes: signers see it.
    ///
    /// # Errors
    ///
    /// A part that contains the boundary: the server could not tell where it ends.
    pub(super) fn into_body(self) -> Result<(HeaderValue, RequestBody), Error> {
        let finder = memmem::Finder::new(self.boundary.as_bytes());
        if self.parts.iter().any(|part| finder.find(&part.body).is_some()) {
            return Err(Error::build(format!(
                "the request cannot be sent as a form: one of its parts contains the boundary `{}`",
                self.boundary
            )));
        }
        // Per part: two dashes, the boundary, four line ends in all.
        let frame = self.boundary.len() + 6;
        let parts: usize =
            self.parts.iter().map(|part| frame + part.head.len() + part.body.len()).sum();
        let mut body = BytesMut::with_capacity(parts + frame);
        for part in &self.parts {
            self.put_opening(&mut body, part);
            body.put_slice(&part.body);
            body.put_slice(b"\r\n");
        }
        self.put_closing(&mut body);
        Ok((self.content_type()?, body.freeze().into()))
    }

    fn put_opening(&self, out: &mut BytesMut, part: &Part) {
        out.put_slice(b"--");
        out.put_slice(self.boundary.as_bytes());
        out.put_slice(b"\r\n");
        out.put_slice(part.head.as_bytes());
    }

    fn put_closing(&self, out: &mut BytesMut) {
        out.put_slice(b"--");
        out.put_slice(self.boundary.as_bytes());
        out.put_slice(b"--\r\n");
    }

    fn content_type(&self) -> Result<HeaderValue, Error> {
        let text = format!("multipart/form-data; boundary={}", self.boundary);
        HeaderValue::try_from(text)
            .map_err(|error| Error::build("the boundary is no token").with_source(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_to_the_byte_into_memory_of_its_size() {
        let form = Form::with_boundary("b").typed("one", "text/plain", "1").typed("two", "x/y", "");
        let (content_type, body) = form.into_body().unwrap();
        assert_eq!(content_type, "multipart/form-data; boundary=b");
        let expected = concat!(
            "--b\r\nContent-Disposition: form-data; name=\"one\"\r\nContent-Type: text/plain\r\n\r\n",
            "1\r\n--b\r\nContent-Disposition: form-data; name=\"two\"\r\nContent-Type: x/y\r\n\r\n",
            "\r\n--b--\r\n",
        );
        assert_eq!(body.as_bytes().unwrap(), expected);
    }

    #[test]
    fn a_part_with_the_boundary_is_refused() {
        let form = Form::with_boundary("edge").typed("one", "text/plain", "a\r\n--edge--");
        let error = form.into_body().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Build);
        assert!(error.message().contains("`edge`"), "{error}");
    }
}
