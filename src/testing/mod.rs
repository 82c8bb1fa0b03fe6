//! A scripted HTTP server for tests, feature `testing`.
//!
//! A test of a streaming client needs a server that behaves like the API, and then one that does
//! not: it is slow, stalls, cuts the stream, resets the connection, sends broken JSON. [`Server`]
//! is a real one on `127.0.0.1`, so everything from the typed call down to the socket is under
//! test. It shares no code with the client side of this crate: an error in one does not hide an
//! error in the other.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower_openai::testing::{Outcome, Script, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start().await?; // answers like the API until told otherwise
//! server.enqueue(Script::status(429).header("retry-after", "2"));
//! server.enqueue(Script::natural().cut_after(3).then_truncate());
//!
//! let client = Client::builder(TokioExecutor::new()).build_http();
//! let post = || {
//!     let body = r#"{"model":"gpt-5.2","input":"hello","stream":true}"#;
//!     http::Request::post(format!("{}/responses", server.base_url()))
//!         .header("authorization", "Bearer sk-test")
//!         .body(Full::new(Bytes::from(body)))
//! };
//! let response = client.request(post()?).await?;
//! assert_eq!(response.status(), 429);
//! let response = client.request(post()?).await?;
//! assert!(response.into_body().collect().await.is_err()); // ends after three events
//! let response = client.request(post()?).await?;
//! let events = response.into_body().collect().await?.to_bytes();
//! assert!(String::from_utf8_lossy(&events).contains("event: response.completed\n"));
//!
//! let seen = server.requests();
//! assert_eq!(seen[0].header("authorization"), Some("Bearer sk-test"));
//! assert_eq!(seen[1].closed().await, Outcome::BrokenOff);
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # How an answer is chosen
//!
//! 1. A request with the header `x-script: NAME` gets that named script ([`Script::names`]); an
//!    unknown name is a 400 that lists the known ones.
//! 2. Otherwise it takes the script at the front of the queue ([`Server::enqueue`]).
//! 3. Otherwise [`Builder::handler`] decides, if there is one.
//! 4. Otherwise it gets the natural answer.
//!
//! # The natural answer
//!
//! `POST …/responses` under any prefix is validated (400 with the API's error body), then
//! answered: with `"stream": true` by the full event sequence, else by the same `Response` as JSON.
//! Other URLs are 404, other methods 405; with [`Builder::require_key`] a missing or wrong key is
//! 401, and no answer ever repeats what was sent as a key. Request bodies in gzip and Zstandard are
//! read if the features `compression-gzip` and `compression-zstd` are on; any other
//! `content-encoding` is 415. Scripts answer it all the same.
//!
//! What the turn consists of follows from the request:
//!
//! - If the last input item is the output of a function call, the message quotes it.
//! - A function tool is called if `tool_choice` names it or the last user text contains its name
//!   (underscores may be spaces); the first one is called if `tool_choice` is `required` or the
//!   text says "call the tool". The arguments are a sample that fits the parameters' schema.
//! - A `text.format` of `json_schema` or `json_object` is filled with a sample.
//! - Otherwise the message quotes the last user text.
//! - With `reasoning` set (and an effort other than `none`) a reasoning item comes first. It has a
//!   summary, streamed, if `reasoning.summary` is set, and `encrypted_content` if `include` asks
//!   for it.
//!
//! # From other languages
//!
//! `cargo run --example serve --features testing` is the same server as a process of its own.

mod api;
mod api_error;
mod encoding;
mod events;
mod exchange;
mod ids;
mod intake;
mod json;
mod multipart;
mod named;
mod params;
mod plan;
mod play;
mod prompt;
mod proxy;
mod record;
mod route;
mod sample;
mod script;
mod script_file;
mod server;
mod shelf;
mod stream;
mod tasks;
#[cfg(feature = "testing-tls")]
mod tls;
mod turn;
mod wire;

pub use self::api::StoredFile;
pub use self::proxy::{Proxy, ProxyBuilder};
pub use self::record::{Outcome, RecordedRequest};
pub use self::script::{Ending, Event, Newline, Script};
pub use self::server::{Builder, Server};
#[cfg(feature = "testing-tls")]
pub use self::tls::Tls;
