//! Proxies to test a client's ways around: HTTP (`CONNECT` and plain requests) and SOCKS5.

mod http;
mod socks;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::stream::{self, Acceptor, Stream};
use super::tasks::{Failures, Tasks};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

/// Settings of a [`Proxy`]; see [`Proxy::http`] and [`Proxy::socks5`].
#[must_use]
pub struct ProxyBuilder {
    kind: Kind,
    port: u16,
    silent: bool,
    credentials: Option<Credentials>,
    hosts: HashMap<String, SocketAddr>,
    #[cfg(feature = "testing-tls")]
    tls: Option<super::Tls>,
}

#[derive(Clone)]
struct Credentials {
    user: String,
    password: String,
}

impl ProxyBuilder {
    /// Listens on this port of 127.0.0.1. Default: 0, a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Refuses clients without this name and password: with 407 over HTTP, with the methods or
    /// the status of SOCKS5. Default: any client is let in.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials { user: user.into(), password: password.into() });
        self
    }

    /// Sends what is for `host`, whatever the port, to `address`: a name that the client cannot
    /// look up shows that it left that to the proxy. Default: `localhost` and addresses of the
    /// loopback interface go where they say, anything else is refused.
    pub fn host(mut self, host: impl Into<String>, address: SocketAddr) -> Self {
        self.hosts.insert(host.into().to_ascii_lowercase(), address);
        self
    }

    /// Is frozen from the start: it accepts connections and never says a word. Default: off.
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Speaks TLS with the client. Default: off.
    #[cfg(feature = "testing-tls")]
    pub fn tls(mut self, tls: super::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Binds and starts to serve on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// Those of binding, a port in use above all; an address given to [`host`](Self::host) that is
    /// not of the loopback interface.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub async fn start(self) -> io::Result<Proxy> {
        if let Some((host, address)) = self.hosts.iter().find(|(_, to)| !to.ip().is_loopback()) {
            let why = format!("a test proxy stays on this machine, but {host} is {address}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let address = listener.local_addr()?;
        let acceptor = self.acceptor()?;
        let scheme = match (self.kind, &acceptor) {
            (Kind::Http, None) => "http",
            (Kind::Http, Some(_)) => "https",
            (Kind::Socks5, _) => "socks5h",
        };
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            kind: self.kind,
            frozen: watch::Sender::new(self.silent),
            credentials: self.credentials,
            hosts: self.hosts,
            log: Mutex::default(),
            failures: Failures::default(),
        });
        let tasks = Tasks::new(shared.failures.clone(), stopped);
        tasks.spawn(accept(listener, acceptor, tasks.clone(), Arc::clone(&shared)));
        Ok(Proxy { url: format!("{scheme}://{address}"), address, shared, stop })
    }

    #[cfg(feature = "testing-tls")]
    fn acceptor(&self) -> io::Result<Option<Acceptor>> {
        self.tls.as_ref().map(super::Tls::acceptor).transpose()
    }

    #[cfg(not(feature = "testing-tls"))]
    fn acceptor(&self) -> io::Result<Option<Acceptor>> {
        Ok(None)
    }
}

impl fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("kind", &self.kind)
            .field("port", &self.port)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// A proxy on 127.0.0.1 that remembers where it was asked to go, and goes nowhere else than to
/// this machine.
///
/// Dropping it stops it: it accepts no more, and open connections are closed as soon as the
/// runtime gets to it ([`shutdown`](Self::shutdown) waits for that).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use tower_openai::testing::{Proxy, Server};
///
/// let server = Server::start().await?;
/// let proxy = Proxy::http()
///     .credentials("user", "pass")
///     .host("api.example.test", server.address())
///     .start()
///     .await?;
/// // A client with HTTP_PROXY=http://user:pass@127.0.0.1:PORT asks for http://api.example.test/.
/// println!("{}", proxy.url());
/// assert_eq!((proxy.targets().len(), proxy.refused()), (0, 0));
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Dropping it panics, and so fails the test, if one of its tasks did; not if the thread is
/// panicking already.
pub struct Proxy {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl Proxy {
    /// An HTTP proxy: `CONNECT`, and requests whose target is a whole URL, after each of which it
    /// closes the connection.
    pub fn http() -> ProxyBuilder {
        Self::builder(Kind::Http)
    }

