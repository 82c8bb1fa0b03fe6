//! Settings of the transport, checked when it is built.

mod network;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod tls;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::util::MapResponse;

use self::network::Network;
use super::HyperTransport;
use super::connect::LimitConnect;
use super::dial::Dial;
use super::hyper::{Connector, Way};
use super::io::Io;
use super::proxy::connect::Route;
use super::proxy::{Proxies, Proxy};
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
use super::tls::{Configs, Secured, Settings};
use crate::Error;
use crate::env::ProcessEnv;

const KIB: usize = 1024;
const READ_BUFFERS: RangeInclusive<usize> = 2 * KIB..=16 * KIB * KIB;

/// Longer is surely a mistake, and far below what would overflow a clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The most that Linux takes; of more it takes nothing, and leaves the connection without probes.
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// After `tcp_keepalive` of silence: so many probes, so far apart, until the peer counts as dead.
const TCP_PROBES: u32 = 3;
const TCP_PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The head start of a host's first address family before the other is tried beside it.
const HAPPY_EYEBALLS: Duration = Duration::from_millis(300);

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
const NO_ROOTS: &str = "https needs roots to trust: build `tower-openai` with the feature \
                        `platform-verifier` or `webpki-roots`, or add roots with `add_root_pem`";
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
const NO_PROVIDER: &str = "https needs a TLS provider: build `tower-openai` with the feature \
                           `ring` or `aws-lc-rs`";

/// What a stream, and a connection for all its streams, may send ahead of its reader. hyper's 2
/// and 5 MiB let three stalled readers stop every other stream of the connection; these let 32.
#[cfg(feature = "http2")]
const STREAM_WINDOW: u32 = 512 * 1024;
#[cfg(feature = "http2")]
const CONNECTION_WINDOW: u32 = 32 * STREAM_WINDOW;

/// Settings of a [`HyperTransport`].
///
/// ```
/// use std::time::Duration;
/// use tower_openai::transport::HyperTransport;
///
/// # fn main() -> Result<(), tower_openai::Error> {
/// let transport = HyperTransport::builder()
///     .connect_timeout(Duration::from_secs(3))
///     .read_buffer(64 * 1024)
///     .build()?;
/// # drop(transport);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct HyperTransportBuilder {
    network: Network,
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    tls: Settings,
    versions: Versions,
    connect_timeout: Duration,
    pool_idle_timeout: Duration,
    pool_max_idle_per_host: usize,
    tcp_keepalive: Option<Duration>,
    http2_ping: Option<(Duration, Duration)>,
    read_buffer: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    /// What TLS negotiates; HTTP/1.1 in cleartext.
    Negotiated,
    Http1,
    #[cfg(feature = "http2")]
    Http2,
}

impl Default for HyperTransportBuilder {
    fn default() -> Self {
        Self {
            network: Network::default(),
            #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
            tls: Settings::default(),
            versions: Versions::Negotiated,
            connect_timeout: Duration::from_secs(10),
            pool_idle_timeout: Duration::from_secs(90),
            pool_max_idle_per_host: 256,
            tcp_keepalive: Some(Duration::from_secs(30)),
            http2_ping: Some((Duration::from_secs(15), Duration::from_secs(10))),
            read_buffer: 16 * KIB,
        }
    }
}

impl HyperTransportBuilder {
    /// Speaks HTTP/1.1 only, one request per connection at a time.
    pub fn http1_only(mut self) -> Self {
        self.versions = Versions::Http1;
        self
    }

    /// Speaks HTTP/2 only, also in cleartext, where the server must know it beforehand.
    #[cfg(feature = "http2")]
    pub fn http2_only(mut self) -> Self {
        self.versions = Versions::Http2;
        self
    }

    /// The longest wait for a connection: name resolution, TCP, a proxy's part and TLS together.
    /// 10 s by default.
    ///
    /// Of a host with several addresses each gets a share of it, so that one dead address does not
    /// use it up. If it has addresses of both families, the second one is tried as well once the
    /// first has had 300 ms, and whichever connects first is taken.
    ///
    /// It is not a limit on the response: `StreamTimeouts` tells the
    /// [clocks](crate::extensions::StreamTimeouts#which-clock-is-which) apart.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long an unused connection is kept. 90 s by default.
    pub fn pool_idle_timeout(mut self, limit: Duration) -> Self {
        self.pool_idle_timeout = limit;
        self
    }

