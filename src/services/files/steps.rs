//! The three steps of an upload: what each sends and reads.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};

use super::body::{Progress, Watch};
use super::request::{UploadRequest, UploadSource, What};
use crate::error::{Unreadable, one_line};
use crate::extensions::{ApiRoot, BodyFault, StreamTimeouts, WithoutCredentials};
use crate::redaction;
use crate::services::encode::{Outgoing, Target, query_secrets};
use crate::services::options::ResponsesOptions;
use crate::services::unary::{Answer, UnaryRequest, UnarySettings};
use crate::services::{ApiResponse, ResponseMeta};
use crate::{Error, ErrorKind, RequestBody, Stage};

const ENDPOINT: &str = "files";

/// The most bytes that a file may have.
const MOST: u64 = 512 * 1024 * 1024;

/// How long a head is waited for.
const HEAD: Duration = Duration::from_secs(60);

/// How many bytes of a file must at least go out in a second.
const SLOWEST: u64 = 128 * 1024;

/// What an upload keeps from step to step.
pub(super) struct Plan {
    pub(super) settings: UnarySettings,
    options: ResponsesOptions,
    source: Option<UploadSource>,
    progress: Option<Progress>,
    /// Once the file is announced.
    pub(super) file: Sent,
    /// What is secret of the upload URL.
    secrets: Vec<String>,
}

/// How long the head of an answer to `size` bytes is waited for; zero is for ever.
pub(in crate::services) fn head_limit(said: StreamTimeouts, size: u64) -> Duration {
    match said.head_or(Some(HEAD)) {
        Some(head) => head.saturating_add(Duration::from_secs(size / SLOWEST)),
        None => Duration::ZERO,
    }
}

/// What is known of a file that is announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    file_id: String,
    name: String,
    size: u64,
}

/// The step that an upload begins with.
pub(super) enum First {
    Announce(Announce),
    Confirm(Confirm),
}

impl Plan {
    /// The plan of an upload and its first step.
    ///
    /// # Errors
    ///
    /// A file that is larger than the API takes.
    pub(super) fn new(
        request: UploadRequest,
        mut settings: UnarySettings,
    ) -> Result<(Self, First), Error> {
        let UploadRequest { what, use_case, progress, mut options } = request;
        let said = options.timeouts_or(settings.timeouts);
        settings.timeouts = said.or(StreamTimeouts::new().head(HEAD));
        options.timeouts = settings.timeouts;
        options.extensions.insert(ApiRoot::Backend);
        let mut plan = Self {
            settings,
            options,
            source: None,
            progress,
            file: Sent::default(),
            secrets: Vec::new(),
        };
        let source = match what {
            What::Source(source) => source,
            What::Sent(UploadNotReady { file }) => {
                plan.file = file;
                let first = First::Confirm(plan.confirm());
                return Ok((plan, first));
            }
        };
        let (name, size) = (source.name().to_owned(), source.len());
        if size > MOST {
            let message = format!(
                "the file `{}` has {size} bytes: the API takes no more than {MOST}",
                one_line(&name)
            );
            return Err(Error::new(ErrorKind::TooLarge, message).with_stage(Stage::NotSent));
        }
        let announce = Announce {
            file_name: name.clone(),
            file_size: size,
            use_case,
            options: plan.options(),
        };
        plan.file = Sent { file_id: String::new(), name, size };
        plan.source = Some(source);
        Ok((plan, First::Announce(announce)))
    }

    /// The caller's options, for a step that goes to the provider.
    fn options(&self) -> ResponsesOptions {
        self.options.clone()
    }

    /// The second step, after the answer to the first one.
    pub(super) fn transfer(&mut self, announced: Announced) -> Option<Transfer> {
        self.file.file_id = announced.file_id;
        let source = self.source.take()?;
        let size = source.len();
        let watch = Watch::new(source.name(), size, self.progress.take());
        let (body, fault) = (watch.body(source.into_body()), watch.fault());
        self.secrets = announced.upload_url.query().map(query_secrets).unwrap_or_default();
        // Nothing of the caller's goes to a URL that the server has made up, but for what is for the
        // layers.
        let mut options = ResponsesOptions::new();
        options.extensions = self.options.extensions.clone();
        options.extensions.remove::<ApiRoot>();
        options.extensions.insert(WithoutCredentials);
        let head = head_limit(self.settings.timeouts, size);
        options.timeouts = StreamTimeouts::new().head(head).or(self.settings.timeouts);
        Some(Transfer { url: announced.upload_url, body, fault, size, options })
    }

