//! Each layer beside each other one, in either order, and beside those of tower and tower-http.

#[path = "support/layer.rs"]
mod layer;

use std::future::{Ready, ready};
use std::time::Duration;

use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openai::client::BoxHttpService;
use tower_openai::layers::auth::{Cached, CredentialsError, Token, TokenFn, token_fn};
use tower_openai::layers::{
    AttemptLayer, AuthLayer, Bearer, CompressionLayer, CookieLayer, DecompressionLayer,
    HeadTimeoutLayer, IdleTimeoutLayer, InFlightLimitLayer, ProviderLayer, RateLimitLayer,
    RedirectLayer, RefreshingAuthLayer, RetryLayer, TelemetryLayer, TotalTimeoutLayer,
};
use tower_openai::provider::Provider;
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client};

use self::layer::{
    Sent, answers, calls_what_was_made_ready, cancels_by_dropping, get, hello,
    runs_calls_side_by_side,
};

const LIMIT: Duration = Duration::from_secs(30);

fn provider() -> ProviderLayer {
    ProviderLayer::new(Provider::new("test", "https://api.test/v1").unwrap())
}

fn auth() -> AuthLayer<Bearer> {
    AuthLayer::new(Bearer::new("sk-test").unwrap()).for_origin("https://api.test").unwrap()
}

type Told = Ready<Result<Token, CredentialsError>>;

fn token() -> Told {
    ready(Token::new("token"))
}

type Refreshing = RefreshingAuthLayer<Cached<TokenFn<fn() -> Told>>>;

fn refreshing() -> Refreshing {
    let source = token_fn(token as fn() -> Told);
    let auth = AuthLayer::new(Cached::new(source)).for_origin("https://api.test").unwrap();
    auth.refresh_on_unauthorized()
}

fn telemetry() -> TelemetryLayer {
    TelemetryLayer::new()
}

fn in_flight() -> InFlightLimitLayer {
    InFlightLimitLayer::new(1).unwrap()
}

/// A test per layer: alone, and on either side of each of tower's and tower-http's.
macro_rules! beside_others {
    ($($name:ident: $layer:expr;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                layer::composes!($layer);
            }
        )*
    };
}

// Those that are not here have this test in a file of their own.
beside_others! {
    provider_beside_others: provider();
    telemetry_beside_others: telemetry();
    attempt_beside_others: AttemptLayer::new();
    compression_beside_others: CompressionLayer::zstd();
    retry_beside_others: RetryLayer::default();
    rate_limit_beside_others: RateLimitLayer::new();
    auth_beside_others: auth();
    refreshing_auth_beside_others: refreshing();
    decompression_beside_others: DecompressionLayer::new();
}

/// The pairs of one layer with all others, itself included, in both orders.
macro_rules! pairs {
    ($($name:ident: $one:expr;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                pairs!(@with stringify!($name), $one;
                    provider(), telemetry(), AttemptLayer::new(), TotalTimeoutLayer::new(LIMIT),
                    CompressionLayer::zstd(), RetryLayer::default(), in_flight(),
                    RateLimitLayer::new(), auth(), refreshing(), DecompressionLayer::new(),
                    HeadTimeoutLayer::new(LIMIT), IdleTimeoutLayer::new(LIMIT),
                    RedirectLayer::new(), CookieLayer::new());
            }
        )*
    };
    (@with $name:expr, $one:expr; $($other:expr),*) => {
        $({
            let stack = ServiceBuilder::new().layer($one).layer($other);
            answers(concat!("outside of ", stringify!($other)), stack.service_fn(hello)).await;
        })*
    };
}

pairs! {
    provider_outside_of_each: provider();
    telemetry_outside_of_each: telemetry();
    attempt_outside_of_each: AttemptLayer::new();
    total_timeout_outside_of_each: TotalTimeoutLayer::new(LIMIT);
    compression_outside_of_each: CompressionLayer::zstd();
    retry_outside_of_each: RetryLayer::default();
    in_flight_outside_of_each: InFlightLimitLayer::new(2).unwrap();
    rate_limit_outside_of_each: RateLimitLayer::new();
    auth_outside_of_each: auth();
    refreshing_auth_outside_of_each: refreshing();
    decompression_outside_of_each: DecompressionLayer::new();
    head_timeout_outside_of_each: HeadTimeoutLayer::new(LIMIT);
    idle_timeout_outside_of_each: IdleTimeoutLayer::new(LIMIT);
    redirect_outside_of_each: RedirectLayer::new();
    cookies_outside_of_each: CookieLayer::new();
}

/// What `tests/support/layer.rs` asks of every layer.
macro_rules! keep_to_the_contract {
    ($($layer:expr),* $(,)?) => {
        $(
            calls_what_was_made_ready($layer).await;
            runs_calls_side_by_side($layer).await;
            cancels_by_dropping($layer).await;
        )*
    };
}

