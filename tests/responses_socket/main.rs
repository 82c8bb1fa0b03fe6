//! Responses on a WebSocket, over the assembled stack and a real server.

mod preferring;
mod reconnecting;
mod stack;
mod steering;
mod support;
mod turns;
