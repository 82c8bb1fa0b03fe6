//! The files of the public API: keep one, list them, look at one, read one, delete one.
//!
//! | service | request | what it sends |
//! |---|---|---|
//! | [`CreateFile`] | [`CreateFileRequest`] | `POST files`, a form |
//! | [`ListFiles`] | [`ListFilesRequest`] | `GET files` |
//! | [`RetrieveFile`] | [`RetrieveFileRequest`] | `GET files/{id}` |
//! | [`FileContent`] | [`FileContentRequest`] | `GET files/{id}/content` |
//! | [`DeleteFile`] | [`DeleteFileRequest`] | `DELETE files/{id}` |
//!
//! Each is a [`Service`](tower::Service) of its request over any HTTP service, above `ProviderLayer`,
//! as [`Responses`](super::Responses) is. Uploads to a ChatGPT login go another way:
//! [`Files`](super::Files).
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{CreateFile, CreateFileRequest, UploadSource};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/files");
//!     let body = r#"{"id":"file-1","object":"file","bytes":5,"purpose":"user_data"}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! // `UploadSource::open` takes a file on disk.
//! let source = UploadSource::from_bytes("notes.txt", "hello");
//! let file = CreateFile::new(http).send(CreateFileRequest::new(source, "user_data")).await?;
//! assert_eq!((file.id.as_str(), file.bytes), ("file-1", Some(5)));
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! What is uploaded is read piece by piece while it is sent, and again for every attempt, as
//! [`files`](super::files) tells it; the limit for the head of its answer grows in the same way.
//!
//! # Errors
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers as for
//! `Responses`; so is one that cannot be read. An id that is no part of a path is refused with nothing
//! sent ([`ErrorKind::Build`](crate::ErrorKind::Build)). The content of a file may have 64 MiB, which
//! [`body_limit`](FileContent::body_limit) changes: it is read whole.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::ResponseMeta;
use super::encode::{Outgoing, Target};
use super::endpoint::unary_endpoint;
use super::files::{Progress, UploadProgress, UploadSource, Watch, head_limit};
use super::multipart::Form;
use super::options::{ResponsesOptions, call_options};
use super::unary::{Answer, UnaryRequest, UnarySettings, json_answer};
use crate::Error;
use crate::error::Unreadable;
use crate::extensions::StreamTimeouts;
use crate::model::{DeletedFile, FileList, FileObject};

/// A request to keep a file.
#[derive(Clone)]
#[must_use]
pub struct CreateFileRequest {
    source: UploadSource,
    purpose: String,
    expires_after: Option<u64>,
    progress: Option<Progress>,
    options: ResponsesOptions,
}

impl CreateFileRequest {
    /// Keeps `source` for a purpose that the API knows, such as `user_data`, `vision` or `batch`.
    pub fn new(source: UploadSource, purpose: impl Into<String>) -> Self {
        let options = ResponsesOptions::default();
        Self { source, purpose: purpose.into(), expires_after: None, progress: None, options }
    }

    /// For no longer than this, in seconds from when it is made.
    pub fn expires_after(mut self, seconds: u64) -> Self {
        self.expires_after = Some(seconds);
        self
    }

    /// Hears how far the file is sent, as
    /// [`UploadRequest::on_progress`](super::UploadRequest::on_progress).
    pub fn on_progress(
        mut self,
        progress: impl Fn(UploadProgress) + Send + Sync + 'static,
    ) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    call_options!();
}

impl fmt::Debug for CreateFileRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateFileRequest")
            .field("source", &self.source)
            .field("purpose", &self.purpose)
            .field("expires_after", &self.expires_after)
            .field("progress", &self.progress.is_some())
            .field("options", &self.options)
            .finish()
    }
}

impl UnaryRequest for CreateFileRequest {
    const ENDPOINT: &'static str = "create_file";
    type Answer = FileObject;

    fn write(mut self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let (name, len) = (self.source.name().to_owned(), self.source.len());
        let said = self.options.timeouts_or(settings.timeouts);
        let head = StreamTimeouts::new().head(head_limit(said, len));
        self.options.timeouts = head.or(self.options.timeouts);
        let mut form = Form::new().field("purpose", self.purpose);
        if let Some(seconds) = self.expires_after {
            form = form
                .field("expires_after[anchor]", "created_at")
                .field("expires_after[seconds]", seconds.to_string());
        }
        let watch = Watch::new(&name, len, self.progress);
        let body = watch.body(self.source.into_body());
        let (content_type, body) = form.into_streamed("file", &name, len, body)?;
        let post = Outgoing::new(Method::POST, Target::of("/files"))?;
        Ok((post.body(content_type, body).faulting(watch.fault()), self.options))
    }
}