#[tokio::test(start_paused = true)]
async fn all_of_them_keep_to_the_contract() {
    keep_to_the_contract!(
        provider(),
        telemetry(),
        AttemptLayer::new(),
        TotalTimeoutLayer::new(LIMIT),
        CompressionLayer::zstd(),
        // It would try again what is refused for not being ready.
        RetryLayer::disabled(),
        InFlightLimitLayer::new(8).unwrap(),
        RateLimitLayer::new(),
        auth(),
        refreshing(),
        DecompressionLayer::new(),
        HeadTimeoutLayer::new(LIMIT),
        IdleTimeoutLayer::new(LIMIT),
    );
}

#[tokio::test(start_paused = true)]
async fn all_of_them_in_order_and_in_the_opposite_order() {
    let in_order = ServiceBuilder::new()
        .layer(provider())
        .layer(telemetry())
        .layer(TotalTimeoutLayer::new(LIMIT))
        .layer(CompressionLayer::zstd())
        .layer(RetryLayer::default())
        .layer(in_flight())
        .layer(RateLimitLayer::new())
        .layer(refreshing())
        .layer(AttemptLayer::new())
        .layer(DecompressionLayer::new())
        .layer(HeadTimeoutLayer::new(LIMIT))
        .layer(IdleTimeoutLayer::new(LIMIT))
        .service_fn(hello);
    answers("in order", in_order).await;
    let opposite = ServiceBuilder::new()
        .layer(IdleTimeoutLayer::new(LIMIT))
        .layer(HeadTimeoutLayer::new(LIMIT))
        .layer(DecompressionLayer::new())
        .layer(AttemptLayer::new())
        .layer(refreshing())
        .layer(RateLimitLayer::new())
        .layer(in_flight())
        .layer(RetryLayer::default())
        .layer(CompressionLayer::zstd())
        .layer(TotalTimeoutLayer::new(LIMIT))
        .layer(telemetry())
        .layer(provider())
        .service_fn(hello);
    answers("in the opposite order", opposite).await;
}

/// tower-http's `TimeoutLayer` answers with a body of its own making, and so wants one that there is
/// by default.
#[tokio::test(start_paused = true)]
async fn a_layer_that_answers_itself_stands_around_any_stack() {
    let late = || {
        tower_http::timeout::TimeoutLayer::with_status_code(
            http::StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(1),
        )
    };
    async fn ends_empty<S, RB>(stack: S)
    where
        S: Service<Sent, Response = http::Response<RB>>,
        S::Error: Into<BoxError>,
        RB: Body<Data = bytes::Bytes>,
        RB::Error: Into<BoxError>,
    {
        let answer = stack.oneshot(get()).await.map_err(Into::into).unwrap();
        assert_eq!(answer.status(), 504);
        let body = answer.into_body().collect().await.map_err(Into::into).unwrap();
        assert!(body.trailers().is_none() && body.to_bytes().is_empty());
    }
    let never = || service_fn(|_: Sent| std::future::pending::<Result<layer::Answer, BoxError>>());
    ends_empty(late().layer(TelemetryLayer::new().layer(never()))).await;
    ends_empty(late().layer(TotalTimeoutLayer::new(LIMIT).layer(never()))).await;
    ends_empty(late().layer(RetryLayer::default().layer(never()))).await;
    ends_empty(late().layer(in_flight().layer(never()))).await;
    ends_empty(late().layer(IdleTimeoutLayer::new(LIMIT).layer(never()))).await;
    ends_empty(late().layer(DecompressionLayer::new().layer(never()))).await;
    let client = || Client::builder().transport(never());
    ends_empty(late().layer(client().build().unwrap().http())).await;
    ends_empty(client().layer(late()).build().unwrap().http()).await;
    ends_empty(client().max_retries(0).attempt_layer(late()).build().unwrap().http()).await;

    // Bodies of the network have no default, but the layers above them do.
    fn fits<L: Layer<S>, S>(layer: L, inner: S) -> L::Service
    where
        L::Service: Service<Sent>,
    {
        layer.layer(inner)
    }
    let network = || IdleTimeoutLayer::new(LIMIT).layer(HyperTransport::new().unwrap());
    drop(fits(late(), RetryLayer::default().layer(network())));
    drop(fits(late(), TelemetryLayer::new().layer(DecompressionLayer::new().layer(network()))));
}

#[test]
fn a_default_body_is_at_its_end() {
    fn ended<RB: Body + Default>() {
        let body = RB::default();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
    use tower_openai::layers::*;
    type Inner = Full<bytes::Bytes>;
    ended::<IdleTimeoutBody<Inner>>();
    ended::<TotalTimeoutBody<Inner>>();
    ended::<InFlightLimitBody<Inner>>();
    ended::<RetryBody<Inner>>();
    ended::<TelemetryBody<Inner>>();
    ended::<tower_openai::ResponseBody>();
    fn kept<T: Clone + Send + Sync + 'static>() {}
    kept::<BoxHttpService>();
}
