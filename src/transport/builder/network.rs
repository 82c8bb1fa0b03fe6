//! Settings on the way to the server: proxies, the environment, and the connector.

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

use super::HyperTransportBuilder;
use crate::env::EnvSource;
use crate::transport::dial::Custom;
use crate::transport::proxy::{Proxies, Proxy};
use crate::transport::variables::Variables;
use crate::{BoxError, Error};

/// The settings of this file.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    /// `None`: the environment of the process, read by `build`.
    env: Option<Variables>,
    /// `None`: the proxies of the environment.
    proxies: Option<Vec<Proxy>>,
    connector: Option<Custom>,
}

impl Network {
    pub(super) fn variables(&self, default: &impl EnvSource) -> Variables {
        self.env.clone().unwrap_or_else(|| Variables::read(default))
    }

    pub(super) fn proxies(&self, variables: &Variables) -> Result<Vec<Proxy>, Error> {
        match &self.proxies {
            Some(proxies) => Ok(proxies.clone()),
            None if self.connector.is_some() => Ok(Vec::new()),
            None => Proxies::from_env(variables),
        }
    }

    pub(super) fn connector(&self) -> Option<&Custom> {
        self.connector.as_ref()
    }
}

impl HyperTransportBuilder {
    /// Goes by these environment variables, rather than by those of the process:
    ///
    /// - `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`: see
    ///   [`Proxy`](Proxy#from-the-environment).
    /// - `CODEX_CA_CERTIFICATE`, else `SSL_CERT_FILE`: the path of a PEM file of certificates. They
    ///   are trusted beside the other roots. Blocks that are no certificates are skipped; of an
    ///   OpenSSL `TRUSTED CERTIFICATE` the trust data are. A file that is missing, empty or broken
    ///   is an error of [`build`](Self::build), which names the variable and the path.
    /// - `SSL_CERT_DIR`: directories of PEM files, separated by colons, in which
    ///   [`platform_roots`](Self::platform_roots) looks too where the system has files of roots
    ///   (Linux and the BSDs). What is no such directory or certificate is left out.
    ///
    /// Variables are read by this method, and their values never shown. A variable that is blank
    /// counts as unset. One that cannot be read as text is an error of [`build`](Self::build) if
    /// it counts: not if another comes before it, or what it is for was set otherwise.
    pub fn env(mut self, env: &(impl EnvSource + ?Sized)) -> Self {
        self.network.env = Some(Variables::read(env));
        self
    }

    /// Goes by no environment variable.
    pub fn without_env(mut self) -> Self {
        self.network.env = Some(Variables::default());
        self
    }

    /// Sends requests by this proxy, rather than by those that the environment names.
    ///
    /// Of several proxies the first that takes a request carries it; what none takes goes
    /// straight to the server.
    ///
    /// # Errors of calls
    ///
    /// A proxy that refuses the credentials, or the destination, is an error of the kind
    /// [`Proxy`](crate::ErrorKind::Proxy), which is not retried. One that is down, or that cannot
    /// reach the server, is of the kind [`Connect`](crate::ErrorKind::Connect). Both name the
    /// proxy, and neither its password.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.network.proxies.get_or_insert_default().push(proxy);
        self
    }

    /// Sends requests straight to the server, whatever the environment says.
    pub fn without_proxy(mut self) -> Self {
        self.network.proxies = Some(Vec::new());
        self
    }

    /// Opens connections with `connector` rather than over TCP.
    ///
    /// It is called with the URI of the server, or with `http://host:port/` or
    /// `https://host:port/` of a [`proxy`](Self::proxy); those of the environment do not count
    /// here. TLS, where the URI asks for it, is put on top.
    /// [`connect_timeout`](Self::connect_timeout) holds, [`tcp_keepalive`](Self::tcp_keepalive)
    /// does not. Dropping the future has to give the connection up.
    ///
    /// This is how a test needs no socket, so that it can run on tokio's paused clock:
    ///
    /// ```
    /// use tower::{ServiceExt, service_fn};
    /// use tower_openai::RequestBody;
    /// use tower_openai::transport::HyperTransport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// let transport = HyperTransport::builder()
    ///     .connector(service_fn(|_uri: http::Uri| async {
    ///         let (client, mut server) = tokio::io::duplex(64 * 1024);
    ///         tokio::spawn(async move {
    ///             let _ = server.read(&mut [0; 1024]).await;
    ///             let _ = server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    ///         });
    ///         Ok::<_, std::io::Error>(client)
    ///     }))
    ///     .build()?;
    /// let request = http::Request::get("http://example.com/").body(RequestBody::empty())?;
    /// assert_eq!(transport.oneshot(request).await?.status(), 204);
    /// # Ok(())
    /// # }
    /// ```
    pub fn connector<C>(mut self, connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        self.network.connector = Some(Custom::new(connector));
        self
    }

    /// Opens all connections to this Unix socket, whatever host a URI has: a
    /// [`connector`](Self::connector) for local gateways.
    ///
    /// ```
    /// # use tower_openai::transport::HyperTransport;
    /// # fn main() -> Result<(), tower_openai::Error> {
    /// let transport = HyperTransport::builder().unix_socket("/run/gateway.sock").build()?;
    /// // Its requests are for `http://localhost/v1/responses` or any other host.
    /// # drop(transport);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    pub fn unix_socket(self, path: impl Into<std::path::PathBuf>) -> Self {
        let path: std::sync::Arc<std::path::Path> = path.into().into();
        self.connector(tower::service_fn(move |_: Uri| {
            let path = std::sync::Arc::clone(&path);
            async move {
                tokio::net::UnixStream::connect(&path).await.map_err(|err| {
                    let what = format!("the Unix socket `{}`: {err}", path.display());
                    std::io::Error::new(err.kind(), what)
                })
            }
        }))
    }
}
