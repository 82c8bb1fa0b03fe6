//! The way to the network: hyper's pooled client as a [`Service`](tower::Service).
//!
//! # Problem
//!
//! Endpoints and layers stand on any HTTP service. This is the one that comes with the crate:
//! HTTP/1.1 and HTTP/2 over rustls, with the limits that long streams need. Connecting is bounded
//! in time, a silent peer is noticed (TCP keep-alive, HTTP/2 pings), an HTTP/1.1 stream holds one
//! small read buffer that never grows, and every failure has a
//! [kind and a stage](TransportError).
//!
//! It works where networks are not plain: by [proxies](Proxy), which the environment names or the
//! caller; with [roots](HyperTransportBuilder::env) of one's own beside the usual ones, and with
//! [client certificates](HyperTransportBuilder::client_certificate_pem); over
//! [Unix sockets](HyperTransportBuilder::unix_socket) and whatever else a
//! [connector](HyperTransportBuilder::connector) opens.
//!
//! The [TLS provider](TlsProvider) (feature `ring` or `aws-lc-rs`) is handed to this client's
//! configuration and never installed for the process. Redirects are not followed, and a response's
//! waiting time is not limited here: those are decisions of layers.
//!
//! # A peer that has gone
//!
//! | what goes wrong | what happens | within |
//! |---|---|---|
//! | a pooled connection was closed while unused | the request goes out once more, on another | at once |
//! | the peer vanishes, HTTP/2 | pings fail, and the connection with them | [25 s](HyperTransportBuilder::http2_ping) |
//! | the peer vanishes, HTTP/1.1 | TCP's probes fail | [60 s](HyperTransportBuilder::tcp_keepalive) |
//! | the peer is there and says nothing | the clocks of layers run out | [see there](crate::extensions::StreamTimeouts#which-clock-is-which) |
//!
//! # Place
//!
//! Innermost, below every layer.
//!
//! # Example
//!
//! ```
//! use http_body_util::BodyExt;
//! use tower::ServiceExt;
//! use tower_openai::RequestBody;
//! use tower_openai::transport::HyperTransport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = listener.local_addr()?;
//! # tokio::spawn(async move {
//! #     let (mut socket, _) = listener.accept().await.unwrap();
//! #     let _ = socket.read(&mut [0; 1024]).await;
//! #     let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
//! # });
//! let transport = HyperTransport::new()?;
//! let request =
//!     http::Request::get(format!("http://{server}/models")).body(RequestBody::empty())?;
//! let response = transport.oneshot(request).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok(())
//! # }
//! ```

mod builder;
mod connect;
#[cfg(any(feature = "gzip", feature = "br", feature = "zstd"))]
pub mod decompression;
mod dial;
mod error;
mod hyper;
mod io;
mod proxy;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tls;
mod variables;

pub use self::builder::HyperTransportBuilder;
pub use self::error::TransportError;
#[allow(unused_imports, reason = "read by the error mapping")]
pub(crate) use self::error::classify;
pub use self::hyper::{HyperBody, HyperFuture, HyperTransport};
pub use self::proxy::Proxy;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
pub use self::tls::TlsProvider;

/// The peer's name and port, without credentials.
fn host(uri: &http::Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match uri.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