    /// The last step.
    pub(super) fn confirm(&self) -> Confirm {
        Confirm { file_id: self.file.file_id.clone(), options: self.options() }
    }

    /// The error of the second step, with nothing that the server quotes of the URL.
    pub(super) fn not_sent(&self, error: Error) -> Error {
        let quoted = |secret: &String| memchr::memmem::find(error.body(), secret.as_bytes());
        let quotes = self.secrets.iter().any(|secret| quoted(secret).is_some());
        if quotes { error.without_body() } else { error }
    }

    /// What becomes of an upload after an answer to the last step; `None`: it is to be asked again.
    pub(super) fn finish(
        &self,
        answer: ApiResponse<Confirmed>,
    ) -> Option<Result<ApiResponse<UploadedFile>, Error>> {
        let (confirmed, meta) = answer.into_parts();
        let failed = |kind, message: String| {
            let secrets = self.secrets.iter().map(String::as_str);
            let message = redaction::scrub_known(&message, secrets).unwrap_or(message);
            let error = Error::new(kind, message).with_stage(Stage::Streaming);
            let error = error.under_head(meta.status(), meta.headers());
            let error = error.with_attempts(meta.extensions().get());
            Some(Err(error.without_sent(meta.extensions())))
        };
        let id = one_line(&self.file.file_id);
        match &*confirmed.status {
            "retry" => None,
            "success" => match confirmed.download_url {
                Some(download_url) => {
                    let file = UploadedFile {
                        file_id: self.file.file_id.clone(),
                        download_url,
                        file_name: confirmed.file_name.unwrap_or_else(|| self.file.name.clone()),
                        size: self.file.size,
                        mime_type: confirmed.mime_type,
                    };
                    Some(Ok(ApiResponse::new(file, meta)))
                }
                None => failed(
                    ErrorKind::Protocol,
                    format!("the upload `{id}` succeeded, but the answer has no `download_url`"),
                ),
            },
            status => {
                let said = confirmed.error_message.as_deref().map(one_line);
                let said = said.filter(|said| !said.is_empty());
                let message = said.unwrap_or_else(|| {
                    format!("the upload `{id}` failed, status `{}`", one_line(status))
                });
                failed(ErrorKind::InvalidRequest, message)
            }
        }
    }

    /// The error of an upload that is not ready after `limit`.
    pub(super) fn not_ready(&self, limit: Duration) -> Error {
        let message = format!(
            "the upload `{}` is not ready after {limit:?}: wait on with `UploadRequest::resume`",
            one_line(&self.file.file_id)
        );
        let source = UploadNotReady { file: self.file.clone() };
        Error::new(ErrorKind::Timeout, message).with_stage(Stage::Sent).with_source(source)
    }
}

/// The first step.
#[derive(Serialize)]
pub(super) struct Announce {
    file_name: String,
    file_size: u64,
    use_case: String,
    #[serde(skip)]
    options: ResponsesOptions,
}

/// What it gives.
pub(super) struct Announced {
    file_id: String,
    upload_url: Uri,
}

impl UnaryRequest for Announce {
    const ENDPOINT: &'static str = ENDPOINT;
    const BODY_LIMIT: usize = 1024 * 1024;
    type Answer = Announced;

    fn write(mut self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let options = std::mem::take(&mut self.options);
        let outgoing = Outgoing::new(Method::POST, Target::of("/files"))?.json(&self)?;
        Ok((outgoing, options))
    }
}

impl Answer for Announced {
    fn read(_: &ResponseMeta, body: &Bytes) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Wire {
            file_id: String,
            upload_url: String,
        }

        let Wire { file_id, upload_url } = serde_json::from_slice(body)?;
        if matches!(&*file_id, "" | "." | "..") {
            return Err(Unreadable::Other("has a `file_id` that is none"));
        }
        let url: Option<Uri> = upload_url.parse().ok();
        let url = url.filter(|url| {
            // A name and a password would be shown with the host.
            let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
            matches!(url.scheme_str(), Some("http" | "https")) && authority.is_some()
        });
        let upload_url = url.ok_or(Unreadable::Other("has an `upload_url` that is none"))?;
        Ok(Self { file_id, upload_url })
    }
}

