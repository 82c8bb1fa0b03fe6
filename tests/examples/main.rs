//! The examples as their users run them. `cargo test` builds them next to this executable.

mod others;
mod responses;
mod responses_events;
mod responses_retries;
mod run;
