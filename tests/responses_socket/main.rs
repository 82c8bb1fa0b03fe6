//! Responses on a WebSocket, over the assembled stack and a real server.

mod preferring;
mod reconnecting;
mod same_events;
mod stack;
mod steering;
mod support;
mod turns;
