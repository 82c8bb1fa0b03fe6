//! The server's end of a socket, frame by frame.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tower_openai::ws::{WebSocket, WebSocketConfig};
use tower_openai::{Error, ErrorKind};

/// Reached only when something hangs: on a paused clock, and on a real one.
const PATIENCE: Duration = Duration::from_secs(3600);
const REAL_PATIENCE: Duration = Duration::from_secs(120);

/// The flag of a message's last frame.
pub(crate) const FINAL: u8 = 0x80;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A frame as a server sends it; the first byte is flags and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A close frame's payload.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A server's end.
pub(crate) struct Peer<T = DuplexStream>(pub(crate) T);

impl<T: AsyncRead + AsyncWrite + Unpin> Peer<T> {
    pub(crate) async fn send(&mut self, first: u8, payload: &[u8]) {
        self.0.write_all(&frame(first, payload)).await.unwrap();
    }

    /// The next message of the client, whatever frames it is in; `None` if it has hung up.
    pub(crate) async fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let (mut first, mut message) = self.receive_frame().await?;
        while first & FINAL == 0 {
            let (next, payload) = self.receive_frame().await?;
            assert_eq!(next & !FINAL, 0, "nothing comes between");
            first |= next & FINAL;
            message.extend(payload);
        }
        Some((first, message))
    }

    /// The next frame of the client; `None` if it has hung up.
    pub(crate) async fn receive_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await.ok()?;
        let second = self.0.read_u8().await.unwrap();
        assert_eq!(second & 0x80, 0x80, "a client masks its frames");
        let len = match second & 0x7f {
            126 => u64::from(self.0.read_u16().await.unwrap()),
            127 => self.0.read_u64().await.unwrap(),
            len => u64::from(len),
        };
        let mut mask = [0; 4];
        self.0.read_exact(&mut mask).await.unwrap();
        let mut payload = vec![0; len as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        Some((first, payload))
    }

    /// Sends back what comes, until the client is gone.
    pub(crate) async fn echo(mut self) {
        while let Some((first, payload)) = self.receive().await {
            self.send(first, &payload).await;
            if first == CLOSE {
                return;
            }
        }
    }
}

/// How a driver ended.
pub(crate) type Driving = JoinHandle<Result<(), Error>>;

/// A socket that is driven by a task, and the other end of its pipe.
pub(crate) fn driven(config: &WebSocketConfig, pipe: usize) -> (WebSocket, Driving, Peer) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let (socket, driver) = WebSocket::over(ours, config);
    (socket, tokio::spawn(driver), Peer(theirs))
}

/// A socket without a driver, and the other end of its pipe.
pub(crate) fn inline(config: &WebSocketConfig, pipe: usize) -> (WebSocket, Peer) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    (WebSocket::inline_over(ours, config), Peer(theirs))
}

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// The same on a real clock.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(REAL_PATIENCE, future).await.expect("it hangs")
}

/// The error that a socket ends with.
pub(crate) async fn failure(socket: &mut WebSocket) -> Error {
    let error = in_time(socket.next()).await.expect("no end in order").expect_err("no message");
    assert!(in_time(socket.next()).await.is_none(), "an error is told once");
    error
}

#[track_caller]
pub(crate) fn assert_kind(error: &Error, kind: ErrorKind, code: Option<u16>) {
    let found = error.close_code().map(u16::from);
    assert_eq!((error.kind(), found), (kind, code), "{error:?}");
}
