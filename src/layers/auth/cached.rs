//! Keeps a token for as long as it is good, and gets a new one once for all.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Request};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::headers::put;
use super::{
    Credentials, CredentialsError, RefreshCredentials, Refreshed, RejectedCredential, Token,
    TokenSource,
};

/// How long before its expiry a token is replaced.
const EARLY: Duration = Duration::from_secs(5 * 60);

/// How long a source is left alone that gave the rejected token again.
const INSISTED: Duration = Duration::from_secs(5);

/// How long a source is left alone that gave no token while the old one was still good.
const PAUSE: Duration = Duration::from_secs(30);

/// How long a call waits for a new token while the old one is still good.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a call waits for a new token without which it cannot be sent.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Bearer credentials from a [`TokenSource`], asked as rarely as can be.
///
/// | the token is | a call |
/// |---|---|
/// | good | takes it, without waiting |
/// | about to expire | the first one gets a new one, the others take the old one meanwhile; if there is no new one, all do |
/// | expired, rejected, or not there yet | waits for a new one; all that wait share one request to the source, and its error if it fails |
///
/// The call that got the turn asks the source, in its own task. If it is dropped, the next in line
/// asks. Clones share the token.
///
/// A source that hangs holds up no call for long. While the old token is good, the call that asks
/// waits for 5 s, then takes the old one; whether it waited in vain, failed or was dropped, the
/// source is left alone for 30 s. Without a good token it waits for the
/// [time limit](Self::time_limit). What the source was about to do is dropped.
///
/// A token that has expired when the source gives it is sent all the same, because the clock here may
/// be wrong; but only by those who have waited for it.
///
/// With [`refresh_on_unauthorized`](super::AuthLayer::refresh_on_unauthorized) a 401 makes the
/// token it was sent with a rejected one; one that came meanwhile is kept. If the source was asked
/// before the 401 and answers with the rejected token, it is asked once more. If it has no other,
/// the token is sent again, and for 5 s a 401 passes without asking.
///
/// ```
/// use std::time::Duration;
/// use tower_openai::layers::AuthLayer;
/// use tower_openai::layers::auth::{Cached, TokenFile};
///
/// let token = Cached::new(TokenFile::new("/run/secrets/token"))
///     .refresh_early(Duration::from_secs(60));
/// let layer = AuthLayer::new(token).refresh_on_unauthorized();
/// ```
///
/// Time is tokio's, which may stand still while a machine sleeps: then a 401 tells.
///
/// # Panics
///
/// Waiting for a source that does not answer at once panics outside a tokio runtime, or in one
/// without its time driver.
#[must_use]
pub struct Cached<T> {
    shared: Arc<Shared<T>>,
    early: Duration,
    keep: Option<Duration>,
    limit: Duration,
}

impl<T> Cached<T> {
    /// Credentials from `source`, which is not asked before the first call.
    pub fn new(source: T) -> Self {
        let shared = Shared { source, state: Mutex::default(), turn: Semaphore::new(1) };
        Self { shared: Arc::new(shared), early: EARLY, keep: None, limit: TIME_LIMIT }
    }

    /// How long before its expiry a token is replaced; at most half its life. Default: 5 min.
    pub const fn refresh_early(mut self, early: Duration) -> Self {
        self.early = early;
        self
    }

    /// Replaces a token at this age, though it be good for longer or say nothing of its expiry.
    /// Default: never.
    pub const fn refresh_every(mut self, age: Duration) -> Self {
        self.keep = Some(age);
        self
    }

    /// How long a call waits for the source when there is no token to send. After that it fails,
    /// with all that waited, with a [transient](CredentialsError::transient) error. Default: 30 s.
    ///
    /// A source that has a limit of its own, like `CommandToken`, is held to the shorter one.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        let Self { ref shared, early, keep, limit } = *self;
        Self { shared: Arc::clone(shared), early, keep, limit }
    }
}

impl<T> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("early", &self.early)
            .field("keep", &self.keep)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

struct Shared<T> {
    source: T,
    state: Mutex<State>,
    /// Who has the permit asks the source. It passes on in order, also from one that is dropped.
    turn: Semaphore,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How many times the source has answered.
    answers: u64,
    /// The last answer.
    last: Option<Result<HeaderValue, CredentialsError>>,
}

/// A token as it came.
struct Held {
    value: HeaderValue,
    expires: Option<Instant>,
    stale: Option<Instant>,
    rejected: bool,
    /// Until when the source, which gave it after it was rejected, is not asked for another.
    insisted: Option<Instant>,
}

/// What a call finds.
enum Found {
    Good(HeaderValue),
    /// Good still, but a new one is due.
    Stale(HeaderValue),
    Nothing,
}

