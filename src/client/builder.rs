//! Settings of a client, and its assembly.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::Layer;

use super::Client;
use super::policy::Policy;
use super::stack::{Authorisation, Preset, Propagator, Wrap};
use super::stacks::{Assemble, assemble};
use crate::Error;
use crate::env::EnvSource;
use crate::extensions::StreamTimeouts;
#[cfg(feature = "cookies")]
use crate::layers::CookieLayer;
use crate::layers::retry::{RetryBudget, TokenBucket};
use crate::layers::telemetry::{Observe, Propagate};
use crate::layers::{ApiKey, Bearer, RateLimitLayer, RetryPolicy, TelemetryLayer};
use crate::model::ItemIds;
use crate::provider::Provider;
use crate::services::{BoxHttpService, BoxableHttpService, SessionForm};
use crate::sse::StreamSettings;
use crate::transport::{HyperTransportBuilder, Proxy};

/// Settings of a [`Client`].
///
/// Without a provider it is OpenAI's API, without a credential its requests are anonymous. The
/// default limits: 10 s to connect, 60 s for a response head, 300 s between bytes, 300 s between
/// events.
#[derive(Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    provider: Option<Setting<Provider>>,
    /// Of the provider, whichever it is in the end.
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    authorisation: Option<Setting<Authorisation>>,
    telemetry: TelemetryLayer,
    observer: Option<Arc<dyn Observe>>,
    propagate: Option<Propagator>,
    stream: StreamSettings,
    item_ids: Option<ItemIds>,
    transport: Option<Assemble>,
    hyper: HyperTransportBuilder,
    /// Name of the first setting made on `hyper`.
    hyper_only: Option<&'static str>,
    policy: Policy,
    max_retries: Option<u32>,
    retry: Option<RetryPolicy>,
    budget: Option<Arc<dyn RetryBudget>>,
    layers: Vec<Wrap>,
    attempt_layers: Vec<Wrap>,
    #[cfg(feature = "cookies")]
    cookies: Option<CookieLayer>,
}

/// A setting that may have been refused, which `build` reports.
type Setting<T> = Result<T, Error>;

impl ClientBuilder {
    /// The API to talk to. Default: [`Provider::openai`].
    ///
    /// Of this, [`base_url`](Self::base_url) and [`from_env`](Self::from_env) the last one counts.
    /// What [`header`](Self::header), [`query`](Self::query) and their neighbours say holds for any.
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

    /// Adds a header to every request, in place of those that the provider has of that name; a name
    /// given again adds a value. A request that says the header itself sends its own only. A name or
    /// value that HTTP does not allow is an error of [`build`](Self::build).
    ///
    /// ```
    /// use tower_openai::Client;
    ///
    /// # let api_key = "sk-example";
    /// let client = Client::builder()
    ///     .api_key(api_key)
    ///     .project("proj_1")
    ///     .header("x-team", "search")
    ///     .query("region", "eu")
    ///     .build()?;
    /// # let _ = client;
    /// # Ok::<_, tower_openai::Error>(())
    /// ```
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `key=value` to the query of every URL, percent-encoded: [`Provider::query`].
    pub fn query(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((key.into(), value.into()));
        self
    }

    /// The organization that calls are counted for, in `openai-organization`: for keys of people who
    /// are in several.
    pub fn organization(self, id: impl Into<String>) -> Self {
        self.only_header("openai-organization", id)
    }

    /// The project that calls are counted for, in `openai-project`.
    pub fn project(self, id: impl Into<String>) -> Self {
        self.only_header("openai-project", id)
    }

    fn only_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// The key, sent as `authorization: Bearer`; to Azure as `api-key`. An unusable key is an error
    /// of [`build`](Self::build).
    pub fn api_key(mut self, key: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        let both =
            Bearer::new(key).and_then(|bearer| Ok(Authorisation::Key(bearer, ApiKey::new(key)?)));
        self.authorisation = Some(both);
        self
    }

    /// A token in `authorization: Bearer`.
    pub fn bearer(mut self, token: Bearer) -> Self {
        self.authorisation = Some(Ok(Authorisation::Bearer(token)));
        self
    }

    /// A key in Azure's header `api-key`. For OpenAI, and where the provider may be either, use
    /// [`api_key`](Self::api_key).
    pub fn api_key_header(mut self, key: ApiKey) -> Self {
        self.authorisation = Some(Ok(Authorisation::ApiKey(key)));
        self
    }

    /// Authorises requests with a layer of yours: an [`AuthLayer`] with any [`Credentials`], one that
    /// [refreshes] them after a 401, or another. It stands inside retry.
    ///
    /// [`AuthLayer`]: crate::layers::AuthLayer
    /// [`Credentials`]: crate::layers::Credentials
    /// [refreshes]: crate::layers::AuthLayer::refresh_on_unauthorized
    pub fn auth_layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<BoxHttpService> + Send + 'static,
        L::Service: BoxableHttpService,
    {
        let wrap =
            Authorisation::Layer(Box::new(move |inner| BoxHttpService::new(layer.layer(inner))));
        self.authorisation = Some(Ok(wrap));
        self
    }

