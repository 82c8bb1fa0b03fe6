//! Responses on a WebSocket: one connection for a conversation's turns, and for conversations side by
//! side.
//!
//! # Problem
//!
//! A turn of an agent is many short requests in a row, each of which repeats the conversation so far.
//! On a [`ResponsesConnection`] the server remembers the last response of each lane, so a request
//! need only say what is new, and is not dialled for. Up to 16 responses run at once on one connection.
//!
//! # Place
//!
//! [`ResponsesSocket`] stands where [`Responses`](super::Responses) does, above the same
//! [stack](crate::layers): the handshake is an ordinary request, so base URL, credentials, retries,
//! proxies, TLS and telemetry are those of every other call. Connecting is a
//! [`Service`](tower::Service), so tower's timeouts and limits apply to it. What it gives is one too: of
//! [`ResponsesRequest`], with the [`ResponseStream`] that HTTP gives.
//!
//! ```
//! use tower_openai::Client;
//! use tower_openai::services::{ResponsesRequest, ResponsesSocketRequest};
//! # use tower_openai::testing::Server;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openai::BoxError> {
//! # let server = Server::start().await?;
//! let client = Client::builder().base_url(server.base_url()).api_key("sk-example").build()?;
//!
//! let request = ResponsesSocketRequest::new();
//! let (connection, driver) = client.responses_socket().connect(request).await?;
//! tokio::spawn(driver);
//!
//! let first = ResponsesRequest::new("gpt-5.2", "Why is the sky blue?");
//! let first = connection.stream_request(first).await?.final_response().await?;
//! let second = ResponsesRequest::new("gpt-5.2", "And at night?").previous_response_id(&first.id);
//! let second = connection.stream_request(second).await?.final_response().await?;
//! assert!(!second.output_text().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Who does the work
//!
//! A [`Driver`](crate::ws::Driver) reads, writes, answers pings and keeps time: spawn it. Without
//! one, an [inline](ResponsesSocket::connect_inline) connection does so while something of it is
//! awaited, and only then. Nothing is spawned here.
//!
//! [`Reconnecting`] opens a connection when it is first needed, and another when it is used up;
//! [`Prefer`](super::Prefer) adds HTTP for when there is none.
//!
//! # Lanes
//!
//! Requests of one [lane](ResponsesConnection::lane) are answered in order, one after the other;
//! those of different lanes side by side. What has come for a lane is kept for its reader up to
//! a [limit](ResponsesSocketSettings::lane_buffer); then the server is held back. A lane that holds up
//! others for too long fails alone. A stream that is dropped frees its lane as soon as the server is
//! done with it, and what is still to come of it is never taken for something else.
//!
//! # What is not said per request
//!
//! A socket has headers once. Options that are headers over HTTP are said in the
//! [`ResponsesSocketRequest`]; of the options of a [`ResponsesRequest`] these hold: timeouts (but
//! `idle`, since pings tell whether the connection lives), item ids, the turn, extensions, and of the source the name of a sub-agent. Its headers `traceparent`,
//! `tracestate` and some of Codex's travel in `client_metadata`; others are refused. Session, thread,
//! conversation and compression are HTTP's alone, and left out. `background` is refused.
//!
//! An extension of the request is found in the [head](crate::sse::ResponseStream::meta) of the stream, and
//! [`StreamObservers`](crate::extensions::StreamObservers) among them are told of it.
//!
//! Layers that the handshake went through go on to act for each request: telemetry
//! [watches it](crate::layers::telemetry#on-a-socket) as a call of its own and sends its trace context
//! along, and rate limits are noted.
//!
//! # Errors
//!
//! Those of [`Responses`](super::Responses), in the same words: a refusal that comes as a message has the
//! status and the facts that it would have over HTTP, and is the error of the call if it comes first.
//! Besides, with what to do:
//!
//! | kind | what | what to do |
//! |---|---|---|
//! | [`ChainLost`] | the response that is continued is not there | send the whole conversation; [`incremental`](ResponsesSocketSettings::incremental) does so |
//! | [`ConnectionExpired`] | the connection takes no more requests | open another; [`Reconnecting`] does so |
//! | [`Closed`] | the socket was closed; [`close_code`](crate::Error::close_code) says why | it is retryable if it may well be opened again |
//! | [`TooLarge`], not sent | the request does not fit into a frame | HTTP takes it; [`Prefer`](super::Prefer) does so |
//! | [`TooLarge`] of a stream | it was not read and held up others | read it, or set [`lane_buffer`](ResponsesSocketSettings::lane_buffer) |
//!
//! The [stage](crate::Error::stage) says whether the request was sent.
//!
//! [`ResponsesRequest`]: super::ResponsesRequest
//! [`ResponseStream`]: crate::sse::ResponseStream
//! [`ChainLost`]: crate::ErrorKind::ChainLost
//! [`ConnectionExpired`]: crate::ErrorKind::ConnectionExpired
//! [`Closed`]: crate::ErrorKind::Closed
//! [`TooLarge`]: crate::ErrorKind::TooLarge

mod call;
mod chain;
mod connect;
mod connection;
mod frame;
mod inbound;
mod lanes;
mod name;
mod reconnecting;
mod request;
mod settings;
mod source;
mod steering;
mod waiting;
mod watching;

pub use self::connect::{
    ConnectCall, ConnectFuture, Drive, Driven, Inline, ResponsesSocket, ResponsesSocketLayer,
};
pub use self::connection::{ResponsesConnection, SteerCall};
pub use self::name::LaneName;
pub use self::reconnecting::{Reconnecting, ReconnectingFuture};
pub use self::request::ResponsesSocketRequest;
pub use self::settings::ResponsesSocketSettings;
pub use self::source::SocketSource;
pub use self::steering::{PendingSteer, SteerAnswer};
pub use self::waiting::SocketCall;
