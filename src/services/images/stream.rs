//! Images that come piece by piece.

use std::fmt;
use std::task::{Context, Poll};

use http::HeaderValue;
use tower::{Layer, Service};

use super::ImagesRequest;
use crate::extensions::{Call, StreamTimeouts};
use crate::model::ImageEvent;
use crate::services::stream::{Opening, StreamFuture};
use crate::services::unary::UnaryRequest;
use crate::services::{CallOnce, HttpService};
use crate::sse::{EventStream, SseSource, StreamSettings};
use crate::{Error, RequestBody};

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

/// Turns an HTTP service into [`ImagesStream`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct ImagesStreamLayer {
    settings: StreamSettings,
}

impl ImagesStreamLayer {
    /// How the streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they are.
    pub fn settings(mut self, settings: StreamSettings) -> Self {
        self.settings = settings.after(self.settings);
        self
    }

    /// How long calls may wait, in place of what the layers say. Limits that are unset stay as they
    /// are. A request can have its own.
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings.timeouts = timeouts.or(self.settings.timeouts);
        self
    }
}

impl<S> Layer<S> for ImagesStreamLayer {
    type Service = ImagesStream<S>;

    fn layer(&self, inner: S) -> ImagesStream<S> {
        ImagesStream { inner, settings: self.settings }
    }
}

/// The endpoints `POST images/generations` and `POST images/edits`, streamed, over an HTTP service;
/// see the [module](super).
///
/// `Clone` if the HTTP service is; a clone has to be made ready anew, like every service.
#[derive(Clone)]
pub struct ImagesStream<S> {
    inner: S,
    settings: StreamSettings,
}

impl ImagesStream<()> {
    /// The endpoint as a layer, for [`ServiceBuilder`](tower::ServiceBuilder).
    pub fn layer() -> ImagesStreamLayer {
        ImagesStreamLayer::default()
    }
}

impl<S> ImagesStream<S> {
    /// The endpoint over `http`.
    pub fn new(http: S) -> Self {
        ImagesStreamLayer::default().layer(http)
    }

    /// How the streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they are.
    #[must_use]
    pub fn settings(mut self, settings: StreamSettings) -> Self {
        self.settings = settings.after(self.settings);
        self
    }

    /// How long calls may wait, in place of what the layers say. Limits that are unset stay as they
    /// are. A request can have its own.
    #[must_use]
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings.timeouts = timeouts.or(self.settings.timeouts);
        self
    }

    /// Sends one request, on a clone of the service that is made ready first.
    ///
    /// Dropping the future or the stream cancels the request.
    ///
    /// # Errors
    ///
    /// As [`Service::call`] has them: what could not be sent, what the server refused.
    pub fn stream_request(
        &self,
        request: impl Into<ImagesRequest>,
    ) -> StreamImages<S, S::Future, S::ResponseBody>
    where
        S: HttpService<RequestBody> + Clone,
    {
        CallOnce::new(self.clone(), request.into())
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, unwrapped.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The HTTP request of a typed one, and what its stream needs to know.
    fn open(&self, request: ImagesRequest) -> Result<(http::Request<RequestBody>, Opening), Error> {
        let call = Call::streaming(super::ENDPOINT, request.model());
        let (outgoing, mut options) = request.into_outgoing(true)?;
        let timeouts = options.timeouts_or(self.settings.timeouts);
        let http = outgoing
            .accept(const { HeaderValue::from_static("text/event-stream") })
            .into_request(&mut options, timeouts, call.clone())?;
        let settings = StreamSettings { timeouts, ..self.settings };
        Ok((http, Opening { settings, turn_state: options.turn_state, call, place: None }))
    }
}

impl<S: fmt::Debug> fmt::Debug for ImagesStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImagesStream")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish()
    }
}

impl<S> Service<ImagesRequest> for ImagesStream<S>
where
    S: HttpService<RequestBody>,
{
    type Response = EventStream<ImageEvent, SseSource<S::ResponseBody>>;
    type Error = Error;
    type Future = ImagesStreamFuture<S::Future, S::ResponseBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: ImagesRequest) -> Self::Future {
        let images = request.count();
        match self.open(request) {
            Ok((http, opening)) => StreamFuture::calling_by(self.inner.call(http), opening, images),
            Err(error) => StreamFuture::refused(error),
        }
    }
}
