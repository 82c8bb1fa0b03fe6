//! The API's endpoints: what a well-formed request gets, and what the server remembers of it.
//!
//! Nothing here knows of scripts; `plan.rs` shapes what comes out.

mod compact;
mod items;
mod job;
mod page;
mod responses;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use self::responses::Responses;
use super::api_error::ApiError;
use super::encoding;
use super::events::Frames;
use super::ids::Ids;
use super::json::Json;
use super::params::{self, Query};
use super::plan::JSON;
use super::record::RecordedRequest;
use super::route::{Endpoint, Route};
use super::tasks::Tasks;
use super::turn::Finish;

/// What the API answers.
pub(super) enum Answer {
    /// A body that comes at once.
    Whole(Whole),
    /// An event stream.
    Events(Frames),
}

pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The second half never comes.
    pub(super) cut: bool,
}

impl Answer {
    fn json(json: &Json) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, JSON)]);
        let body = Bytes::from(json.pretty());
        Self::Whole(Whole { status: StatusCode::OK, headers, body, cut: false })
    }
}

/// How turns are to go, which is up to the script.
pub(super) struct Manner<'a> {
    pub(super) text: Option<&'a Arc<str>>,
    pub(super) finish: &'a Finish,
    pub(super) first_delay: Duration,
    pub(super) pace: Duration,
}

/// One request for an endpoint.
pub(super) struct Call<'a> {
    pub(super) route: Route,
    pub(super) request: &'a RecordedRequest,
    pub(super) tasks: &'a Tasks,
    pub(super) manner: Manner<'a>,
}

impl Call<'_> {
    /// The id in the path, or the first of two.
    fn id(&self) -> &str {
        self.route.ids.first().map_or("", String::as_str)
    }

    fn query(&self) -> Query {
        let target = self.request.target();
        Query::new(target.split_once('?').map_or("", |(_, query)| query))
    }

    fn body(&self) -> Result<Bytes, ApiError> {
        encoding::decode(self.request.headers(), self.request.body())
    }

    fn object(&self) -> Result<Map<String, Value>, ApiError> {
        params::object(&self.body()?)
    }
}

/// The endpoints and their state.
pub(super) struct Api {
    ids: Arc<Ids>,
    responses: Responses,
}

impl Api {
    pub(super) fn new(ids: Arc<Ids>) -> Self {
        Self { ids, responses: Responses::default() }
    }

    /// # Errors
    ///
    /// Whatever the API refuses.
    pub(super) fn answer(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        match call.route.endpoint {
            Endpoint::CreateResponse => self.create_response(call),
            Endpoint::RetrieveResponse => self.retrieve_response(call),
            Endpoint::DeleteResponse => self.delete_response(call),
            Endpoint::CancelResponse => self.cancel_response(call),
            Endpoint::InputItems => self.input_items(call),
            Endpoint::InputTokens => self.input_tokens(call),
            Endpoint::Compact => self.compact(call),
        }
    }
}

/// Takes a lock whose sections leave the data whole at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
