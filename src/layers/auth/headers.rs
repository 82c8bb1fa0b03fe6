//! Credentials that are constant headers.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use pin_project_lite::pin_project;

use super::{Credentials, CredentialsError, RefreshCredentials, RejectedCredential};
use crate::Error;
use crate::env::{EnvSource, ProcessEnv};

const API_KEY: HeaderName = HeaderName::from_static("api-key");
const ACCOUNT_ID: HeaderName = HeaderName::from_static("chatgpt-account-id");
const FEDRAMP: HeaderName = HeaderName::from_static("x-openai-fedramp");

/// [`Credentials`] of a type whose `add_to` puts its headers into a map.
macro_rules! credentials_at_hand {
    ($type:ty) => {
        impl<B> Credentials<B> for $type {
            type Future = Ready<Result<Request<B>, CredentialsError>>;

            fn authorize(&self, mut request: Request<B>) -> Self::Future {
                ready(self.add_to(request.headers_mut()).map(|()| request))
            }

            fn authorize_now(
                &self,
                request: &mut Request<B>,
            ) -> Option<Result<(), CredentialsError>> {
                Some(self.add_to(request.headers_mut()))
            }
        }
    };
}

/// A token sent as `authorization: Bearer …`: an API key of OpenAI's, an OAuth access token.
///
/// Its `Debug` does not show it, and the header value is marked sensitive.
#[derive(Clone)]
#[doc(alias = "api_key")]
pub struct Bearer(HeaderValue);

impl Bearer {
    /// A bearer credential of `token`, given without the word `Bearer`.
    ///
    /// # Errors
    ///
    /// If the token is empty or holds white space or anything but visible ASCII. The error does
    /// not quote it.
    pub fn new(token: impl AsRef<str>) -> Result<Self, Error> {
        Self::checked("the bearer token", token.as_ref())
    }

    /// A bearer credential of this process's environment variable `name`, without surrounding
    /// white space.
    ///
    /// # Errors
    ///
    /// If the variable is unset, blank or unreadable, or as [`Bearer::new`]; the error names it.
    pub fn from_env(name: &str) -> Result<Self, Error> {
        Self::from_source(name, &ProcessEnv)
    }

    /// [`from_env`](Self::from_env) with another source of variables.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_source(name: &str, env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        Self::checked(&format!("`{name}`"), &required(name, env)?)
    }

    pub(super) fn checked(subject: &str, token: &str) -> Result<Self, Error> {
        secret_value(subject, "Bearer ", token).map(Self)
    }

    #[cfg(feature = "token")]
    pub(super) fn into_value(self) -> HeaderValue {
        self.0
    }

    fn add_to(&self, headers: &mut HeaderMap) -> Result<(), CredentialsError> {
        put(headers, AUTHORIZATION, &self.0)
    }
}

credentials_at_hand!(Bearer);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").finish_non_exhaustive()
    }
}

/// Azure's header: a key sent as `api-key: …`. For a key of OpenAI's use [`Bearer`].
///
/// OpenAI does not look at this header, and answers 401.
///
/// Its `Debug` does not show it, and the header value is marked sensitive.
#[derive(Clone)]
#[doc(alias = "azure")]
pub struct ApiKey(HeaderValue);

impl ApiKey {
    /// An API-key credential.
    ///
    /// # Errors
    ///
    /// If the key is empty or holds white space or anything but visible ASCII. The error does not
    /// quote it.
    pub fn new(key: impl AsRef<str>) -> Result<Self, Error> {
        secret_value("the API key", "", key.as_ref()).map(Self)
    }

    /// An API-key credential of this process's environment variable `name`, without surrounding
    /// white space.
    ///
    /// # Errors
    ///
    /// If the variable is unset, blank or unreadable, or as [`ApiKey::new`]; the error names it.
    pub fn from_env(name: &str) -> Result<Self, Error> {
        Self::from_source(name, &ProcessEnv)
    }

    /// [`from_env`](Self::from_env) with another source of variables.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn from_source(name: &str, env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        secret_value(&format!("`{name}`"), "", &required(name, env)?).map(Self)
    }

    fn add_to(&self, headers: &mut HeaderMap) -> Result<(), CredentialsError> {
        put(headers, API_KEY, &self.0)
    }
}

credentials_at_hand!(ApiKey);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").finish_non_exhaustive()
    }
}

/// Any constant headers, for servers with ways of their own.
///
/// Its `Debug` shows the names only, and all values are marked sensitive.
///
/// ```
/// use tower_openai::layers::auth::HeaderCredentials;
///
/// let gateway = HeaderCredentials::new("x-gateway-key", "hidden")?.header("x-team", "hidden too")?;
/// # Ok::<(), tower_openai::Error>(())
/// ```
#[derive(Clone)]
pub struct HeaderCredentials(Vec<(HeaderName, HeaderValue)>);

impl HeaderCredentials {
    /// The header `name` with `value`, scheme and all.
    ///
    /// # Errors
    ///
    /// If `name` is no header name, or `value` is blank, begins or ends with white space or
    /// cannot be sent in a header. The error does not quote the value.
    pub fn new(name: &str, value: impl AsRef<str>) -> Result<Self, Error> {
        Self(Vec::new()).header(name, value)
    }

    /// These and one more; of two with one name the second counts.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Result<Self, Error> {
        let (name, value) = header(name, value.as_ref())?;
        self.0.push((name, value));
        Ok(self)
    }

    fn add_to(&self, headers: &mut HeaderMap) -> Result<(), CredentialsError> {
        self.0.iter().try_for_each(|(name, value)| put(headers, name.clone(), value))
    }
}

