//! One connection after another, behind one service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use super::connection::ResponsesConnection;
use super::name::LaneName;
use super::request::ResponsesSocketRequest;
use super::source::SocketSource;
use super::waiting::SocketCall;
use super::watching::Watching;
use crate::BoxError;
use crate::error::{Error, ErrorKind, Stage};
use crate::services::{CallOnce, ResponsesRequest};
use crate::sse::ResponseStream;

/// Answers requests on a connection that it opens when it is first needed, and again when the one
/// before takes no more: it was closed, has reached its age, or the server says so.
///
/// It is tower's `Reconnect`, but for clones, which share the connection, and for the request that finds
/// out: if the server does not have it, or refuses it because of the connection's age, it is sent once
/// more, on a new connection. A request that the server may have is not. Requests that wait while a
/// connection is opened for one of them share its failure.
///
/// `M` opens connections: a [`ResponsesSocket`](super::ResponsesSocket) that is
/// [inline](super::ResponsesSocket::inline), or a driven one whose driver is spawned:
///
/// ```
/// use tower::ServiceExt;
/// use tower_openai::services::{Reconnecting, ResponsesSocketRequest};
/// # use tower_openai::services::ResponsesRequest;
/// # use tower_openai::testing::Server;
/// # use tower_openai::Client;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_openai::BoxError> {
/// # let server = Server::start().await?;
/// # let client = Client::builder().base_url(server.base_url()).build()?;
/// let connect = client.responses_socket().map_response(|(connection, driver)| {
///     tokio::spawn(driver);
///     connection
/// });
/// let responses = Reconnecting::new(connect, ResponsesSocketRequest::new());
/// # let stream = responses.stream_request(ResponsesRequest::new("gpt-5.2", "hello")).await?;
/// # assert!(!stream.text().collect().await?.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// The request that opens is sent with each handshake; the [turn](ResponsesRequest::turn_state) of the
/// request that needs the connection takes the place of its own.
///
/// # Clone
///
/// Clones share the connection. The service that opens is cloned for each connection, and the clone made
/// ready. A request is cloned, in case it has to be sent once more.
pub struct Reconnecting<M> {
    connect: M,
    request: ResponsesSocketRequest,
    shared: Arc<Shared>,
    lane: Option<LaneName>,
}

struct Shared {
    connection: Mutex<Option<ResponsesConnection>>,
    /// Who opens one.
    turn: Arc<Semaphore>,
    failures: Mutex<Failures>,
}

/// Tries to open a connection that have failed.
#[derive(Default)]
struct Failures {
    count: u64,
    /// Until one is opened.
    last: Option<Arc<Error>>,
}

impl Shared {
    fn failures(&self) -> MutexGuard<'_, Failures> {
        // Each section is one operation.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No connection could be opened. To be said while it is still the turn to open one, so that those
    /// who wait for it hear of it.
    fn failed(&self, error: BoxError) -> Error {
        let error = Arc::new(Error::from(error).with_stage(Stage::NotSent));
        let mut failures = self.failures();
        failures.count = failures.count.wrapping_add(1);
        failures.last = Some(Arc::clone(&error));
        drop(failures);
        Error::copy_of(&error)
    }

    /// The error of the last try, if it has failed since there were `before` failures.
    fn failed_since(&self, before: u64) -> Option<Error> {
        let failures = self.failures();
        let last = failures.last.as_ref().filter(|_| failures.count != before);
        last.map(Error::copy_of)
    }

    fn slot(&self) -> MutexGuard<'_, Option<ResponsesConnection>> {
        // Each section is one operation.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if it takes requests.
    fn open(&self) -> Option<ResponsesConnection> {
        let mut connection = self.slot().clone()?;
        let mut cx = Context::from_waker(Waker::noop());
        match connection.poll_ready(&mut cx) {
            Poll::Ready(Ok(())) => Some(connection),
            _ => {
                self.drop_dead();
                None
            }
        }
    }

    fn drop_dead(&self) {
        let mut slot = self.slot();
        let dead = slot.take_if(|connection| !connection.is_open());
        drop(slot);
        drop(dead);
    }
}

