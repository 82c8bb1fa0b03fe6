//! The examples as their users run them. `cargo test` builds them next to this executable.

// Of the transport's tests; not all that they need is needed here.
#[allow(dead_code)]
#[path = "../transport/certs.rs"]
mod certs;
mod endpoints;
mod endpoints_files;
mod endpoints_responses;
mod network;
mod others;
#[allow(dead_code)]
#[path = "../transport/proxies.rs"]
mod proxies;
mod responses;
mod responses_events;
mod responses_retries;
mod run;
#[allow(dead_code)]
#[path = "../transport/support.rs"]
mod support;
mod ws;
