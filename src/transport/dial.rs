//! How a connection starts: TCP, or what the caller put in its place.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use super::io::Wire;
use crate::BoxError;

/// Opens the connection to a host, which is the server's or a proxy's.
#[derive(Clone)]
pub(super) enum Dial {
    Tcp(HttpConnector),
    Custom(Custom),
}

/// The caller's own connector, with its type erased.
#[derive(Clone)]
pub(super) struct Custom(BoxCloneSyncService<Uri, Wire, BoxError>);

impl Custom {
    pub(super) fn new<C>(connector: C) -> Self
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        Self(BoxCloneSyncService::new(
            ServiceBuilder::new()
                .map_response(|io| Wire::boxed(TokioIo::new(io)))
                .map_err(Into::into)
                .service(connector),
        ))
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").finish_non_exhaustive()
    }
}

impl Service<Uri> for Dial {
    type Response = Wire;
    type Error = BoxError;
    // One box per connection.
    type Future = Pin<Box<dyn Future<Output = Result<Wire, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_ready(cx).map_err(Into::into),
            Self::Custom(Custom(custom)) => custom.poll_ready(cx),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Self::Tcp(tcp) => {
                let connecting = tcp.call(uri);
                Box::pin(async move { Ok(Wire::Tcp(connecting.await?)) })
            }
            Self::Custom(Custom(custom)) => custom.call(uri),
        }
    }
}