    /// How many unused connections are kept per origin. 256 by default; 0 keeps none, so that
    /// each request opens a connection of its own.
    pub fn pool_max_idle_per_host(mut self, count: usize) -> Self {
        self.pool_max_idle_per_host = count;
        self
    }

    /// The silence, in whole seconds, after which TCP probes the peer, which is given up 30 s
    /// later if it is gone: within a minute by default. Where the system can (Linux), the same
    /// bound is set for what was sent and is not acknowledged. 30 s by default, from 1 s to
    /// 32,767 s, which is about nine hours; `None` turns both off.
    pub fn tcp_keepalive(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.tcp_keepalive = silence.into();
        self
    }

    /// The silence after which an HTTP/2 connection is pinged, in use or not, and how long the
    /// answer may take before the connection is given up: within 25 s by default, by 15 s and 10 s.
    /// What waits for an answer then fails, and the next request opens another connection.
    #[cfg(feature = "http2")]
    pub fn http2_ping(mut self, silence: Duration, answer: Duration) -> Self {
        self.http2_ping = Some((silence, answer));
        self
    }

    /// Sends no HTTP/2 pings: a connection whose peer has vanished is then noticed by TCP only.
    #[cfg(feature = "http2")]
    pub fn without_http2_ping(mut self) -> Self {
        self.http2_ping = None;
        self
    }

    /// The read buffer of an HTTP/1.1 connection in bytes, 16 KiB by default, from 2 KiB to
    /// 16 MiB.
    ///
    /// It does not grow, so an open stream costs the same before and after a burst. It is also
    /// the largest response head, in HTTP/2 too: a larger one is an error of the kind
    /// [`TooLarge`](crate::ErrorKind::TooLarge), or in HTTP/2, where it cannot be told from a
    /// malformed one, of the kind [`Protocol`](crate::ErrorKind::Protocol).
    pub fn read_buffer(mut self, bytes: usize) -> Self {
        self.read_buffer = bytes;
        self
    }

    /// Builds the transport. Needs no runtime and opens no connection.
    ///
    /// Reads the environment of this process, unless it was given [another](Self::env) or
    /// [none](Self::without_env).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`](crate::ErrorKind::Build): a setting is out of its range, a variable of
    /// the environment cannot be used, a certificate or a key cannot be read, the platform's
    /// certificate roots cannot be loaded, or a proxy is reached by TLS, which this build of the
    /// crate cannot do or has no roots for.
    pub fn build(self) -> Result<HyperTransport, Error> {
        self.check()?;
        let variables = self.network.variables(&ProcessEnv);
        let list = self.network.proxies(&variables)?;
        // What asks to switch protocols is not handed to a proxy, which may not know how, but sent
        // through a tunnel.
        let tunnels = Arc::new(Proxies::new(list.clone(), true));
        let proxies = Arc::new(Proxies::new(list, self.is_http2()));
        let upgrading = Self { versions: Versions::Http1, ..self.clone() };
        #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
        {
            let configs = self.tls.configs(&variables)?;
            let no_https = if configs.trusts { None } else { Some(NO_ROOTS) };
            reachable(proxies.list(), no_https)?;
            let upgrades = upgrading.way(upgrading.secured(configs.clone(), &tunnels), tunnels);
            let plain = self.way(self.secured(configs, &proxies), proxies);
            Ok(HyperTransport::over(plain, upgrades, no_https, self.read_buffer))
        }
        #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
        {
            reachable(proxies.list(), Some(NO_PROVIDER))?;
            let connector = |proxies: &Arc<Proxies>| {
                let route = Route::new(self.dial(), Arc::clone(proxies));
                MapResponse::new(route, Io::from as fn(_) -> _)
            };
            let upgrades = upgrading.way(connector(&tunnels), tunnels);
            let plain = self.way(connector(&proxies), proxies);
            Ok(HyperTransport::over(plain, upgrades, Some(NO_PROVIDER), self.read_buffer))
        }
    }

