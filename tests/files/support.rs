//! What the tests of this binary share: a server of uploads that is a service, and files on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Service, service_fn};
use tower_openai::extensions::{ApiRoot, StreamTimeouts};
use tower_openai::{BoxError, RequestBody};

pub(crate) const UPLOAD_URL: &str = "https://blobs.test/up/1?sv=1&sig=hidden%2Bsignature";
pub(crate) const ANNOUNCED: &str = concat!(
    r#"{"file_id":"file_1","upload_url":"#,
    r#""https://blobs.test/up/1?sv=1&sig=hidden%2Bsignature"}"#
);
pub(crate) const READY: &str = concat!(
    r#"{"status":"success","download_url":"https://blobs.test/down/1?sig=hidden%2Bsignature","#,
    r#""file_name":"a.txt","mime_type":"text/plain"}"#
);
pub(crate) const NOT_YET: &str = r#"{"status":"retry"}"#;

/// A request whose body has been read.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Bytes, String>,
    pub(crate) root: ApiRoot,
    pub(crate) timeouts: Option<StreamTimeouts>,
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A service that reads each request whole and answers as it is told, in order.
#[derive(Clone, Default)]
pub(crate) struct Backend {
    sent: Arc<Mutex<Vec<Sent>>>,
    answers: Arc<Mutex<Vec<(u16, String)>>>,
}

impl Backend {
    pub(crate) fn answering<'a>(answers: impl IntoIterator<Item = (u16, &'a str)>) -> Self {
        let mut answers: Vec<_> =
            answers.into_iter().map(|(status, body)| (status, body.to_owned())).collect();
        answers.reverse();
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    /// One upload that succeeds at once.
    pub(crate) fn willing() -> Self {
        Self::answering([(200, ANNOUNCED), (201, ""), (200, READY)])
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// Methods and paths, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        let path = |sent: &Sent| sent.uri.split('?').next().unwrap().to_owned();
        self.sent().iter().map(|sent| format!("{} {}", sent.method, path(sent))).collect()
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<
        Request<RequestBody>,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future: Send + Sync,
    > + Clone
    + Send
    + Sync
    + 'static {
        let backend = self.clone();
        service_fn(move |request: Request<RequestBody>| {
            let backend = backend.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes());
                backend.sent.lock().unwrap().push(Sent {
                    method: parts.method,
                    uri: parts.uri.to_string(),
                    headers: parts.headers,
                    root: ApiRoot::of(&parts.extensions),
                    timeouts: parts.extensions.get().copied(),
                    body: body.as_ref().map(Bytes::clone).map_err(ToString::to_string),
                });
                body?;
                let (status, body) = backend.answers.lock().unwrap().pop().expect("an answer");
                let mut response = Response::new(Full::from(body));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok(response)
            }
        })
    }
}

/// A file that is there as long as this is.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("tower-openai-files-{}-{count}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, bytes: impl AsRef<[u8]>) {
        fs::write(&self.0, bytes).unwrap();
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

/// Bytes that say where they are.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// FNV-1a, as the loopback server has it of what was uploaded.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
