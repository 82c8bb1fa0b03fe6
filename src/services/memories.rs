//! `POST memories/trace_summarize`: summarise what happened in sessions (Codex).
//!
//! [`Memories`] is a [`Service`](tower::Service) of [`MemoriesRequest`] over any HTTP service; its
//! response holds one summary for each memory. It stands above `ProviderLayer` in a stack, as
//! [`Responses`](super::Responses) does. The answer comes as a whole once it is done, so the limit
//! to set is that of the whole call, [`StreamTimeouts::total`]; the preset's is 20 minutes.
//!
//! ```
//! use http::HeaderMap;
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::model::{MemorySummarizeInput, RawMemory};
//! use tower_openai::services::Memories;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/memories/trace_summarize");
//!     let body = r#"{"output":[{"trace_summary":"Fixed a bug.","memory_summary":"Uses tabs."}]}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let trace = RawMemory::new("trace_1", "/sessions/1.jsonl", vec![]);
//! let input = MemorySummarizeInput::new("gpt-5.2", vec![trace]);
//! let summaries = Memories::new(http).summarize_input(&input, HeaderMap::new()).await?;
//! assert_eq!(summaries[0].memory_summary, "Uses tabs.");
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers as for
//! `Responses`. An answer may have 16 MiB.
//!
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total
//! [`Error`]: crate::Error

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::encode::{Outgoing, Target};
use super::endpoint::unary_endpoint;
use super::options::{ResponsesOptions, call_options};
use super::unary::{UnaryRequest, UnarySettings, json_answer};
use super::{CallOnce, HttpService, UnaryCall};
use crate::model::{MemorySummaries, MemorySummarizeInput, MemorySummarizeOutput};
use crate::{Error, RequestBody};

/// A request to summarise memories.
#[derive(Clone, Debug)]
#[must_use]
pub struct MemoriesRequest {
    payload: Payload,
    options: ResponsesOptions,
}

#[derive(Clone, Debug)]
enum Payload {
    Typed(Box<MemorySummarizeInput>),
    /// Written already, for it was borrowed.
    Written {
        model: String,
        json: Bytes,
    },
}

impl MemoriesRequest {
    /// What `input` says, written at once, so that nothing of it is copied.
    fn borrowed(input: &MemorySummarizeInput, extra_headers: HeaderMap) -> Self {
        let mut options = ResponsesOptions::with_headers(extra_headers);
        let json = serde_json::to_vec(input).unwrap_or_else(|error| {
            options.fail(format!("it does not serialise: {error}"));
            Vec::new()
        });
        let payload = Payload::Written { model: input.model.clone(), json: json.into() };
        Self { payload, options }
    }

    /// The typed payload, to change in place: what layers on the typed level do. `None` if it was
    /// borrowed.
    pub fn payload_mut(&mut self) -> Option<&mut MemorySummarizeInput> {
        match &mut self.payload {
            Payload::Typed(input) => Some(input),
            Payload::Written { .. } => None,
        }
    }

    call_options!();
}

impl From<MemorySummarizeInput> for MemoriesRequest {
    fn from(input: MemorySummarizeInput) -> Self {
        let payload = Payload::Typed(Box::new(input));
        Self { payload, options: ResponsesOptions::default() }
    }
}

impl UnaryRequest for MemoriesRequest {
    const ENDPOINT: &'static str = "memories";
    type Answer = MemorySummaries;

    fn model(&self) -> Option<String> {
        Some(match &self.payload {
            Payload::Typed(input) => input.model.clone(),
            Payload::Written { model, .. } => model.clone(),
        })
    }

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let post = Outgoing::new(Method::POST, Target::of("/memories/trace_summarize"))?;
        let outgoing = match self.payload {
            Payload::Typed(input) => post.json(&*input)?,
            Payload::Written { json, .. } => post.json_text(json),
        };
        Ok((outgoing, self.options))
    }
}

json_answer!(MemorySummaries);

unary_endpoint! {
    /// Turns an HTTP service into [`Memories`].
    pub struct MemoriesLayer;
    /// The endpoint `POST memories/trace_summarize` over an HTTP service; see the [module](self).
    pub struct Memories: MemoriesRequest => MemorySummaries;
}

impl<S> Memories<S> {
    /// Summarises memories without copying them: one summary for each.
    ///
    /// `extra_headers` go with this call. For the head of the answer, or for options,
    /// [`send`](Self::send) a [`MemoriesRequest`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) has them.
    pub fn summarize_input(
        &self,
        input: &MemorySummarizeInput,
        extra_headers: HeaderMap,
    ) -> UnaryCall<
        Self,
        MemoriesRequest,
        S::Future,
        S::ResponseBody,
        MemorySummaries,
        Vec<MemorySummarizeOutput>,
    >
    where
        S: HttpService<RequestBody> + Clone,
    {
        let request = MemoriesRequest::borrowed(input, extra_headers);
        CallOnce::mapped(self.clone(), request, |answer| answer.into_value().output)
    }
}