    fn is_http2(&self) -> bool {
        match self.versions {
            Versions::Negotiated | Versions::Http1 => false,
            #[cfg(feature = "http2")]
            Versions::Http2 => true,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let usual = Duration::from_millis(1)..=LONGEST;
        duration("connect_timeout", self.connect_timeout, &usual)?;
        duration("pool_idle_timeout", self.pool_idle_timeout, &usual)?;
        if let Some(silence) = self.tcp_keepalive {
            let seconds = Duration::from_secs(1)..=LONGEST_KEEPALIVE;
            duration("tcp_keepalive", silence, &seconds)?;
        }
        if let Some((silence, answer)) = self.http2_ping {
            duration("http2_ping: silence", silence, &usual)?;
            duration("http2_ping: answer", answer, &usual)?;
        }
        if !READ_BUFFERS.contains(&self.read_buffer) {
            return Err(Error::build(format!(
                "`read_buffer` is {} bytes; it must be from {} to {}",
                self.read_buffer,
                READ_BUFFERS.start(),
                READ_BUFFERS.end()
            )));
        }
        Ok(())
    }

    fn dial(&self) -> Dial {
        match self.network.connector() {
            Some(connector) => Dial::Custom(connector.clone()),
            None => Dial::Tcp(self.tcp()),
        }
    }

    fn tcp(&self) -> HttpConnector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared out among the addresses of a host; the limit as a whole is `LimitConnect`'s.
        tcp.set_connect_timeout(Some(self.connect_timeout));
        tcp.set_happy_eyeballs_timeout(Some(HAPPY_EYEBALLS));
        if let Some(silence) = self.tcp_keepalive {
            tcp.set_keepalive(Some(silence));
            tcp.set_keepalive_interval(Some(TCP_PROBE_INTERVAL));
            tcp.set_keepalive_retries(Some(TCP_PROBES));
            // Probes are for silence; this is for what was sent and is not acknowledged.
            #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
            tcp.set_tcp_user_timeout(Some(silence + TCP_PROBE_INTERVAL * TCP_PROBES));
        }
        tcp
    }

    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    fn secured(&self, configs: Configs, proxies: &Arc<Proxies>) -> Connector {
        use hyper_rustls::HttpsConnectorBuilder;

        let to_proxy = proxies.list().iter().any(|proxy| proxy.is_secure()).then(|| {
            let builder = HttpsConnectorBuilder::new().with_tls_config(configs.proxy);
            builder.https_only().enable_http1().wrap_connector(self.dial())
        });
        let route = Route::new(self.dial(), Arc::clone(proxies), to_proxy);
        let builder = HttpsConnectorBuilder::new().with_tls_config(configs.server).https_or_http();
        let connector: Secured<Route> = match self.versions {
            Versions::Http1 => builder.enable_http1().wrap_connector(route),
            #[cfg(feature = "http2")]
            Versions::Http2 => builder.enable_http2().wrap_connector(route),
            #[cfg(feature = "http2")]
            Versions::Negotiated => builder.enable_http1().enable_http2().wrap_connector(route),
            #[cfg(not(feature = "http2"))]
            Versions::Negotiated => builder.enable_http1().wrap_connector(route),
        };
        MapResponse::new(connector, Io::from)
    }

    /// The pooled client over a connector.
    fn way(&self, connector: Connector, proxies: Arc<Proxies>) -> Way {
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.pool_idle_timeout)
            .pool_max_idle_per_host(self.pool_max_idle_per_host)
            .http1_read_buf_exact_size(self.read_buffer);
        #[cfg(feature = "http2")]
        {
            // Checked to be far below `u32::MAX`.
            let head = u32::try_from(self.read_buffer).unwrap_or(u32::MAX);
            client
                .timer(TokioTimer::new())
                .http2_only(self.versions == Versions::Http2)
                .http2_initial_stream_window_size(STREAM_WINDOW)
                .http2_initial_connection_window_size(CONNECTION_WINDOW)
                .http2_max_header_list_size(head)
                .http2_keep_alive_while_idle(true);
            if let Some((silence, answer)) = self.http2_ping {
                client.http2_keep_alive_interval(silence).http2_keep_alive_timeout(answer);
            }
        }
        let connector = LimitConnect::new(connector, self.connect_timeout, Arc::clone(&proxies));
        Way { client: client.build(connector), proxies }
    }
}

