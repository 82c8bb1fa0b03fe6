//! What the parts of Codex say to each other about a realtime conversation.
//!
//! Two vocabularies for the same thing. The core takes [`RealtimeOp`]s and gives events, all in
//! `snake_case`; the app server, protocol version 2, takes [`RealtimeRequest`]s and gives
//! [`RealtimeNotification`]s, all in `camelCase`, in the frame of JSON-RPC. An [`Interpreter`] makes the
//! core's events of the provider's, and a [`Notifier`] the app server's notifications of these.
//!
//! Codex calls a group of threads a session, so the id of a realtime session is `realtime_session_id`
//! here, and `realtimeSessionId`. It was `session_id` and `sessionId` once: these are refused, with an
//! error that says the new name. Other members that are not known are ignored, as Codex does, and so
//! these types, unlike the rest of [`model`](crate::model), do not keep what they have no field for.
//! What the *provider* calls its session (`session.id`, the header `x-session-id`) keeps its name.
//!
//! ```
//! use tower_openai::model::realtime::OutputModality;
//! use tower_openai::model::realtime::codex::{RealtimeRequest, ThreadRealtimeStartParams};
//!
//! let mut params = ThreadRealtimeStartParams::new("thr_1", OutputModality::Audio);
//! params.realtime_session_id = Some("rt_7".into());
//! let request = serde_json::to_value(RealtimeRequest::Start(params))?;
//! assert_eq!(request["method"], "thread/realtime/start");
//! assert_eq!(request["params"]["realtimeSessionId"], "rt_7");
//!
//! let old = r#"{"threadId":"thr_1","outputModality":"audio","sessionId":"rt_7"}"#;
//! let error = serde_json::from_str::<ThreadRealtimeStartParams>(old).unwrap_err();
//! assert!(error.to_string().starts_with("`sessionId` was renamed: say `realtimeSessionId`"));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod app_server;
mod conversation;
mod event;
mod from_server;
mod notify;
mod renamed;
#[cfg(feature = "schema")]
pub mod schema;
mod sdp;
#[cfg(test)]
mod tests;
mod transcript;

pub use self::app_server::*;
pub use self::conversation::*;
pub use self::event::*;
pub use self::from_server::Interpreter;
pub use self::notify::Notifier;
pub use self::sdp::Sdp;
pub use self::transcript::Transcript;

use serde::{Deserialize, Deserializer};

use crate::model::macros::open_enum;

open_enum! {
    /// Which shape of session Codex asks the provider for.
    #[derive(Default)]
    pub enum RealtimeConversationVersion {
        /// The first, with voices of its own.
        V1 = "v1",
        /// That of the public API; the default.
        #[default]
        V2 = "v2",
    }
}

/// The traits of every payload.
macro_rules! payloads {
    ($($payload:item)+) => {
        $(
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema, ts_rs::TS))]
            #[non_exhaustive]
            $payload
        )+
    };
}

/// Constructors that take the fields in order.
macro_rules! made_of {
    ($($payload:ident($($field:ident: $ty:ty),+ $(,)?);)+) => {
        $(
            impl $payload {
                /// Of these fields.
                #[must_use]
                pub fn new($($field: impl Into<$ty>),+) -> Self {
                    Self { $($field: $field.into()),+ }
                }
            }
        )+
    };
}

use {made_of, payloads, renamed::renamed};

/// Reads a member that is there: `null` is `Some(None)`, where an `Option` alone would lose it.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}
