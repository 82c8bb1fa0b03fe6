//! `POST responses`: ask a model, read its answer as a stream.
//!
//! [`Responses`] is a [`Service`] of [`ResponsesRequest`] over any HTTP service; its response is a
//! [`ResponseStream`]. It stands above `ProviderLayer` in a stack, and layers above it see the
//! typed request:
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openai::model::ResponseEvent;
//! use tower_openai::services::{Responses, ResponsesRequest};
//! use tower_openai::RequestBody;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses");
//!     let answer = concat!(
//!         r#"data: {"type":"response.output_text.delta","delta":"Hi!"}"#, "\n\n",
//!         r#"data: {"type":"response.completed","response":{"id":"resp_1"}}"#, "\n\n",
//!     );
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(answer)))
//! });
//! let responses = ServiceBuilder::new()
//!     .concurrency_limit(8) // sees ResponsesRequest
//!     .layer(Responses::layer()) // typed above, HTTP below
//!     .service(http);
//!
//! let mut events = responses.oneshot(ResponsesRequest::new("gpt-5.2", "hello")).await?;
//! while let Some(event) = events.try_next().await? {
//!     if let ResponseEvent::OutputTextDelta(event) = event {
//!         assert_eq!(event.delta, "Hi!");
//!     }
//! }
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers; at most
//! 64 KiB of its body are read, for at most ten seconds.
//!
//! What else can be done with a response is in the modules below: to [create] it without a stream, to
//! [retrieve] it or its [stream](retrieve_stream), to [cancel] and to [delete] it, to list its [input
//! items](input_items), and to [count](input_tokens) the tokens of an input beforehand.

pub mod cancel;
pub mod create;
pub mod delete;
pub mod input_items;
pub mod input_tokens;
pub mod retrieve;
pub mod retrieve_stream;

use std::fmt;
use std::task::{Context, Poll};

use http::{HeaderValue, Method};
use tower::{Layer, Service};

use super::encode::{Outgoing, Target};
use super::request::ResponsesRequest;
use super::stream::{Opening, ResponsesFuture, StreamRequest};
use super::{CallOnce, HttpService};
use crate::extensions::{Call, StreamTimeouts};
use crate::model::ItemIds;
use crate::sse::{ResponseStream, SseSource, StreamSettings};
use crate::{Error, RequestBody};

/// Turns an HTTP service into [`Responses`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct ResponsesLayer {
    settings: StreamSettings,
    item_ids: ItemIds,
}

impl ResponsesLayer {
    /// How the streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they are.
    pub fn settings(mut self, settings: StreamSettings) -> Self {
        self.settings = settings.after(self.settings);
        self
    }

    /// How long calls may wait, in place of what the layers say. Limits that are unset stay as they
    /// are.
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings.timeouts = timeouts.or(self.settings.timeouts);
        self
    }

    /// Which items of the input are sent with their ids. Default: [`ItemIds::Keep`].
    pub fn item_ids(mut self, rule: ItemIds) -> Self {
        self.item_ids = rule;
        self
    }
}

impl<S> Layer<S> for ResponsesLayer {
    type Service = Responses<S>;

    fn layer(&self, inner: S) -> Responses<S> {
        Responses { inner, settings: self.settings, item_ids: self.item_ids }
    }
}

/// The Responses endpoint over an HTTP service.
///
/// `Clone` if the HTTP service is; a clone has to be made ready anew, like every service.
#[derive(Clone)]
pub struct Responses<S> {
    inner: S,
    settings: StreamSettings,
    item_ids: ItemIds,
}

impl Responses<()> {
    /// The endpoint as a layer, for [`ServiceBuilder`](tower::ServiceBuilder).
    pub fn layer() -> ResponsesLayer {
        ResponsesLayer::default()
    }
}

impl<S> Responses<S> {
    /// The endpoint over `http`.
    pub fn new(http: S) -> Self {
        ResponsesLayer::default().layer(http)
    }

    /// How the streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they are.
    #[must_use]
    pub fn settings(mut self, settings: StreamSettings) -> Self {
        self.settings = settings.after(self.settings);
        self
    }

    /// How long calls may wait, in place of what the layers say. Limits that are unset stay as they
    /// are. A request can have [its own](ResponsesRequest::timeouts).
    #[must_use]
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings.timeouts = timeouts.or(self.settings.timeouts);
        self
    }

    /// Which items of the input are sent with their ids. Default: [`ItemIds::Keep`].
    #[must_use]
    pub fn item_ids(mut self, rule: ItemIds) -> Self {
        self.item_ids = rule;
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
        request: impl Into<ResponsesRequest>,
    ) -> StreamRequest<S, S::Future, S::ResponseBody>
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
    fn open(
        &self,
        request: ResponsesRequest,
    ) -> Result<(http::Request<RequestBody>, Opening), Error> {
        let call = Call::streaming("responses", request.model_name());
        let (body, mut options) = request.encode(self.item_ids, true)?;
        let timeouts = options.timeouts_or(self.settings.timeouts);
        let http = Outgoing::new(Method::POST, Target::of("/responses"))?
            .json_text(body)
            .accept(const { HeaderValue::from_static("text/event-stream") })
            .into_request(&mut options, timeouts, call.clone())?;
        let settings = StreamSettings { timeouts, ..self.settings };
        Ok((http, Opening { settings, turn_state: options.turn_state, call, place: None }))
    }
}

/// Where a stored response is.
fn stored(id: &str) -> Result<Target, Error> {
    Target::of("/responses").segment("the response's id", id)
}

impl<S: fmt::Debug> fmt::Debug for Responses<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responses")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .field("item_ids", &self.item_ids)
            .finish()
    }
}

impl<S> Service<ResponsesRequest> for Responses<S>
where
    S: HttpService<RequestBody>,
{
    type Response = ResponseStream<SseSource<S::ResponseBody>>;
    type Error = Error;
    type Future = ResponsesFuture<S::Future, S::ResponseBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: ResponsesRequest) -> Self::Future {
        match self.open(request) {
            Ok((http, opening)) => ResponsesFuture::calling(self.inner.call(http), opening),
            Err(error) => ResponsesFuture::refused(error),
        }
    }
}
