//! `GET responses/{id}?stream=true`: the events of a stored response, from where one left off.
//!
//! [`RetrieveStream`] is a [`Service`](tower::Service) of [`RetrieveStreamRequest`] over any HTTP service; its
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

use http::Method;

use crate::Error;
use crate::extensions::Call;
use crate::model::Include;
use crate::services::ResponsesOptions;
#[cfg(feature = "retry")]
use crate::services::ResponsesRequest;
use crate::services::by_id::{from_id, includes};
use crate::services::encode::Outgoing;
use crate::services::endpoint::streaming_endpoint;
use crate::services::options::call_options;
use crate::services::stream::{Place, StreamingRequest, StreamingSettings, Written};
#[cfg(feature = "retry")]
use crate::sse::Broken;
use crate::sse::ResponseStream;

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
    pub fn new(id: impl AsRef<str>) -> Self {
        Self {
            id: id.as_ref().to_owned(),
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

impl StreamingRequest for RetrieveStreamRequest {
    type Rule = ();

    fn write(self, _: &StreamingSettings) -> Result<Written, Error> {
        let target = super::stored(&self.id)?
            .query("stream", true)
            .query_if("starting_after", self.starting_after)
            .query_each("include", &self.include)
            .query_if("include_obfuscation", self.include_obfuscation);
        Ok(Written {
            outgoing: Outgoing::new(Method::GET, target)?,
            options: self.options,
            call: Call::streaming("retrieve_stream", None),
            place: Some(Place { response_id: self.id, after: self.starting_after }),
            rule: (),
        })
    }
}

streaming_endpoint! {
    /// Turns an HTTP service into [`RetrieveStream`].
    pub struct RetrieveStreamLayer;
    /// The endpoint `GET responses/{id}?stream=true` over an HTTP service; see the [module](self).
    ///
    /// Dropping a stream cancels the request that retrieves; the response goes on.
    pub struct RetrieveStream: RetrieveStreamRequest => ResponseStream;
}