json_answer!(FileObject);

unary_endpoint! {
    /// Turns an HTTP service into [`CreateFile`].
    pub struct CreateFileLayer;
    /// The endpoint `POST files` over an HTTP service; see the [module](self).
    pub struct CreateFile: CreateFileRequest => FileObject;
}

/// A request for a page of the files.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ListFilesRequest {
    after: Option<String>,
    limit: Option<u64>,
    order: Option<String>,
    purpose: Option<String>,
    options: ResponsesOptions,
}

impl ListFilesRequest {
    /// The first page, as long as the API makes it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The page after the file of this id.
    pub fn after(mut self, id: impl AsRef<str>) -> Self {
        self.after = Some(id.as_ref().to_owned());
        self
    }

    /// With so many files at most.
    pub fn limit(mut self, files: u64) -> Self {
        self.limit = Some(files);
        self
    }

    /// In this order: `asc` or `desc`.
    pub fn order(mut self, order: impl Into<String>) -> Self {
        self.order = Some(order.into());
        self
    }

    /// Of those for this purpose.
    pub fn purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = Some(purpose.into());
        self
    }

    call_options!();
}

impl UnaryRequest for ListFilesRequest {
    const ENDPOINT: &'static str = "list_files";
    type Answer = FileList;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = Target::of("/files")
            .query_if("after", self.after)
            .query_if("limit", self.limit)
            .query_if("order", self.order)
            .query_if("purpose", self.purpose);
        Ok((Outgoing::new(Method::GET, target)?, self.options))
    }
}

json_answer!(FileList);

unary_endpoint! {
    /// Turns an HTTP service into [`ListFiles`].
    pub struct ListFilesLayer;
    /// The endpoint `GET files` over an HTTP service; see the [module](self).
    pub struct ListFiles: ListFilesRequest => FileList;
}

/// A request that says no more than which file is meant.
macro_rules! one_file {
    ($(#[$meta:meta])* $Request:ident, $endpoint:literal, $method:ident, $path:expr => $Answer:ty;) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[must_use]
        pub struct $Request {
            id: String,
            options: ResponsesOptions,
        }

        impl $Request {
            /// The file of this id.
            pub fn new(id: impl AsRef<str>) -> Self {
                Self { id: id.as_ref().to_owned(), options: ResponsesOptions::default() }
            }

            call_options!();
        }

        impl<T: AsRef<str>> From<T> for $Request {
            fn from(id: T) -> Self {
                Self::new(id)
            }
        }

        impl UnaryRequest for $Request {
            const ENDPOINT: &'static str = $endpoint;
            const BODY_LIMIT: usize = 64 * 1024 * 1024;
            type Answer = $Answer;

            fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
                let target = Target::of("/files").segment("the file's id", &self.id)?.path($path);
                Ok((Outgoing::new(Method::$method, target)?, self.options))
            }
        }
    };
}

one_file! {
    /// A request for what the API knows of a file.
    RetrieveFileRequest, "retrieve_file", GET, "" => FileObject;
}

unary_endpoint! {
    /// Turns an HTTP service into [`RetrieveFile`].
    pub struct RetrieveFileLayer;
    /// The endpoint `GET files/{id}` over an HTTP service; see the [module](self).
    pub struct RetrieveFile: RetrieveFileRequest => FileObject;
}

one_file! {
    /// A request for the bytes of a file.
    FileContentRequest, "file_content", GET, "/content" => FileBytes;
}

/// The bytes of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct FileBytes(Bytes);

impl FileBytes {
    /// The bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FileBytes {
    /// Shows how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileBytes").field(&self.0.len()).finish()
    }
}

impl Answer for FileBytes {
    fn read(_: &ResponseMeta, body: &Bytes) -> Result<Self, Unreadable> {
        Ok(Self(body.clone()))
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`FileContent`].
    pub struct FileContentLayer;
    /// The endpoint `GET files/{id}/content` over an HTTP service; see the [module](self).
    pub struct FileContent: FileContentRequest => FileBytes;
}

one_file! {
    /// A request to delete a file.
    DeleteFileRequest, "delete_file", DELETE, "" => DeletedFile;
}

json_answer!(DeletedFile);

unary_endpoint! {
    /// Turns an HTTP service into [`DeleteFile`].
    pub struct DeleteFileLayer;
    /// The endpoint `DELETE files/{id}` over an HTTP service; see the [module](self).
    pub struct DeleteFile: DeleteFileRequest => DeletedFile;
}
