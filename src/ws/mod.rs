//! WebSockets, opened through any HTTP service.

mod clock;
mod config;
mod connection;
mod engine;
mod message;
#[allow(dead_code, reason = "the connection that asks a protocol is yet to come")]
pub(crate) mod protocol;
#[allow(dead_code, reason = "the protocols that speak over it are yet to come")]
pub(crate) mod shared;

pub use self::config::WebSocketConfig;
pub use self::message::{CloseCode, CloseFrame, Message, Text};
pub use self::shared::Driver;
