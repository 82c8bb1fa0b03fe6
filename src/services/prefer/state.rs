//! Which of the two transports is to be used.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Stage};
use crate::ws::CloseCode;

/// When [`Prefer`](super::Prefer) turns away from sockets, and when it tries them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct PreferPolicy {
    cooldown: Duration,
    longest: Duration,
    failures: u32,
}

impl Default for PreferPolicy {
    fn default() -> Self {
        Self {
            cooldown: Duration::from_secs(60),
            longest: Duration::from_secs(15 * 60),
            failures: 3,
        }
    }
}

impl PreferPolicy {
    /// The default policy.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long sockets are left alone after a failure; each failed try after that doubles it, up to
    /// `longest`. Default: one minute, up to 15 minutes.
    ///
    /// # Errors
    ///
    /// If it is zero, or above `longest`, or `longest` is above 365 days.
    pub fn cooldown(mut self, first: Duration, longest: Duration) -> Result<Self, Error> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        if first.is_zero() || first > longest || longest > YEAR {
            return Err(Error::build(format!(
                "`cooldown` is from {first:?} to {longest:?}; it must be above zero, in this order, and \
                 at most 365 days"
            )));
        }
        (self.cooldown, self.longest) = (first, longest);
        Ok(self)
    }

    /// After how many answers in a row that broke off sockets are left alone. Zero: never for that.
    /// Default: 3. A request that tries a socket after a cooldown is a failed try if it breaks off
    /// unanswered, whatever this is.
    pub fn max_failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }
}

/// Which transport the next request takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preference {
    /// The socket.
    Socket,
    /// HTTP, because sockets have failed.
    #[non_exhaustive]
    Http {
        /// How long still; zero: the next request tries a socket.
        remaining: Duration,
        /// Whether a request tries a socket at this moment.
        probing: bool,
        /// What has failed.
        kind: ErrorKind,
        /// The status that the handshake was refused with.
        status: Option<StatusCode>,
        /// What the socket was closed with.
        close_code: Option<CloseCode>,
    },
}

/// A view of which transport a [`Prefer`](super::Prefer) and its clones use.
#[derive(Clone)]
pub struct PreferHandle(Arc<State>);

impl PreferHandle {
    pub(super) fn new(policy: PreferPolicy) -> Self {
        Self(Arc::new(State { policy, inner: Mutex::new(Inner::default()) }))
    }

    /// Which transport the next request takes.
    pub fn current(&self) -> Preference {
        let inner = self.0.lock();
        match &inner.down {
            None => Preference::Socket,
            Some(down) => Preference::Http {
                remaining: down.until.saturating_duration_since(Instant::now()),
                probing: down.probing,
                kind: down.kind,
                status: down.status,
                close_code: down.close_code,
            },
        }
    }

    /// Forgets what has failed: the next request takes the socket.
    pub fn reset(&self) {
        *self.0.lock() = Inner::default();
    }

    /// Whether a request is to take the socket.
    pub(super) fn enter(&self) -> Option<Pass> {
        let mut inner = self.0.lock();
        let probe = match &mut inner.down {
            None => false,
            Some(down) if down.probing || down.until > Instant::now() => return None,
            Some(down) => {
                down.probing = true;
                true
            }
        };
        drop(inner);
        Some(Pass { handle: self.clone(), probe })
    }

    /// A socket has failed as such.
    fn fail(&self, error: &Error) {
        let mut inner = self.0.lock();
        let policy = self.0.policy;
        let cooldown = match inner.cooldown {
            None => policy.cooldown,
            // Of many that fail together one counts.
            Some(cooldown) if inner.down.as_ref().is_some_and(|down| !down.probing) => cooldown,
            Some(cooldown) => cooldown.saturating_mul(2).min(policy.longest),
        };
        inner.cooldown = Some(cooldown);
        inner.failures = 0;
        inner.down = Some(Down {
            until: Instant::now() + cooldown,
            probing: false,
            kind: error.kind(),
            status: error.status(),
            close_code: error.close_code(),
        });
        drop(inner);
        let kind = error.kind().as_str();
        tracing::debug!(kind, ?cooldown, "sockets are left alone");
    }

    /// An answer was read to its end.
    pub(super) fn succeeded(&self) {
        self.0.lock().failures = 0;
    }

