//! A WebSocket for whole messages, whatever they say.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;

use self::plain::Plain;
use super::config::WebSocketConfig;
use super::handshake::Upgraded;
use super::message::{CloseFrame, Message};
use super::shared::{Driver, Shared};
use crate::Error;

mod plain;

/// An open WebSocket: reads messages, and sends them.
///
/// It reads in one place, by [`next`](Self::next) or as a [`Stream`]; it sends from any number of
/// places, by a [`Sender`]. Up to 1 MiB is queued each way. A reader who is slow stops the server,
/// and senders wait while the server is.
///
/// [`new`](Self::new) gives a [`Driver`] beside it, to be spawned. [`inline`](Self::inline) does
/// without: the socket goes on while something of it is awaited, and only then are pings answered and
/// is a peer that has vanished noticed.
///
/// Dropping it and its senders closes the socket.
pub struct WebSocket {
    shared: Shared<Plain>,
    max_outgoing: usize,
}

impl WebSocket {
    /// A socket on a connection that a [`Handshake`](super::Handshake) gave, and its driver.
    pub fn new(upgraded: Upgraded, config: &WebSocketConfig) -> (Self, Driver) {
        let (io, head) = upgraded.into_parts();
        let (socket, driver) = Self::over(io, config);
        socket.shared.keep_secrets_of(&head.extensions);
        (socket, driver)
    }

    /// A socket on a connection that a [`Handshake`](super::Handshake) gave, without a driver.
    pub fn inline(upgraded: Upgraded, config: &WebSocketConfig) -> Self {
        let (io, head) = upgraded.into_parts();
        let socket = Self::inline_over(io, config);
        socket.shared.keep_secrets_of(&head.extensions);
        socket
    }

    /// The client's end of a WebSocket that is open already, over any transport.
    pub fn over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        config: &WebSocketConfig,
    ) -> (Self, Driver) {
        let (shared, driver) = Shared::driven(Box::new(io), config, Plain::default());
        (Self { shared, max_outgoing: config.max_outgoing }, driver)
    }

    /// As [`over`](Self::over), without a driver.
    pub fn inline_over(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        config: &WebSocketConfig,
    ) -> Self {
        let shared = Shared::inline(Box::new(io), config, Plain::default());
        Self { shared, max_outgoing: config.max_outgoing }
    }

    /// The error of a close that the server began, whatever it said.
    pub(crate) fn closed_by_peer(&self) -> Option<Error> {
        self.shared.look(Plain::closed_by_peer)
    }

    /// Something that sends on this socket.
    pub fn sender(&self) -> Sender {
        Sender { shared: self.shared.clone(), max_outgoing: self.max_outgoing }
    }

    /// The next message. `None` once the socket was closed in order, by either side.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What ended the socket otherwise: it broke, went silent, was not the protocol, or the server
    /// closed it with a [code](Error::close_code) other than 1000 and 1001. After an error comes
    /// `None`.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// Sends a message: waits for room among those that are queued. As [`Sender::send`].
    pub fn send(&self, message: impl Into<Message>) -> Sending<'_> {
        Sending::new(&self.shared, message.into(), self.max_outgoing)
    }

    /// Sends what is queued, closes the socket and waits for the end. Messages that come meanwhile
    /// can still be read, as far as there is room for them.
    ///
    /// Dropping the future stops waiting; the socket is closed all the same while it is driven.
    ///
    /// # Errors
    ///
    /// What ended the socket before. That the server does not answer in
    /// [time](WebSocketConfig::close_timeout), or does not take what is queued, is one, too.
    pub async fn close(&self, frame: impl Into<CloseFrame>) -> Result<(), Error> {
        let frame = frame.into();
        self.shared.change(|plain, wakers| plain.close(frame, wakers));
        poll_fn(|cx| self.shared.poll(cx, |plain, cx, wakers| plain.poll_closed(cx, wakers))).await
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        // A queue that never runs empty must not keep the task from yielding.
        if !coop::has_budget_remaining() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let message = ready!(self.shared.poll(cx, |plain, cx, _| plain.poll_next(cx)));
        let _ = pin!(coop::consume_budget()).poll(cx);
        Poll::Ready(message)
    }
}

impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").finish_non_exhaustive()
    }
}

/// Sends on a [`WebSocket`]. Its clones send on the same one.
#[derive(Clone)]
pub struct Sender {
    shared: Shared<Plain>,
    max_outgoing: usize,
}

impl Sender {
    /// Sends a message: waits for room among those that are queued.
    ///
    /// It is queued when the future is ready; if that is dropped before, the message is not sent.
    ///
    /// # Errors
    ///
    /// What ended the socket; and [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) for a message
    /// above the [limit](WebSocketConfig::max_outgoing_size), after which the socket stays.
    pub fn send(&self, message: impl Into<Message>) -> Sending<'_> {
        Sending::new(&self.shared, message.into(), self.max_outgoing)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// The future of [`WebSocket::send`] and [`Sender::send`].
#[must_use = "futures do nothing unless polled"]
pub struct Sending<'a> {
    shared: &'a Shared<Plain>,
    /// `None` once it is queued.
    message: Option<Result<Message, Error>>,
}

impl<'a> Sending<'a> {
    fn new(shared: &'a Shared<Plain>, message: Message, limit: usize) -> Self {
        let message = match message.len() {
            len if len > limit => Err(Error::too_large_to_send(len, limit)),
            _ => Ok(message),
        };
        Self { shared, message: Some(message) }
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.message.take() {
            None => Poll::Pending,
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(message)) => {
                let mut message = Some(message);
                let sent = this
                    .shared
                    .poll_change(cx, |plain, cx, wakers| plain.poll_send(&mut message, cx, wakers));
                this.message = message.map(Ok);
                sent
            }
        }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}