impl<M> Reconnecting<M> {
    /// Opens connections by `connect`, with `request`.
    pub fn new(connect: M, request: ResponsesSocketRequest) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        let shared =
            Arc::new(Shared { connection: Mutex::new(None), turn, failures: Mutex::default() });
        Self { connect, request, shared, lane: None }
    }

    /// A handle for the lane of this name; as [`ResponsesConnection::lane`].
    ///
    /// # Errors
    ///
    /// A name that the server would refuse ([`ErrorKind::Build`]).
    pub fn lane(&self, name: impl AsRef<str>) -> Result<Self, Error>
    where
        M: Clone,
    {
        let lane = Some(LaneName::new(name)?);
        Ok(Self { lane, ..self.clone() })
    }

    /// The connection at hand, on this handle's lane, if there is one.
    pub fn connection(&self) -> Option<ResponsesConnection> {
        let connection = self.shared.slot().clone()?;
        Some(connection.on(self.lane.clone()))
    }

    /// Sends one request. As [`ResponsesConnection::stream_request`], with what connecting adds.
    ///
    /// # Errors
    ///
    /// What could not be sent, that of a handshake included; what the server refused.
    pub fn stream_request(
        &self,
        request: impl Into<ResponsesRequest>,
    ) -> CallOnce<
        Self,
        ResponsesRequest,
        ReconnectingFuture<M, M::Future>,
        ResponseStream<SocketSource>,
    >
    where
        M: Service<ResponsesSocketRequest, Response = ResponsesConnection> + Clone,
    {
        CallOnce::new(self.clone(), request.into())
    }
}

impl<M: Clone> Clone for Reconnecting<M> {
    fn clone(&self) -> Self {
        Self {
            connect: self.connect.clone(),
            request: self.request.clone(),
            shared: Arc::clone(&self.shared),
            lane: self.lane.clone(),
        }
    }
}

impl<M> fmt::Debug for Reconnecting<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting")
            .field("request", &self.request)
            .field("connection", &self.connection())
            .finish_non_exhaustive()
    }
}

impl<M> Service<ResponsesRequest> for Reconnecting<M>
where
    M: Service<ResponsesSocketRequest, Response = ResponsesConnection> + Clone,
    M::Error: Into<BoxError>,
{
    type Response = ResponseStream<SocketSource>;
    type Error = Error;
    type Future = ReconnectingFuture<M, M::Future>;

    /// Always ready: the request opens what it needs.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ResponsesRequest) -> Self::Future {
        let mut open = self.request.clone();
        if let Some(turn) = &request.options_ref().turn_state {
            open.options.turn_state = Some(turn.clone());
        }
        ReconnectingFuture {
            state: State::Looking,
            connect: self.connect.clone(),
            open,
            shared: Arc::clone(&self.shared),
            lane: self.lane.clone(),
            request: Some(request),
            again: false,
            watching: None,
        }
    }
}

pin_project! {
    #[project = ReconnectingProj]
    /// The future of [`Reconnecting`]: `M` opens connections, `F` is its future.
    ///
    /// Dropping it cancels the request, and the handshake if it is for this request. Polled again after
    /// it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct ReconnectingFuture<M, F> {
        #[pin]
        state: State<F>,
        connect: M,
        open: ResponsesSocketRequest,
        shared: Arc<Shared>,
        lane: Option<LaneName>,
        request: Option<ResponsesRequest>,
        // It has been sent once.
        again: bool,
        // Those who watched that.
        watching: Option<Watching>,
    }
}

/// Waits for the turn to open a connection.
type Turn = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Looking,
        // `failures`: as many there were before.
        Waiting { turn: Turn, failures: u64 },
        Readying { permit: Option<OwnedSemaphorePermit> },
        // Its end is the next one's turn.
        Connecting { #[pin] future: F, permit: Option<OwnedSemaphorePermit> },
        Sending { connection: ResponsesConnection },
        Calling { call: SocketCall },
        Done,
    }
}

