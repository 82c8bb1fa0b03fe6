//! Uploads to the backend of a ChatGPT login, in three steps. The files of the public API:
//! [`public_files`](super::public_files).
//!
//! [`Files`] is a [`Service`] of [`UploadRequest`] over any HTTP service; its response is an
//! [`UploadedFile`]. It stands above `ProviderLayer` in a stack, as [`Responses`](super::Responses)
//! does, and sends all three through it:
//!
//! | step | sends | to |
//! |---|---|---|
//! | announce | `POST files`, name and size | the provider's [backend](crate::provider::Provider::backend_url) |
//! | send | `PUT`, the bytes | the URL that the server gave, with no credentials: it is signed |
//! | confirm | `POST files/{id}/uploaded`, every 250 ms until it is ready, for 30 s at most | the backend |
//!
//! ```
//! use std::sync::Arc;
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{Files, UploadRequest, UploadSource};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     let body = match (request.method().as_str(), request.uri().path()) {
//!         ("POST", "/files") => {
//!             r#"{"file_id":"file_1","upload_url":"https://blobs.example.com/1?sig=x"}"#
//!         }
//!         ("PUT", _) => "",
//!         _ => r#"{"status":"success","download_url":"https://blobs.example.com/d?sig=y"}"#,
//!     };
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! # let path = std::env::temp_dir().join(format!("tower-openai-doc-{}.txt", std::process::id()));
//! # std::fs::write(&path, "hello")?;
//! let source = UploadSource::open(&path).await?;
//! let request = UploadRequest::from(source).on_progress(|progress| {
//!     println!("{} of {} bytes, attempt {}", progress.sent, progress.total, progress.attempt);
//! });
//! let file = Files::new(http).upload(request).await?;
//! assert_eq!((file.uri().as_str(), file.size), ("sediment://file_1", 5));
//! # std::fs::remove_file(&path)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Retry, memory, time
//!
//! Whatever the stack does is done for each step: a `RetryLayer` sends the whole file again after an
//! attempt that failed, because the body is opened anew for each. A file on disk is read in pieces of
//! 64 KiB, off the runtime's threads and no faster than the network takes them; no more than a few
//! pieces are in memory. Its length is that of [`UploadSource::open`]; a file that has another one
//! later is not sent.
//!
//! A head is waited for no longer than 60 s, and for that of the second step one second longer for
//! each 128 KiB; [`StreamTimeouts::head`] of the request or the endpoint replaces the 60 s.
//!
//! Readiness is that of the HTTP service: the first step takes the one that was made ready, and each
//! further step waits until the service is ready again. Dropping the future cancels whatever step it
//! has come to; what was announced and is not sent is left to the server.
//!
//! # Errors
//!
//! An [`Error`] as of every endpoint, of the step that failed. Beside those:
//!
//! - A file that cannot be read, that has changed, or that has another length than it said, or a
//!   request for a provider without a backend: [`ErrorKind::Build`], and no further attempt. A file of more than 512 MiB, the most the API takes:
//!   [`ErrorKind::TooLarge`], with nothing sent.
//! - The server does not take the file: [`ErrorKind::InvalidRequest`], in its words.
//! - The file is sent, and not ready after 30 s: [`ErrorKind::Timeout`], whose source is an
//!   [`UploadNotReady`], from which the wait goes on.
//!
//! Upload and download URLs are signed; no error, span or `Debug` shows their query.
//!
//! Polling needs a tokio runtime with time on.
//!
//! [`StreamTimeouts::head`]: crate::extensions::StreamTimeouts::head

mod body;
mod disk;
mod request;
mod steps;
mod upload;

use std::task::{Context, Poll};

use tower::Service;

use self::steps::Plan;
use super::endpoint::endpoint;
use super::unary::UnarySettings;
use super::{ApiResponse, CallOnce, HttpService};
#[cfg(doc)]
use crate::ErrorKind;
use crate::extensions::StreamTimeouts;
use crate::{Error, RequestBody};

pub use self::body::UploadProgress;
pub(super) use self::body::{Progress, Watch};
pub use self::request::{UploadRequest, UploadSource};
pub(super) use self::steps::head_limit;
pub use self::steps::{UploadNotReady, UploadedFile};
pub use self::upload::UploadFuture;

/// One upload of [`Files::upload`].
///
/// `F` is the future and `RB` the response body of the HTTP service `S` below the endpoint.
pub type Upload<S, F, RB> =
    CallOnce<Files<S>, UploadRequest, UploadFuture<S, F, RB>, ApiResponse<UploadedFile>>;

endpoint! {
    StreamTimeouts;
    /// Turns an HTTP service into [`Files`].
    pub struct FilesLayer;
    /// Uploads to the backend of a ChatGPT login, over an HTTP service; see the [module](self).
    ///
    /// The HTTP service has to be `Clone`: an upload holds on to the one that was made ready, and leaves
    /// a clone in its place.
    pub struct Files;
}

impl FilesLayer {
    /// How long each step may wait, in place of what the layers say. Limits that are unset stay as
    /// they are. A request can have its own.
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings = timeouts.or(self.settings);
        self
    }
}

impl<S> Files<S> {
    /// How long each step may wait, in place of what the layers say. Limits that are unset stay as
    /// they are. A request can have its own.
    #[must_use]
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings = timeouts.or(self.settings);
        self
    }

    /// As the preset has it.
    #[cfg(feature = "client")]
    pub(crate) fn sending(self, preset: super::PresetSettings) -> Self {
        self.timeouts(preset.timeouts)
    }

    /// Uploads one file, on a clone of the service that is made ready first.
    ///
    /// Dropping the future cancels the upload.
    ///
    /// # Errors
    ///
    /// As the [module](self) tells them.
    pub fn upload(&self, request: impl Into<UploadRequest>) -> Upload<S, S::Future, S::ResponseBody>
    where
        S: HttpService<RequestBody> + Clone,
    {
        CallOnce::new(self.clone(), request.into())
    }
}

impl<S> Service<UploadRequest> for Files<S>
where
    S: HttpService<RequestBody> + Clone,
{
    type Response = ApiResponse<UploadedFile>;
    type Error = Error;
    type Future = UploadFuture<S, S::Future, S::ResponseBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: UploadRequest) -> Self::Future {
        let settings = UnarySettings { timeouts: self.settings, ..UnarySettings::default() };
        match Plan::new(request, settings) {
            Ok((plan, first)) => {
                let clone = self.inner.clone();
                let http = std::mem::replace(&mut self.inner, clone);
                UploadFuture::begin(http, plan, first)
            }
            Err(error) => UploadFuture::refused(error),
        }
    }
}
