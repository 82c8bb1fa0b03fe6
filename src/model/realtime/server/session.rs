//! Events of the session, and of the items of its conversation.

use crate::model::RawJson;
use crate::model::macros::wire_struct;
use crate::model::realtime::{Item, Session};

wire_struct! {
    /// How the session is held.
    #[derive(Default)]
    pub struct SessionEvent {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// All of it.
        required session: Box<Session>,
    }
}

wire_struct! {
    /// An event that says all by its type.
    #[derive(Default)]
    pub struct BareEvent {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
    }
}

wire_struct! {
    /// How much may still be asked.
    #[derive(Default)]
    pub struct RateLimitsUpdated {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// One for requests, one for tokens.
        lenient rate_limits: Vec<RealtimeRateLimit>,
    }
}

wire_struct! {
    /// One limit of a realtime session.
    #[derive(Default)]
    pub struct RealtimeRateLimit {
        /// `requests` or `tokens`.
        lenient name: Option<Box<str>>,
        /// How many there may be.
        lenient limit: Option<u64>,
        /// How many are left.
        lenient remaining: Option<u64>,
        /// When it starts anew, in seconds from now.
        lenient reset_seconds: Option<serde_json::Number>,
    }
}

wire_struct! {
    /// There is a conversation.
    #[derive(Default)]
    pub struct ConversationCreated {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// Its `id` and `object`.
        required conversation: RawJson,
    }
}

wire_struct! {
    /// An item of the conversation.
    pub struct ItemEvent {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The item that it comes after; `null` for the first.
        optional previous_item_id: Option<Box<str>>,
        /// The item.
        required item: Item,
    }
}

wire_struct! {
    /// An item was taken out.
    #[derive(Default)]
    pub struct ItemDeleted {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The item.
        required item_id: Box<str>,
    }
}

wire_struct! {
    /// An item was cut to what was heard.
    #[derive(Default)]
    pub struct ItemTruncated {
        /// The server's id of the event.
        lenient event_id: Option<Box<str>>,
        /// The item.
        required item_id: Box<str>,
        /// The part.
        lenient content_index: Option<u64>,
        /// How much is left, in milliseconds.
        lenient audio_end_ms: Option<u64>,
    }
}