impl<M, F> Future for ReconnectingFuture<M, F>
where
    M: Service<ResponsesSocketRequest, Response = ResponsesConnection, Future = F> + Clone,
    M::Error: Into<BoxError>,
    F: Future<Output = Result<ResponsesConnection, M::Error>>,
{
    type Output = Result<ResponseStream<SocketSource>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = ready!(poll(&mut this, cx));
        if let (Err(error), Some(watching)) = (&result, this.watching.take()) {
            watching.failed(error);
        }
        this.state.set(State::Done);
        Poll::Ready(result)
    }
}

/// Ready with what the call comes to; then nobody who watches it has heard of its error.
fn poll<M, F>(
    this: &mut ReconnectingProj<'_, M, F>,
    cx: &mut Context<'_>,
) -> Poll<Result<ResponseStream<SocketSource>, Error>>
where
    M: Service<ResponsesSocketRequest, Response = ResponsesConnection, Future = F> + Clone,
    M::Error: Into<BoxError>,
    F: Future<Output = Result<ResponsesConnection, M::Error>>,
{
    loop {
        let next = match this.state.as_mut().project() {
            StateProj::Looking => match this.shared.open() {
                Some(connection) => State::Sending { connection },
                None => {
                    let turn = Arc::clone(&this.shared.turn);
                    let turn = async move { turn.acquire_owned().await.ok() };
                    let failures = this.shared.failures().count;
                    State::Waiting { turn: Box::pin(turn), failures }
                }
            },
            StateProj::Waiting { turn, failures } => {
                let permit = ready!(turn.as_mut().poll(cx));
                // Whoever had the turn before may have opened one.
                match this.shared.open() {
                    Some(connection) => State::Sending { connection },
                    // Or has failed to: one after the other would fail as slowly.
                    None => match this.shared.failed_since(*failures) {
                        Some(error) => return Poll::Ready(Err(error)),
                        None => State::Readying { permit },
                    },
                }
            }
            StateProj::Readying { permit } => match ready!(this.connect.poll_ready(cx)) {
                Ok(()) => {
                    let future = this.connect.call(this.open.clone());
                    State::Connecting { future, permit: permit.take() }
                }
                Err(error) => return Poll::Ready(Err(this.shared.failed(error.into()))),
            },
            StateProj::Connecting { future, permit } => match ready!(future.poll(cx)) {
                Ok(connection) => {
                    let old = this.shared.slot().replace(connection.clone());
                    this.shared.failures().last = None;
                    drop((old, permit.take()));
                    State::Sending { connection }
                }
                Err(error) => return Poll::Ready(Err(this.shared.failed(error.into()))),
            },
            StateProj::Sending { connection } => {
                let Some(request) = this.request.clone() else { return Poll::Pending };
                let mut connection = connection.clone().on(this.lane.clone());
                let call = connection.call_watched(request, this.watching.take());
                State::Calling { call }
            }
            StateProj::Calling { call } => {
                let result = ready!(call.poll_untold(cx));
                *this.watching = call.take_watching();
                match result {
                    Err(error) if !*this.again && needs_another(&error) => {
                        if let Some(watching) = this.watching {
                            watching.sent_in_vain(&error);
                        }
                        *this.again = true;
                        this.shared.drop_dead();
                        State::Looking
                    }
                    result => return Poll::Ready(result),
                }
            }
            StateProj::Done => return Poll::Pending,
        };
        this.state.set(next);
    }
}

/// Whether the connection was at fault, and the server has not begun to answer.
fn needs_another(error: &Error) -> bool {
    let unsent = error.stage() == Stage::NotSent && error.is_retryable();
    // Whose request was refused may be unclear: then the server may have begun to answer this one.
    let expired = error.kind() == ErrorKind::ConnectionExpired && error.stage() != Stage::Unknown;
    unsent || expired
}

impl<M, F> fmt::Debug for ReconnectingFuture<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Looking => "Looking",
            State::Waiting { .. } => "Waiting",
            State::Readying { .. } => "Readying",
            State::Connecting { .. } => "Connecting",
            State::Sending { .. } => "Sending",
            State::Calling { .. } => "Calling",
            State::Done => "Done",
        };
        f.debug_struct("ReconnectingFuture").field("state", &state).finish_non_exhaustive()
    }
}
