//! The API's endpoints: what a well-formed request gets, and what the server remembers of it.
//!
//! Nothing here knows of scripts; `plan.rs` shapes what comes out.

mod codex;
mod compact;
mod conversations;
mod files;
mod images;
mod items;
mod job;
mod models;
mod page;
mod realtime;
mod responses;

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use self::conversations::Conversations;
use self::files::Files;
pub use self::files::StoredFile;
use self::models::Models;
use self::responses::Responses;
use super::api_error::ApiError;
use super::encoding;
use super::events::Frames;
use super::ids::Ids;
use super::intake::Upload;
use super::json::Json;
use super::params::{self, Query};
use super::plan::JSON;
use super::record::RecordedRequest;
use super::route::{Endpoint, Route};
use super::tasks::Tasks;
use super::turn::{Finish, Said};

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

    fn empty(status: StatusCode) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self::Whole(Whole { status, headers, body, cut: false })
    }
}

/// How turns are to go, which is up to the script.
pub(super) struct Manner<'a> {
    pub(super) said: Option<&'a Said>,
    pub(super) finish: &'a Finish,
    pub(super) first_delay: Duration,
    pub(super) pace: Duration,
}

/// One request for an endpoint.
pub(super) struct Call<'a> {
    pub(super) route: Route,
    pub(super) request: &'a RecordedRequest,
    /// What the body was, if it was an upload; for the endpoint to take.
    pub(super) upload: Cell<Option<Upload>>,
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
    conversations: Conversations,
    files: Files,
    models: Models,
    /// The sessions of realtime calls.
    #[cfg(feature = "ws")]
    calls: Mutex<super::shelf::Shelf<Value>>,
}

impl Api {
    /// `origin` is where files are uploaded to; an upload is not ready for `retries` times.
    pub(super) fn new(ids: Arc<Ids>, origin: String, retries: u32) -> Self {
        Self {
            ids,
            responses: Responses::default(),
            conversations: Conversations::default(),
            files: Files::new(origin, retries),
            models: Models::default(),
            #[cfg(feature = "ws")]
            calls: Mutex::default(),
        }
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
            Endpoint::Memories => self.memories(call),
            Endpoint::Search => self.search(call),
            Endpoint::ListModels => self.list_models(call),
            Endpoint::RetrieveModel => self.retrieve_model(call),
            Endpoint::GenerateImage => self.generate_image(call),
            Endpoint::EditImage => self.edit_image(call),
            Endpoint::CreateFile => self.create_file(call),
            Endpoint::ListFiles => self.list_files(call),
            Endpoint::RetrieveFile => self.retrieve_file(call),
            Endpoint::DeleteFile => self.delete_file(call),
            Endpoint::FileContent => self.file_content(call),
            Endpoint::UploadContent => self.upload_content(call),
            Endpoint::FinishUpload => self.finish_upload(call),
            Endpoint::CreateConversation => self.create_conversation(call),
            Endpoint::RetrieveConversation => self.retrieve_conversation(call),
            Endpoint::UpdateConversation => self.update_conversation(call),
            Endpoint::DeleteConversation => self.delete_conversation(call),
            Endpoint::CreateItems => self.create_items(call),
            Endpoint::ListItems => self.list_items(call),
            Endpoint::RetrieveItem => self.retrieve_item(call),
            Endpoint::DeleteItem => self.delete_item(call),
            Endpoint::RealtimeCall => self.realtime_call(call),
        }
    }
}

/// Takes a lock whose sections leave the data whole at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
