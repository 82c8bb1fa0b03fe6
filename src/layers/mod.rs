//! Policies between a typed endpoint and its transport, one [`tower::Layer`] each.
//!
//! Every layer takes any HTTP service and gives one back, so they stack in any order and mix with
//! layers of yours. This order is the one they are written for, outermost first:
//!
//! ```text
//!   endpoint service      typed request ⇄ http::Request, origin-form URI (`/responses`)
//!         │
//!   ProviderLayer         absolute URI, default headers, notes the origin
//!         │
//!   AuthLayer             credentials, only for that origin
//!         │
//!   IdleTimeoutLayer      ends a response body that has gone silent
//!         │
//!   transport             any Service<http::Request<B>, Response = http::Response<RB>>
//! ```
//!
//! A layer that can refuse a request has [`BoxError`](crate::BoxError) as its error type; one that
//! cannot keeps the error of the service inside. All pass `poll_ready` through and call the very
//! service that was made ready.

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
#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
pub mod compression;
#[cfg(feature = "timeout")]
pub mod head_timeout;
#[cfg(feature = "timeout")]
pub mod idle_timeout;
pub mod in_flight;
pub mod provider;
pub mod rate_limit;
mod refusal;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(feature = "timeout")]
pub mod total_timeout;

pub use self::auth::{
    ApiKey, Auth, AuthLayer, Bearer, Credentials, RefreshingAuth, RefreshingAuthLayer,
};
#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
pub use self::compression::{CompressionLayer, WithCompression, WithCompressionFuture};
#[cfg(feature = "timeout")]
pub use self::head_timeout::{HeadTimeout, HeadTimeoutError, HeadTimeoutLayer};
#[cfg(feature = "timeout")]
pub use self::idle_timeout::{IdleTimeout, IdleTimeoutBody, IdleTimeoutError, IdleTimeoutLayer};
pub use self::in_flight::{InFlightLimit, InFlightLimitBody, InFlightLimitLayer};
pub use self::provider::{ProviderLayer, WithProvider};
pub use self::rate_limit::{RateLimit, RateLimitFuture, RateLimitLayer, RateLimitsHandle};
#[cfg(feature = "retry")]
pub use self::retry::{RetriedError, Retry, RetryBody, RetryLayer, RetryPolicy};
#[cfg(feature = "telemetry")]
pub use self::telemetry::{AttemptLayer, Telemetry, TelemetryBody, TelemetryLayer, WatchAttempt};
#[cfg(feature = "timeout")]
pub use self::total_timeout::{
    TotalTimeout, TotalTimeoutBody, TotalTimeoutError, TotalTimeoutLayer,
};
