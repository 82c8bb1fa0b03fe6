//! WebSockets, opened through any HTTP service.
//!
//! # Problem
//!
//! A socket is one more thing that the application's stack opens. [`Handshake`] sends the
//! [handshake] through it as an ordinary request, so provider, credentials, retries,
//! proxies, TLS and telemetry act on it as on every other call. What comes of it is read and written by
//! one state machine: nothing is spawned here, no queue grows without bound, and both ways go on while
//! the other is stuck.
//!
//! [`WebSocket`] is a socket of whole messages, for protocols of your own.
//!
//! # Who drives it
//!
//! | made by | the socket goes on | a peer that has vanished is noticed |
//! |---|---|---|
//! | [`WebSocket::new`] | while its [`Driver`] is polled: spawn it, or join it with what you do | by its pings, at any time |
//! | [`WebSocket::inline`] | while something of the socket is awaited | by its pings, while something is awaited |
//!
//! # How it ends
//!
//! | what happens | [`next`](WebSocket::next) gives | the [`Driver`] gives |
//! |---|---|---|
//! | a close by this side is answered | `None` | `Ok` |
//! | the server closes with 1000, 1001 or no code | `None` | `Ok` |
//! | the server closes with another code | an error: [`Closed`], or [`TooLarge`] for 1009 | the same |
//! | the connection breaks without a close | [`Transport`], with the code 1006 | the same |
//! | the server is [silent](WebSocketConfig::ping_interval) | [`IdleTimeout`], with the code 1006 | the same |
//! | the server breaks the protocol | [`Protocol`](crate::ErrorKind::Protocol); it is told why | the same |
//! | a message is above a [limit](WebSocketConfig) | [`TooLarge`]; the server is told 1009 | the same |
//! | the server does not answer a close, or take what goes before it, in [time](WebSocketConfig::close_timeout) | [`Timeout`] | the same |
//!
//! [`Error::close_code`](crate::Error::close_code) and
//! [`close_reason`](crate::Error::close_reason) tell what the server said.
//!
//! # What travels
//!
//! A text is judged as its frames come: the first one that cannot belong to UTF-8 ends the socket, and
//! nobody waits for the end of the message. Within a frame it is judged when all of that has come, and
//! a message is handed out when it is whole.
//!
//! A message of more than 256 KiB goes out in several frames, so that pings are answered meanwhile.
//!
//! Nothing is compressed: `permessage-deflate` is not offered, and a server that grants it all the
//! same is refused. The engine below does not have it. Those that do are too young to be trusted with
//! every byte, not kept up, or not under a permissive licence; and the API works without it.
//!
//! # Example
//!
//! ```
//! use tower_openai::ws::{Message, WebSocket, WebSocketConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! # use tokio::io::AsyncWriteExt;
//! # let (connection, mut server) = tokio::io::duplex(1024);
//! # server.write_all(b"\x81\x05hello\x88\x02\x03\xe8").await?;
//! // `connection` is a WebSocket already; a `Handshake` gives one through a stack.
//! let (mut socket, driver) = WebSocket::over(connection, &WebSocketConfig::default());
//! let driving = tokio::spawn(driver);
//! while let Some(message) = socket.next().await.transpose()? {
//!     assert_eq!(message, Message::from("hello"));
//! }
//! # drop(server);
//! driving.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! [`Error`](crate::Error), as everywhere in this crate. This crate logs nothing of what is sent; the
//! engine below does, at the level `trace` of the crate `log`: leave `tungstenite` out there.
//!
//! [`Closed`]: crate::ErrorKind::Closed
//! [`TooLarge`]: crate::ErrorKind::TooLarge
//! [`Transport`]: crate::ErrorKind::Transport
//! [`IdleTimeout`]: crate::ErrorKind::IdleTimeout
//! [`Timeout`]: crate::ErrorKind::Timeout

mod clock;
mod config;
mod connection;
mod engine;
pub mod handshake;
mod message;
pub(crate) mod protocol;
pub(crate) mod shared;
mod socket;

pub use self::config::WebSocketConfig;
#[cfg(feature = "client")]
pub(crate) use self::handshake::renew;
pub use self::handshake::{
    Handshake, HandshakeCall, HandshakeFuture, HandshakeLayer, Upgraded, fresh_key,
};
pub use self::message::{CloseCode, CloseFrame, Message, Text};
pub use self::shared::Driver;
pub use self::socket::{Sender, Sending, WebSocket};
