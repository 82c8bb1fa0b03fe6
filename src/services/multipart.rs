//! `multipart/form-data`, as far as the API asks for it.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

#[cfg(feature = "files")]
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;
#[cfg(feature = "files")]
use http_body::{Body, Frame, SizeHint};
use memchr::memmem;

#[cfg(feature = "files")]
use crate::BoxError;
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

    /// A form with a boundary that nobody can know before.
    pub(super) fn new() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        let boundary = format!("tower-openai-{:016x}{:016x}", random(), random());
        Self { boundary: boundary.into(), parts: Vec::new() }
    }

    /// Adds a part of its own media type.
    pub(super) fn typed(self, name: &str, media_type: &str, body: impl Into<Bytes>) -> Self {
        let head = format!(
            "Content-Disposition: form-data; name=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"
        );
        self.part(head, body.into())
    }

    /// Adds a field.
    pub(super) fn field(self, name: &str, value: impl Into<Bytes>) -> Self {
        let head = format!("Content-Disposition: form-data; name=\"{}\"\r\n\r\n", quoted(name));
        self.part(head, value.into())
    }

    /// Adds a file.
    pub(super) fn file(self, name: &str, file: &FormFile) -> Self {
        let head = file.head(name);
        self.part(head, file.bytes.clone())
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

    /// The content type and the body with a file at its end, which is read while it is sent. That it
    /// holds no boundary is a matter of chance, one in 2 to the 128th.
    ///
    /// # Errors
    ///
    /// A part that contains the boundary.
    #[cfg(feature = "files")]
    pub(super) fn into_streamed(
        mut self,
        field: &str,
        name: &str,
        len: u64,
        file: RequestBody,
    ) -> Result<(HeaderValue, RequestBody), Error> {
        self = self.part(file_head(field, name, "application/octet-stream"), Bytes::new());
        let closing = self.boundary.len() + 8;
        let (content_type, form) = self.into_body()?;
        let form = form.as_bytes().cloned().unwrap_or_default();
        // The file goes where the form has nothing: before the line end of the empty part.
        let (before, after) =
            form.split_at_checked(form.len().saturating_sub(closing)).unwrap_or_default();
        let (before, after) = (form.slice_ref(before), form.slice_ref(after));
        let whole = len.saturating_add(form.len() as u64);
        let body = RequestBody::replayable(Some(whole), move || Streamed {
            before: Some(before.clone()),
            file: file.clone(),
            after: Some(after.clone()),
            left: whole,
        });
        Ok((content_type, body))
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

/// A form around a file.
#[cfg(feature = "files")]
struct Streamed {
    before: Option<Bytes>,
    file: RequestBody,
    after: Option<Bytes>,
    left: u64,
}

#[cfg(feature = "files")]
impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.before.take() {
            Some(before) => Some(Frame::data(before)),
            None => match ready!(Pin::new(&mut self.file).poll_frame(cx)) {
                Some(Ok(frame)) => Some(frame),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.after.take().map(Frame::data),
            },
        };
        let len = frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        self.left = self.left.saturating_sub(len as u64);
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.after.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A file that is sent in a form, in memory.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct FormFile {
    name: String,
    media_type: HeaderValue,
    bytes: Bytes,
}

impl FormFile {
    /// The file `name` of this media type, such as `image/png`.
    ///
    /// # Errors
    ///
    /// A media type that a header may not hold ([`ErrorKind::Build`](crate::ErrorKind::Build)).
    pub fn new(
        name: impl Into<String>,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<Self, Error> {
        let media_type = HeaderValue::from_str(media_type).map_err(|error| {
            Error::build("the media type of the file is not legal in a header").with_source(error)
        })?;
        Ok(Self { name: name.into(), media_type, bytes: bytes.into() })
    }

    /// A PNG image, `image.png`.
    pub fn png(bytes: impl Into<Bytes>) -> Self {
        let media_type = HeaderValue::from_static("image/png");
        Self { name: "image.png".to_owned(), media_type, bytes: bytes.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn head(&self, field: &str) -> String {
        let media_type = self.media_type.to_str().unwrap_or("application/octet-stream");
        file_head(field, &self.name, media_type)
    }
}

impl fmt::Debug for FormFile {
    /// Shows how long it is, not what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormFile")
            .field("name", &self.name)
            .field("media_type", &self.media_type)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

fn file_head(field: &str, name: &str, media_type: &str) -> String {
    format!(
        "Content-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\
         Content-Type: {media_type}\r\n\r\n",
        quoted(field),
        quoted(name)
    )
}

/// A name as browsers write it between quotes.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
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
    fn names_stay_between_their_quotes() {
        let file = FormFile::new("a\"; x=\"\r\nB: c.png", "image/png", "1").unwrap();
        let (content_type, body) =
            Form::with_boundary("b").file("image[]", &file).into_body().unwrap();
        let expected = concat!(
            "--b\r\nContent-Disposition: form-data; name=\"image[]\"; ",
            "filename=\"a%22; x=%22%0D%0AB: c.png\"\r\nContent-Type: image/png\r\n\r\n",
            "1\r\n--b--\r\n",
        );
        assert_eq!(
            (content_type.len(), body.as_bytes().unwrap().as_ref()),
            (31, expected.as_bytes())
        );
        let error = FormFile::new("a", "image/png\r\nx: y", "").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Build);
        assert_ne!(Form::new().boundary, Form::new().boundary);
    }

    #[test]
    fn a_part_with_the_boundary_is_refused() {
        let form = Form::with_boundary("edge").typed("one", "text/plain", "a\r\n--edge--");
        let error = form.into_body().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Build);
        assert!(error.message().contains("`edge`"), "{error}");
    }
}
