//! Request bodies: whole, or for uploads as they go by.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::api_error::ApiError;
use super::multipart::{Content, Multipart, Part};
use super::route::{Endpoint, Route};

/// Larger bodies are answered with 413, unless they are uploads.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// So large a file may be, with some room for the form around it.
const MAX_UPLOAD: u64 = MAX_FILE + 1024 * 1024;
pub(super) const MAX_FILE: u64 = 512 * 1024 * 1024;

/// So much of an upload is kept.
const KEPT: usize = 64 * 1024;

/// A body that has arrived.
pub(super) struct Intake {
    /// The bytes; of an upload only the first.
    pub(super) body: Bytes,
    /// How many there were.
    pub(super) len: u64,
    pub(super) upload: Upload,
}

/// What is left of an upload.
pub(super) enum Upload {
    /// It is none, and was kept whole.
    None,
    /// The body is the file.
    Content(Content),
    /// The file is a part of a form.
    Form(Result<Vec<Part>, ApiError>),
}

/// Why a request body was not read to its end.
pub(super) enum Unread {
    TooLarge,
    Broken(hyper::Error),
}

/// How a body is taken in.
enum Way {
    Whole(BytesMut),
    Content(Content),
    Form { head: Content, form: Result<Multipart, ApiError> },
}

impl Way {
    fn new(route: Option<&Route>, headers: &HeaderMap) -> Self {
        match route.map(|route| route.endpoint) {
            Some(Endpoint::UploadContent) => Self::Content(Content::new(KEPT)),
            Some(Endpoint::CreateFile) => match form_type(headers) {
                Some(kind) => {
                    Self::Form { head: Content::new(KEPT), form: Multipart::new(kind, KEPT) }
                }
                None => Self::Whole(BytesMut::new()),
            },
            _ => Self::Whole(BytesMut::new()),
        }
    }

    fn max(&self) -> u64 {
        if let Self::Whole(_) = self { MAX_BODY } else { MAX_UPLOAD }
    }

    fn push(&mut self, data: &[u8]) {
        match self {
            Self::Whole(body) => body.extend_from_slice(data),
            Self::Content(content) => content.push(data),
            Self::Form { head, form } => {
                head.push(data);
                if let Ok(reader) = form {
                    if let Err(error) = reader.push(data) {
                        *form = Err(error);
                    }
                }
            }
        }
    }

    fn finish(self, len: u64) -> Intake {
        let (body, upload) = match self {
            Self::Whole(body) => (body.freeze(), Upload::None),
            Self::Content(content) => {
                (Bytes::copy_from_slice(&content.head), Upload::Content(content))
            }
            Self::Form { head, form } => {
                (head.head.into(), Upload::Form(form.and_then(Multipart::finish)))
            }
        };
        Intake { body, len, upload }
    }
}

/// The content type of a body that is a form.
pub(super) fn form_type(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let is_form =
        kind.get(..20).is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/form-data;"));
    is_form.then_some(kind)
}

/// Reads a body for the endpoint it was sent to: what came of it, and whether that is all.
pub(super) async fn receive(
    route: Option<&Route>,
    headers: &HeaderMap,
    mut body: Incoming,
) -> (Intake, Result<(), Unread>) {
    let mut way = Way::new(route, headers);
    let mut len = 0;
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) if data.len() as u64 > way.max() - len => {
                return (way.finish(len), Err(Unread::TooLarge));
            }
            Ok(Ok(data)) => {
                len += data.len() as u64;
                way.push(&data);
            }
            // Trailers.
            Ok(Err(_)) => {}
            Err(error) => return (way.finish(len), Err(Unread::Broken(error))),
        }
    }
    (way.finish(len), Ok(()))
}
