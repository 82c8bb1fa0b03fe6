//! The events of a socket that translates what is said, and does not converse.
//!
//! To a reader of [`ServerEvent`](super::ServerEvent)s those that are of translation only are
//! [`Unknown`](super::ServerEvent::Unknown), and so are the others to a
//! [`ClientEvent`](super::ClientEvent); each is one of these when it is parsed.
//!
//! ```
//! use tower_openai::model::realtime::{ServerEvent, translation};
//!
//! let text = r#"{"type":"session.output_transcript.delta","delta":"Guten "}"#;
//! let ServerEvent::Unknown(event) = serde_json::from_str(text)? else { panic!() };
//! let translation::ServerEvent::OutputTranscriptDelta(event) = event.parse()? else { panic!() };
//! assert_eq!(event.delta, "Guten ");
//! # Ok::<(), serde_json::Error>(())
//! ```

use super::{Bare, BareEvent, InputAudioBufferAppend, SessionEvent, SessionUpdate};
use crate::model::ErrorEvent;
use crate::model::macros::{tagged_enum, wire_struct};

tagged_enum! {
    /// What is said to a socket that translates.
    pub enum ClientEvent {
        /// Changes what it translates to, and how.
        SessionUpdate(Box<SessionUpdate>) = "session.update",
        /// Says more, as audio.
        InputAudioBufferAppend(InputAudioBufferAppend) = "session.input_audio_buffer.append",
        /// Ends it, once all is translated.
        Close(Bare) = "session.close",
    }
}

tagged_enum! {
    /// What a socket that translates says.
    pub enum ServerEvent {
        /// It has begun.
        SessionCreated(SessionEvent) = "session.created",
        /// It translates another way from now on.
        SessionUpdated(SessionEvent) = "session.updated",
        /// It has ended.
        SessionClosed(BareEvent) = "session.closed",
        /// More of what was said.
        InputTranscriptDelta(TranscriptDelta) = "session.input_transcript.delta",
        /// More of the translation, in text.
        OutputTranscriptDelta(TranscriptDelta) = "session.output_transcript.delta",
        /// More of the translation, in audio.
        OutputAudioDelta(TranslatedAudio) = "session.output_audio.delta",
        /// Something went wrong.
        Error(Box<ErrorEvent>) = "error",
    }
}

wire_struct! {
    /// More of a transcript.
    #[derive(Default)]
    pub struct TranscriptDelta {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// What is added.
        required delta: String,
    }
}

wire_struct! {
    /// More of the translation, in audio.
    #[derive(Default)]
    pub struct TranslatedAudio {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The audio in base64.
        required audio as "delta": String,
    }
}
