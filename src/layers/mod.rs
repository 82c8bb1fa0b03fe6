//! Policies between a typed endpoint and its transport, one [`tower::Layer`] each.
//!
//! Every layer takes any HTTP service and gives one back, so they stack in any order and mix with
//! layers of yours. This order is the one they are written for, outermost first:
//!
//! ```text
//!   endpoint service      typed request ⇄ http::Request, origin-form URI (`/responses`)
//!         │
//!   ProviderLayer         absolute URI, default headers, notes the origin
//!   TelemetryLayer        a span and a report for the call, to the end of its stream
//!   TotalTimeoutLayer     ends the call, retries and body included
//!   CompressionLayer      compresses the request's body
//!   RetryLayer            sends again what failed in a way that may pass
//!   ─ ─ ─ ─ ─ ─ ─ ─ ─     what follows happens for each attempt
//!   InFlightLimitLayer    bounds how many answers are open
//!   RateLimitLayer        keeps what the server says of its rate limits
//!   AuthLayer             credentials, only for the provider's origin
//!   AttemptLayer          a span and a report for the attempt
//!   DecompressionLayer    reads compressed responses
//!   HeadTimeoutLayer      ends the wait for a response head
//!   IdleTimeoutLayer      ends a response body that has gone silent
//!         │
//!   transport             any Service<http::Request<B>, Response = http::Response<RB>>
//! ```
//!
//! Why this order, where it matters:
//!
//! | rule | otherwise |
//! |---|---|
//! | `ProviderLayer` outside `AuthLayer` | no origin is known, and the request is refused |
//! | `RetryLayer` outside `AuthLayer` | a retry goes out with a token that has expired meanwhile, or an old signature |
//! | `RetryLayer` outside `HeadTimeoutLayer` | one slow attempt ends the call |
//! | `RetryLayer` outside `InFlightLimitLayer` | a call that waits to be tried again takes the place of one that could run |
//! | `CompressionLayer` outside `RetryLayer` | every attempt compresses anew |
//! | `CompressionLayer` outside `AuthLayer` | a signer signs other bytes than are sent |
//! | `TotalTimeoutLayer` outside `RetryLayer` | each attempt has the whole time |
//! | `TelemetryLayer` outside `RetryLayer`, `AttemptLayer` inside `AuthLayer` | calls and attempts are counted as each other |
//! | decompression inside `RetryLayer`, outside `IdleTimeoutLayer` | error bodies cannot be read; the clock of bytes sees none while a block fills |
//!
//! Two layers stand on the typed level, around the endpoint: `ResumeLayer` takes a stream up again where
//! it broke off, and `StreamRetryLayer`, outside it, sends a request again whose stream has failed before
//! anything of the answer came.
//!
//! Leave out what you do not need. The preset, `Client`, is this order with settings. Two layers are there
//! only if they are asked for: [`RedirectLayer`], outside `AuthLayer`, and `CookieLayer`, next to the
//! transport.
//!
//! A layer that can refuse a request has [`BoxError`](crate::BoxError) as its error type, and says why with
//! an [`Error`](crate::Error::new); one that cannot keeps the error of the service inside. All pass `poll_ready` through and call the very
//! service that was made ready.
//!
//! Here are the layers, their services, bodies, errors and settings. Futures are in the modules.

/// Access to the service inside, as in tower-http.
macro_rules! inner_accessors {
    () => {
        /// The service inside.
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// The service inside.
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// The service inside, unwrapped.
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}

pub mod auth;
#[cfg(feature = "retry")]
mod call_again;
#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
pub mod compression;
#[cfg(feature = "cookies")]
pub mod cookies;
#[cfg(feature = "timeout")]
pub mod head_timeout;
#[cfg(feature = "timeout")]
pub mod idle_timeout;
pub mod in_flight;
pub mod provider;
pub mod rate_limit;
pub mod redirect;
mod refusal;
#[cfg(feature = "retry")]
pub mod resume;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "retry")]
pub mod stream_retry;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(feature = "timeout")]
pub mod total_timeout;
#[cfg(feature = "retry")]
mod tries;

pub use self::auth::{
    ApiKey, Auth, AuthLayer, Bearer, Credentials, RefreshingAuth, RefreshingAuthLayer,
};
#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
pub use self::compression::{CompressionLayer, WithCompression};
#[cfg(feature = "cookies")]
pub use self::cookies::{CookieLayer, WithCookies};
#[cfg(feature = "timeout")]
pub use self::head_timeout::{HeadTimeout, HeadTimeoutError, HeadTimeoutLayer};
#[cfg(feature = "timeout")]
pub use self::idle_timeout::{IdleTimeout, IdleTimeoutBody, IdleTimeoutError, IdleTimeoutLayer};
pub use self::in_flight::{InFlightLimit, InFlightLimitBody, InFlightLimitLayer};
pub use self::provider::{ProviderLayer, WithProvider};
pub use self::rate_limit::{RateLimit, RateLimitLayer, RateLimitsHandle};
pub use self::redirect::{Redirect, RedirectLayer};
#[cfg(feature = "retry")]
pub use self::resume::{Resume, ResumeLayer, ResumePolicy, ResumeSource, ResumeStream};
#[cfg(feature = "retry")]
pub use self::retry::{RetriedError, Retry, RetryBody, RetryLayer, RetryPolicy};
#[cfg(feature = "retry")]
pub use self::stream_retry::{
    StreamRetry, StreamRetryCall, StreamRetryFuture, StreamRetryLayer, StreamRetryPolicy,
    StreamRetrySource, StreamRetryStream,
};
#[cfg(feature = "telemetry")]
pub use self::telemetry::{AttemptLayer, Telemetry, TelemetryBody, TelemetryLayer, WatchAttempt};
#[cfg(feature = "timeout")]
pub use self::total_timeout::{
    TotalTimeout, TotalTimeoutBody, TotalTimeoutError, TotalTimeoutLayer,
};
#[cfg(any(feature = "gzip", feature = "br", feature = "zstd"))]
pub use crate::transport::decompression::{Decompression, DecompressionLayer};
