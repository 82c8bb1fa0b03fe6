//! The clients over a WebSocket: one connection, and one stream after the other on it.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::client::{Client, Tally, parse};
use super::server::Answer;

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
