//! The preset itself: which layers, in which order, with which settings.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
#[cfg(feature = "cookies")]
use tower::util::option_layer;
use tower::{Layer, ServiceBuilder};

use super::explain::Told;
use super::policy::EndpointPolicy;
use crate::Error;
use crate::extensions::StreamTimeouts;
#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
use crate::layers::CompressionLayer;
#[cfg(feature = "cookies")]
use crate::layers::CookieLayer;
use crate::layers::retry::{RetryBudget, RetrySettings};
use crate::layers::telemetry::{Observe, Propagate};
use crate::layers::{
    ApiKey, AttemptLayer, AuthLayer, Bearer, HeadTimeoutLayer, IdleTimeoutLayer,
    InFlightLimitLayer, ProviderLayer, RateLimitLayer, RetryLayer, RetryPolicy, TelemetryLayer,
    TotalTimeoutLayer,
};
use crate::provider::Provider;
use crate::services::{BoxHttpService, BoxableHttpService, Compression};
use crate::sse::StreamSettings;

/// How long the stack of an endpoint waits where nothing else is said; `None` is for ever.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    head: Option<Duration>,
    total: Option<Duration>,
}

impl Waits {
    /// The head comes before the work, as with streams, or there is little work.
    pub(super) const QUICK: Self = Self { head: Some(Duration::from_secs(60)), total: None };
    /// The head is the answer to a handshake.
    #[cfg(feature = "ws")]
    pub(super) const SOCKET: Self = Self { head: Some(Duration::from_secs(15)), total: None };
    /// The head comes when the model is done: four times the idle limit, as in the Codex client.
    pub(super) const GENERATION: Self =
        Self { head: None, total: Some(Duration::from_secs(20 * 60)) };
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Puts a layer of the caller's around a stack.
pub(super) type Wrap = Box<dyn Fn(BoxHttpService) -> BoxHttpService + Send>;

/// What carries a trace on.
pub(super) type Propagator = Arc<dyn Propagate>;

/// How requests are authorised.
pub(super) enum Authorisation {
    /// Sent in the way of the provider.
    Key(Bearer, ApiKey),
    Bearer(Bearer),
    ApiKey(ApiKey),
    /// A layer of the caller's.
    Layer(Wrap),
}

impl Authorisation {
    fn describe(&self) -> &'static str {
        match self {
            Self::Key(..) | Self::Bearer(_) => "a bearer token",
            Self::ApiKey(_) => "a key in `api-key`",
            Self::Layer(_) => "from `auth_layer`",
        }
    }
}

/// What the stacks of a client have in common.
pub(super) struct Preset {
    pub(super) provider: Provider,
    /// `None`: requests are anonymous.
    pub(super) authorisation: Option<Authorisation>,
    pub(super) telemetry: TelemetryLayer,
    pub(super) observer: Option<Arc<dyn Observe>>,
    pub(super) propagate: Option<Propagator>,
    pub(super) rate_limits: RateLimitLayer,
    /// Where an endpoint's policy says nothing.
    pub(super) timeouts: StreamTimeouts,
    /// Where an endpoint's policy says nothing of retries.
    pub(super) retry: Option<RetryPolicy>,
    pub(super) budget: Arc<dyn RetryBudget>,
    /// Whether the budget is the caller's.
    pub(super) has_own_budget: bool,
    /// Around each call, outermost first.
    pub(super) layers: Vec<Wrap>,
    /// Around each attempt, outermost first.
    pub(super) attempt_layers: Vec<Wrap>,
    #[cfg(feature = "cookies")]
    pub(super) cookies: Option<CookieLayer>,
}

impl Preset {
    /// The stack of one endpoint, and what is in it.
    pub(super) fn assemble<S>(
        &self,
        endpoint: &'static str,
        waits: Waits,
        policy: &EndpointPolicy,
        transport: S,
    ) -> Result<(BoxHttpService, Told), Error>
    where
        S: BoxableHttpService,
    {
        let mut explanation = Told::of(endpoint);
        let timeouts = policy.timeouts.or(self.timeouts);
        let stream = StreamSettings { timeouts, ..StreamSettings::default() };
        explanation.limit("(between events)", stream.progress_timeout());
        explanation.yours("layer", self.layers.len());
        let call = CallLayers::new(self, waits, policy, &mut explanation)?;
        let authorisation = self.authorisation.as_ref();
        explanation.layer("AuthLayer", authorisation.map_or("none", Authorisation::describe));
        explanation.yours("attempt_layer", self.attempt_layers.len());
        let propagates = self.propagate.is_some();
        explanation
            .layer("AttemptLayer", if propagates { "spans, and trace headers" } else { "spans" });

        let attempt =
            ServiceBuilder::new().layer(AttemptLayer::new().propagate(self.propagate.clone()));
        #[cfg(any(feature = "gzip", feature = "br", feature = "zstd"))]
        let attempt = {
            explanation.layer("DecompressionLayer", "of responses");
            attempt.layer(crate::transport::decompression::DecompressionLayer::new())
        };
        let head = timeouts.head_or(waits.head);
        let idle = timeouts.idle_or(Some(IDLE_TIMEOUT));
        explanation.limit("HeadTimeoutLayer", head);
        explanation.limit("IdleTimeoutLayer", idle);
        #[cfg(feature = "cookies")]
        if self.cookies.is_some() {
            explanation.layer("CookieLayer", "Cloudflare's, for ChatGPT");
        }
        explanation.layer("transport", std::any::type_name::<S>());
        #[cfg(feature = "cookies")]
        let transport = option_layer(self.cookies.clone()).layer(transport);
        let attempt = attempt
            .layer(HeadTimeoutLayer::new(head.unwrap_or_default()))
            .layer(IdleTimeoutLayer::new(idle.unwrap_or_default()))
            .service(transport);

        let stack = if self.attempt_layers.is_empty() {
            self.authorised(call, attempt)
        } else {
            self.authorised(call, wrap(&self.attempt_layers, BoxHttpService::new(attempt)))
        };
        Ok((wrap(&self.layers, stack), explanation))
    }

