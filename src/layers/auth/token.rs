//! Tokens, and where they come from.

use std::fmt;
use std::future::Future;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;
use serde::Deserialize;

use super::{Bearer, CredentialsError};

/// Gets a new token each time it is asked: from a token service, a vault, a command.
///
/// It neither keeps nor shares anything; [`Cached`](super::Cached) does, and turns it into
/// credentials. A closure is one by [`token_fn`].
///
/// ```
/// use std::time::Duration;
/// use tower_openai::layers::AuthLayer;
/// use tower_openai::layers::auth::{Cached, CredentialsError, Token, TokenSource};
///
/// struct Vault { /* a client */ }
///
/// impl TokenSource for Vault {
///     async fn token(&self) -> Result<Token, CredentialsError> {
///         // ask the vault here
///         Ok(Token::new("hidden")?.expires_in(Duration::from_secs(3600)))
///     }
/// }
///
/// let layer = AuthLayer::new(Cached::new(Vault {})).refresh_on_unauthorized();
/// ```
///
/// Its client must not share an in-flight limit with the calls it gets tokens for: a call that waits
/// for the token, or the 401 it is to replace, may hold the slot that the client waits for.
pub trait TokenSource {
    /// Gets a token. Dropping the future gives up on it.
    ///
    /// # Errors
    ///
    /// The future's, if there is none: [`CredentialsError::transient`] if it is worth another try.
    fn token(&self) -> impl Future<Output = Result<Token, CredentialsError>> + Send;
}

/// [`TokenSource`] of an async closure.
///
/// ```
/// use tower_openai::layers::auth::{Cached, Token, token_fn};
///
/// let credentials = Cached::new(token_fn(|| async { Token::new("hidden") }));
/// ```
pub const fn token_fn<F, Fut>(f: F) -> TokenFn<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Token, CredentialsError>> + Send,
{
    TokenFn(f)
}

/// The source that [`token_fn`] makes.
#[derive(Clone, Copy)]
pub struct TokenFn<F>(F);

impl<F, Fut> TokenSource for TokenFn<F>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Token, CredentialsError>> + Send,
{
    fn token(&self) -> impl Future<Output = Result<Token, CredentialsError>> + Send {
        (self.0)()
    }
}

impl<F> fmt::Debug for TokenFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFn").finish_non_exhaustive()
    }
}

/// A bearer token, and how long it is good for.
///
/// Its `Debug` does not show it.
#[derive(Clone)]
pub struct Token {
    /// `Bearer …`, marked sensitive.
    pub(super) value: HeaderValue,
    pub(super) expires_in: Option<Duration>,
    pub(super) refresh_in: Option<Duration>,
}

impl Token {
    /// A token, given without the word `Bearer`. If it is a JSON web token with an expiry, `exp`,
    /// that is when it expires; the signature is not looked at.
    ///
    /// # Errors
    ///
    /// If it is blank or holds white space or anything but visible ASCII. The error does not quote
    /// it, and is not transient.
    pub fn new(token: impl AsRef<str>) -> Result<Self, CredentialsError> {
        Self::checked("the token", token.as_ref())
    }

    pub(super) fn checked(subject: &str, token: &str) -> Result<Self, CredentialsError> {
        let value = Bearer::checked(subject, token)?.into_value();
        let expires_in = expiry(token).map(|expiry| {
            // One that has passed is zero.
            expiry.duration_since(SystemTime::now()).unwrap_or_default()
        });
        Ok(Self { value, expires_in, refresh_in: None })
    }

    /// It expires after `lifetime`, counted from now, whatever it says itself.
    #[must_use]
    pub const fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// The source is to be asked again after `age`, though the token be good for longer.
    #[must_use]
    pub const fn refresh_in(mut self, age: Duration) -> Self {
        self.refresh_in = Some(age);
        self
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_in", &self.expires_in)
            .field("refresh_in", &self.refresh_in)
            .finish_non_exhaustive()
    }
}

const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// When a JSON web token says that it expires.
fn expiry(token: &str) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }

    let mut parts = token.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = BASE64URL.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    let since_epoch = Duration::try_from_secs_f64(claims.exp).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64URL.encode(claims))
    }

    #[test]
    fn a_json_web_token_tells_its_expiry() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        for (claims, seconds) in [
            (format!(r#"{{"exp":{}}}"#, now + 3600), Some(3600)),
            (format!(r#"{{"sub":"x","exp":{}.5}}"#, now + 60), Some(60)),
            (r#"{"exp":1}"#.to_owned(), Some(0)),
            (r#"{"exp":-1}"#.to_owned(), None),
            (r#"{"exp":1e300}"#.to_owned(), None),
            (r#"{"exp":"soon"}"#.to_owned(), None),
            ("{}".to_owned(), None),
            ("not json".to_owned(), None),
        ] {
            let token = Token::new(web_token(&claims)).unwrap();
            let found = token.expires_in.map(|left| left.as_secs_f64());
            let near = |left: f64| {
                seconds.is_some_and(|wanted: u32| (left - f64::from(wanted)).abs() < 30.0)
            };
            assert!(found.map_or(seconds.is_none(), near), "{claims}: {found:?}");
        }
        for opaque in ["sk-1", "a.b", "a.!!.c", "..", "a.b.c.d"] {
            assert_eq!(Token::new(opaque).unwrap().expires_in, None, "{opaque}");
        }
    }

    #[test]
    fn what_a_caller_says_of_the_lifetime_holds() {
        let token = Token::new(web_token(r#"{"exp":1}"#)).unwrap();
        let token = token.expires_in(Duration::from_secs(5)).refresh_in(Duration::from_secs(1));
        assert_eq!(token.expires_in, Some(Duration::from_secs(5)));
        assert!(!format!("{token:?}").contains("e30"));
    }
}
