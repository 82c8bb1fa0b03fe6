//! A connection that is open: a service of requests, on lanes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap, response};
use tower::Service;
use tracing::Span;

use super::call::Resend;
use super::chain::{self, Recorder};
use super::frame;
use super::lanes::Lanes;
use super::name::LaneName;
use super::settings::ResponsesSocketSettings;
use super::source::{Reading, SocketSource};
use super::steering::{PendingSteer, SteerAnswer, SteerId};
use super::waiting::{Opening, SocketCall};
use super::watching::{Layers, Watching};
use crate::error::{Error, ErrorKind, Stage};
use crate::extensions::{Call, StreamObservers};
use crate::model::{Input, RawObject, Response, ResponsesApiRequest};
use crate::services::request::Payload;
use crate::services::{CallOnce, ResponsesOptions, ResponsesRequest, TURN_STATE, TurnState};
use crate::sse::{ResponseStream, StreamSettings};
use crate::ws::Text;
use crate::ws::shared::Shared;

/// A connection for responses: one request after another on each of its lanes.
///
/// A handle: clones are cheap and share the connection. It closes when the last handle and the last
/// stream are gone.
#[derive(Clone)]
pub struct ResponsesConnection {
    shared: Shared<Lanes>,
    common: Arc<Common>,
    /// `None`: the default lane.
    lane: Option<LaneName>,
}

/// What all handles of a connection share.
pub(super) struct Common {
    settings: ResponsesSocketSettings,
    /// The head of the answer to the handshake.
    pub(super) head: response::Parts,
    /// That of the handshake.
    pub(super) call: Call,
    layers: Layers,
    /// Nobody has been told yet what the head says of rate limits.
    pub(super) fresh: AtomicBool,
}

impl ResponsesConnection {
    /// The connection over a socket that is open.
    pub(super) fn new(
        shared: Shared<Lanes>,
        settings: ResponsesSocketSettings,
        mut head: response::Parts,
        call: Call,
        turn: Option<&TurnState>,
    ) -> Self {
        let note = head.headers.remove(TURN_STATE);
        if let (Some(turn), Some(note)) = (turn, note.as_ref().and_then(|note| note.to_str().ok()))
        {
            turn.capture(note);
        }
        let layers = Layers::take(&mut head.extensions);
        head.extensions = Extensions::new();
        let common = Common { settings, head, call, layers, fresh: AtomicBool::new(true) };
        Self { shared, common: Arc::new(common), lane: None }
    }

    /// A handle for the lane of this name: 1 to 256 of the characters `A-Z a-z 0-9 _ . -`.
    ///
    /// Lanes answer side by side, up to 16 at once; others wait for their turn. A connection has at
    /// most 32 of them beside the one without a name. A lane gets its events in order, and each request
    /// of it waits for the one before.
    ///
    /// # Errors
    ///
    /// A name that the server would refuse ([`ErrorKind::Build`]).
    pub fn lane(&self, name: impl AsRef<str>) -> Result<Self, Error> {
        let lane = Some(LaneName::new(name)?);
        Ok(Self { lane, ..self.clone() })
    }

    /// The same connection on another lane, if there is one to be on.
    pub(super) fn on(self, lane: Option<LaneName>) -> Self {
        Self { lane: lane.or(self.lane), ..self }
    }

    /// The name of this handle's lane.
    pub fn lane_name(&self) -> Option<&LaneName> {
        self.lane.as_ref()
    }

    /// The headers of the answer to the handshake.
    pub fn headers(&self) -> &HeaderMap {
        &self.common.head.headers
    }

    /// Whether another request would be taken, as far as is known without looking at the socket.
    pub fn is_open(&self) -> bool {
        self.shared.look(Lanes::check_open).is_ok()
    }

    /// Takes no more requests, on any handle, and closes the socket when those at hand are answered.
    pub fn retire(&self) {
        self.shared.change(|lanes, _| lanes.retire());
    }

    /// Sends one request on this handle's lane.
    ///
    /// The future is ready with the first message of the answer. Dropped before its turn, the request
    /// is not sent. Dropped later, or with the stream, the rest of the answer is thrown away as it
    /// comes.
    ///
    /// # Errors
    ///
    /// What could not be sent; what the server refused.
    pub fn stream_request(
        &self,
        request: impl Into<ResponsesRequest>,
    ) -> CallOnce<Self, ResponsesRequest, SocketCall, ResponseStream<SocketSource>> {
        CallOnce::new(self.clone(), request.into())
    }

    /// Lets the server read `request` without answering it. Continued by its id, it costs less time:
    /// with [`incremental`](ResponsesSocketSettings::incremental), by the same request as such.
    ///
    /// # Errors
    ///
    /// As a request that is answered.
    pub async fn warm_up(&self, request: impl Into<ResponsesRequest>) -> Result<Response, Error> {
        let stream = self.stream_request(request.into().generate(false)).await?;
        stream.final_response().await
    }

