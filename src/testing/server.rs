//! The server: settings, the accept loop, and the handle a test holds.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::api::{Api, StoredFile};
use super::api_error::ApiError;
use super::exchange::Exchange;
use super::ids::Ids;
use super::record::{Log, Outcome, RecordedRequest};
use super::route;
use super::script::Script;
use super::stream::{self, Acceptor, Stream};
use super::tasks::{Failures, Tasks};
use super::wire::Socket;

type Handler = Box<dyn Fn(&RecordedRequest) -> Script + Send + Sync>;

/// Settings of a [`Server`]; see [`Server::builder`].
#[must_use]
pub struct Builder {
    port: u16,
    history: usize,
    seed: Option<u64>,
    uploads: Uploads,
    #[cfg(feature = "testing-tls")]
    tls: Option<super::Tls>,
    settings: Settings,
}

/// What answering needs to know.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) pace: Duration,
    pub(super) key: Option<String>,
    pub(super) handler: Option<Handler>,
    pub(super) scripted_only: bool,
    /// Of a WebSocket, if not the API's.
    #[cfg(feature = "ws")]
    pub(super) socket_age: Option<Duration>,
}

/// Where uploads go, and how.
struct Uploads {
    host: String,
    retries: u32,
}

impl Builder {
    /// Listens on this port of 127.0.0.1. Default: 0, a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The wait before each delta of a natural answer. Default: zero.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.settings.pace = pace;
        self
    }

    /// Refuses natural answers with 401 unless the request carries this key, as
    /// `authorization: Bearer` or `api-key`. Default: any request is let in.
    pub fn require_key(mut self, key: impl Into<String>) -> Self {
        self.settings.key = Some(key.into());
        self
    }

    /// Answers requests for which no script is queued. Default: [`Script::natural`].
    ///
    /// A panic in `handler` closes the connection and fails the test, see [`Server`].
    pub fn handler(
        mut self,
        handler: impl Fn(&RecordedRequest) -> Script + Send + Sync + 'static,
    ) -> Self {
        self.settings.handler = Some(Box::new(handler));
        self
    }

    /// A request for which no script is queued gets a 500 and fails the test. Default: off.
    pub fn scripted_only(mut self) -> Self {
        self.settings.scripted_only = true;
        self
    }

    /// How many requests are kept; older ones are forgotten first, and sooner if their bodies add
    /// up to more than 256 MiB. Default: 1,000; at least 1.
    pub fn history(mut self, requests: usize) -> Self {
        self.history = requests;
        self
    }

    /// How many times an upload is said not to be ready before it is. Default: 0.
    pub fn upload_retries(mut self, times: u32) -> Self {
        self.uploads.retries = times;
        self
    }

    /// The host in upload URLs, a name of 127.0.0.1 such as `localhost`, for clients that treat
    /// another origin differently. Default: `127.0.0.1`, as in the base URL.
    pub fn upload_host(mut self, host: impl Into<String>) -> Self {
        self.uploads.host = host.into();
        self
    }

    /// How old a WebSocket may become. After that a response is refused as the API does it, and the
    /// socket is closed as soon as none is in flight. Default: 60 minutes.
    #[cfg(feature = "ws")]
    pub fn socket_age(mut self, age: Duration) -> Self {
        self.settings.socket_age = Some(age);
        self
    }

    /// Speaks HTTPS. Default: plain HTTP.
    #[cfg(feature = "testing-tls")]
    pub fn tls(mut self, tls: super::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Makes ids repeat from run to run. Default: other ids in every run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Binds and starts to serve on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of binding, a port in use above all.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub async fn start(self) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let ids = Arc::new(Ids::new(self.seed));
        let acceptor = self.acceptor()?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let uploads = format!("{scheme}://{}:{}", self.uploads.host, address.port());
        let shared = Arc::new(Shared {
            settings: self.settings,
            queue: Mutex::default(),
            log: Log::new(self.history),
            api: Api::new(Arc::clone(&ids), uploads, self.uploads.retries),
            ids,
            failures: Failures::default(),
            connections: AtomicU64::new(0),
        });
        let tasks = Tasks::new(shared.failures.clone(), stopped);
        tasks.spawn(accept(listener, acceptor, tasks.clone(), Arc::clone(&shared)));
        Ok(Server { base_url: format!("{scheme}://{address}/v1"), address, shared, stop })
    }

    #[cfg(feature = "testing-tls")]
    fn acceptor(&self) -> io::Result<Option<Acceptor>> {
        self.tls.as_ref().map(super::Tls::acceptor).transpose()
    }

    #[cfg(not(feature = "testing-tls"))]
    fn acceptor(&self) -> io::Result<Option<Acceptor>> {
        Ok(None)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("port", &self.port)
            .field("history", &self.history)
            .field("pace", &self.settings.pace)
            .field("scripted_only", &self.settings.scripted_only)
            .finish_non_exhaustive()
    }
}

