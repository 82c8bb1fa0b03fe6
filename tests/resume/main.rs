//! Streams that are opened again: where they broke off, or from the beginning.

mod contract;
mod cuts;
mod giving_up;
mod preset;
mod stateful;
mod stream_retry;
mod support;