    /// A SOCKS5 proxy, `CONNECT` alone, with names and addresses.
    pub fn socks5() -> ProxyBuilder {
        Self::builder(Kind::Socks5)
    }

    fn builder(kind: Kind) -> ProxyBuilder {
        ProxyBuilder {
            kind,
            port: 0,
            silent: false,
            credentials: None,
            hosts: HashMap::new(),
            #[cfg(feature = "testing-tls")]
            tls: None,
        }
    }

    /// Its URL, without credentials: `http://127.0.0.1:PORT`, `https://…` or `socks5h://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it was asked to go by those it let in, as `host:port` in the client's words, oldest
    /// first. The last 1,000 are kept.
    pub fn targets(&self) -> Vec<String> {
        self.shared.log().targets.iter().cloned().collect()
    }

    /// How many connections it refused for want of the right credentials.
    pub fn refused(&self) -> u64 {
        self.shared.log().refused
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.log().connections
    }

    /// From here on nothing gets through: connections stay open and silent, as if the peer had
    /// vanished without a word. New ones are accepted and not answered.
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Stops the proxy and waits until all its connections are closed.
    ///
    /// # Panics
    ///
    /// As dropping it does.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let failures = self.shared.failures.take();
        if !failures.is_empty() && !std::thread::panicking() {
            #[expect(clippy::panic, reason = "failing the test is what it is for, see the docs")]
            {
                panic!("the test proxy failed: {}", failures.join("; "));
            }
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.url)
            .field("targets", &self.targets())
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

struct Shared {
    kind: Kind,
    /// Nothing moves any more.
    frozen: watch::Sender<bool>,
    credentials: Option<Credentials>,
    hosts: HashMap<String, SocketAddr>,
    log: Mutex<Log>,
    failures: Failures,
}

#[derive(Default)]
struct Log {
    targets: VecDeque<String>,
    refused: u64,
    connections: u64,
}

/// Why there is no way to a target.
enum NoWay {
    /// It is not on this machine.
    Forbidden,
    /// Nobody listens there.
    Unreachable,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        // The sections leave the data whole at every step.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a client with these credentials is let in, which is noted if not.
    fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        let right = |wanted: &Credentials| {
            wanted.user.as_bytes() == user && wanted.password.as_bytes() == password
        };
        let admitted = self.credentials.as_ref().is_none_or(right);
        self.log().refused += u64::from(!admitted);
        admitted
    }

    /// Goes to `host` and `port`, and notes it.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, NoWay> {
        {
            let mut log = self.log();
            let bracket = host.contains(':');
            let target =
                if bracket { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
            log.targets.push_back(target);
            if log.targets.len() > 1000 {
                log.targets.pop_front();
            }
        }
        let host = host.to_ascii_lowercase();
        let address = match (self.hosts.get(&host), host.as_str()) {
            (Some(address), _) => *address,
            (None, "localhost") => (Ipv4Addr::LOCALHOST, port).into(),
            (None, host) => match host.parse::<IpAddr>() {
                Ok(address) if address.is_loopback() => (address, port).into(),
                _ => return Err(NoWay::Forbidden),
            },
        };
        TcpStream::connect(address).await.map_err(|_| NoWay::Unreachable)
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    tasks: Tasks,
    shared: Arc<Shared>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                shared.log().connections += 1;
                tasks.spawn(serve(stream, acceptor.clone(), Arc::clone(&shared)));
            }
            // As the server's own loop.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection. A client that leaves, or talks nonsense, is an error that nobody needs.
async fn serve(stream: TcpStream, acceptor: Option<Acceptor>, shared: Arc<Shared>) {
    let mut frozen = shared.frozen.subscribe();
    let connection = std::pin::pin!(async {
        let Some(stream) = stream::accept(stream, acceptor).await else { return };
        let _ = match shared.kind {
            Kind::Http => http::serve(stream, &shared).await,
            Kind::Socks5 => socks::serve(stream, &shared).await,
        };
    });
    let freezes = async move {
        let _ = frozen.wait_for(|frozen| *frozen).await.map(|_| ());
    };
    let is_frozen = tokio::select! {
        biased;
        () = freezes => true,
        () = connection => false,
    };
    if is_frozen {
        // What is open stays so until the proxy ends.
        std::future::pending().await
    }
}

/// Carries bytes both ways until both ends are done.
async fn carry(mut client: Stream, mut server: TcpStream) -> io::Result<()> {
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}