/// What the handle and the connections share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    queue: Mutex<VecDeque<Script>>,
    pub(super) api: Api,
    pub(super) log: Log,
    pub(super) ids: Arc<Ids>,
    pub(super) failures: Failures,
    connections: AtomicU64,
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Script>> {
        // Each section is one operation on the queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first script for `path` that fits, or else the first one for any.
    pub(super) fn next_script(&self, path: &str, fits: impl Fn(&Script) -> bool) -> Option<Script> {
        let mut queue = self.queue();
        let meant = |script: &Script| {
            script.path.as_ref().is_some_and(|pattern| route::ids(pattern, path).is_some())
        };
        let index = queue
            .iter()
            .position(|script| meant(script) && fits(script))
            .or_else(|| queue.iter().position(|script| script.path.is_none() && fits(script)))?;
        queue.remove(index)
    }

    /// The script that the header `x-script` of `request` names, or the one that was `queued` for its
    /// path, or that of the handler.
    ///
    /// # Errors
    ///
    /// What the client is told about a script that is unknown, or impossible: that fails the test.
    pub(super) fn script(
        &self,
        request: &RecordedRequest,
        queued: impl FnOnce(&str) -> Option<Script>,
    ) -> Result<Option<Script>, ApiError> {
        if let Some(name) = request.headers().get("x-script") {
            let name = String::from_utf8_lossy(name.as_bytes());
            return Script::named(&name)
                .map(Some)
                .map_err(|error| ApiError::invalid_request(format!("x-script: {error}")));
        }
        let handler = self.settings.handler.as_ref();
        let script = queued(request.path()).or_else(|| handler.map(|handler| handler(request)));
        match script {
            Some(Script { problem: Some(problem), .. }) => {
                Err(self.failure(format!("an impossible script: {problem}")))
            }
            script => Ok(script),
        }
    }

    /// Fails the test, and tells the client why.
    pub(super) fn failure(&self, failure: String) -> ApiError {
        let mut error = ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR);
        error.message = format!("loopback server: {failure}");
        self.failures.add(failure);
        error
    }
}

/// A real HTTP server on 127.0.0.1 that answers like the API until told otherwise.
///
/// It speaks HTTP/1.1 and HTTP/2 on one port: without TLS (HTTP/2 with prior knowledge) unless
/// `Builder::tls` of the feature `testing-tls` is used. See the [module page](super) for an example
/// and for how an answer is chosen.
///
/// Dropping it stops it: it accepts no more, and open connections are closed as soon as the
/// runtime gets to it ([`shutdown`](Self::shutdown) waits for that).
///
/// # Panics
///
/// Dropping it panics, and so fails the test, if anything went wrong on the server's side: a panic
/// of its own or of a [`Builder::handler`], an impossible [`Script`], or a request that
/// [`Builder::scripted_only`] forbids. It does not if the thread is panicking already.
pub struct Server {
    base_url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts a server with the default settings.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    ///
    /// # Panics
    ///
    /// As [`Builder::start`].
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// A server with other settings.
    pub fn builder() -> Builder {
        let uploads = Uploads { host: Ipv4Addr::LOCALHOST.to_string(), retries: 0 };
        Builder {
            port: 0,
            history: 1000,
            seed: None,
            uploads,
            #[cfg(feature = "testing-tls")]
            tls: None,
            settings: Settings::default(),
        }
    }

