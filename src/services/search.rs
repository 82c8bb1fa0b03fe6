//! `POST alpha/search`: search the web and read what was found, for a model (Codex).
//!
//! [`Search`] is a [`Service`](tower::Service) of [`SearchRequest`] over any HTTP service; its
//! response is what was found, as text for the model to read. A request has commands of several kinds
//! (search, open a page, follow a link, look up prices, weather, games, times), which the server
//! carries out together; later requests of the same [id](crate::model::SearchInput::id) refer to what
//! earlier ones found. It stands above `ProviderLayer` in a stack, as [`Responses`](super::Responses)
//! does. The answer comes as a whole once it is done, so the limit to set is that of the whole call,
//! [`StreamTimeouts::total`]; the preset's is 20 minutes.
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::model::{SearchInput, SearchQuery, WeatherQuery};
//! use tower_openai::services::Search;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/alpha/search");
//!     let body = http_body_util::Full::from(r#"{"output":"[turn0search0] Ferries to Oslo ..."}"#);
//!     Ok::<_, std::convert::Infallible>(http::Response::new(body))
//! });
//!
//! let input = SearchInput::new("search_1", "gpt-5.2")
//!     .command(SearchQuery::new("ferry to Oslo").recency(30))
//!     .command(WeatherQuery::new("Oslo").duration(3));
//! let found = Search::new(http).send(input).await?;
//! assert!(found.output.starts_with("[turn0search0]"));
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers as for
//! `Responses`. An answer may have 16 MiB.
//!
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total
//! [`Error`]: crate::Error

use http::{HeaderMap, Method};

use super::encode::{Outgoing, Target};
use super::endpoint::{item_ids_setting, unary_endpoint};
use super::options::{ResponsesOptions, call_options};
use super::unary::{UnaryRequest, UnarySettings, json_answer};
use super::{ApiResponse, CallOnce, HttpService, UnaryCall};
use crate::model::{ItemIds, SearchInput, SearchOutput};
use crate::{Error, RequestBody};

/// A request to search.
#[derive(Clone, Debug)]
#[must_use]
pub struct SearchRequest {
    payload: Box<SearchInput>,
    options: ResponsesOptions,
}

impl SearchRequest {
    /// The typed payload.
    pub fn payload(&self) -> &SearchInput {
        &self.payload
    }

    /// The typed payload, to change in place: what layers on the typed level do.
    pub fn payload_mut(&mut self) -> &mut SearchInput {
        &mut self.payload
    }

    call_options!();

    /// Which items of the input are sent with their ids.
    pub fn item_ids(mut self, rule: ItemIds) -> Self {
        self.options.item_ids = Some(rule);
        self
    }
}

impl From<SearchInput> for SearchRequest {
    fn from(input: SearchInput) -> Self {
        Self { payload: Box::new(input), options: ResponsesOptions::default() }
    }
}

impl UnaryRequest for SearchRequest {
    const ENDPOINT: &'static str = "search";
    type Answer = SearchOutput;

    fn model(&self) -> Option<String> {
        Some(self.payload.model.clone())
    }

    fn write(self, settings: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let item_ids = self.options.item_ids.unwrap_or(settings.item_ids);
        let post = Outgoing::new(Method::POST, Target::of("/alpha/search"))?;
        Ok((post.json(&self.payload.written(item_ids))?, self.options))
    }
}

json_answer!(SearchOutput);

unary_endpoint! {
    /// Turns an HTTP service into [`Search`].
    pub struct SearchLayer;
    /// The endpoint `POST alpha/search` over an HTTP service; see the [module](self).
    pub struct Search: SearchRequest => SearchOutput;
}

item_ids_setting!(SearchLayer, Search);

impl<S> Search<S> {
    /// Searches, and gives what was found.
    ///
    /// `extra_headers` go with this call. For the head of the answer, or for options,
    /// [`send`](Self::send) a [`SearchRequest`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) has them.
    pub fn search(
        &self,
        input: SearchInput,
        extra_headers: HeaderMap,
    ) -> UnaryCall<Self, SearchRequest, S::Future, S::ResponseBody, SearchOutput, SearchOutput>
    where
        S: HttpService<RequestBody> + Clone,
    {
        let options = ResponsesOptions::with_headers(extra_headers);
        let request = SearchRequest { payload: Box::new(input), options };
        CallOnce::mapped(self.clone(), request, ApiResponse::into_value)
    }
}
