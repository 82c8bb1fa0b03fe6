//! Server-sent events.

mod decoder;

pub use self::decoder::{DecodeError, Decoder, Limits, SseEvent};