impl State {
    fn look(&self) -> Found {
        let Some(held) = self.held.as_ref().filter(|held| !held.rejected) else {
            return Found::Nothing;
        };
        if held.expires.is_none() && held.stale.is_none() {
            return Found::Good(held.value.clone());
        }
        let now = Instant::now();
        let passed = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        match (passed(held.expires), passed(held.stale)) {
            (true, _) => Found::Nothing,
            (false, true) => Found::Stale(held.value.clone()),
            (false, false) => Found::Good(held.value.clone()),
        }
    }

    /// What the source has said since it had said `before` things: an answer for all who waited.
    fn answer_since(&self, before: u64) -> Option<Result<HeaderValue, CredentialsError>> {
        match &self.last {
            _ if self.answers == before => None,
            Some(Ok(value)) if self.rejects(value) => None,
            last => last.clone(),
        }
    }

    /// Whether `value` has been answered 401, and the source has not insisted on it since.
    fn rejects(&self, value: &HeaderValue) -> bool {
        self.held.as_ref().is_some_and(|held| held.rejected && held.value == *value)
    }

    /// Whether the token that is there has been answered 401.
    fn is_rejected(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.rejected)
    }

    /// The token that is still good, though a new one is due; none is looked for in the pause.
    fn put_off(&mut self) -> Option<HeaderValue> {
        let Found::Stale(value) = self.look() else { return None };
        if let Some(held) = &mut self.held {
            held.stale = Instant::now().checked_add(PAUSE);
        }
        Some(value)
    }

    /// Marks the token that was sent as `rejected`, unless it is known without asking what comes
    /// of that: another one is there already, or there is none.
    fn reject(&mut self, rejected: Option<&HeaderValue>) -> Option<Refreshed> {
        let held = self.held.as_mut()?;
        if rejected.is_some_and(|rejected| *rejected != held.value) {
            return Some(Refreshed::Replaced);
        }
        if held.insisted.is_some_and(|until| Instant::now() < until) {
            return Some(Refreshed::Unchanged);
        }
        held.rejected = true;
        None
    }

    /// Keeps `token` in place of what was there.
    fn hold(&mut self, mut token: Held) {
        if self.rejects(&token.value) {
            token.insisted = Instant::now().checked_add(INSISTED);
        }
        self.held = Some(token);
    }
}

impl Held {
    fn new(token: Token, early: Duration, keep: Option<Duration>) -> Self {
        let Token { value, expires_in, refresh_in } = token;
        let due = expires_in.map(|life| life - early.min(life / 2));
        let first = [due, refresh_in, keep].into_iter().flatten().min();
        // Ages beyond the clock's range are as good as none.
        let after = |age: Option<Duration>| Instant::now().checked_add(age?);
        Self {
            value,
            expires: after(expires_in),
            stale: after(first),
            rejected: false,
            insisted: None,
        }
    }
}

impl<T> Cached<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each section leaves the state whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that can be had without waiting, and without leaving a refresh to nobody.
    fn at_hand(&self) -> Option<HeaderValue> {
        match self.state().look() {
            Found::Good(value) => Some(value),
            Found::Stale(value) => (self.shared.turn.available_permits() == 0).then_some(value),
            Found::Nothing => None,
        }
    }

    async fn wait_for_turn(&self) -> Result<SemaphorePermit<'_>, CredentialsError> {
        // It is never closed.
        let closed = |_| CredentialsError::build("the token cache is closed");
        self.shared.turn.acquire().await.map_err(closed)
    }
}

impl<T: TokenSource> Cached<T> {
    /// A token to send, from the source if need be.
    async fn obtain(&self) -> Result<HeaderValue, CredentialsError> {
        let (found, answers) = {
            let state = self.state();
            (state.look(), state.answers)
        };
        let _turn = match found {
            Found::Good(value) => return Ok(value),
            Found::Stale(value) => match self.shared.turn.try_acquire() {
                Ok(turn) => turn,
                Err(_) => return Ok(value),
            },
            Found::Nothing => self.wait_for_turn().await?,
        };
        let answer = self.state().answer_since(answers);
        match answer {
            Some(answer) => answer,
            None => self.ask().await,
        }
    }

    /// Something else than `rejected`, if the source has it.
    async fn replace(&self, rejected: Option<HeaderValue>) -> Result<Refreshed, CredentialsError> {
        let answers = {
            let mut state = self.state();
            if let Some(known) = state.reject(rejected.as_ref()) {
                return Ok(known);
            }
            state.answers
        };
        let _turn = self.wait_for_turn().await?;
        let answer = self.state().answer_since(answers);
        let value = match answer {
            Some(answer) => answer?,
            None => self.ask().await?,
        };
        let unchanged = rejected.is_some_and(|rejected| rejected == value);
        Ok(if unchanged { Refreshed::Unchanged } else { Refreshed::Replaced })
    }

