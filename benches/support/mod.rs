//! What the benchmarks share: the workload and the way of measuring.
#![allow(clippy::disallowed_methods, reason = "the real time is what is measured")]
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses its part of a private module")]

pub mod client;
pub mod measure;
pub mod process;
pub mod server;
pub mod socket;
pub mod stacks;
pub mod unary;
pub mod workload;