    /// The base URL for clients: `http://127.0.0.1:PORT/v1`, or `https` with TLS.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The URL of `path` on this server, for base URLs with another prefix.
    pub fn url(&self, path: &str) -> String {
        let origin = self.base_url.strip_suffix("/v1").unwrap_or(&self.base_url);
        format!("{origin}/{}", path.trim_start_matches('/'))
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts `script` at the end of the queue: each request takes the script at the front. A
    /// request with an `x-script` header leaves the queue alone.
    pub fn enqueue(&self, script: Script) -> &Self {
        self.shared.queue().push_back(script);
        self
    }

    /// Queues `script` for requests whose path ends in `path`, such as `models` or
    /// `responses/{}/cancel` with `{}` for any id. They take it before those of
    /// [`enqueue`](Self::enqueue), and no other request does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use tower_openai::testing::{Script, Server};
    ///
    /// let server = Server::start().await?;
    /// server.enqueue_for("models", Script::status(503));
    /// server.enqueue_for("responses/{}", Script::natural().cut_after(2).then_reset());
    /// # Ok(())
    /// # }
    /// ```
    pub fn enqueue_for(&self, path: impl Into<String>, script: Script) -> &Self {
        self.enqueue(Script { path: Some(path.into()), ..script })
    }

    /// How many scripts no request has taken yet.
    pub fn queued(&self) -> usize {
        self.shared.queue().len()
    }

    /// Replaces the models, each in Codex's shape; the `ETag` changes with them. The public list
    /// has those with a `slug`.
    pub fn set_models(&self, models: impl IntoIterator<Item = Value>) {
        self.shared.api.set_models(models.into_iter().collect());
    }

    /// The files that were uploaded in either way and are still there, oldest first.
    pub fn files(&self) -> Vec<StoredFile> {
        self.shared.api.stored_files()
    }

    /// The requests so far, oldest first, within [`Builder::history`].
    ///
    /// A request is there once its whole body was read, before it is answered.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.log.requests()
    }

    /// How many requests came, forgotten ones included.
    pub fn received(&self) -> u64 {
        self.shared.log.received()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits until there were `count` requests and returns those that are kept.
    ///
    /// There is no limit on the wait; cancel by dropping.
    pub async fn wait_for_requests(&self, count: u64) -> Vec<RecordedRequest> {
        let found = |log: &Log| (log.received() >= count).then(|| log.requests());
        self.shared.log.wait_for(found).await
    }

    /// Waits until some client went away before the end of its answer and returns the first such
    /// request of the history.
    ///
    /// There is no limit on the wait; cancel by dropping.
    pub async fn wait_for_disconnect(&self) -> RecordedRequest {
        let found = |log: &Log| {
            let gone = |request: &RecordedRequest| request.outcome() == Some(Outcome::Disconnected);
            log.requests().into_iter().find(gone)
        };
        self.shared.log.wait_for(found).await
    }

    /// Stops the server and waits until all its connections are closed.
    ///
    /// # Panics
    ///
    /// As dropping it does.
    pub async fn shutdown(self) {
        self.stop();
        self.stop.closed().await;
    }

    fn stop(&self) {
        self.shared.log.stop();
        self.stop.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let failures = self.shared.failures.take();
        if !failures.is_empty() && !std::thread::panicking() {
            #[expect(clippy::panic, reason = "failing the test is what it is for, see the docs")]
            {
                panic!("the loopback server failed: {}", failures.join("; "));
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("base_url", &self.base_url)
            .field("received", &self.received())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    tasks: Tasks,
    shared: Arc<Shared>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let number = shared.connections.fetch_add(1, Ordering::Relaxed);
                let (own, shared, acceptor) =
                    (tasks.clone(), Arc::clone(&shared), acceptor.clone());
                tasks.spawn(async move {
                    if let Some(stream) = stream::accept(stream, acceptor).await {
                        serve(stream, number, own, shared).await;
                    }
                });
            }
            // A client that left at once, or no file descriptor for now: neither lasts.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, until either side closes it.
fn serve(
    stream: Stream,
    number: u64,
    tasks: Tasks,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> + Send {
    let (socket, wire) = Socket::new(stream);
    let exchange = Exchange::new(shared, tasks.clone(), wire, number);
    let service = service_fn(move |request| exchange.clone().answer(request));
    async move {
        let mut server = auto::Builder::new(tasks);
        // Neither protocol gets a timer: a client may be as slow as its test wants.
        server.http1().header_read_timeout(None);
        // A client that goes away, or a script that breaks the connection, is an error to hyper.
        let _ = server.serve_connection_with_upgrades(TokioIo::new(socket), service).await;
    }
}
