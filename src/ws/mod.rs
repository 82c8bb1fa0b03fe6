//! WebSockets, opened through any HTTP service.

mod clock;
mod config;
mod connection;
mod engine;
pub mod handshake;
mod message;
#[allow(dead_code, reason = "the connection that asks a protocol is yet to come")]
pub(crate) mod protocol;
#[allow(dead_code, reason = "the protocols that speak over it are yet to come")]
pub(crate) mod shared;
mod socket;

pub use self::config::WebSocketConfig;
#[cfg(feature = "client")]
pub(crate) use self::handshake::renew;
pub use self::handshake::{Handshake, HandshakeFuture, HandshakeLayer, Upgraded, fresh_key};
pub use self::message::{CloseCode, CloseFrame, Message, Text};
pub use self::shared::Driver;
pub use self::socket::{Closing, Next, Sender, Sending, WebSocket};
