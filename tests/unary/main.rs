//! The endpoints that do not stream: what they send, what they read, and how they fail.

mod compact;
mod contract;
mod faults;
mod images;
mod memories;
mod preset;
mod realtime_call;
mod support;
