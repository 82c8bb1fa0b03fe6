//! Compression of request bodies.

mod contract;
mod encoding;
mod fallback;
mod support;
