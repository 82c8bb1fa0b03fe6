//! Images that come piece by piece.

use super::ImagesRequest;
use crate::Error;
use crate::extensions::Call;
use crate::model::ImageEvent;
use crate::services::CallOnce;
use crate::services::endpoint::streaming_endpoint;
use crate::services::stream::{StreamFuture, StreamingRequest, StreamingSettings, Written};
use crate::services::unary::UnaryRequest;
use crate::sse::{EventStream, SseSource};

/// The future of [`ImagesStream`].
pub type ImagesStreamFuture<F, RB> = StreamFuture<F, RB, EventStream<ImageEvent, SseSource<RB>>>;

/// The future of [`ImagesStream::stream_request`].
///
/// `F` is the future and `RB` the response body of the HTTP service below the endpoint.
pub type StreamImages<S, F, RB> = CallOnce<
    ImagesStream<S>,
    ImagesRequest,
    ImagesStreamFuture<F, RB>,
    EventStream<ImageEvent, SseSource<RB>>,
>;

impl StreamingRequest for ImagesRequest {
    /// How many images are asked for.
    type Rule = u64;

    fn write(self, _: &StreamingSettings) -> Result<Written<u64>, Error> {
        let call = Call::streaming(super::ENDPOINT, self.model());
        let rule = self.count();
        let (outgoing, options) = self.into_outgoing(true)?;
        Ok(Written { outgoing, options, call, place: None, rule })
    }
}

streaming_endpoint! {
    /// Turns an HTTP service into [`ImagesStream`].
    pub struct ImagesStreamLayer;
    /// The endpoints `POST images/generations` and `POST images/edits`, streamed, over an HTTP service;
    /// see the [module](super).
    pub struct ImagesStream: ImagesRequest => EventStream<ImageEvent>;
}