/// The second step.
pub(super) struct Transfer {
    url: Uri,
    body: RequestBody,
    fault: BodyFault,
    size: u64,
    options: ResponsesOptions,
}

/// It gives nothing but its status.
pub(super) struct Stored;

impl UnaryRequest for Transfer {
    const ENDPOINT: &'static str = ENDPOINT;
    const BODY_LIMIT: usize = 1024 * 1024;
    type Answer = Stored;

    fn write(mut self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let headers = &mut self.options.extra_headers;
        headers.insert("x-ms-blob-type", HeaderValue::from_static("BlockBlob"));
        let id = HeaderValue::try_from(random_uuid())
            .map_err(|error| Error::build("an id is no header").with_source(error))?;
        headers.insert("x-ms-client-request-id", id);
        let outgoing =
            Outgoing::to(Method::PUT, self.url).octets(self.body, self.size).faulting(self.fault);
        Ok((outgoing, self.options))
    }
}

impl Answer for Stored {
    fn read(_: &ResponseMeta, _: &Bytes) -> Result<Self, Unreadable> {
        Ok(Self)
    }
}

/// A UUID of version 4, from the randomness that the standard library has for its hash maps.
fn random_uuid() -> String {
    let random = || u128::from(RandomState::new().build_hasher().finish());
    let bits = random() << 64 | random();
    let bits = bits & !(0xf << 76 | 0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// The last step.
pub(super) struct Confirm {
    file_id: String,
    options: ResponsesOptions,
}

/// What it gives.
#[derive(Deserialize)]
pub(super) struct Confirmed {
    status: String,
    download_url: Option<String>,
    file_name: Option<String>,
    mime_type: Option<String>,
    error_message: Option<String>,
}

impl UnaryRequest for Confirm {
    const ENDPOINT: &'static str = ENDPOINT;
    const BODY_LIMIT: usize = 1024 * 1024;
    type Answer = Confirmed;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target =
            Target::of("/files").segment("the file's id", &self.file_id)?.path("/uploaded");
        let outgoing = Outgoing::new(Method::POST, target)?.json_text(Bytes::from_static(b"{}"));
        Ok((outgoing, self.options))
    }
}

impl Answer for Confirmed {
    fn read(_: &ResponseMeta, body: &Bytes) -> Result<Self, Unreadable> {
        serde_json::from_slice(body).map_err(Into::into)
    }
}

/// A file that the server has.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadedFile {
    /// Its id.
    pub file_id: String,
    /// Where it can be had for a while. The URL is signed; `Debug` does not show its query.
    pub download_url: String,
    /// Its name, as the server has it.
    pub file_name: String,
    /// How many bytes it has.
    pub size: u64,
    /// What the server takes it for, such as `image/png`.
    pub mime_type: Option<String>,
}

impl UploadedFile {
    /// How a request refers to it: `sediment://{file_id}`.
    pub fn uri(&self) -> String {
        format!("sediment://{}", self.file_id)
    }
}

impl fmt::Debug for UploadedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadedFile")
            .field("file_id", &self.file_id)
            .field("download_url", &self.download_url.split('?').next().unwrap_or_default())
            .field("file_name", &self.file_name)
            .field("size", &self.size)
            .field("mime_type", &self.mime_type)
            .finish()
    }
}

/// A file was sent, and the server has not got it ready yet.
///
/// The source of the error that says so.
///
/// ```
/// use tower_openai::Error;
/// use tower_openai::services::{UploadNotReady, UploadRequest};
///
/// fn wait_on(error: &Error) -> Option<UploadRequest> {
///     UploadNotReady::of(error).map(|upload| UploadRequest::resume(upload.clone()))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadNotReady {
    pub(super) file: Sent,
}

impl UploadNotReady {
    /// The upload that an error is about, if it is of this kind.
    pub fn of(error: &Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }

    /// The file's id.
    pub fn file_id(&self) -> &str {
        &self.file.file_id
    }
}

impl fmt::Display for UploadNotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server has the file and has not got it ready")
    }
}

impl std::error::Error for UploadNotReady {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_requests_are_random_uuids() {
        let id = random_uuid();
        assert_ne!(id, random_uuid());
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
    }
}
