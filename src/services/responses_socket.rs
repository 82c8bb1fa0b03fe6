//! Responses over a WebSocket.
#![allow(dead_code, unused_imports, reason = "the connection that uses it is yet to come")]

mod call;
mod chain;
mod connection;
mod frame;
mod inbound;
mod lanes;
mod name;
mod request;
mod settings;
mod source;
mod steering;

pub use self::connection::{ResponsesConnection, SocketCall, SteerCall};
pub use self::name::LaneName;
pub use self::request::ResponsesSocketRequest;
pub use self::settings::ResponsesSocketSettings;
pub use self::source::SocketSource;
pub use self::steering::{PendingSteer, SteerAnswer};
