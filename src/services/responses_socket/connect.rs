//! Connecting: the handshake becomes a connection.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::connection::ResponsesConnection;
use super::lanes::Lanes;
use super::reconnecting::Reconnecting;
use super::request::ResponsesSocketRequest;
use super::settings::ResponsesSocketSettings;
use crate::error::Stage;
use crate::extensions::{Call, StreamTimeouts};
use crate::services::encode::{Outgoing, Target};
use crate::services::{CallOnce, HttpService, TurnState};
use crate::ws::shared::Shared;
use crate::ws::{Driver, Handshake, HandshakeFuture, Upgraded};
use crate::{BoxError, Error, RequestBody};

/// Turns an HTTP service into a [`ResponsesSocket`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ResponsesSocketLayer {
    settings: ResponsesSocketSettings,
}

impl ResponsesSocketLayer {
    /// How the connections behave.
    pub fn settings(mut self, settings: ResponsesSocketSettings) -> Self {
        self.settings = settings;
        self
    }
}

impl<S> Layer<S> for ResponsesSocketLayer {
    type Service = ResponsesSocket<S>;

    fn layer(&self, inner: S) -> ResponsesSocket<S> {
        ResponsesSocket::new(inner).settings(self.settings.clone())
    }
}

/// Opens connections for responses, over an HTTP service; see the [module](crate::services::responses_socket).
///
/// Connecting gives what `D` says: with [`Driven`] a connection and its [`Driver`], with [`Inline`] a
/// connection that goes on while it is used.
///
/// `Clone` if the HTTP service is; a clone has to be made ready anew, like every service.
#[derive(Clone)]
pub struct ResponsesSocket<S, D = Driven> {
    handshake: Handshake<S>,
    settings: ResponsesSocketSettings,
    drive: PhantomData<fn() -> D>,
}

impl ResponsesSocket<()> {
    /// The endpoint as a layer, for [`ServiceBuilder`](tower::ServiceBuilder).
    pub fn layer() -> ResponsesSocketLayer {
        ResponsesSocketLayer::default()
    }
}

impl<S> ResponsesSocket<S> {
    /// The endpoint over `http`.
    pub fn new(http: S) -> Self {
        let settings = ResponsesSocketSettings::default();
        Self { handshake: Handshake::new(http), settings, drive: PhantomData }
    }

    /// The same with connections that go on while they are used, and only then: pings are answered,
    /// and a server that has vanished is noticed, when something of the connection is awaited.
    pub fn inline(self) -> ResponsesSocket<S, Inline> {
        let Self { handshake, settings, .. } = self;
        ResponsesSocket { handshake, settings, drive: PhantomData }
    }

    /// Opens a connection that goes on while it is used; see [`inline`](Self::inline).
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_inline(
        &self,
        request: ResponsesSocketRequest,
    ) -> ConnectCall<S, Inline, S::Future, S::ResponseBody>
    where
        S: HttpService<RequestBody> + Clone,
    {
        self.clone().inline().connect(request)
    }

    /// A service that answers requests: on one connection, which it opens when it is first needed, and
    /// again when the one before takes no more. Such connections go on while they are used.
    pub fn reconnecting(
        self,
        request: ResponsesSocketRequest,
    ) -> Reconnecting<ResponsesSocket<S, Inline>> {
        Reconnecting::new(self.inline(), request)
    }
}

impl<S, D> ResponsesSocket<S, D> {
    /// How the connections behave.
    #[must_use]
    pub fn settings(mut self, settings: ResponsesSocketSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Opens one connection, on a clone of the service that is made ready first.
    ///
    /// Dropping the future cancels the handshake.
    ///
    /// # Errors
    ///
    /// As [`Service::call`] has them: the refusal of the server, a connection that cannot be made, an
    /// answer that is no handshake. The [stage](Error::stage) is [`Stage::NotSent`] in each case, since
    /// no request for a response has been sent.
    pub fn connect(
        &self,
        request: ResponsesSocketRequest,
    ) -> ConnectCall<S, D, S::Future, S::ResponseBody>
    where
        S: HttpService<RequestBody> + Clone,
        D: Drive,
    {
        CallOnce::new(self.clone(), request)
    }

    /// The HTTP service inside.
    pub fn get_ref(&self) -> &S {
        self.handshake.get_ref()
    }

    /// The HTTP service inside.
    pub fn get_mut(&mut self) -> &mut S {
        self.handshake.get_mut()
    }

    /// The HTTP service inside, unwrapped.
    pub fn into_inner(self) -> S {
        self.handshake.into_inner()
    }
}

/// The future of [`ResponsesSocket::connect`].
///
/// `F` is the future and `RB` the response body of the HTTP service.
pub type ConnectCall<S, D, F, RB> = CallOnce<
    ResponsesSocket<S, D>,
    ResponsesSocketRequest,
    ConnectFuture<F, RB, D>,
    <D as sealed::Drive>::Connection,
>;

impl<S: fmt::Debug, D> fmt::Debug for ResponsesSocket<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesSocket")
            .field("inner", self.get_ref())
            .field("settings", &self.settings)
            .finish()
    }
}

/// Who reads and writes a connection: [`Driven`] or [`Inline`].
///
/// Sealed; a bound that tells which there are.
pub trait Drive: sealed::Drive + Clone {}

