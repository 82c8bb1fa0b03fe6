//! Server-sent events.

mod decoder;
mod template;

pub use self::decoder::{DecodeError, Decoder, Limits, SseEvent};