    /// Says more to a response that is under way on this handle's lane.
    ///
    /// The future is ready when the server has taken it, which is not yet to say that it is applied.
    ///
    /// # The stream
    ///
    /// It follows what becomes of the response, in these events:
    ///
    /// 1. [`SteerAccepted`](crate::model::ResponseEvent::SteerAccepted): the server has taken it.
    /// 2. [`Incomplete`](crate::model::ResponseEvent::Incomplete), with the reason
    ///    [`Steered`](crate::model::IncompleteReason::Steered): the response ends here, the stream does not.
    /// 3. [`Created`](crate::model::ResponseEvent::Created) of the response that takes up what was said,
    ///    with an id of its own, and its events up to the one that ends the stream.
    ///
    /// A response that must be answered first goes on to its own end:
    /// [`take_pending_steers`](Self::take_pending_steers) has the steer then. One that fails is none of
    /// the stream's events.
    ///
    /// # Errors
    ///
    /// What the server says against it, such as that the response is over; the end of the socket.
    pub fn steer(&self, response_id: impl AsRef<str>, input: impl Into<Input>) -> SteerCall {
        let response_id = response_id.as_ref().to_owned();
        let lane = self.lane.as_ref();
        let frame =
            frame::steer(&response_id, input.into(), lane).and_then(|frame| self.gate(frame));
        let added = frame.and_then(|frame| {
            self.shared.change(|lanes, _| {
                lanes.check_alive()?;
                lanes.steers.add(frame, lane.map(LaneName::as_str), response_id)
            })
        });
        match added {
            Ok(id) => SteerCall { shared: Some((self.shared.clone(), id)), error: None },
            Err(error) => SteerCall { shared: None, error: Some(error) },
        }
    }

    /// What was said to responses of this connection and waits, because something must be answered
    /// first. It is handed out once.
    pub fn take_pending_steers(&self) -> Vec<PendingSteer> {
        self.shared.change(|lanes, _| lanes.steers.take_pending())
    }

    /// Refuses a frame that the server would close the socket over.
    fn gate(&self, frame: Text) -> Result<Text, Error> {
        gate(frame, self.common.settings.socket.max_outgoing_size_value())
    }

    /// As its `call`. A request that is sent once more is watched by those who watched it before.
    pub(super) fn call_watched(
        &mut self,
        request: ResponsesRequest,
        mut watching: Option<Watching>,
    ) -> SocketCall {
        let begun = self.begin(request, &mut watching);
        SocketCall::new(begun, watching)
    }

    /// Takes a request.
    fn begin(
        &self,
        request: ResponsesRequest,
        watching: &mut Option<Watching>,
    ) -> Result<(Reading, Opening), Error> {
        self.shared.look(Lanes::check_open)?;
        let common = &self.common;
        let lane = match request.member("stream_id") {
            Some(name) => match name.parse::<String>() {
                Ok(name) => Some(LaneName::new(name)?),
                Err(_) => return Err(Error::build("`stream_id` is no text: name a lane")),
            },
            None => self.lane.clone(),
        };
        let call = common.call.on_connection("responses", request.model_name());
        let (payload, mut options) = request.into_parts();
        // What was found wrong before is told with them.
        options.headers()?;
        let settings = &common.settings;
        let mut metadata = frame::metadata(&options, settings.stamped)?;
        frame::check_background(&payload)?;
        if watching.is_none() {
            *watching = common.layers.watch(&call);
        }
        let span = watching.as_ref().map_or_else(Span::none, Watching::span);
        metadata.extend(frame::trace_context(&common.layers.headers(&span)));
        let create = match payload {
            Payload::Typed(request) => self.create(*request, metadata, lane.as_ref(), &options)?,
            Payload::Json(object) => {
                let frame = raw(object, metadata, lane.as_ref())?;
                Create { frame: self.gate(frame)?, resend: None, recorder: None }
            }
        };
        let Create { frame, resend, recorder } = create;
        let timeouts = options.timeouts_or(settings.stream.timeouts);
        let mut extensions = std::mem::take(&mut options.extensions);
        if let Some(recorder) = recorder {
            StreamObservers::add(&mut extensions, Arc::new(recorder));
        }
        if let Some(watching) = watching {
            watching.encoded(&frame);
            watching.listen(&mut extensions);
        }
        extensions.insert(call);
        let opened = self.shared.change(|lanes, _| lanes.open(lane.as_ref(), frame, resend));
        let opening = Opening {
            common: Arc::clone(common),
            extensions,
            settings: StreamSettings { timeouts, ..settings.stream },
            turn_state: options.turn_state,
        };
        Ok((Reading::new(self.shared.clone(), opened?), opening))
    }

