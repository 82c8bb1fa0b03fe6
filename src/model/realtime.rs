//! The Realtime API: conversations by voice and text over one connection.
//!
//! [`codex`] has what the parts of Codex say to each other about such a conversation.

pub mod codex;
mod voice;

pub use self::voice::{OutputModality, Voice};
