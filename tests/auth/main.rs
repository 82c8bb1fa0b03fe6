//! Credentials as a caller gives them to a stack: what is sent, what a 401 does, where tokens come
//! from.

mod cached;
mod compose;
mod credentials;
mod refresh;
mod sources;
mod support;
