//! The clients over a WebSocket: one connection, and one stream after the other on it.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use tower::ServiceExt;
use tower::util::MapResponse;
use tower_openai::Client as Preset;
use tower_openai::client::BoxHttpService;
use tower_openai::services::{
    Inline, Reconnecting, ResponsesConnection, ResponsesSocket, ResponsesSocketRequest,
    SocketSource,
};
use tower_openai::sse::ResponseStream;
use tower_openai::ws::Driver;

use super::client::{Client, Tally, parse, read_typed, request};
use super::server::Answer;

/// The preset's endpoint, on connections that `M` opens.
#[derive(Clone)]
pub struct Ours<M>(Reconnecting<M>);

fn endpoint(origin: &str, answer: Answer) -> ResponsesSocket<BoxHttpService> {
    let base_url = format!("{origin}{}", answer.path());
    let client = Preset::builder().base_url(base_url).api_key("sk-bench").build();
    client.expect("a client").responses_socket()
}

/// On a connection that goes on while it is used.
pub type OursInline = Ours<ResponsesSocket<BoxHttpService, Inline>>;

impl Client for OursInline {
    const NAME: &'static str = "socket: tower-openai";
    type Stream = ResponseStream<SocketSource>;

    fn new(origin: &str, answer: Answer) -> Self {
        Self(endpoint(origin, answer).reconnecting(ResponsesSocketRequest::new()))
    }

    async fn open(&self) -> Self::Stream {
        self.0.stream_request(request()).await.expect("a response")
    }

    async fn read(stream: &mut Self::Stream, limit: usize) -> Tally {
        read_typed(stream, limit).await
    }
}

type Spawn = fn((ResponsesConnection, Driver)) -> ResponsesConnection;

/// On a connection with a task of its own.
pub type OursDriven = Ours<MapResponse<ResponsesSocket<BoxHttpService>, Spawn>>;

impl Client for OursDriven {
    const NAME: &'static str = "socket: tower-openai, driver in a task";
    type Stream = ResponseStream<SocketSource>;

    fn new(origin: &str, answer: Answer) -> Self {
        let spawn: Spawn = |(connection, driver)| {
            tokio::spawn(driver);
            connection
        };
        let connect = endpoint(origin, answer).map_response(spawn);
        Self(Reconnecting::new(connect, ResponsesSocketRequest::new()))
    }

    async fn open(&self) -> Self::Stream {
        self.0.stream_request(request()).await.expect("a response")
    }

    async fn read(stream: &mut Self::Stream, limit: usize) -> Tally {
        read_typed(stream, limit).await
    }
}

/// `tokio-tungstenite` and serde, by hand.
#[derive(Clone)]
pub struct WithTungstenite {
    origin: Arc<str>,
    path: &'static str,
    socket: Arc<Mutex<Option<WebSocketStream<TcpStream>>>>,
}

impl Client for WithTungstenite {
    const NAME: &'static str = "socket: tokio-tungstenite, serde_json";
    type Stream = OwnedMutexGuard<Option<WebSocketStream<TcpStream>>>;

    fn new(origin: &str, answer: Answer) -> Self {
        Self { origin: origin.into(), path: answer.path(), socket: Arc::default() }
    }

    async fn open(&self) -> Self::Stream {
        let mut slot = Arc::clone(&self.socket).lock_owned().await;
        if slot.is_none() {
            let address = self.origin.trim_start_matches("http://");
            let tcp = TcpStream::connect(address).await.expect("a connection");
            tcp.set_nodelay(true).expect("an option");
            let url = format!("ws://{address}{}/responses", self.path);
            *slot = Some(client_async(url, tcp).await.expect("a handshake").0);
        }
        let request = r#"{"type":"response.create","model":"gpt-5.2","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}]}"#;
        let socket = slot.as_mut().expect("a socket");
        socket.send(Message::text(request)).await.expect("sent");
        slot
    }

    async fn read(stream: &mut Self::Stream, limit: usize) -> Tally {
        let socket = stream.as_mut().expect("a socket");
        let mut tally = Tally::default();
        while tally.read < limit && !tally.completed {
            let Some(message) = socket.next().await else { break };
            parse(&mut tally, &message.expect("a message").into_text().expect("text"));
        }
        tally
    }
}
