//! The loopback server, driven by a plain client and by raw sockets.

mod scripts;
mod stored;
mod support;
