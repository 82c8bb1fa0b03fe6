//! WebSockets: framing, limits, signs of life and closing over pipes on a paused clock, and the
//! handshake over real sockets. The numbers of rows are those of the fault matrix.

mod closing;
mod framing;
mod handshake;
mod limits;
mod liveness;
mod server;
mod stress;
mod support;
