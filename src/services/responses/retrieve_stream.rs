//! `GET responses/{id}?stream=true`: the events of a stored response, from where one left off.
//!
//! [`RetrieveStream`] is a [`Service`] of [`RetrieveStreamRequest`] over any HTTP service; its
//! response is a [`ResponseStream`], as that of [`Responses`](super::Responses). A response that was
//! asked for with `background` and `stream` goes on being made when the connection is gone, and its
//! events are kept for some minutes. What is needed to go on is the response's id and the last
//! sequence number, which the stream and its error have:
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{RetrieveStream, RetrieveStreamRequest};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/responses/resp_1?stream=true&starting_after=7");
//!     let answer = concat!(
//!         r#"data: {"type":"response.output_text.delta","sequence_number":8,"delta":"sky"}"#, "\n\n",
//!         r#"data: {"type":"response.completed","sequence_number":9,"response":{"id":"resp_1"}}"#,
//!         "\n\n",
//!     );
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(answer)))
//! });
//!
//! let request = RetrieveStreamRequest::new("resp_1").starting_after(7);
//! let stream = RetrieveStream::new(http).stream_request(request).await?;
//! assert_eq!(stream.text().collect().await?, "sky");
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], as for [`Responses`](super::Responses); a response
//! that is not there, or no longer, is [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).

use std::task::{Context, Poll};

use http::{HeaderValue, Method};
use tower::{Layer, Service};

use crate::extensions::{Call, StreamTimeouts};
use crate::model::Include;
#[cfg(feature = "retry")]
use crate::services::ResponsesRequest;
use crate::services::by_id::{from_id, includes};
use crate::services::encode::Outgoing;
use crate::services::options::call_options;
use crate::services::stream::{Opening, Place};
use crate::services::{CallOnce, HttpService, ResponsesFuture, ResponsesOptions, StreamCall};
#[cfg(feature = "retry")]
use crate::sse::Broken;
use crate::sse::{ResponseStream, SseSource, StreamSettings};
use crate::{Error, RequestBody};

/// A request for the events of a stored response.
#[derive(Clone, Debug)]
#[must_use]
pub struct RetrieveStreamRequest {
    id: String,
    starting_after: Option<u64>,
    include: Vec<Include>,
    include_obfuscation: Option<bool>,
    options: ResponsesOptions,
}

impl RetrieveStreamRequest {
    /// Names the response by its id. Its events come from the first one on.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            starting_after: None,
            include: Vec::new(),
            include_obfuscation: None,
            options: ResponsesOptions::default(),
        }
    }

    /// Only the events behind the one with this [sequence number](ResponseStream::sequence_number);
    /// others that a server sends all the same are dropped.
    pub fn starting_after(mut self, sequence_number: u64) -> Self {
        self.starting_after = Some(sequence_number);
        self
    }

    includes!();

    /// Whether deltas are padded, so that their lengths do not tell what is said. What the server
    /// does if nothing is said is up to the server.
    pub fn include_obfuscation(mut self, include: bool) -> Self {
        self.include_obfuscation = Some(include);
        self
    }

    call_options!();

    /// How the stream of `request` is asked for again, once the id of its response is known.
    #[cfg(feature = "retry")]
    pub(crate) fn of(request: &ResponsesRequest) -> Self {
        let (include, include_obfuscation) = request.stream_details();
        let options = request.options_ref().clone();
        Self { include, include_obfuscation, ..Self::new("").options(options) }
    }

    /// The same for a stream that has broken off, behind its last event.
    #[cfg(feature = "retry")]
    pub(crate) fn behind(self, broken: &Broken) -> Self {
        let id = broken.response_id.as_deref().unwrap_or_default().to_owned();
        Self { id, starting_after: broken.sequence_number, ..self }
    }
}

from_id!(RetrieveStreamRequest);

/// Turns an HTTP service into [`RetrieveStream`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct RetrieveStreamLayer {
    settings: StreamSettings,
}

impl RetrieveStreamLayer {
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
}

impl<S> Layer<S> for RetrieveStreamLayer {
    type Service = RetrieveStream<S>;

    fn layer(&self, inner: S) -> RetrieveStream<S> {
        RetrieveStream { inner, settings: self.settings }
    }
}

/// The endpoint `GET responses/{id}?stream=true` over an HTTP service; see the [module](self).
///
/// `Clone` if the HTTP service is; a clone has to be made ready anew, like every service.
#[derive(Clone, Debug)]
pub struct RetrieveStream<S> {
    inner: S,
    settings: StreamSettings,
}

impl RetrieveStream<()> {
    /// The endpoint as a layer, for [`ServiceBuilder`](tower::ServiceBuilder).
    pub fn layer() -> RetrieveStreamLayer {
        RetrieveStreamLayer::default()
    }
}

impl<S> RetrieveStream<S> {
    /// The endpoint over `http`.
    pub fn new(http: S) -> Self {
        RetrieveStreamLayer::default().layer(http)
    }

    /// How the streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they are.
    #[must_use]
    pub fn settings(mut self, settings: StreamSettings) -> Self {
        self.settings = settings.after(self.settings);
        self
    }

    /// How long calls may wait, in place of what the layers say. Limits that are unset stay as they
    /// are. A request can have [its own](RetrieveStreamRequest::timeouts).
    #[must_use]
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings.timeouts = timeouts.or(self.settings.timeouts);
        self
    }

    /// Sends one request, on a clone of the service that is made ready first.
    ///
    /// Dropping the future or the stream cancels the request; the response goes on.
    ///
    /// # Errors
    ///
    /// As [`Service::call`] has them: what could not be sent, what the server refused.
    pub fn stream_request(
        &self,
        request: impl Into<RetrieveStreamRequest>,
    ) -> StreamCall<Self, RetrieveStreamRequest, S::Future, S::ResponseBody>
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
        request: RetrieveStreamRequest,
    ) -> Result<(http::Request<RequestBody>, Opening), Error> {
        let RetrieveStreamRequest { id, starting_after, include, include_obfuscation, mut options } =
            request;
        let call = Call::streaming("retrieve_stream", None);
        let timeouts = options.timeouts_or(self.settings.timeouts);
        let target = super::stored(&id)?
            .query("stream", true)
            .query_if("starting_after", starting_after)
            .query_each("include", &include)
            .query_if("include_obfuscation", include_obfuscation);
        let http = Outgoing::new(Method::GET, target)?
            .accept(const { HeaderValue::from_static("text/event-stream") })
            .into_request(&mut options, timeouts, call.clone())?;
        let settings = StreamSettings { timeouts, ..self.settings };
        let place = Some(Place { response_id: id, after: starting_after });
        Ok((http, Opening { settings, turn_state: options.turn_state, call, place }))
    }
}

impl<S> Service<RetrieveStreamRequest> for RetrieveStream<S>
where
    S: HttpService<RequestBody>,
{
    type Response = ResponseStream<SseSource<S::ResponseBody>>;
    type Error = Error;
    type Future = ResponsesFuture<S::Future, S::ResponseBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(|error| Error::from(error.into()))
    }

    fn call(&mut self, request: RetrieveStreamRequest) -> Self::Future {
        match self.open(request) {
            Ok((http, opening)) => ResponsesFuture::calling(self.inner.call(http), opening),
            Err(error) => ResponsesFuture::refused(error),
        }
    }
}
