//! A server that answers handshakes as it is told, and then sends back what comes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::support::Peer;

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Head(pub(crate) String);

impl Head {
    /// The value of a header; empty if it has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let fields = self.0.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields
            .into_iter()
            .find(|field| field.0.eq_ignore_ascii_case(name))
            .map_or("", |field| field.1)
    }

    /// The proof that its key was read.
    pub(crate) fn proof(&self) -> String {
        let key = format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", self.get("sec-websocket-key"));
        BASE64_STANDARD.encode(Sha1::digest(key))
    }

    /// The answer of a server that switches.
    pub(crate) fn switch(&self) -> String {
        let proof = self.proof();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {proof}\r\n\r\n"
        )
    }
}

/// An answer that does not switch.
pub(crate) fn refusal(status: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nx-request-id: req_1\r\ncontent-length: {len}\r\n\r\n{body}")
}

#[derive(Clone, Default)]
pub(crate) struct Heads(Arc<Mutex<Vec<Head>>>);

impl Heads {
    pub(crate) fn all(&self) -> Vec<Head> {
        self.0.lock().unwrap().clone()
    }

    /// A header of each.
    pub(crate) fn each(&self, name: &str) -> Vec<String> {
        self.all().iter().map(|head| head.get(name).to_owned()).collect()
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) heads: Heads,
}

impl Server {
    /// Answers the request with this number, counted from 0, as `answer` says.
    pub(crate) async fn start(
        answer: impl Fn(usize, &Head) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (heads, answer) = (Heads::default(), Arc::new(answer));
        let seen = heads.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), Arc::clone(&answer));
                tokio::spawn(async move { serve(socket, &seen, &*answer).await });
            }
        });
        Self { addr, heads }
    }

    /// Takes every handshake.
    pub(crate) async fn willing() -> Self {
        Self::start(|_, head| head.switch()).await
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.addr)
    }
}

/// The head of the next request; `None` if there is none.
pub(crate) async fn read_head(socket: &mut (impl AsyncRead + Unpin)) -> Option<Head> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    Some(Head(String::from_utf8(head).unwrap()))
}

pub(crate) async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    heads: &Heads,
    answer: &(dyn Fn(usize, &Head) -> String + Send + Sync),
) {
    loop {
        let Some(head) = read_head(&mut socket).await else { return };
        let number = {
            let mut heads = heads.0.lock().unwrap();
            heads.push(head.clone());
            heads.len() - 1
        };
        let answer = answer(number, &head);
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        if answer.starts_with("HTTP/1.1 101 ") {
            return Peer(socket).echo().await;
        }
    }
}
