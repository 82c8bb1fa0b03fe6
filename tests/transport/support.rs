//! A server on loopback, and what every test here does.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use tower_openai::transport::{HyperBody, HyperTransport, TransportError};
use tower_openai::{ErrorKind, RequestBody, Stage};

/// Long enough for any loaded machine; reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    /// Runs `script` on each connection.
    pub(crate) async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(socket));
            }
        });
        Self { addr, accepted }
    }

    /// Reads one request head and writes `answer`, then closes.
    pub(crate) async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::start(move |mut socket| {
            let answer = answer.clone();
            async move {
                read_head(&mut socket).await;
                let _ = socket.write_all(&answer).await;
            }
        })
        .await
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) async fn get(
        &self,
        scheme: &str,
        transport: HyperTransport,
    ) -> Result<Response<HyperBody>, TransportError> {
        send(transport, &format!("{scheme}://{}/models?key=secret", self.addr)).await
    }
}

pub(crate) async fn send(
    transport: HyperTransport,
    uri: &str,
) -> Result<Response<HyperBody>, TransportError> {
    let request = Request::get(uri).body(RequestBody::empty()).unwrap();
    tokio::time::timeout(PATIENCE, transport.oneshot(request)).await.expect("no answer")
}

pub(crate) async fn read_head(socket: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

pub(crate) fn transport() -> HyperTransport {
    HyperTransport::builder().without_env().build().unwrap()
}

pub(crate) async fn text(response: Response<HyperBody>) -> Result<Bytes, TransportError> {
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect());
    Ok(body.await.expect("the body hangs")?.to_bytes())
}

#[track_caller]
pub(crate) fn assert_error<T>(
    result: Result<T, TransportError>,
    kind: ErrorKind,
    stage: Stage,
) -> String {
    let Err(err) = result else { panic!("no error, but {kind}") };
    assert_eq!((err.kind(), err.stage()), (kind, stage), "{err:?}");
    assert!(!format!("{err} {err:?}").contains("secret"), "{err:?}");
    err.to_string()
}
