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
//! Endpoints stand on it: [`Client::responses`] gives one. Whoever wants another order, or static
//! types, assembles the same layers with [`ServiceBuilder`] and needs nothing from here.
//!
//! # Cost
//!
//! One box per call for the future and one for the response body. Each layer added with
//! [`ClientBuilder::layer`] adds another such pair.
//!
//! # Example
//!
//! ```
//! # use tower_openai::testing::Server;
//! use tower_openai::Client;
//! use tower_openai::services::ResponsesRequest;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let server = Server::start().await?;
//! # let (base_url, key) = (server.base_url(), "sk-example");
//! let client = Client::builder().base_url(base_url).api_key(key).build()?;
//! let responses = client.responses();
//! let stream = responses.stream_request(ResponsesRequest::new("gpt-5.2", "hello")).await?;
//! println!("{}", stream.text().collect().await?);
//! # Ok::<_, tower_openai::BoxError>(()) }).unwrap();
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder};

use crate::env::{EnvSource, ProcessEnv};
use crate::extensions::StreamTimeouts;
use crate::layers::{
    ApiKey, AuthLayer, Bearer, HeadTimeoutLayer, IdleTimeoutLayer, ProviderLayer, TotalTimeoutLayer,
};
use crate::model::ItemIds;
use crate::provider::Provider;
use crate::services::Responses;
use crate::sse::StreamSettings;
use crate::transport::HyperTransportBuilder;
use crate::{BoxError, Error, RequestBody, ResponseBody};

/// An HTTP service with its type erased: what the preset is, and what endpoints stand on by
/// default.
///
/// A type of its own rather than a name for a [`BoxCloneSyncService`]: with [`BoxError`] among its
/// parameters, the compiler could not tell that a future which calls it is [`Send`], and nothing
/// that uses a [`Client`] could be spawned.
#[derive(Clone)]
pub struct BoxHttpService(Erased);

type Erased =
    BoxCloneSyncService<http::Request<RequestBody>, http::Response<ResponseBody>, BoxError>;

impl Service<http::Request<RequestBody>> for BoxHttpService {
    type Response = http::Response<ResponseBody>;
    type Error = BoxError;
    type Future = BoxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        self.0.call(request)
    }
}

/// The future of [`BoxHttpService`].
type BoxFuture =
    Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, BoxError>> + Send>>;

impl fmt::Debug for BoxHttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxHttpService").finish_non_exhaustive()
    }
}

/// The preset stack and its endpoints. Cloning is cheap and shares connections.
#[derive(Clone)]
pub struct Client {
    http: BoxHttpService,
    stream: StreamSettings,
    item_ids: ItemIds,
}

impl Client {
    /// Settings for a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The client that the environment of this process asks for: see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// A variable that is missing or cannot be used, and what [`ClientBuilder::build`] refuses.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().from_env(&ProcessEnv)?.build()
    }

    /// The Responses endpoint.
    pub fn responses(&self) -> Responses<BoxHttpService> {
        Responses::new(self.http()).settings(self.stream).item_ids(self.item_ids)
    }

    /// The stack itself, for an endpoint or for a request of one's own.
    pub fn http(&self) -> BoxHttpService {
        self.http.clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Puts the preset on a transport.
type Assemble = Box<dyn FnOnce(Preset) -> BoxHttpService + Send>;
type Wrap = Box<dyn FnOnce(BoxHttpService) -> BoxHttpService + Send>;

/// Settings of a [`Client`].
///
/// Without a provider it is OpenAI's API, without a credential its requests are anonymous. The
/// default limits: 10 s to connect, 60 s for a response head, 300 s between bytes, 300 s between
/// events.
#[derive(Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    provider: Option<Setting<Provider>>,
    credential: Option<Setting<Credential>>,
    stream: StreamSettings,
    item_ids: Option<ItemIds>,
    transport: Option<Assemble>,
    hyper: HyperTransportBuilder,
    /// Name of the first setting made on `hyper`.
    hyper_only: Option<&'static str>,
    layers: Vec<Wrap>,
}

/// A setting that may have been refused, which `build` tells.
type Setting<T> = Result<T, Error>;

/// How requests are authorised.
#[derive(Clone, Debug)]
enum Credential {
    /// Sent in the way of the provider.
    Key(Bearer, ApiKey),
    Bearer(Bearer),
    ApiKey(ApiKey),
}

