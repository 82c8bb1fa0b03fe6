//! WebSockets, opened through any HTTP service.

mod config;
mod message;
#[allow(dead_code, reason = "the connection that asks a protocol is yet to come")]
pub(crate) mod protocol;

pub use self::config::WebSocketConfig;
pub use self::message::{CloseCode, CloseFrame, Message, Text};
