//! The Realtime API: conversations by voice and text over one connection.
//!
//! The application says [`ClientEvent`]s and the server [`ServerEvent`]s; both are about [`Item`]s of
//! the conversation and the [`Session`] it is held in. The same rules hold as for the rest of
//! [`model`](crate::model): what is not known is kept and written back.
//!
//! Two rules of a conversation are to be had as state machines, which are told of the events and say
//! what to send: [`OneResponse`], one answer at a time, and [`BargeIn`], which tells the model what was
//! heard of it.
//!
//! [`translation`] has the events of the sockets that translate, which are another language.
//! [`codex`] has what the parts of Codex say to each other about such a conversation.
//!
//! ```
//! use tower_openai::model::realtime::ServerEvent;
//!
//! let event: ServerEvent = serde_json::from_str(
//!     r#"{"type":"response.output_audio_transcript.delta","event_id":"ev_1","response_id":"resp_1",
//!         "item_id":"item_1","output_index":0,"content_index":0,"delta":"Hel"}"#,
//! )?;
//! assert_eq!(event.output_text_delta(), Some("Hel"));
//!
//! let event: ServerEvent = serde_json::from_str(r#"{"type":"session.hummed","key":"A"}"#)?;
//! assert_eq!(event.kind(), "session.hummed");
//! # Ok::<(), serde_json::Error>(())
//! ```

mod barge_in;
mod client;
pub mod codex;
mod item;
mod one_response;
mod server;
mod session;
#[cfg(test)]
mod tests;
pub mod translation;
mod voice;

pub use self::barge_in::BargeIn;
#[cfg(any(test, feature = "ws"))]
pub(crate) use self::barge_in::decoded_len;
pub use self::client::*;
pub use self::item::*;
pub use self::one_response::OneResponse;
pub use self::server::*;
pub use self::session::*;
pub use self::voice::{OutputModality, Voice};