impl<D: sealed::Drive + Clone> Drive for D {}

/// A [`Driver`] does, for the application to spawn.
#[derive(Clone, Copy, Debug)]
pub enum Driven {}

/// Whoever uses it does.
#[derive(Clone, Copy, Debug)]
pub enum Inline {}

mod sealed {
    use super::*;

    pub trait Drive {
        /// What connecting gives.
        type Connection;

        fn open(
            upgraded: Upgraded,
            settings: ResponsesSocketSettings,
            call: Call,
            turn: Option<&TurnState>,
        ) -> Self::Connection;
    }
}

impl sealed::Drive for Driven {
    type Connection = (ResponsesConnection, Driver);

    fn open(
        upgraded: Upgraded,
        settings: ResponsesSocketSettings,
        call: Call,
        turn: Option<&TurnState>,
    ) -> Self::Connection {
        let (io, head) = upgraded.into_parts();
        let (shared, driver) = Shared::driven(io, &settings.socket, lanes(&settings));
        shared.keep_secrets_of(&head.extensions);
        (ResponsesConnection::new(shared, settings, head, call, turn), driver)
    }
}

impl sealed::Drive for Inline {
    type Connection = ResponsesConnection;

    fn open(
        upgraded: Upgraded,
        settings: ResponsesSocketSettings,
        call: Call,
        turn: Option<&TurnState>,
    ) -> Self::Connection {
        let (io, head) = upgraded.into_parts();
        let shared = Shared::inline(io, &settings.socket, lanes(&settings));
        shared.keep_secrets_of(&head.extensions);
        ResponsesConnection::new(shared, settings, head, call, turn)
    }
}

/// The lanes of a new connection.
fn lanes(settings: &ResponsesSocketSettings) -> Lanes {
    let rotate_at = settings.max_age.and_then(|age| Instant::now().checked_add(shortened(age)));
    Lanes::new(settings.limits, rotate_at)
}

/// Up to a twentieth less, by chance.
fn shortened(age: Duration) -> Duration {
    // Without random numbers all connections get as old; there was one for the handshake.
    let chance = getrandom::u32().unwrap_or_default();
    age - age.mul_f64(f64::from(chance) / f64::from(u32::MAX) / 20.0)
}

impl<S, D> Service<ResponsesSocketRequest> for ResponsesSocket<S, D>
where
    S: HttpService<RequestBody>,
    D: Drive,
{
    type Response = D::Connection;
    type Error = Error;
    type Future = ConnectFuture<S::Future, S::ResponseBody, D>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.handshake.poll_ready(cx).map_err(|error| error.with_stage(Stage::NotSent))
    }

    fn call(&mut self, request: ResponsesSocketRequest) -> Self::Future {
        let state = match prepare(request) {
            Ok((request, call, turn)) => State::Calling {
                future: self.handshake.call(request),
                opening: Some((self.settings.clone(), call, turn)),
            },
            Err(error) => State::Refused { error: Some(error) },
        };
        ConnectFuture { state, drive: PhantomData }
    }
}

/// The handshake of a request, and what its connection needs to know.
fn prepare(
    request: ResponsesSocketRequest,
) -> Result<(Request<()>, Call, Option<TurnState>), Error> {
    let mut options = request.options;
    let call = Call::unary("responses_socket", None);
    // Those of the settings are about streams.
    let timeouts = options.timeouts_or(StreamTimeouts::new());
    let get = Outgoing::new(Method::GET, Target::of("/responses"))?;
    let request = get.into_request(&mut options, timeouts, call.clone())?;
    Ok((request.map(drop), call, options.turn_state))
}

pin_project! {
    /// The future of [`ResponsesSocket`].
    ///
    /// `F` is the future and `RB` the response body of the HTTP service. Dropping it cancels the
    /// handshake. Polled again after it was ready, it stays pending.
    #[must_use = "futures do nothing unless polled"]
    pub struct ConnectFuture<F, RB, D> {
        #[pin]
        state: State<F, RB>,
        drive: PhantomData<fn() -> D>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        Refused { error: Option<Error> },
        Calling {
            #[pin]
            future: HandshakeFuture<F, RB>,
            opening: Option<(ResponsesSocketSettings, Call, Option<TurnState>)>,
        },
        Done,
    }
}

impl<F, RB, D, E> Future for ConnectFuture<F, RB, D>
where
    F: Future<Output = Result<http::Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
    D: Drive,
{
    type Output = Result<D::Connection, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProj::Refused { error } => match error.take() {
                Some(error) => Err(error),
                None => return Poll::Pending,
            },
            StateProj::Calling { future, opening } => {
                let result = ready!(future.poll(cx));
                match (result, opening.take()) {
                    (Ok(upgraded), Some((settings, call, turn))) => {
                        Ok(D::open(upgraded, settings, call, turn.as_ref()))
                    }
                    (Err(error), _) => Err(error.with_stage(Stage::NotSent)),
                    (Ok(_), None) => return Poll::Pending,
                }
            }
            StateProj::Done => return Poll::Pending,
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

impl<F, RB, D> fmt::Debug for ConnectFuture<F, RB, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Refused { .. } => "Refused",
            State::Calling { .. } => "Calling",
            State::Done => "Done",
        };
        f.debug_struct("ConnectFuture").field("state", &state).finish_non_exhaustive()
    }
}