    /// The frame of a typed request, and how it is kept for the next one.
    fn create(
        &self,
        mut request: ResponsesApiRequest,
        metadata: BTreeMap<String, String>,
        lane: Option<&LaneName>,
        options: &ResponsesOptions,
    ) -> Result<Create, Error> {
        if !metadata.is_empty() {
            request.client_metadata.get_or_insert_default().extend(metadata);
        }
        let settings = &self.common.settings;
        let item_ids = options.item_ids.unwrap_or(settings.item_ids);
        let limit = settings.socket.max_outgoing_size_value();
        if !settings.incremental || !chain::may_continue(&request) {
            let frame = gate(frame::create(&request, item_ids, lane)?, limit)?;
            return Ok(Create { frame, resend: None, recorder: None });
        }
        let rest = chain::rest(&request).map_err(frame::does_not_serialise)?;
        let (slot, idle) = self.shared.change(|lanes, _| lanes.chain(lane))?;
        let last = slot.take().filter(|_| idle);
        let encode = |request: &ResponsesApiRequest| frame::create(request, item_ids, lane);
        let (frame, continues) = match last.and_then(|last| last.tail(&request, &rest)) {
            Some((id, from)) => (chain::continuing(&mut request, &id, from, encode)?, true),
            None => (encode(&request)?, false),
        };
        let request = Arc::new(request);
        let resend = continues.then(|| {
            let (request, lane) = (Arc::clone(&request), lane.cloned());
            let whole = move || gate(frame::create(&request, item_ids, lane.as_ref())?, limit);
            Box::new(whole) as Resend
        });
        let recorder = Recorder::new(request, rest, slot);
        Ok(Create { frame: gate(frame, limit)?, resend, recorder: Some(recorder) })
    }
}

/// What a request comes to.
struct Create {
    frame: Text,
    resend: Option<Resend>,
    recorder: Option<Recorder>,
}

fn gate(frame: Text, limit: usize) -> Result<Text, Error> {
    if frame.len() <= limit {
        return Ok(frame);
    }
    let message = format!(
        "the request has {} bytes, and a socket takes {limit}: send it over HTTP, or less of it",
        frame.len()
    );
    Err(Error::new(ErrorKind::TooLarge, message).with_stage(Stage::NotSent))
}

/// The frame of a caller's own JSON.
fn raw(
    mut object: RawObject,
    metadata: BTreeMap<String, String>,
    lane: Option<&LaneName>,
) -> Result<Text, Error> {
    if !metadata.is_empty() {
        let own = object.get("client_metadata").filter(|raw| !raw.is_null());
        let own = own.map(|raw| raw.parse::<BTreeMap<String, String>>()).transpose();
        let mut all = own.map_err(frame::does_not_serialise)?.unwrap_or_default();
        all.extend(metadata);
        object.set("client_metadata", &all).map_err(frame::does_not_serialise)?;
    }
    frame::create_raw(&object, lane)
}

impl Service<ResponsesRequest> for ResponsesConnection {
    type Response = ResponseStream<SocketSource>;
    type Error = Error;
    type Future = SocketCall;

    /// Ready while the connection takes requests; else an error, so that
    /// [`Reconnect`](https://docs.rs/tower/latest/tower/reconnect) opens another. Without
    /// a driver the socket is looked at first: one that the server has closed meanwhile is not used
    /// again. With one, this says what the driver has seen; it reads before it sends the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.shared.change(|_, _| ());
        Poll::Ready(self.shared.look(Lanes::check_open))
    }

    fn call(&mut self, request: ResponsesRequest) -> SocketCall {
        self.call_watched(request, None)
    }
}

impl fmt::Debug for ResponsesConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesConnection")
            .field("lane", &self.lane)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// The future of [`ResponsesConnection::steer`].
///
/// Dropped before it is sent, nothing is said to the response. Polled again after it was ready, it
/// stays pending.
#[must_use = "futures do nothing unless polled"]
pub struct SteerCall {
    shared: Option<(Shared<Lanes>, SteerId)>,
    error: Option<Error>,
}

impl Future for SteerCall {
    type Output = Result<SteerAnswer, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        let Some((shared, id)) = &self.shared else { return Poll::Pending };
        let word = ready!(shared.poll(cx, |lanes, cx, _| lanes.steers.poll_word(*id, cx)));
        self.shared = None;
        Poll::Ready(word)
    }
}

impl Drop for SteerCall {
    fn drop(&mut self) {
        if let Some((shared, id)) = self.shared.take() {
            shared.change(|lanes, _| lanes.steers.leave(id));
        }
    }
}

impl fmt::Debug for SteerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteerCall").field("open", &self.shared.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