    fn authorised<S>(&self, call: CallLayers, attempt: S) -> BoxHttpService
    where
        S: BoxableHttpService,
    {
        use Authorisation as A;
        match &self.authorisation {
            Some(A::Key(token, _) | A::Bearer(token)) => {
                call.around(AuthLayer::new(token.clone()).layer(attempt))
            }
            Some(A::ApiKey(key)) => call.around(AuthLayer::new(key.clone()).layer(attempt)),
            Some(A::Layer(auth)) => call.around(auth(BoxHttpService::new(attempt))),
            None => call.around(attempt),
        }
    }
}

/// The layers of the preset that stand outside authorisation.
struct CallLayers {
    provider: ProviderLayer,
    telemetry: TelemetryLayer<Option<Arc<dyn Observe>>>,
    total: TotalTimeoutLayer,
    #[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
    compression: CompressionLayer,
    retry: RetryLayer,
    in_flight: InFlightLimitLayer,
    rate_limits: RateLimitLayer,
}

impl CallLayers {
    fn new(
        preset: &Preset,
        waits: Waits,
        policy: &EndpointPolicy,
        explanation: &mut Told,
    ) -> Result<Self, Error> {
        // A query of the base URL may hold a key.
        let url = preset.provider.base_url();
        explanation.layer("ProviderLayer", url.split('?').next().unwrap_or_default());
        let content = if preset.telemetry.records_content() { " with content" } else { "" };
        let observed = if preset.observer.is_some() { ", and an observer" } else { "" };
        explanation.layer("TelemetryLayer", format_args!("spans{content}{observed}"));
        let total = policy.timeouts.or(preset.timeouts).total_or(waits.total);
        explanation.limit("TotalTimeoutLayer", total);
        #[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
        let compression = compression(policy.compression)?;
        #[cfg(not(any(feature = "compression-gzip", feature = "compression-zstd")))]
        if !matches!(policy.compression, None | Some(Compression::Auto | Compression::None)) {
            return Err(no_compression("compression-zstd"));
        }
        explanation.layer(
            "CompressionLayer",
            match policy.compression {
                Some(Compression::Zstd) => "zstd",
                Some(Compression::Gzip) => "gzip",
                _ => "what asks for it",
            },
        );
        let retry = match &preset.retry {
            Some(retry) if policy.retry == RetrySettings::default() => retry.clone(),
            _ => policy.retry.policy()?,
        };
        explanation.layer("RetryLayer", &retry);
        let budget = if preset.has_own_budget { "from `retry_budget`" } else { "a token bucket" };
        explanation.layer("(retry budget)", format_args!("{budget}, for all endpoints together"));
        let in_flight = match policy.max_in_flight {
            Some(max) => {
                explanation.layer("InFlightLimitLayer", format_args!("{max} at once"));
                InFlightLimitLayer::new(max.get())?
            }
            None => {
                explanation.layer("InFlightLimitLayer", "no limit");
                InFlightLimitLayer::with_semaphore(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)))
            }
        };
        explanation.layer("RateLimitLayer", "keeps the latest");
        Ok(Self {
            provider: ProviderLayer::new(preset.provider.clone()),
            telemetry: preset.telemetry.clone().observe(preset.observer.clone()),
            total: TotalTimeoutLayer::new(total.unwrap_or_default()),
            #[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
            compression,
            retry: RetryLayer::new(retry.budget(Arc::clone(&preset.budget))),
            in_flight,
            rate_limits: preset.rate_limits.clone(),
        })
    }

    /// These layers around `attempt`, outermost first.
    fn around<S>(self, attempt: S) -> BoxHttpService
    where
        S: BoxableHttpService,
    {
        let stack =
            ServiceBuilder::new().layer(self.provider).layer(self.telemetry).layer(self.total);
        #[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
        let stack = stack.layer(self.compression);
        let stack = stack.layer(self.retry).layer(self.in_flight).layer(self.rate_limits);
        BoxHttpService::new(stack.service(attempt))
    }
}

#[cfg(any(feature = "compression-gzip", feature = "compression-zstd"))]
fn compression(default: Option<Compression>) -> Result<CompressionLayer, Error> {
    match default {
        None | Some(Compression::Auto | Compression::None) => Ok(CompressionLayer::new()),
        #[cfg(feature = "compression-zstd")]
        Some(Compression::Zstd) => Ok(CompressionLayer::zstd()),
        #[cfg(feature = "compression-gzip")]
        Some(Compression::Gzip) => Ok(CompressionLayer::gzip()),
        #[cfg(not(feature = "compression-zstd"))]
        Some(Compression::Zstd) => Err(no_compression("compression-zstd")),
        #[cfg(not(feature = "compression-gzip"))]
        Some(Compression::Gzip) => Err(no_compression("compression-gzip")),
    }
}

#[cfg(not(all(feature = "compression-gzip", feature = "compression-zstd")))]
fn no_compression(feature: &str) -> Error {
    Error::build(format!(
        "the policy asks for a compression that this build does not have: turn on the feature \
         `{feature}` of tower-openai"
    ))
}

fn wrap(layers: &[Wrap], stack: BoxHttpService) -> BoxHttpService {
    layers.iter().rev().fold(stack, |inner, layer| layer(inner))
}
