//! WebSockets: framing, limits, signs of life and closing over pipes on a paused clock, and the
//! handshake over real sockets. The numbers of rows are those of the fault matrix.

mod closing;
mod conformance;
mod echo;
mod framing;
mod handshake;
mod limits;
mod liveness;
#[path = "../examples/run.rs"]
#[allow(dead_code)]
mod run;
mod server;
mod stress;
mod support;