impl ClientBuilder {
    /// The API to talk to. Default: [`Provider::openai`].
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = Some(Ok(provider));
        self
    }

    /// The API to talk to, by its base URL with the version path, such as
    /// `https://api.openai.com/v1`. An unusable URL is an error of [`build`](Self::build).
    pub fn base_url(mut self, base_url: impl AsRef<str>) -> Self {
        self.provider = Some(Provider::new("custom", base_url.as_ref()));
        self
    }

    /// The key, sent as `authorization: Bearer`; to Azure as `api-key`. An unusable key is an error
    /// of [`build`](Self::build).
    pub fn api_key(mut self, key: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        let both =
            Bearer::new(key).and_then(|bearer| Ok(Credential::Key(bearer, ApiKey::new(key)?)));
        self.credential = Some(both);
        self
    }

    /// A token in `authorization: Bearer`.
    pub fn bearer(mut self, token: Bearer) -> Self {
        self.credential = Some(Ok(Credential::Bearer(token)));
        self
    }

    /// A key in the header `api-key`, as Azure has it.
    pub fn api_key_header(mut self, key: ApiKey) -> Self {
        self.credential = Some(Ok(Credential::ApiKey(key)));
        self
    }

    /// Provider and key as the environment has them: [`Provider::from_env`], and the key in
    /// `OPENAI_API_KEY`, which may be unset if `OPENAI_BASE_URL` names a server that needs none.
    ///
    /// # Errors
    ///
    /// A variable that is missing or cannot be used.
    pub fn from_env(mut self, env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        self.provider = Some(Ok(Provider::from_env(env)?));
        if env.non_blank("OPENAI_API_KEY")?.is_some() {
            let bearer = Bearer::from_source("OPENAI_API_KEY", env)?;
            let header = ApiKey::from_source("OPENAI_API_KEY", env)?;
            self.credential = Some(Ok(Credential::Key(bearer, header)));
        } else if env.non_blank("OPENAI_BASE_URL")?.is_none() {
            return Err(Error::build(
                "`OPENAI_API_KEY` is not set: set it, or set `OPENAI_BASE_URL` to a server that \
                 needs no key",
            ));
        }
        Ok(self)
    }

    /// How long calls may wait, on each of the
    /// [clocks](StreamTimeouts#which-clock-is-which). Limits that are unset stay as they are. An
    /// endpoint or a request can have its own.
    ///
    /// Default: 60 s for a head, 300 s between bytes, 300 s between events; the first event and the
    /// whole call have no limit.
    pub fn timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.stream.timeouts = timeouts.or(self.stream.timeouts);
        self
    }

    /// The longest silence of a response body in bytes, heartbeats included,
    /// [`StreamTimeouts::idle`]; 300 s by default, zero is off.
    pub fn idle_timeout(self, limit: Duration) -> Self {
        self.timeouts(StreamTimeouts::new().idle(limit))
    }

    /// How response streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they
    /// are.
    pub fn stream_settings(mut self, settings: StreamSettings) -> Self {
        self.stream = settings.after(self.stream);
        self
    }

    /// Which items of the input are sent with their ids.
    ///
    /// Default: [`ItemIds::WhenStored`] for Azure, which refuses ids of what it does not store, else
    /// [`ItemIds::Keep`].
    pub fn item_ids(mut self, rule: ItemIds) -> Self {
        self.item_ids = Some(rule);
        self
    }

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
        self.transport = Some(Box::new(move |preset| preset.assemble(service)));
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
    /// [`ErrorKind::Build`](crate::ErrorKind::Build): a base URL or key cannot be used, a setting is
    /// out of its range, a setting of the built-in transport was made and another transport given,
    /// or the platform's certificate roots cannot be loaded.
    pub fn build(self) -> Result<Client, Error> {
        let provider = self.provider.transpose()?.unwrap_or_else(Provider::openai);
        let credential = match self.credential.transpose()? {
            Some(Credential::Key(_, header)) if provider.is_azure() => {
                Some(Credential::ApiKey(header))
            }
            credential => credential,
        };
        let item_ids = self.item_ids.unwrap_or(match provider.is_azure() {
            true => ItemIds::WhenStored,
            false => ItemIds::Keep,
        });
        let preset = Preset { provider, credential, timeouts: self.stream.timeouts };
        let stack = match (self.transport, self.hyper_only) {
            (None, _) => preset.assemble(self.hyper.build()?),
            (Some(assemble), None) => assemble(preset),
            (Some(_), Some(setting)) => {
                return Err(Error::build(format!(
                    "`{setting}` is a setting of the built-in transport, but `transport` replaces \
                     it: make the setting on the transport you pass"
                )));
            }
        };
        let http = self.layers.into_iter().rev().fold(stack, |inner, wrap| wrap(inner));
        Ok(Client { http, stream: self.stream, item_ids })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("provider", &self.provider)
            .field("credential", &self.credential)
            .field("stream", &self.stream)
            .field("hyper", &self.hyper)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}

const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// What the layers of the preset need.
struct Preset {
    provider: Provider,
    credential: Option<Credential>,
    timeouts: StreamTimeouts,
}

impl Preset {
    /// The preset, outermost layer first.
    fn assemble<S, RB>(self, transport: S) -> BoxHttpService
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
        #[cfg(any(feature = "gzip", feature = "br", feature = "zstd"))]
        let stack = stack.layer(crate::transport::decompression::DecompressionLayer::new());
        // Zero is off, for the layers too.
        let head = self.timeouts.head_or(Some(HEAD_TIMEOUT)).unwrap_or_default();
        let idle = self.timeouts.idle_or(Some(IDLE_TIMEOUT)).unwrap_or_default();
        let total = self.timeouts.total_or(None).unwrap_or_default();
        let inner = stack
            .layer(HeadTimeoutLayer::new(head))
            .layer(IdleTimeoutLayer::new(idle))
            .service(transport);

        let stack = ServiceBuilder::new()
            .layer(ProviderLayer::new(self.provider))
            .layer(TotalTimeoutLayer::new(total));
        match self.credential {
            Some(Credential::Key(token, _) | Credential::Bearer(token)) => {
                erase(stack.layer(AuthLayer::new(token)).service(inner))
            }
            Some(Credential::ApiKey(key)) => erase(stack.layer(AuthLayer::new(key)).service(inner)),
            None => erase(stack.service(inner)),
        }
    }
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
    BoxHttpService(BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_response(|response: http::Response<RB>| response.map(ResponseBody::new))
            .map_err(Into::into)
            .service(stack),
    ))
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
