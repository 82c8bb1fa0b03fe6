//! Telemetry: what observers hear and in which order, and what stands in the spans.

mod attempts;
mod content;
mod contract;
mod hooks;
mod sockets;
mod spans;
mod support;
