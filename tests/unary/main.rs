//! The endpoints that do not stream: what they send, what they read, and how they fail.

mod compact;
mod contract;
mod conversations;
mod every_endpoint;
mod faults;
mod images;
mod lifecycle;
mod memories;
mod models;
mod pages;
mod preset;
mod realtime_call;
mod search;
mod support;
