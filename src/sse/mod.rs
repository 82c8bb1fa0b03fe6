//! From bytes to events: server-sent events for anyone, response events for the API.
//!
//! Three steps, each of use alone:
//!
//! - [`Decoder`]: bytes in, server-sent events out, no IO.
//! - [`SseSource`]: the same over any [`http_body::Body`], polled in place.
//! - [`ResponseStream`]: the typed events of a response, with the API's rules of beginning and end,
//!   timers and errors. [`EventStream`] is the same for events of another type, of images say.
//!
//! A response stream can be read as [events](ResponseStream::next), as [text](ResponseStream::text),
//! as the [response](ResponseStream::final_response) that they make, or as the
//! [JSON](ResponseStream::into_raw) that came.
//!
//! The first two read any body of `text/event-stream`; nothing in them is about this API:
//!
//! ```
//! use tower_openai::sse::Decoder;
//!
//! let mut decoder = Decoder::new();
//! decoder.push("data: one\n\ndata: two\n\n".into());
//! while let Some(event) = decoder.next_event()? {
//!     println!("{}", event.data());
//! }
//! # Ok::<(), tower_openai::sse::DecodeError>(())
//! ```

mod accumulate;
mod decoder;
mod event;
mod events;
mod field;
mod flow;
mod image;
mod limits;
mod observer;
mod raw;
mod rules;
mod settings;
mod side_channel;
mod source;
mod stream;
mod surrogates;
mod template;
mod text;

pub use self::accumulate::ResponseAccumulator;
pub use self::decoder::{Decoder, SseEvent};
pub use self::events::{EventStream, StreamEvent};
pub use self::limits::{DecodeError, Limits};
pub(crate) use self::observer::Audience;
pub use self::observer::{AnswerFacts, StreamEnd, StreamObserver};
pub use self::raw::{RawEvent, RawEvents};
#[cfg(any(feature = "retry", feature = "ws"))]
pub(crate) use self::rules::{Broken, Reopened};
pub use self::settings::StreamSettings;
#[cfg(any(feature = "retry", feature = "ws"))]
pub(crate) use self::source::sealed::Source;
pub use self::source::{EventSource, SseSource};
pub use self::stream::ResponseStream;
pub use self::text::TextStream;