    /// How the spans of calls are written: which provider they name, and whether they hold
    /// [prompts and outputs](TelemetryLayer::record_content). Observers are [added](Self::observe) to
    /// it. Default: [`TelemetryLayer::new`], without content.
    pub fn telemetry(mut self, layer: TelemetryLayer) -> Self {
        self.telemetry = layer;
        self
    }

    /// Reports every call and attempt to `observer`, besides those that were added before.
    pub fn observe(mut self, observer: impl Observe) -> Self {
        self.observer = Some(match self.observer {
            Some(others) => Arc::new((others, observer)),
            None => Arc::new(observer),
        });
        self
    }

    /// Writes headers on each attempt that carry the trace on to the server, in place of what was set
    /// before: a closure, or with the feature `opentelemetry` its
    /// `layers::telemetry::OpenTelemetry`. Default: none are written.
    pub fn propagate(mut self, propagate: impl Propagate) -> Self {
        self.propagate = Some(Arc::new(propagate));
        self
    }

    /// How often a call is tried again at most, where the [`policy`](Self::policy) does not say, by a
    /// number or a preset; zero is off. Default: 2.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Provider and key as the environment has them: [`Provider::from_env`], and the key in
    /// `OPENAI_API_KEY`, which may be unset if `OPENAI_BASE_URL` names a server that needs none.
    ///
    /// The built-in transport takes its proxies and its CA bundle from there too:
    /// [`HyperTransportBuilder::env`]. Without this method it takes them from the environment of the
    /// process.
    ///
    /// # Errors
    ///
    /// A variable that is missing or cannot be used.
    pub fn from_env(mut self, env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        self.provider = Some(Ok(Provider::from_env(env)?));
        self.hyper = self.hyper.env(env);
        if env.non_blank("OPENAI_API_KEY")?.is_some() {
            let bearer = Bearer::from_source("OPENAI_API_KEY", env)?;
            let header = ApiKey::from_source("OPENAI_API_KEY", env)?;
            self.authorisation = Some(Ok(Authorisation::Key(bearer, header)));
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
    /// whole call have no limit. Where the model works before it answers, as in
    /// [`compact`](Client::compact), no limit for a head and 20 minutes for the whole call; a limit for
    /// the head that is set here [holds there too](Policy#a-limit-for-the-head-in-default).
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
    pub fn transport<S>(mut self, service: S) -> Self
    where
        S: BoxableHttpService,
    {
        self.transport = Some(Box::new(move |preset, policy| assemble(preset, policy, service)));
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

    /// Sends requests by this proxy, rather than by those that the environment names.
    ///
    /// For the built-in transport; see [`HyperTransportBuilder::proxy`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.hyper = self.hyper.proxy(proxy);
        self.hyper_only.get_or_insert("proxy");
        self
    }

    /// Sends requests straight to the server, whatever the environment says.
    ///
    /// For the built-in transport; see [`HyperTransportBuilder::without_proxy`].
    pub fn without_proxy(mut self) -> Self {
        self.hyper = self.hyper.without_proxy();
        self.hyper_only.get_or_insert("without_proxy");
        self
    }

    /// Trusts these certificates too, in PEM.
    ///
    /// For the built-in transport; see [`HyperTransportBuilder::add_root_pem`].
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    pub fn add_root_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.hyper = self.hyper.add_root_pem(pem);
        self.hyper_only.get_or_insert("add_root_pem");
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
    /// [`ServiceBuilder`](tower::ServiceBuilder).
    ///
    /// It sees each call once, as the endpoint made it: the URI is still relative to the
    /// provider, and retries happen below. Several layers stacked with `ServiceBuilder` and given
    /// as one cost the boxes of one.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<BoxHttpService> + Send + 'static,
        L::Service: BoxableHttpService,
    {
        self.layers.push(Box::new(move |inner| BoxHttpService::new(layer.layer(inner))));
        self
    }

    /// Puts a layer around each attempt: inside retry and authorisation, outside decompression and
    /// the clocks of the attempt. The first one added is the outermost.
    ///
    /// It sees the request as it goes to the provider, URI and credential included, and the response
    /// as it comes, once for every attempt.
    pub fn attempt_layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<BoxHttpService> + Send + 'static,
        L::Service: BoxableHttpService,
    {
        self.attempt_layers.push(Box::new(move |inner| BoxHttpService::new(layer.layer(inner))));
        self
    }

    /// Keeps Cloudflare's cookies for the ChatGPT hosts, and no others, in the jar of this layer: for all
    /// endpoints, next to the transport, so that each attempt has the cookies of the last one. Clones of
    /// the layer share a jar between clients. Default: none are kept.
    ///
    /// ```
    /// use tower_openai::Client;
    /// use tower_openai::layers::CookieLayer;
    /// use tower_openai::provider::Provider;
    ///
    /// # fn build(token: tower_openai::layers::Bearer) -> Result<Client, tower_openai::Error> {
    /// let client = Client::builder().provider(Provider::chatgpt()).bearer(token);
    /// client.cookies(CookieLayer::new()).build()
    /// # }
    /// ```
    #[cfg(feature = "cookies")]
    pub fn cookies(mut self, cookies: CookieLayer) -> Self {
        self.cookies = Some(cookies);
        self
    }

    /// What each endpoint does about failure, time, load and size. Default: the one of
    /// [`Policy::default`], two retries and no limit on load.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether and when a call is tried again, for each endpoint whose [`policy`](Self::policy) does not
    /// say: rules that are no data, such as a classifier or a schedule of the caller's. What pays for
    /// retries is the [`retry_budget`](Self::retry_budget) in any case.
    ///
    /// ```
    /// use tower_openai::Client;
    /// use tower_openai::layers::RetryPolicy;
    /// use tower_openai::layers::retry::{Action, Outcome, classify_fn};
    ///
    /// // A gateway whose 503 is final.
    /// let closed = classify_fn(|outcome: &Outcome<'_>| match outcome.status() {
    ///     Some(http::StatusCode::SERVICE_UNAVAILABLE) => Action::Forbid,
    ///     _ => Action::Pass,
    /// });
    /// # let api_key = "sk-example";
    /// let client = Client::builder()
    ///     .api_key(api_key)
    ///     .retry_policy(RetryPolicy::default().max_retries(4).classify(closed))
    ///     .build()?;
    /// # let _ = client;
    /// # Ok::<_, tower_openai::Error>(())
    /// ```
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// What pays for the retries of all endpoints together. Default: a [`TokenBucket`] of the client's
    /// own, so that a provider that is down is not asked three times for every call.
    pub fn retry_budget(mut self, budget: Arc<dyn RetryBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Builds the client. Needs no runtime and opens no connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`](crate::ErrorKind::Build): a base URL, header or key cannot be used, a setting is
    /// out of its range, two settings exclude each other, a setting of the built-in transport was made and
    /// another transport given,
    /// or the platform's certificate roots cannot be loaded.
    pub fn build(self) -> Result<Client, Error> {
        let provider = self.provider.transpose()?.unwrap_or_else(Provider::openai);
        let provider = provider.replacing_headers(&self.headers)?;
        let provider =
            self.query.iter().fold(provider, |provider, (key, value)| provider.query(key, value));
        let authorisation = match self.authorisation.transpose()? {
            Some(Authorisation::Key(_, header)) if provider.is_azure() => {
                Some(Authorisation::ApiKey(header))
            }
            authorisation => authorisation,
        };
        if self.retry.is_some() && self.max_retries.is_some() {
            return Err(Error::build(
                "`max_retries` and `retry_policy` say the same thing twice: set the number on the \
                 policy",
            ));
        }
        let mut policy = self.policy;
        let resume = policy.resume.policy()?;
        let stream_retry = policy.stream_retry.policy()?;
        let retry = &mut policy.default.retry;
        if retry.preset.is_none() {
            retry.max_retries = retry.max_retries.or(self.max_retries);
        }
        let item_ids = self.item_ids.unwrap_or(match provider.is_azure() {
            true => ItemIds::WhenStored,
            false => ItemIds::Keep,
        });
        let preset = Preset {
            provider,
            authorisation,
            telemetry: self.telemetry,
            observer: self.observer,
            propagate: self.propagate,
            rate_limits: RateLimitLayer::new(),
            timeouts: self.stream.timeouts,
            has_own_budget: self.budget.is_some(),
            retry: self.retry,
            budget: self.budget.unwrap_or_else(|| Arc::new(TokenBucket::default())),
            layers: self.layers,
            attempt_layers: self.attempt_layers,
            #[cfg(feature = "cookies")]
            cookies: self.cookies,
        };
        let stacks = match (self.transport, self.hyper_only) {
            (None, _) => assemble(&preset, &policy, self.hyper.build()?)?,
            (Some(assemble), None) => assemble(&preset, &policy)?,
            (Some(_), Some(setting)) => {
                return Err(Error::build(format!(
                    "`{setting}` is a setting of the built-in transport, but `transport` replaces \
                     it: make the setting on the transport you pass"
                )));
            }
        };
        policy.default.timeouts = policy.default.timeouts.or(self.stream.timeouts);
        let stream = StreamSettings { timeouts: policy.responses().timeouts, ..self.stream };
        let policy = Arc::new(policy);
        let session_form = SessionForm::of(preset.provider.base_url());
        Ok(Client {
            stacks: Arc::new(stacks),
            stream,
            policy,
            resume,
            stream_retry,
            item_ids,
            session_form,
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("provider", &self.provider)
            .field("anonymous", &self.authorisation.is_none())
            .field("stream", &self.stream)
            .field("hyper", &self.hyper)
            .field("policy", &self.policy)
            .field("layers", &self.layers.len())
            .field("attempt_layers", &self.attempt_layers.len())
            .finish_non_exhaustive()
    }
}
