//! What the events of images mean for their stream.

use super::events::failed_event;
use super::events::sealed::Event;
use super::observer::AnswerFacts;
use crate::error::{self, Error};
use crate::model::{ImageEvent, RawObject};

impl Event for ImageEvent {
    fn read(data: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(data)
    }

    fn failure(&self) -> Option<Error> {
        match self {
            Self::Error(event) => {
                Some(error::in_stream(Some(event.error()), "error", event.status()))
            }
            // The official clients take any event with an `error` for a failure.
            Self::GenerationPartial(event) | Self::EditPartial(event) => {
                failed_event(self.kind(), event.extra.get("error")?)
            }
            Self::GenerationCompleted(event) | Self::EditCompleted(event) => {
                failed_event(self.kind(), event.extra.get("error")?)
            }
            Self::Unknown(object) => {
                let members: RawObject = object.parse().ok()?;
                failed_event(self.kind(), members.get("error")?)
            }
        }
    }

    fn is_final(&self) -> bool {
        matches!(self, Self::GenerationCompleted(_) | Self::EditCompleted(_))
    }

    fn facts(&self) -> AnswerFacts<'_> {
        let usage = match self {
            Self::GenerationCompleted(event) | Self::EditCompleted(event) => event.usage.as_ref(),
            _ => None,
        };
        AnswerFacts { usage, ..AnswerFacts::default() }
    }
}
