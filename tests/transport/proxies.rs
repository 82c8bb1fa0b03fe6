//! Small proxies that write down what they are asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::support::{HELLO, Server, read_head};

/// What a proxy was asked, a line for SOCKS5, a head for HTTP.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) struct TestProxy {
    pub(crate) addr: SocketAddr,
    pub(crate) log: Log,
    server: Server,
}

impl TestProxy {
    pub(crate) fn connections(&self) -> usize {
        self.server.accepted()
    }

    /// An HTTP proxy whose tunnels all lead to `upstream`, and which answers other requests itself.
    /// With `authorization`, it asks for that value.
    pub(crate) async fn http(
        upstream: SocketAddr,
        authorization: Option<&'static str>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let log = Log::default();
        let seen = log.clone();
        let server = Server::start(move |socket| {
            let (seen, tls) = (seen.clone(), tls.clone());
            async move {
                match tls {
                    None => http_proxy(socket, upstream, authorization, seen).await,
                    Some(tls) => {
                        let Ok(socket) = tls.accept(socket).await else { return };
                        http_proxy(socket, upstream, authorization, seen).await;
                    }
                }
            }
        })
        .await;
        Self { addr: server.addr, log, server }
    }

    /// A SOCKS5 proxy whose tunnels all lead to `upstream`. With `user`, it asks for that name and
    /// password.
    pub(crate) async fn socks(
        upstream: SocketAddr,
        user: Option<(&'static str, &'static str)>,
    ) -> Self {
        let log = Log::default();
        let seen = log.clone();
        let server = Server::start(move |socket| {
            let seen = seen.clone();
            async move {
                let _ = socks_proxy(socket, upstream, user, seen).await;
            }
        })
        .await;
        Self { addr: server.addr, log, server }
    }

    /// Answers the first bytes with `answer`, then closes.
    pub(crate) async fn answering(answer: &'static [u8]) -> Self {
        let server = Server::answering(answer).await;
        Self { addr: server.addr, log: Log::default(), server }
    }
}

async fn http_proxy(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    upstream: SocketAddr,
    authorization: Option<&str>,
    log: Log,
) {
    loop {
        let head = String::from_utf8(read_head(&mut socket).await).unwrap();
        if head.is_empty() {
            return;
        }
        log.add(head.clone());
        let has = |value: &str| {
            head.lines().any(|line| {
                line.split_once(": ").is_some_and(|(name, found)| {
                    name.eq_ignore_ascii_case("proxy-authorization") && found == value
                })
            })
        };
        if authorization.is_some_and(|value| !has(value)) {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                           proxy-authenticate: Basic realm=\"corp\"\r\ncontent-length: 2\r\n\r\nno";
            let _ = socket.write_all(refusal.as_bytes()).await;
        } else if head.starts_with("CONNECT ") {
            let mut upstream = TcpStream::connect(upstream).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut upstream).await;
            return;
        } else {
            let _ = socket.write_all(HELLO).await;
        }
    }
}

async fn socks_proxy(
    mut socket: TcpStream,
    upstream: SocketAddr,
    user: Option<(&str, &str)>,
    log: Log,
) -> std::io::Result<()> {
    assert_eq!(socket.read_u8().await?, 5);
    let mut methods = vec![0; usize::from(socket.read_u8().await?)];
    socket.read_exact(&mut methods).await?;
    let method = if user.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        return socket.write_all(&[5, 0xff]).await;
    }
    socket.write_all(&[5, method]).await?;
    if let Some(user) = user {
        assert_eq!(socket.read_u8().await?, 1);
        let found = (text(&mut socket).await?, text(&mut socket).await?);
        let ok = (found.0.as_str(), found.1.as_str()) == user;
        socket.write_all(&[1, u8::from(!ok)]).await?;
        if !ok {
            return Ok(());
        }
    }
    let mut head = [0; 4];
    socket.read_exact(&mut head).await?;
    assert_eq!(head[..3], [5, 1, 0]);
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from(socket.read_u32().await?).to_string(),
        4 => std::net::Ipv6Addr::from(socket.read_u128().await?).to_string(),
        _ => text(&mut socket).await?,
    };
    log.add(format!("{host}:{}", socket.read_u16().await?));
    let mut upstream = TcpStream::connect(upstream).await?;
    socket.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut socket, &mut upstream).await?;
    Ok(())
}

async fn text(socket: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; usize::from(socket.read_u8().await?)];
    socket.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).unwrap())
}