credentials_at_hand!(HeaderCredentials);

impl fmt::Debug for HeaderCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.write_str("HeaderCredentials ")?;
        f.debug_list().entries(names).finish()
    }
}

/// What ChatGPT's backend wants beside a token: the account, and whether it is a FedRAMP one.
///
/// The token comes from other credentials, a [`Bearer`] or a `Cached` token source:
///
/// ```
/// use tower_openai::layers::AuthLayer;
/// use tower_openai::layers::auth::{Bearer, ChatGpt};
///
/// let login = ChatGpt::new(Bearer::new("hidden")?).account_id("acc_1")?;
/// let layer = AuthLayer::new(login);
/// # Ok::<(), tower_openai::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChatGpt<C> {
    credentials: C,
    // Marked sensitive.
    account_id: Option<HeaderValue>,
    fedramp: bool,
}

impl<C> ChatGpt<C> {
    /// A login whose token `credentials` add.
    pub const fn new(credentials: C) -> Self {
        Self { credentials, account_id: None, fedramp: false }
    }

    /// Sends `chatgpt-account-id`. Default: none.
    ///
    /// # Errors
    ///
    /// If the id is empty or holds white space or anything but visible ASCII.
    pub fn account_id(mut self, id: impl AsRef<str>) -> Result<Self, Error> {
        self.account_id = Some(secret_value("the account id", "", id.as_ref())?);
        Ok(self)
    }

    /// Sends `x-openai-fedramp: true`. Default: off.
    #[must_use]
    pub const fn fedramp(mut self, fedramp: bool) -> Self {
        self.fedramp = fedramp;
        self
    }

    fn add_to(&self, headers: &mut HeaderMap) -> Result<(), CredentialsError> {
        if let Some(id) = &self.account_id {
            put(headers, ACCOUNT_ID, id)?;
        }
        if self.fedramp {
            put(headers, FEDRAMP, &const { HeaderValue::from_static("true") })?;
        }
        Ok(())
    }
}

impl<B, C: Credentials<B>> Credentials<B> for ChatGpt<C> {
    type Future = ChatGptFuture<C::Future>;

    fn authorize(&self, mut request: Request<B>) -> Self::Future {
        match self.add_to(request.headers_mut()) {
            Ok(()) => {
                ChatGptFuture { token: Some(self.credentials.authorize(request)), error: None }
            }
            Err(error) => ChatGptFuture { token: None, error: Some(error) },
        }
    }

    fn authorize_now(&self, request: &mut Request<B>) -> Option<Result<(), CredentialsError>> {
        let added = self.credentials.authorize_now(request)?;
        Some(added.and_then(|()| self.add_to(request.headers_mut())))
    }
}

impl<C: RefreshCredentials> RefreshCredentials for ChatGpt<C> {
    type Future = C::Future;

    fn refresh(&self, rejected: RejectedCredential) -> Self::Future {
        self.credentials.refresh(rejected)
    }
}

pin_project! {
    /// The future of [`ChatGpt`]'s [`authorize`](Credentials::authorize).
    #[must_use = "futures do nothing unless polled"]
    pub struct ChatGptFuture<F> {
        #[pin]
        token: Option<F>,
        error: Option<CredentialsError>,
    }
}

impl<F, B> Future for ChatGptFuture<F>
where
    F: Future<Output = Result<Request<B>, CredentialsError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match (this.token.as_pin_mut(), this.error.take()) {
            (Some(token), _) => token.poll(cx),
            (None, Some(error)) => Poll::Ready(Err(error)),
            (None, None) => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for ChatGptFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatGptFuture").finish_non_exhaustive()
    }
}

/// Sets a header in place of all that have its name.
pub(super) fn put(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: &HeaderValue,
) -> Result<(), CredentialsError> {
    match headers.try_insert(name, value.clone()) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(CredentialsError::build("the request has too many headers").with_source(error))
        }
    }
}

fn required(name: &str, env: &(impl EnvSource + ?Sized)) -> Result<String, Error> {
    env.non_blank(name)?.ok_or_else(|| {
        Error::build(format!("`{name}` is not set or blank; it should hold the credential"))
    })
}

fn secret_value(subject: &str, prefix: &str, secret: &str) -> Result<HeaderValue, Error> {
    let refuse = |reason: &str| Err(Error::build(format!("{subject} {reason}")));
    if secret.trim().is_empty() {
        return refuse("is blank");
    }
    if secret.contains(char::is_whitespace) {
        return refuse("contains white space; give the bare token, without a line end or scheme");
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("contains characters that are not visible ASCII");
    }
    match HeaderValue::try_from(format!("{prefix}{secret}")) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Ok(value)
        }
        Err(_) => refuse("is not a legal header value"),
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let Ok(header) = HeaderName::try_from(name) else {
        return Err(Error::build(format!("{name:?} is not a header name")));
    };
    let refuse =
        |reason| Error::build(format!("the credential for the header `{header}` {reason}"));
    if value.trim().is_empty() {
        return Err(refuse("is blank"));
    }
    if value.trim() != value {
        return Err(refuse("begins or ends with white space"));
    }
    let mut value =
        HeaderValue::from_str(value).map_err(|_| refuse("is not a legal header value"))?;
    value.set_sensitive(true);
    Ok((header, value))
}