    /// Asks the source; for who has the turn.
    async fn ask(&self) -> Result<HeaderValue, CredentialsError> {
        let mut asking = Asking { cached: self, answered: false };
        let knew = self.state().is_rejected();
        let mut answer = self.token_in_time().await;
        // Asked for before a 401 it says nothing of whether there is another.
        if !knew && answer.as_ref().is_ok_and(|token| self.state().rejects(&token.value)) {
            answer = self.token_in_time().await;
        }
        asking.answered = true;
        let mut state = self.state();
        let answer = match answer {
            Ok(token) => {
                let held = Held::new(token, self.early, self.keep);
                let value = held.value.clone();
                state.hold(held);
                Ok(value)
            }
            Err(error) => state.put_off().ok_or(error),
        };
        state.answers += 1;
        state.last = Some(answer.clone());
        answer
    }

    /// What the source says, if it says it in time.
    async fn token_in_time(&self) -> Result<Token, CredentialsError> {
        let mut answer = pin!(self.shared.source.token());
        // One that answers at once, like a file, needs no timer.
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
            return answer;
        }
        let patience = PATIENCE.min(self.limit);
        if let Ok(answer) = timeout(patience, answer.as_mut()).await {
            return answer;
        }
        // Looked at only now, because what was good may have expired or been rejected meanwhile.
        let spare = matches!(self.state().look(), Found::Stale(_));
        if !spare {
            if let Ok(answer) = timeout(self.limit - patience, answer).await {
                return answer;
            }
        }
        Err(CredentialsError::transient("the token source has not answered in time"))
    }
}

/// A call that waits for the source. If it is dropped, the next one must not be held up likewise
/// while the old token is good.
struct Asking<'a, T> {
    cached: &'a Cached<T>,
    answered: bool,
}

impl<T> Drop for Asking<'_, T> {
    fn drop(&mut self) {
        if !self.answered {
            self.cached.state().put_off();
        }
    }
}

fn add(headers: &mut HeaderMap, value: &HeaderValue) -> Result<(), CredentialsError> {
    put(headers, AUTHORIZATION, value)
}

impl<B, T> Credentials<B> for Cached<T>
where
    T: TokenSource + Send + Sync + 'static,
{
    type Future = CachedFuture<B>;

    fn authorize(&self, request: Request<B>) -> CachedFuture<B> {
        let this = self.clone();
        let token = Box::pin(async move { this.obtain().await });
        CachedFuture { token, request: Some(request) }
    }

    fn authorize_now(&self, request: &mut Request<B>) -> Option<Result<(), CredentialsError>> {
        let value = self.at_hand()?;
        Some(add(request.headers_mut(), &value))
    }
}

impl<T> RefreshCredentials for Cached<T>
where
    T: TokenSource + Send + Sync + 'static,
{
    type Future = CachedRefreshFuture;

    fn refresh(&self, rejected: RejectedCredential) -> CachedRefreshFuture {
        let this = self.clone();
        let rejected = rejected.header(&AUTHORIZATION).cloned();
        CachedRefreshFuture(Box::pin(async move { this.replace(rejected).await }))
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, CredentialsError>> + Send>>;

/// The future of [`Cached`]'s [`authorize`](Credentials::authorize). Made only where the token is
/// not at hand, so its box costs little beside what it waits for.
#[must_use = "futures do nothing unless polled"]
pub struct CachedFuture<B> {
    token: BoxFuture<HeaderValue>,
    request: Option<Request<B>>,
}

// The request is never pinned.
impl<B> Unpin for CachedFuture<B> {}

impl<B> Future for CachedFuture<B> {
    type Output = Result<Request<B>, CredentialsError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.request.is_none() {
            return Poll::Pending;
        }
        let value = std::task::ready!(self.token.as_mut().poll(cx));
        let Some(mut request) = self.request.take() else { return Poll::Pending };
        let added = value.and_then(|value| add(request.headers_mut(), &value));
        Poll::Ready(added.map(|()| request))
    }
}

impl<B> fmt::Debug for CachedFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedFuture").finish_non_exhaustive()
    }
}

/// The future of [`Cached`]'s [`refresh`](RefreshCredentials::refresh).
#[must_use = "futures do nothing unless polled"]
pub struct CachedRefreshFuture(BoxFuture<Refreshed>);

impl Future for CachedRefreshFuture {
    type Output = Result<Refreshed, CredentialsError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for CachedRefreshFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRefreshFuture").finish_non_exhaustive()
    }
}
