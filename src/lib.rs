//! The OpenAI/Codex API as tower: each endpoint is a [`tower::Service`] of its typed request, and
//! what lies between it and the socket is a stack of [`tower::Layer`]s. Assemble that stack
//! yourself, put layers of your own on either side of the endpoint, or take the preset.
//!
//! The API's endpoints: `POST responses`, streamed, [`Responses`](services::Responses), and
//! not, [`CreateResponse`](services::CreateResponse); what can be done with [stored
//! responses](services::responses) and [conversations](services::conversations);
//! `POST responses/compact`, [`Compact`](services::Compact); `POST memories/trace_summarize`,
//! [`Memories`](services::Memories); `GET models`, [`Models`](services::Models) of the Codex backend and
//! [`ListModels`](services::ListModels) of the public API; `POST alpha/search`,
//! [`Search`](services::Search); `POST images/generations` and `POST images/edits`,
//! [`Images`](services::Images) and [`ImagesStream`](services::ImagesStream); `POST realtime/calls`,
//! [`RealtimeCall`](services::RealtimeCall); files, in `services::files` and
//! `services::public_files`; and, over WebSockets, `services::ResponsesSocket` and
//! `services::Realtime`.
//!
//! ```text
//!   ResponsesRequest ──► your typed layers ──► Responses<S>      typed level
//!                                                   │            encoded once: JSON, `/responses`
//!   ────────────────────────────────────────────────┼──────────────────────────────────────────
//!                                                   ▼            HTTP level
//!                      ProviderLayer         base URL, query, default headers
//!                      TelemetryLayer        a span for the call, to the end of its stream
//!                      TotalTimeoutLayer     ends the call, retries and body included
//!                      CompressionLayer      the request's body
//!                      RetryLayer            from here down: for each attempt
//!                      InFlightLimitLayer    how many answers are open
//!                      RateLimitLayer        what the server says of its limits
//!                      AuthLayer             credentials, for the provider's origin only
//!                      AttemptLayer          a span for the attempt
//!                      DecompressionLayer    gzip, br, zstd
//!                      HeadTimeoutLayer      ends the wait for the head
//!                      IdleTimeoutLayer      ends a body that has gone silent
//!                      transport             HyperTransport, or any HTTP service
//!                                                   │
//!   ────────────────────────────────────────────────┼──────────────────────────────────────────
//!                                                   ▼            typed level
//!        refused: status, headers, ≤ 64 KiB ──► Error
//!        success: body ──► SseSource ──► ResponseStream ──► ResponseEvent
//!        the other endpoints: body, up to a cap ──► JSON ──► ApiResponse
//!        a switch of protocols: socket ──► ResponsesConnection, or the ends of a Realtime conversation
//! ```
//!
//! Nothing is spawned between the two levels: a [`ResponseStream`](sse::ResponseStream) polls the
//! response body in place, so a slow reader slows the sender down, and dropping the stream cancels
//! the request.
//!
//! # Call it
//!
//! [`Client`] is the stack above behind one type, when its order is enough; a
//! `Policy`, which can live in a file, tunes it for each endpoint. The examples
//! here talk to [`testing::Server`], so that they run without an account;
//! `Client::from_env()` is the client of the real API.
//!
//! ```
//! use tower_openai::Client;
//! use tower_openai::services::ResponsesRequest;
//! use tower_openai::testing::Server;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! let server = Server::start().await?;
//! let client = Client::builder().base_url(server.base_url()).api_key("sk-example").build()?;
//!
//! let request = ResponsesRequest::new("gpt-5.2", "Why is the sky blue?");
//! let mut text = client.responses().stream_request(request).await?.text();
//! while let Some(piece) = text.try_next().await? {
//!     print!("{piece}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Compose it
//!
//! An endpoint is a [`Layer`](tower::Layer) too, so one expression holds both levels. Tower's own
//! layers go anywhere: above the endpoint they see [`ResponsesRequest`](services::ResponsesRequest),
//! below it [`http::Request`].
//!
//! ```
//! use std::time::Duration;
//!
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_openai::layers::{
//!     AuthLayer, Bearer, DecompressionLayer, IdleTimeoutLayer, ProviderLayer, RetryLayer, RetryPolicy,
//! };
//! use tower_openai::model::ResponseEvent;
//! use tower_openai::provider::Provider;
//! use tower_openai::services::{Responses, ResponsesRequest};
//! use tower_openai::transport::HyperTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! # let server = tower_openai::testing::Server::start().await?;
//! # let base_url = server.base_url();
//! let mut responses = ServiceBuilder::new()
//!     .concurrency_limit(8) // sees ResponsesRequest
//!     .layer(Responses::layer()) // typed above, HTTP below
//!     .layer(ProviderLayer::new(Provider::new("loopback", base_url)?))
//!     .layer(RetryLayer::new(RetryPolicy::default().max_retries(4)))
//!     .layer(AuthLayer::new(Bearer::new("sk-example")?))
//!     .layer(DecompressionLayer::new())
//!     .layer(IdleTimeoutLayer::new(Duration::from_secs(300)))
//!     .service(HyperTransport::new()?);
//!
//! let request = ResponsesRequest::new("gpt-5.2", "Say hello.");
//! let mut events = responses.ready().await?.call(request).await?;
//! let mut answer = String::new();
//! while let Some(event) = events.try_next().await? {
//!     if let ResponseEvent::OutputTextDelta(event) = event {
//!         answer.push_str(&event.delta);
//!     }
//! }
//! assert!(answer.starts_with("You said \"Say hello.\""));
//! # Ok(())
//! # }
//! ```
//!
//! A limit of tower's, such as this `concurrency_limit`, ends when the response's head has come; the
//! stream that follows is bounded by [`InFlightLimitLayer`](layers::InFlightLimitLayer), and in time
//! by [`StreamTimeouts`](extensions::StreamTimeouts). The order of the layers and the reasons for it are
//! in [`layers`]; what layers tell each other is in [`extensions`].
//!
//! # Just parse SSE
//!
//! [`sse::Decoder`] turns bytes into server-sent events without IO, [`sse::SseSource`] does so over
//! any [`http_body::Body`]. Neither knows of this API.
//!
//! ```
//! use tower_openai::sse::Decoder;
//!
//! let mut decoder = Decoder::new();
//! decoder.push("event: tick\ndata: 1\n\nda".into());
//! decoder.push("ta: 2\n\n".into());
//! let mut seen = Vec::new();
//! while let Some(event) = decoder.next_event()? {
//!     seen.push((event.name().into_owned(), event.data().into_owned()));
//! }
//! assert_eq!(seen, [("tick".into(), "1".into()), ("message".into(), "2".into())]);
//! # Ok::<(), tower_openai::sse::DecodeError>(())
//! ```
//!
//! # Test against it
//!
//! [`testing::Server`] is a real server on `127.0.0.1` that answers like the API, or fails as a
//! script tells it to. Every [`Error`] says what kind it is and how far the request had come:
//!
//! ```
//! use tower_openai::services::ResponsesRequest;
//! use tower_openai::testing::{Script, Server};
//! use tower_openai::{Client, ErrorKind, Stage};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! let server = Server::start().await?;
//! server.enqueue(Script::natural().cut_after(5).then_end());
//!
//! let client = Client::builder().base_url(server.base_url()).build()?;
//! let stream = client.responses().stream_request(ResponsesRequest::new("gpt-5.2", "hello")).await?;
//! let error = stream.text().collect().await.unwrap_err();
//! assert_eq!((error.kind(), error.stage()), (ErrorKind::Truncated, Stage::Streaming));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `client` | yes | [`Client`] and `transport::HyperTransport`; turns `timeout` and `telemetry` on |
//! | `http2` | yes | HTTP/2 in the transport, negotiated in TLS |
//! | `ring` | yes | TLS in the transport: rustls with ring; without it or the next one only `http://` URLs work |
//! | `aws-lc-rs` | | TLS in the transport: rustls with AWS-LC, beside ring or in its place; it is slow to build |
//! | `platform-verifier` | yes | trust in the operating system's certificate roots |
//! | `webpki-roots` | | trust in Mozilla's roots, compiled in |
//! | `gzip` | yes | responses in gzip |
//! | `br` | | responses in Brotli |
//! | `zstd` | | responses in Zstandard |
//! | `timeout` | with `client` | the layers with a clock (head, idle, total) and the clocks of streams, on tokio's timer |
//! | `compression-gzip` | | `CompressionLayer` with gzip, for requests |
//! | `compression-zstd` | | `CompressionLayer` with Zstandard, for requests |
//! | `files` | with `client` | `services::Files`, uploads, from disk too: on tokio's file system and timer |
//! | `retry` | with `client` | `RetryLayer`, `ResumeLayer` and `StreamRetryLayer`; turns `timeout` on |
//! | `backoff` | | schedules of the crate `backoff` for `RetryLayer`; that crate is unmaintained |
//! | `cookies` | | Cloudflare's cookies for the ChatGPT hosts: `layers::CookieLayer` |
//! | `token` | | bearer tokens from a source, kept until they expire: `layers::auth::Cached` |
//! | `token-command` | | a source that runs a command: `layers::auth::CommandToken` |
//! | `telemetry` | with `client` | `TelemetryLayer` and `AttemptLayer`: spans and hooks, on tokio's clock |
//! | `metrics` | | `MetricsObserver`, on the facade of that name; turns `telemetry` on |
//! | `opentelemetry` | | the trace context in each request, by its API; turns `telemetry` on |
//! | `ws` | | WebSockets through the same stack: `ws`; turns `timeout` on |
//! | `schema` | | JSON Schemas and TypeScript of [`model::realtime::codex`] |
//! | `testing` | | [`testing::Server`], and `testing::Proxy` |
//! | `testing-tls` | | HTTPS for both, with certificates made on the spot |
//! | `full` | | all of them but `backoff` and `aws-lc-rs` |
//!
//! Features only add. Without any of them the endpoints, the wire types, `sse`, `ProviderLayer` and
//! `AuthLayer` remain, for a transport of your own; nothing then opens a socket or needs a runtime.
// Links to what this build leaves out lead to the table.
#![cfg_attr(not(feature = "client"), doc = "", doc = "[`Client`]: #features")]
#![cfg_attr(not(feature = "testing"), doc = "", doc = "[`testing::Server`]: #features")]
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
#[cfg(feature = "ws")]
pub mod ws;

pub use self::body::{RequestBody, ResponseBody};
#[cfg(feature = "client")]
pub use self::client::Client;
pub use self::error::{Error, ErrorKind, Stage};

/// The error type between layers: any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Compiles and runs the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
