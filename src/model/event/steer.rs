//! What the server says of a `response.steer`, on a WebSocket.

use crate::model::macros::{open_enum, wire_struct};
use crate::model::{ApiError, RawJson};

wire_struct! {
    /// The server has taken what a response was steered to (`response.steer.accepted`).
    ///
    /// That is not yet to say that it is applied. Then the response ends as
    /// [`Incomplete`](super::ResponseEvent::Incomplete) with the reason
    /// [`Steered`](crate::model::IncompleteReason::Steered), which does not end the stream, and the
    /// response that takes its place begins with [`Created`](super::ResponseEvent::Created).
    #[derive(Default)]
    pub struct SteerAccepted {
        /// Which steer, and of which response.
        required steer: Steer,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// What a response was steered to waits, because the response has ended with something that must
    /// be answered first (`response.steer.pending`).
    ///
    /// It comes behind the end of the response and so on no stream:
    /// `ResponsesConnection::take_pending_steers` has it.
    #[derive(Default)]
    pub struct SteerPending {
        /// Which steer, and of which response.
        required steer: Steer,
        /// Why it waits.
        lenient reason: Option<PendingReason>,
        /// What must be answered: objects, such as one with the `call_id` of a function call.
        lenient required_input: Option<Vec<RawJson>>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// What a response was steered to does not reach it (`response.steer.failed`).
    ///
    /// It is the steer's alone, and ends no stream: `ResponsesConnection::steer` has it as its error.
    #[derive(Default)]
    pub struct SteerFailed {
        /// Which steer, and of which response.
        required steer: Steer,
        /// What is wrong.
        lenient error: Option<ApiError>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// Something said to a response that is under way.
    #[derive(Default)]
    pub struct Steer {
        /// Its id, once it was accepted.
        optional id: Option<Box<str>>,
        /// The response.
        optional previous_response_id: Option<Box<str>>,
        /// What was said, a text or items, if it failed.
        optional input: Option<RawJson>,
    }
}

open_enum! {
    /// Why what a response was steered to waits.
    pub enum PendingReason {
        /// For the answers to calls that the response has made.
        WaitingForRequiredInput = "waiting_for_required_input",
    }
}
