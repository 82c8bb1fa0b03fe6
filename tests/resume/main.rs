//! Streams that are taken up again where they broke off.

mod contract;
mod cuts;
mod giving_up;
mod preset;
mod stateful;
mod support;
