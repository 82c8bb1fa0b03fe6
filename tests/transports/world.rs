//! What stands behind a transport: it answers as it is told, and keeps what it was sent.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tower::{Service, service_fn};
use tower_openai::testing::{Script, Server};
use tower_openai::{BoxError, RequestBody};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    pieces: Vec<String>,
    end: End,
}

/// What follows the last piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Clean,
    Broken,
    /// None: the body stays open.
    Open,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), pieces: vec![body.into()], end: End::Clean }
    }

    pub(crate) fn pieces(pieces: impl IntoIterator<Item = String>) -> Self {
        Self { pieces: pieces.into_iter().collect(), ..Self::new(200, "") }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn broken(self) -> Self {
        Self { end: End::Broken, ..self }
    }

    pub(crate) fn left_open(self) -> Self {
        Self { end: End::Open, ..self }
    }
}

/// What stands behind a transport.
pub(crate) trait World {
    /// The base URL of the API there.
    fn base_url(&self) -> String;
    /// A base URL at which nobody answers.
    fn dead_url(&self) -> String;
    /// What to answer next.
    fn tell(&self, answer: Answer);
    /// What was sent so far.
    fn sent(&self) -> Vec<Sent>;
    /// Whether requests arrive as bytes, with the headers that HTTP frames them by.
    fn is_network(&self) -> bool;
    /// Waits until the reader of an open body has gone.
    async fn reader_gone(&self);
}

/// A server on a real socket.
pub(crate) struct Loopback(Server);

impl Loopback {
    pub(crate) async fn new() -> Self {
        Self(Server::builder().scripted_only().start().await.unwrap())
    }
}

impl World for Loopback {
    fn base_url(&self) -> String {
        self.0.base_url().to_owned()
    }

    fn dead_url(&self) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        format!("http://{address}/v1")
    }

    fn tell(&self, answer: Answer) {
        let mut script = Script::pieces(answer.pieces).with_status(answer.status);
        for (name, value) in answer.headers {
            script = script.header(name, value);
        }
        self.0.enqueue(match answer.end {
            End::Clean => script.then_end(),
            End::Broken => script.then_truncate(),
            End::Open => script.then_stall(),
        });
    }

    fn sent(&self) -> Vec<Sent> {
        let sent = |request: &tower_openai::testing::RecordedRequest| Sent {
            method: request.method().clone(),
            target: request.target().to_owned(),
            headers: request.headers().clone(),
            body: request.body().clone(),
        };
        self.0.requests().iter().map(sent).collect()
    }

    fn is_network(&self) -> bool {
        true
    }

    async fn reader_gone(&self) {
        self.0.wait_for_disconnect().await;
    }
}

/// No network at all: a closure.
#[derive(Clone, Default)]
pub(crate) struct Closure(Arc<Inside>);

#[derive(Default)]
struct Inside {
    answers: Mutex<VecDeque<Answer>>,
    sent: Mutex<Vec<Sent>>,
    gone: Notify,
}

impl Closure {
    pub(crate) async fn new() -> Self {
        Self::default()
    }

    /// The transport.
    pub(crate) fn service(
        &self,
    ) -> impl Service<
        Request<RequestBody>,
        Response = Response<Pieces>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static {
        let world = self.clone();
        service_fn(move |request: Request<RequestBody>| world.clone().answer(request))
    }

    async fn answer(self, request: Request<RequestBody>) -> Result<Response<Pieces>, BoxError> {
        if request.uri().host() == Some("dead.test") {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        }
        let (head, body) = request.into_parts();
        let sent = Sent {
            method: head.method,
            target: head.uri.path_and_query().unwrap().to_string(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        };
        self.0.sent.lock().unwrap().push(sent);
        let answer = self.0.answers.lock().unwrap().pop_front().expect("an answer");
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        let inside = (answer.end == End::Open).then(|| Arc::clone(&self.0));
        Ok(response.body(Pieces { pieces: answer.pieces.into(), end: answer.end, inside })?)
    }
}

impl World for Closure {
    fn base_url(&self) -> String {
        "https://closure.test/v1".into()
    }

    fn dead_url(&self) -> String {
        "https://dead.test/v1".into()
    }

    fn tell(&self, answer: Answer) {
        self.0.answers.lock().unwrap().push_back(answer);
    }

    fn sent(&self) -> Vec<Sent> {
        self.0.sent.lock().unwrap().clone()
    }

    fn is_network(&self) -> bool {
        false
    }

    async fn reader_gone(&self) {
        self.0.gone.notified().await;
    }
}

/// The body of a [`Closure`]'s answer.
pub(crate) struct Pieces {
    pieces: VecDeque<String>,
    end: End,
    /// Told when an open body is dropped.
    inside: Option<Arc<Inside>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.pieces.pop_front(), self.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece.into())))),
            (None, End::Clean) => Poll::Ready(None),
            (None, End::Broken) => {
                self.end = End::Clean;
                Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
            }
            (None, End::Open) => Poll::Pending,
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(inside) = &self.inside {
            inside.gone.notify_one();
        }
    }
}
