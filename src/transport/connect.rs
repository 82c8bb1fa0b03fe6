//! A limit on connecting, from name resolution to the end of the TLS handshake.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use tokio::time::Instant;
use tower::Service;

use super::error::causes;
use super::proxy::Proxies;
use crate::BoxError;

/// A connector that gives up after `limit`.
#[derive(Clone, Debug)]
pub(super) struct LimitConnect<C> {
    inner: C,
    limit: Duration,
    /// For the error: who may be to blame.
    proxies: Arc<Proxies>,
}

impl<C> LimitConnect<C> {
    pub(super) fn new(inner: C, limit: Duration, proxies: Arc<Proxies>) -> Self {
        Self { inner, limit, proxies }
    }
}

impl<C> Service<Uri> for LimitConnect<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    // One box per connection, because hyper-util asks for an `Unpin` future.
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        let host = match self.proxies.of(&uri) {
            Some(proxy) => format!("{} by {proxy}", super::host(&uri)),
            None => super::host(&uri),
        };
        let connecting = self.inner.call(uri);
        let started = Instant::now();
        Box::pin(async move {
            let source = match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(io)) => return Ok(io),
                Ok(Err(err)) => {
                    let err = err.into();
                    if started.elapsed() < limit || !used_up_its_share(&*err) {
                        return Err(err);
                    }
                    Some(err)
                }
                Err(_) => None,
            };
            Err(ConnectTimeout { host, limit, source }.into())
        })
    }
}

/// hyper-util divides the limit among the addresses of a host, so that one dead address does not
/// use it up; when all shares have run out, so has the limit. It tells of the last address only.
fn used_up_its_share(err: &(dyn StdError + 'static)) -> bool {
    causes(err)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|io| io.get_ref().is_some_and(|inner| inner.is::<tokio::time::error::Elapsed>()))
}

/// No connection within the limit.
#[derive(Debug)]
pub(super) struct ConnectTimeout {
    host: String,
    limit: Duration,
    source: Option<BoxError>,
}

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to {} within {:?}, the connect limit", self.host, self.limit)
    }
}

impl StdError for ConnectTimeout {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_the_limit_and_names_it() {
        let never = tower::service_fn(|_: Uri| pending::<Result<(), BoxError>>());
        let mut connect = LimitConnect::new(never, Duration::from_secs(10), Arc::default());
        let started = tokio::time::Instant::now();
        let err =
            connect.call(Uri::from_static("https://u:secret@example.com/")).await.unwrap_err();
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        assert_eq!(err.to_string(), "no connection to example.com within 10s, the connect limit");
    }

    /// An address that does not answer within its share of ten seconds.
    async fn connect_with_share(share: Duration) -> BoxError {
        let silent = tower::service_fn(move |_: Uri| async move {
            let wait = tokio::time::timeout(share, pending::<()>());
            wait.await.map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))
        });
        let mut connect = LimitConnect::new(silent, Duration::from_secs(10), Arc::default());
        connect.call(Uri::from_static("http://example.com:81/")).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_share_that_ran_out_counts_as_the_limit() {
        let err = connect_with_share(Duration::from_secs(10)).await;
        assert_eq!(
            err.to_string(),
            "no connection to example.com:81 within 10s, the connect limit"
        );
        assert!(err.source().is_some());
    }

    /// The address before it refused at once.
    #[tokio::test(start_paused = true)]
    async fn half_the_limit_is_not_told_as_all_of_it() {
        let err = connect_with_share(Duration::from_secs(5)).await;
        assert!(err.is::<io::Error>(), "{err}");
    }

    #[tokio::test]
    async fn other_failures_pass_through() {
        let refused = tower::service_fn(|_: Uri| async {
            Err::<(), _>(io::Error::from(io::ErrorKind::ConnectionRefused))
        });
        let mut connect = LimitConnect::new(refused, Duration::from_secs(10), Arc::default());
        let err = connect.call(Uri::from_static("http://example.com/")).await.unwrap_err();
        assert!(err.is::<io::Error>());
    }
}
