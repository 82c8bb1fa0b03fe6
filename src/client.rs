//! The preset: everything between an endpoint and the network, assembled.
//!
//! # Problem
//!
//! Most callers want a stack that is known to be in the right order, behind a type they can name
//! and store. [`Client`] is that stack, erased into a [`BoxHttpService`]: `Clone + Send + Sync`,
//! built outside a runtime, with no task and no queue inside.
//!
//! # Place
//!
//! Endpoints stand on [`Client::http`]. Whoever wants another order, or static types, assembles
//! the same layers with [`ServiceBuilder`] and needs nothing from here.
//!
//! # Cost
//!
//! One box per call for the future and one for the response body. Each layer added with
//! [`ClientBuilder::layer`] adds another such pair.
//!
//! # Example
//!
//! ```
//! use http_body_util::BodyExt;
//! use tower::{ServiceExt, service_fn};
//! use tower_openai::RequestBody;
//! use tower_openai::client::Client;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // Any HTTP service can take the place of the network.
//! let echo = service_fn(|request: http::Request<RequestBody>| async {
//!     Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
//! });
//! let client = Client::builder().transport(echo).build()?;
//! let response = client.http().oneshot(http::Request::new("hello".into())).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder};

use crate::transport::HyperTransportBuilder;
use crate::{BoxError, Error, RequestBody, ResponseBody};

/// An HTTP service with its type erased: what the preset is, and what endpoints stand on by
/// default.
pub type BoxHttpService =
    BoxCloneSyncService<http::Request<RequestBody>, http::Response<ResponseBody>, BoxError>;

/// The preset stack. Cloning is cheap and shares connections.
#[derive(Clone)]
pub struct Client {
    http: BoxHttpService,
}

impl Client {
    /// Settings for a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The stack itself, for an endpoint or for a request of one's own.
    pub fn http(&self) -> BoxHttpService {
        self.http.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

type Assemble = Box<dyn FnOnce() -> BoxHttpService + Send>;
type Wrap = Box<dyn FnOnce(BoxHttpService) -> BoxHttpService + Send>;

/// Settings of a [`Client`].
#[derive(Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    transport: Option<Assemble>,
    hyper: HyperTransportBuilder,
    /// Name of the first setting made on `hyper`.
    hyper_only: Option<&'static str>,
    layers: Vec<Wrap>,
}

impl ClientBuilder {
    /// Replaces the network: a [`HyperTransport`] with settings of its own, or any other HTTP
    /// service.
    ///
    /// [`HyperTransport`]: crate::transport::HyperTransport
    pub fn transport<S, RB>(mut self, service: S) -> Self
    where
        S: Service<http::Request<RequestBody>, Response = http::Response<RB>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        self.transport = Some(Box::new(move || assemble(service)));
        self
    }

    /// The longest wait for a connection, 10 s by default.
    ///
    /// For the built-in transport; see [`HyperTransportBuilder::connect_timeout`].
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.hyper = self.hyper.connect_timeout(limit);
        self.hyper_only.get_or_insert("connect_timeout");
        self
    }

    /// The read buffer of a connection and largest response head in bytes, 16 KiB by default.
    ///
    /// For the built-in transport; see [`HyperTransportBuilder::read_buffer`].
    pub fn read_buffer(mut self, bytes: usize) -> Self {
        self.hyper = self.hyper.read_buffer(bytes);
        self.hyper_only.get_or_insert("read_buffer");
        self
    }

    /// Puts a layer around the whole stack. The first one added is the outermost, as in
    /// [`ServiceBuilder`].
    ///
    /// It sees each call once, as the endpoint made it: the URI is still relative to the
    /// provider, and retries happen below. Several layers stacked with `ServiceBuilder` and given
    /// as one cost the boxes of one.
    pub fn layer<L, RB>(mut self, layer: L) -> Self
    where
        L: Layer<BoxHttpService> + Send + 'static,
        L::Service: Service<http::Request<RequestBody>, Response = http::Response<RB>>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<http::Request<RequestBody>>>::Error: Into<BoxError>,
        <L::Service as Service<http::Request<RequestBody>>>::Future: Send + 'static,
        RB: Body<Data = Bytes> + Send + 'static,
        RB::Error: Into<BoxError>,
    {
        self.layers.push(Box::new(move |inner| erase(layer.layer(inner))));
        self
    }

    /// Builds the client. Needs no runtime and opens no connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`](crate::ErrorKind::Build): a setting is out of its range, a setting of
    /// the built-in transport was made and another transport given, or the platform's certificate
    /// roots cannot be loaded.
    pub fn build(self) -> Result<Client, Error> {
        let stack = match (self.transport, self.hyper_only) {
            (None, _) => assemble(self.hyper.build()?),
            (Some(assemble), None) => assemble(),
            (Some(_), Some(setting)) => {
                return Err(Error::build(format!(
                    "`{setting}` is a setting of the built-in transport, but `transport` replaces \
                     it: make the setting on the transport you pass"
                )));
            }
        };
        let http = self.layers.into_iter().rev().fold(stack, |inner, wrap| wrap(inner));
        Ok(Client { http })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("hyper", &self.hyper)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}

/// The preset, outermost layer first.
fn assemble<S, RB>(transport: S) -> BoxHttpService
where
    S: Service<http::Request<RequestBody>, Response = http::Response<RB>>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    let stack = ServiceBuilder::new();
    // Provider, telemetry, request compression, retry, auth and attempt go here, in this order.
    #[cfg(any(feature = "gzip", feature = "br", feature = "zstd"))]
    let stack = stack.layer(crate::transport::decompression::DecompressionLayer::new());
    // The head timeout and the idle timer go here.
    erase(stack.service(transport))
}

/// Hides the type of a stack: one box per future and one per body.
fn erase<S, RB>(stack: S) -> BoxHttpService
where
    S: Service<http::Request<RequestBody>, Response = http::Response<RB>>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    RB: Body<Data = Bytes> + Send + 'static,
    RB::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_response(|response: http::Response<RB>| response.map(ResponseBody::new))
            .map_err(Into::into)
            .service(stack),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_be_kept_anywhere() {
        fn kept<T: Clone + Send + Sync + 'static>() {}
        kept::<Client>();
        kept::<BoxHttpService>();
    }
}
