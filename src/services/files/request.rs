//! What is to be uploaded.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body::Body as _;

use super::body::{Progress, UploadProgress};
use super::disk;
use super::steps::UploadNotReady;
use crate::services::options::{ResponsesOptions, call_options};
use crate::{Error, RequestBody};

/// What the Codex client says its files are for.
const USE_CASE: &str = "codex";

/// A file to upload: its name, its length, and where its bytes come from, again for every attempt.
#[derive(Clone)]
#[must_use]
pub struct UploadSource {
    name: String,
    len: u64,
    body: RequestBody,
}

impl UploadSource {
    /// A file on disk. It is looked at now, and read when it is sent.
    ///
    /// Its name is the last part of the path, or `file` if that is none.
    ///
    /// Needs a tokio runtime, whose threads for blocking work do what the file system asks for.
    ///
    /// # Errors
    ///
    /// A path that leads nowhere, or to something else than a file
    /// ([`ErrorKind::Build`](crate::ErrorKind::Build)).
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let len = disk::look(&path).await?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "file".to_owned());
        let path = Arc::from(path);
        let body = RequestBody::replayable(Some(len), move || disk::FileBody::new(&path, len));
        Ok(Self { name, len, body })
    }

    /// A file in memory.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { name: name.into(), len: bytes.len() as u64, body: bytes.into() }
    }

    /// A file from anywhere else.
    ///
    /// # Errors
    ///
    /// A body whose length is not known ([`ErrorKind::Build`](crate::ErrorKind::Build)): the API wants
    /// to know it before.
    pub fn from_body(name: impl Into<String>, body: RequestBody) -> Result<Self, Error> {
        match body.size_hint().exact() {
            Some(len) => Ok(Self { name: name.into(), len, body }),
            None => Err(Error::build(
                "what is to be uploaded has no known length: give it to `RequestBody::replayable`",
            )),
        }
    }

    /// Under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(in crate::services) fn into_body(self) -> RequestBody {
        self.body
    }
}

impl fmt::Debug for UploadSource {
    /// Shows name and length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadSource")
            .field("name", &self.name)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A request to upload a file, or to go on waiting for one.
///
/// The headers of its options go with the first and the last step, not to the URL that the server
/// gives for the second; its extensions go with every step.
#[derive(Clone)]
#[must_use]
pub struct UploadRequest {
    pub(super) what: What,
    pub(super) use_case: String,
    pub(super) progress: Option<Progress>,
    pub(super) options: ResponsesOptions,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Source(UploadSource),
    /// It is sent already.
    Sent(UploadNotReady),
}

impl UploadRequest {
    /// Goes on waiting for a file that was sent and not ready.
    pub fn resume(upload: UploadNotReady) -> Self {
        Self::of(What::Sent(upload))
    }

    fn of(what: What) -> Self {
        let options = ResponsesOptions::default();
        Self { what, use_case: USE_CASE.to_owned(), progress: None, options }
    }

    /// What the file is for. Default: `codex`.
    pub fn use_case(mut self, use_case: impl Into<String>) -> Self {
        self.use_case = use_case.into();
        self
    }

    /// Hears how far the file is sent: with nothing at the beginning of every attempt, then with each
    /// piece that the transport takes.
    ///
    /// It is called where the request is sent, while that goes on: it must neither block nor panic.
    pub fn on_progress(
        mut self,
        progress: impl Fn(UploadProgress) + Send + Sync + 'static,
    ) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    call_options!();
}

impl From<UploadSource> for UploadRequest {
    fn from(source: UploadSource) -> Self {
        Self::of(What::Source(source))
    }
}

impl fmt::Debug for UploadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadRequest")
            .field("what", &self.what)
            .field("use_case", &self.use_case)
            .field("progress", &self.progress.is_some())
            .field("options", &self.options)
            .finish()
    }
}
