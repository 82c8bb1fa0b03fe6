//! The OpenAI/Codex API as tower (crate page: written when the parts have landed).
#![cfg_attr(docsrs, feature(doc_cfg))]
// Outside tests, each of these needs its proof in a comment beside an `expect` attribute.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod body;
#[cfg(feature = "client")]
pub mod client;
pub mod env;
pub mod error;
pub mod extensions;
pub mod layers;
pub mod model;
pub mod provider;
mod redaction;
pub mod services;
pub mod sse;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
#[cfg(feature = "client")]
pub mod transport;

pub use self::body::{RequestBody, ResponseBody};
#[cfg(feature = "client")]
pub use self::client::Client;
pub use self::error::{Error, ErrorKind, Stage};

/// The error type between layers: any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