fn duration(name: &str, value: Duration, allowed: &RangeInclusive<Duration>) -> Result<(), Error> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let (least, most) = (allowed.start(), allowed.end());
    Err(Error::build(format!("`{name}` is {value:?}; it must be from {least:?} to {most:?}")))
}

/// A proxy that is reached by TLS needs what `https` needs, which may be missing.
fn reachable(proxies: &[Proxy], no_https: Option<&str>) -> Result<(), Error> {
    match (proxies.iter().find(|proxy| proxy.is_secure()), no_https) {
        (Some(proxy), Some(missing)) => {
            Err(Error::build(format!("{proxy} is reached by TLS: {missing}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_proxy_by_tls_needs_what_https_needs() {
        let list = ["http://plain.test", "https://me:hush@secure.test"].map(Proxy::all);
        let list = list.map(Result::unwrap);
        reachable(&list, None).unwrap();
        reachable(&list[..1], Some("https needs roots")).unwrap();
        let err = reachable(&list, Some("https needs roots")).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Build);
        let message = "the proxy secure.test:443 is reached by TLS: https needs roots";
        assert_eq!(err.to_string(), message);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let builder = HyperTransport::builder;
        let cases = [
            (builder().read_buffer(100), "`read_buffer` is 100 bytes"),
            (builder().read_buffer(usize::MAX), "`read_buffer` is"),
            (builder().connect_timeout(Duration::ZERO), "`connect_timeout` is 0ns"),
            (builder().pool_idle_timeout(Duration::MAX), "`pool_idle_timeout` is"),
            (builder().tcp_keepalive(Duration::from_millis(1)), "`tcp_keepalive` is 1ms"),
            // Linux knows no more, and would do without.
            (builder().tcp_keepalive(Duration::from_secs(32_768)), "`tcp_keepalive` is 32768s"),
            #[cfg(feature = "http2")]
            (builder().http2_ping(Duration::ZERO, Duration::MAX), "`http2_ping: silence` is 0ns"),
        ];
        for (builder, start) in cases {
            let err = builder.build().unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Build);
            assert!(err.to_string().starts_with(start), "{err}");
        }
    }

    /// A variable that is no text is an error only for who needs it.
    #[test]
    fn a_variable_that_nobody_needs_may_be_unreadable() {
        use crate::env::{EnvError, env_fn};

        let unreadable = |which: &'static str| {
            env_fn(move |name| match name {
                _ if name == which => Err(EnvError::new(name, "is not valid Unicode")),
                "HTTPS_PROXY" if which != "ALL_PROXY" => Ok(Some("http://proxy.test".to_owned())),
                _ => Ok(None),
            })
        };
        let builder = |which| HyperTransport::builder().env(&unreadable(which));
        for needed in ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "CODEX_CA_CERTIFICATE"] {
            let err = builder(needed).build().unwrap_err();
            assert_eq!(err.kind(), ErrorKind::Build);
            assert!(err.to_string().contains(&format!("`{needed}` is not valid")), "{err}");
        }
        for name in ["HTTPS_PROXY", "NO_PROXY"] {
            builder(name).without_proxy().build().unwrap();
        }
        builder("https_proxy").build().unwrap();
        #[cfg(feature = "webpki-roots")]
        builder("SSL_CERT_DIR").webpki_roots().build().unwrap();
    }

    #[test]
    fn builds_outside_a_runtime() {
        HyperTransport::new().unwrap();
        HyperTransport::builder().http1_only().tcp_keepalive(None).build().unwrap();
        HyperTransport::builder().tcp_keepalive(LONGEST_KEEPALIVE).build().unwrap();
    }
}