    /// An answer has broken off, or there was none.
    pub(super) fn broke(&self, error: &Error) {
        if error.close_code() == Some(CloseCode::TOO_LARGE) {
            return self.fail(error);
        }
        if is_break(error) {
            let most = self.0.policy.failures;
            let mut inner = self.0.lock();
            inner.failures = inner.failures.saturating_add(1);
            // Streams that are older than a cooldown may have broken off during it.
            let enough = inner.down.is_none() && most > 0 && inner.failures >= most;
            drop(inner);
            if enough {
                self.fail(error);
            }
        }
    }
}

impl fmt::Debug for PreferHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PreferHandle").field(&self.current()).finish()
    }
}

struct State {
    policy: PreferPolicy,
    inner: Mutex<Inner>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each section leaves a state that holds together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Inner {
    down: Option<Down>,
    /// How long the last cooldown was, until a socket works again.
    cooldown: Option<Duration>,
    /// Answers in a row that broke off.
    failures: u32,
}

struct Down {
    until: Instant,
    probing: bool,
    kind: ErrorKind,
    status: Option<StatusCode>,
    close_code: Option<CloseCode>,
}

/// A request that takes the socket. Dropped without a word, a probe has said nothing.
pub(super) struct Pass {
    handle: PreferHandle,
    probe: bool,
}

/// What becomes of a request that the socket did not take.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It goes over HTTP.
    Http,
    /// It may have been sent, or HTTP would not help.
    Error,
}

impl Pass {
    /// The socket has taken it.
    pub(super) fn accepted(mut self) {
        if std::mem::take(&mut self.probe) {
            let mut inner = self.handle.0.lock();
            *inner = Inner::default();
        }
    }

    /// The socket has not taken it.
    pub(super) fn refused(mut self, error: &Error) -> Verdict {
        if error.stage() != Stage::NotSent {
            if std::mem::take(&mut self.probe) {
                if is_break(error) || error.close_code() == Some(CloseCode::TOO_LARGE) {
                    // Else each request would be the next probe, and end like this one.
                    self.handle.fail(error);
                    return Verdict::Error;
                }
                // The server has said no, so the socket works: the next probe may come at once.
                self.release();
            }
            self.handle.broke(error);
            return Verdict::Error;
        }
        match of_unsent(error) {
            Unsent::SocketFailed => {
                self.handle.fail(error);
                self.probe = false;
                Verdict::Http
            }
            Unsent::RequestUnfit => Verdict::Http,
            Unsent::Other => Verdict::Error,
        }
    }

    fn release(&self) {
        if let Some(down) = &mut self.handle.0.lock().down {
            down.probing = false;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            self.release();
        }
    }
}

/// Whether an answer has broken off, or there was none.
fn is_break(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Transport
            | ErrorKind::Closed
            | ErrorKind::Truncated
            | ErrorKind::HeadTimeout
            | ErrorKind::FirstEventTimeout
            | ErrorKind::ProgressTimeout
            | ErrorKind::IdleTimeout
            | ErrorKind::Timeout
    )
}

/// What an error says of a request of which nothing was sent.
enum Unsent {
    /// No socket could be opened, or it was over.
    SocketFailed,
    /// This request does not go on a socket; others may.
    RequestUnfit,
    /// HTTP would say the same.
    Other,
}

fn of_unsent(error: &Error) -> Unsent {
    match (error.status().map(|status| status.as_u16()), error.kind()) {
        // Somebody has changed the handshake on its way.
        (Some(101), ErrorKind::Protocol) => Unsent::SocketFailed,
        // What does not know upgrades answers the request without one, or fails on the way.
        (Some(200..=399 | 403 | 404 | 405 | 426 | 501 | 502 | 504), _) => Unsent::SocketFailed,
        (Some(_), _) => Unsent::Other,
        (None, ErrorKind::Build | ErrorKind::Overloaded) => Unsent::RequestUnfit,
        // The request's own limit, which has run out before its turn: over HTTP it would begin anew.
        // That of a handshake comes from a layer, whose error is its cause.
        (None, ErrorKind::TotalTimeout) if std::error::Error::source(error).is_none() => {
            Unsent::Other
        }
        (None, ErrorKind::TooLarge) if error.close_code().is_none() => Unsent::RequestUnfit,
        (
            None,
            ErrorKind::Connect
            | ErrorKind::ConnectionExpired
            | ErrorKind::Tls
            | ErrorKind::Proxy
            | ErrorKind::Transport
            | ErrorKind::Closed
            | ErrorKind::Truncated
            | ErrorKind::Protocol
            | ErrorKind::TooLarge
            | ErrorKind::Timeout
            | ErrorKind::HeadTimeout
            | ErrorKind::IdleTimeout
            | ErrorKind::TotalTimeout,
        ) => Unsent::SocketFailed,
        _ => Unsent::Other,
    }
}
