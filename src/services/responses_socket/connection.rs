//! A connection that is open: a service of requests, on lanes.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap, response};
use tower::Service;

use super::call::Resend;
use super::chain::{self, Recorder};
use super::frame;
use super::lanes::Lanes;
use super::name::LaneName;
use super::settings::ResponsesSocketSettings;
use super::source::{Reading, SocketSource, Total};
use super::steering::{PendingSteer, SteerAnswer, SteerId};
use crate::error::{Error, ErrorKind, Stage};
use crate::extensions::{Call, StreamObservers, StreamTimeouts};
use crate::model::{Input, RawObject, Response, ResponsesApiRequest};
use crate::services::request::Payload;
use crate::services::{CallOnce, ResponsesOptions, ResponsesRequest, TURN_STATE, TurnState};
use crate::sse::{ResponseStream, StreamSettings};
use crate::timer::Watchdog;
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
struct Common {
    settings: ResponsesSocketSettings,
    /// The head of the answer to the handshake.
    head: response::Parts,
    call: Call,
    /// Nobody has been told yet what the head says of rate limits.
    fresh: AtomicBool,
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
        head.extensions = Extensions::new();
        let common = Common { settings, head, call, fresh: AtomicBool::new(true) };
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
    /// The future is ready when the server has taken it, which is not yet to say that it is applied:
    /// then the response ends as [`Steered`](crate::model::IncompleteReason::Steered), and one that
    /// takes up what was said begins, on the same stream.
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

    /// Takes a request.
    fn begin(&self, request: ResponsesRequest) -> Result<(Reading, Opening), Error> {
        let lane = match request.member("stream_id") {
            Some(name) => match name.parse::<String>() {
                Ok(name) => Some(LaneName::new(name)?),
                Err(_) => return Err(Error::build("`stream_id` is no text: name a lane")),
            },
            None => self.lane.clone(),
        };
        let (payload, mut options) = request.into_parts();
        // What was found wrong before is told with them.
        options.headers()?;
        let settings = &self.common.settings;
        let metadata = frame::metadata(&options, settings.stamped)?;
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
        extensions.insert(self.common.call.clone());
        let opened = self.shared.change(|lanes, _| lanes.open(lane.as_ref(), frame, resend));
        let opening = Opening {
            common: Arc::clone(&self.common),
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
        frame::check_background(request.background)?;
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
    frame::check_background(object.get("background").and_then(|raw| raw.parse().ok()))?;
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
        match self.begin(request) {
            Ok((reading, opening)) => {
                let limit = Limit::of(opening.settings);
                let total = opening.settings.timeouts.total_or(None).and_then(Total::new);
                let waiting = Waiting { reading, opening, limit, watchdog: None, total };
                SocketCall { waiting: Some(waiting), error: None }
            }
            Err(error) => SocketCall { waiting: None, error: Some(error) },
        }
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

/// What a stream needs to know of the request that opens it.
struct Opening {
    common: Arc<Common>,
    extensions: Extensions,
    settings: StreamSettings,
    turn_state: Option<TurnState>,
}

impl Opening {
    fn open(self, source: SocketSource) -> ResponseStream<SocketSource> {
        let head = &self.common.head;
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = head.status;
        parts.version = head.version;
        parts.headers.clone_from(&head.headers);
        parts.extensions = self.extensions;
        let stream = ResponseStream::new(source, parts, self.settings, self.turn_state);
        match self.common.fresh.swap(false, Ordering::Relaxed) {
            true => stream,
            false => stream.without_rate_limits(),
        }
    }
}

/// How long the first message of an answer is waited for.
#[derive(Clone, Copy)]
struct Limit {
    time: Option<std::time::Duration>,
    kind: ErrorKind,
    name: &'static str,
}

impl Limit {
    fn of(settings: StreamSettings) -> Self {
        let timeouts: StreamTimeouts = settings.timeouts;
        let (time, kind, name) = match (timeouts.head_or(None), timeouts.first_event_or(None)) {
            (Some(head), _) => (Some(head), ErrorKind::HeadTimeout, "head"),
            (None, Some(first)) => (Some(first), ErrorKind::FirstEventTimeout, "first-event"),
            (None, None) => (settings.progress_timeout(), ErrorKind::ProgressTimeout, "progress"),
        };
        Self { time, kind, name }
    }

    fn error(self) -> Error {
        let message = format!(
            "no message within {:?} of the request, the {} limit",
            self.time.unwrap_or_default(),
            self.name
        );
        Error::new(self.kind, message).with_stage(Stage::Sent)
    }
}

/// The future of [`ResponsesConnection`]: ready with the first message of the answer.
///
/// Polled again after it was ready, it stays pending.
#[must_use = "futures do nothing unless polled"]
pub struct SocketCall {
    waiting: Option<Waiting>,
    /// Of a request that was not taken.
    error: Option<Error>,
}

struct Waiting {
    reading: Reading,
    opening: Opening,
    limit: Limit,
    /// From when the request is sent.
    watchdog: Option<Watchdog>,
    total: Option<Total>,
}

impl Waiting {
    /// Ready with the first messages.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<VecDeque<Text>, Error>> {
        let mut texts = VecDeque::new();
        if let Poll::Ready(taken) = self.reading.poll_take(cx, &mut texts) {
            return Poll::Ready(taken.map(|_| texts));
        }
        let is_sent = self.reading.is_sent();
        if let Some(Poll::Ready(error)) = self.total.as_mut().map(|total| total.poll(cx)) {
            let stage = if is_sent { Stage::Sent } else { Stage::NotSent };
            return Poll::Ready(Err(error.with_stage(stage)));
        }
        if self.watchdog.is_none() && is_sent {
            self.watchdog = Some(Watchdog::new(self.limit.time));
        }
        let Some(watchdog) = &mut self.watchdog else { return Poll::Pending };
        ready!(watchdog.poll_expired(cx));
        Poll::Ready(Err(self.limit.error()))
    }
}

impl Future for SocketCall {
    type Output = Result<ResponseStream<SocketSource>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        let taken = ready!(waiting.poll(cx));
        let Some(Waiting { reading, opening, total, .. }) = self.waiting.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match taken {
            Ok(texts) => Ok(opening.open(SocketSource::new(reading, texts, total))),
            Err(error) => Err(error.without_secrets_of(&opening.common.call)),
        })
    }
}

impl fmt::Debug for SocketCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketCall")
            .field("waiting", &self.waiting.is_some())
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
