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
//! 2. Otherwise it takes the first script that was queued for its path ([`Server::enqueue_for`]),
//! 3. or else the first one that was queued for any ([`Server::enqueue`]).
//! 4. Otherwise [`Builder::handler`] decides, if there is one.
//! 5. Otherwise it gets the natural answer.
//!
//! Scripts made by [`Script::natural`] change how the natural answer is said, at every endpoint.
//!
//! # The natural answer
//!
//! Every endpoint is there under any prefix, so that `/v1`, `/backend-api/codex` and an Azure
//! deployment are all the same server. Other URLs are 404, other methods 405; with
//! [`Builder::require_key`] a missing or wrong key is 401, and no answer ever repeats what was sent
//! as a key. What the API requires and does not get is a 400 with its error body, which names the
//! parameter. Request bodies in gzip and Zstandard are read if the features `compression-gzip` and
//! `compression-zstd` are on; any other `content-encoding` is 415. Bodies may have 64 MiB, uploads
//! of files 512 MiB. Scripts answer all of these all the same.
//!
//! | endpoint | answer |
//! |---|---|
//! | `POST responses`, `guardian`, `guardian-classifier` | a turn, see below: with `"stream": true` the full event sequence, else the same `Response` as JSON |
//! | `GET responses/{id}` | the `Response`; with `stream=true` the events after `starting_after` |
//! | `POST responses/{id}/cancel`, `DELETE responses/{id}`, `GET responses/{id}/input_items` | as the API |
//! | `POST responses/input_tokens` | an estimate: four bytes of JSON to a token, as in `usage` |
//! | `POST responses/compact` | the user's messages and a `compaction` item |
//! | `POST memories/trace_summarize`, `POST alpha/search` | a sentence or two |
//! | `GET models`, `GET models/{id}` | with `client_version` Codex's shape, an `ETag` and 304; else the public one. [`Server::set_models`] replaces them |
//! | `POST images/generations`, `POST images/edits` | one grey pixel, as JSON or as events |
//! | `POST files` (JSON), `PUT` to the upload URL, `POST files/{id}/uploaded` | ChatGPT's three steps, `retry` for [`Builder::upload_retries`] times. The upload URL refuses credentials |
//! | `POST files` (form), `GET files`, `GET`, `DELETE files/{id}`, `GET files/{id}/content` | the public files. [`Server::files`] has size and digest of what came |
//! | `conversations`, `conversations/{id}`, `…/items`, `…/items/{id}` | as the API; turns are added to their conversation |
//! | `POST realtime/calls` | an SDP answer and a `Location`, for an offer in any of its three forms |
//!
//! What is made stays for later requests until it is deleted: the last 1,000 responses, files and
//! conversations each, or fewer if they come to more than 64 MiB. Of the contents of files only the
//! first 64 KiB stay.
//!
//! # Stored and background responses
//!
//! A response is stored unless the request says `"store": false`. Whoever retrieves it finds it
//! complete, even if the stream that made it was cut. Its events are the same ones each time.
//!
//! With `"background": true` the turn is a job of the server's: it is `queued`, then `in_progress`,
//! and ends at the [pace](Builder::pace) of the server or the script, whoever listens. Streams of it
//! follow it as it goes; a script that cuts one (`Script::natural().cut_after(3).then_reset()`)
//! cuts only that one. When a job is cancelled, its streams end without a terminal event. All jobs
//! end with the server.
//!
//! # Turns
//!
//! What a turn consists of follows from the request:
//!
//! - If the last input item is the output of a function call, the message quotes it.
//! - A function tool is called if `tool_choice` names it or the last user text contains its name
//!   (underscores may be spaces); the first one is called if `tool_choice` is `required` or the
//!   text says "call the tool". The arguments are a sample that fits the parameters' schema.
//! - A `text.format` of `json_schema` or `json_object` is filled with a sample.
//! - Otherwise the message quotes the last user text.
//! - A strict tool or format whose schema leaves an object open is refused, as the API does it.
//! - With `reasoning` set (and an effort other than `none`) a reasoning item comes first. It has a
//!   summary, streamed, if `reasoning.summary` is set, and `encrypted_content` if `include` asks
//!   for it.
//! - A `previous_response_id` or a `conversation` has to be known, but changes nothing.
//!
//! # WebSockets
//!
//! With the feature `ws`, `GET responses` with an upgrade opens the Responses WebSocket, over
//! HTTP/1.1, with TLS or without. The handshake is checked as RFC 6455 says, and the key as for a
//! request. Then it is the API's:
//!
//! - `response.create` has the members of the HTTP body but `stream` and `background`; `generate` and
//!   `stream_id` are added, which over HTTP are refused. The answer is the events of the stream, one to
//!   a message.
//! - A lane (`stream_id`) is a queue, lanes are concurrent: 16 responses are in flight, more wait; 32
//!   lanes have a name. The latest response of each is remembered as long as the socket is open, also
//!   with `"store": false`; one that is continued in vain is forgotten.
//! - `response.steer` to a response in flight is accepted: another one takes its place, or if it calls
//!   functions, waits for their outputs.
//! - What is refused is told by an `error` event with a `status`, and the socket stays open. A message
//!   of 16 MiB closes it with 1009, a binary one with 1003, a broken frame with 1002 or 1007. After
//!   `Builder::socket_age` it refuses responses and closes.
//!
//! `GET realtime` with an upgrade opens a Realtime session: `session.created` comes first, each
//! `session.update` is checked member by member, items are kept in a conversation, and a response is
//! made when it is asked for or when a turn was spoken: 20 ms with a loud sample begin one, and the
//! silence of `turn_detection` ends it. What is answered follows the rules of turns above, as text or as
//! 40 ms of a tone to each word. With `call_id` it is the session of a call that was made here; with
//! `intent=quicksilver` it takes and says what Codex's first version does; the header of the beta is
//! refused with close code 4000.
//!
//! A handshake counts as a request, and takes a script as one if the script can answer it; the others
//! are left to the turns on the socket, see `Script::frames`. Events of a script become messages, its
//! chunks fragments, its comments pings, its statuses error events. `RecordedRequest::frames` has what
//! came over the socket.
//!
//! # HTTPS and proxies
//!
//! With the feature `testing-tls`, `Builder::tls` makes it an HTTPS server, whose `Tls` has the
//! certificate authority to trust, and bad certificates to present. [`Proxy`] is an HTTP or SOCKS5
//! proxy that remembers where it was asked to go.
//!
//! # From other languages
//!
//! `cargo run --example serve` is the same server as a process of its own.

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
mod strict;
mod tasks;
#[cfg(feature = "testing-tls")]
mod tls;
mod turn;
mod wire;
#[cfg(feature = "ws")]
mod ws;

pub use self::api::StoredFile;
pub use self::proxy::{Proxy, ProxyBuilder};
pub use self::record::{Outcome, RecordedRequest};
pub use self::script::{Ending, Event, Newline, Script};
pub use self::server::{Builder, Server};
#[cfg(feature = "testing-tls")]
pub use self::tls::Tls;
#[cfg(feature = "ws")]
pub use self::ws::{Frame, RecordedFrame};
