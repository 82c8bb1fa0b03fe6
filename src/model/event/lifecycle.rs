//! Events that carry the whole response.

use crate::model::Response;
use crate::model::macros::wire_struct;

wire_struct! {
    /// The response as it stands: created, queued, in progress, failed or incomplete.
    #[derive(Default)]
    pub struct LifecycleEvent {
        /// The response so far.
        required response: Box<Response>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// The finished response. Its `id` is required.
    #[derive(Default)]
    pub struct CompletedEvent {
        /// The response.
        finished response: Box<Response>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}
