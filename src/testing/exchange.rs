//! One request and its answer.

use std::cell::Cell;
use std::sync::Arc;

use http::{Request, Response, Version};
use hyper::body::Incoming;

use super::api::{Answer, Call, Manner};
use super::api_error::ApiError;
use super::intake::{Intake, Unread, Upload, receive};
use super::plan::Plan;
use super::play::Playing;
use super::record::{Delivery, Head, Outcome, RecordedRequest};
use super::route::{self, Endpoint, Route, authorize};
use super::script::{Content, Ending, Script};
use super::server::Shared;
use super::tasks::Tasks;
use super::wire::Wire;
use crate::BoxError;

/// The service of one connection.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) tasks: Tasks,
    pub(super) wire: Wire,
    pub(super) connection: u64,
}

/// A request that was read.
pub(super) struct Arrival {
    pub(super) route: Result<Route, ApiError>,
    pub(super) upload: Upload,
    pub(super) delivery: Delivery,
    pub(super) multiplexed: bool,
}

impl Exchange {
    pub(super) fn new(shared: Arc<Shared>, tasks: Tasks, wire: Wire, connection: u64) -> Self {
        Self { shared, tasks, wire, connection }
    }

    /// # Errors
    ///
    /// Where the connection is to be closed without an answer.
    pub(super) async fn answer(
        self,
        #[cfg_attr(not(feature = "ws"), expect(unused_mut))] mut request: Request<Incoming>,
    ) -> Result<Response<Playing>, BoxError> {
        #[cfg(feature = "ws")]
        if let Some(handshake) = super::ws::Handshake::of(&mut request) {
            return self.open(request, handshake).await;
        }
        let (parts, body) = request.into_parts();
        let multiplexed = parts.version == Version::HTTP_2;
        let route = route::find(&parts.method, parts.uri.path());
        let (intake, read) = receive(route.as_ref().ok(), &parts.headers, body).await;
        let head = Head {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers,
        };
        let Intake { body, len, upload } = intake;
        let delivery = self.shared.log.push(self.connection, head, body, len);
        let plan = match read {
            Ok(()) => match self.script(&delivery) {
                Ok(script) => {
                    let arrival = Arrival { route, upload, delivery, multiplexed };
                    return self.play(script, arrival).await;
                }
                Err(refusal) => Plan::refusal(&refusal, &self.shared.ids),
            },
            Err(Unread::TooLarge) => Plan::refusal(&ApiError::too_large(), &self.shared.ids),
            Err(Unread::Broken(error)) => return Err(error.into()),
        };
        Ok(self.respond(plan, delivery, multiplexed))
    }

    /// The script for this request: by header, from the queue, from the handler, or the natural
    /// one.
    fn script(&self, delivery: &Delivery) -> Result<Script, ApiError> {
        let request = &delivery.request;
        let queued = |path: &str| self.shared.next_script(path, Script::answers_requests);
        match self.shared.script(request, queued)? {
            None if self.shared.settings.scripted_only => {
                let missing = format!("no script for {} {}", request.method(), request.target());
                Err(self.shared.failure(missing))
            }
            script => Ok(script.unwrap_or_default()),
        }
    }

    pub(super) async fn play(
        self,
        mut script: Script,
        arrival: Arrival,
    ) -> Result<Response<Playing>, BoxError> {
        let Arrival { route, upload, mut delivery, multiplexed } = arrival;
        script.ending = script.ending.over_http();
        if !script.head_delay.is_zero() {
            tokio::time::sleep(script.head_delay).await;
        }
        match script.content {
            Content::NoHead => {
                match script.ending {
                    // Dropped by the connection when the client leaves.
                    Ending::Stall => std::future::pending().await,
                    Ending::Reset if multiplexed => {}
                    Ending::Reset => self.wire.reset_on_close(),
                    _ => self.wire.kill(),
                }
                delivery.will_end(Outcome::BrokenOff);
                Err("the script gives no answer".into())
            }
            Content::RawTcp(bytes) => {
                // hyper writes an empty answer, and the socket replaces it.
                self.wire.take_over(bytes, script.ending, delivery);
                Ok(Response::new(Playing::replaced(self.wire)))
            }
            Content::Natural { ref said, ref finish } => {
                let pace = script.pace.unwrap_or(self.shared.settings.pace);
                let (said, first_delay) = (said.as_ref(), script.first_delay);
                let manner = Manner { said, finish, first_delay, pace };
                let answer = self.natural(route, upload, &delivery.request, manner);
                let plan = Plan::natural(script, answer, &self.shared.ids, pace);
                Ok(self.respond(plan, delivery, multiplexed))
            }
            #[cfg(feature = "ws")]
            Content::Frames(_) => {
                let why = "This script is for WebSockets: ask for an upgrade.";
                let plan = Plan::refusal(&ApiError::invalid_request(why), &self.shared.ids);
                Ok(self.respond(plan, delivery, multiplexed))
            }
            Content::Error | Content::Events(_) | Content::Pieces(_) => {
                let plan = Plan::scripted(script, &self.shared.ids);
                Ok(self.respond(plan, delivery, multiplexed))
            }
        }
    }

    /// What the API answers: refusals in its order, which is the key, the URL, the method, the
    /// body.
    fn natural(
        &self,
        route: Result<Route, ApiError>,
        upload: Upload,
        request: &RecordedRequest,
        manner: Manner<'_>,
    ) -> Result<Answer, ApiError> {
        // Uploads go to what would be another service, which knows no key.
        let keyless = route.as_ref().is_ok_and(|route| route.endpoint == Endpoint::UploadContent);
        match &self.shared.settings.key {
            Some(key) if !keyless => authorize(request.headers(), key)?,
            _ => {}
        }
        let (route, upload, tasks) = (route?, Cell::new(Some(upload)), &self.tasks);
        self.shared.api.answer(&Call { route, request, upload, tasks, manner })
    }

    pub(super) fn respond(
        &self,
        plan: Plan,
        delivery: Delivery,
        multiplexed: bool,
    ) -> Response<Playing> {
        let Plan { status, headers, pieces, len, ending } = plan;
        let wire = self.wire.clone();
        let body = Playing::new(pieces, len, ending, multiplexed, wire, delivery);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}
