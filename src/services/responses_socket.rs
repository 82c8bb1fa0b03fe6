//! Responses over a WebSocket.
#![allow(dead_code, unused_imports, reason = "the connection that uses it is yet to come")]

mod call;
mod chain;
mod frame;
mod inbound;
mod lanes;
mod name;
mod request;
mod settings;
mod steering;

pub use self::name::LaneName;
pub use self::request::ResponsesSocketRequest;
pub use self::settings::ResponsesSocketSettings;
pub use self::steering::{PendingSteer, SteerAnswer};
