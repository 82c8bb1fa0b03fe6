//! Requests that ask to switch protocols: HTTP/1.1 whatever else is spoken, and through tunnels.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tower_openai::RequestBody;
use tower_openai::transport::{HyperTransport, HyperTransportBuilder, Proxy};

use super::certs::Authority;
use super::proxies::TestProxy;
use super::support::{PATIENCE, Server, read_head};

type Alpn = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

/// Switches, then sends each byte back.
async fn switch(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
    let head = String::from_utf8(read_head(&mut socket).await).unwrap().to_lowercase();
    assert!(head.contains("upgrade: websocket"), "{head}");
    assert!(!head.contains("proxy-authorization"), "{head}");
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                  upgrade: websocket\r\n\r\n";
    socket.write_all(answer.as_bytes()).await.unwrap();
    while let Ok(byte) = socket.read_u8().await {
        socket.write_u8(byte).await.unwrap();
    }
}

async fn switching(tls: Option<TlsAcceptor>) -> (SocketAddr, Alpn) {
    let alpn = Alpn::default();
    let seen = alpn.clone();
    let server = Server::start(move |socket| {
        let (tls, seen) = (tls.clone(), seen.clone());
        async move {
            match tls {
                None => switch(socket).await,
                Some(tls) => {
                    let Ok(socket) = tls.accept(socket).await else { return };
                    let chosen = socket.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                    seen.lock().unwrap().push(chosen);
                    switch(socket).await;
                }
            }
        }
    })
    .await;
    (server.addr, alpn)
}

/// The connection that the answer leaves behind carries bytes both ways.
async fn switches(transport: HyperTransport, uri: &str) {
    let request = Request::get(uri)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(RequestBody::empty());
    let working = async {
        let mut response = transport.oneshot(request.unwrap()).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (101, http::Version::HTTP_11));
        let io = hyper::upgrade::on(&mut response).await.unwrap();
        // Nothing of the response needs to be kept.
        drop(response);
        let mut io = TokioIo::new(io);
        for byte in 0..=255 {
            io.write_u8(byte).await.unwrap();
            io.flush().await.unwrap();
            assert_eq!(io.read_u8().await.unwrap(), byte);
        }
    };
    tokio::time::timeout(PATIENCE, working).await.expect("it hangs");
}

fn builders(authority: &Authority) -> [HyperTransportBuilder; 3] {
    let builder =
        || HyperTransport::builder().without_env().only_added_roots().add_root_pem(authority.pem());
    [builder(), builder().http1_only(), builder().http2_only()]
}

#[tokio::test]
async fn a_private_ca_and_http1_although_the_server_speaks_http2() {
    let authority = Authority::new("private");
    for builder in builders(&authority) {
        let (addr, alpn) = switching(Some(authority.issue(&["localhost"]).acceptor())).await;
        let uri = format!("https://localhost:{}/", addr.port());
        switches(builder.build().unwrap(), &uri).await;
        let alpn = alpn.lock().unwrap().clone();
        assert!(alpn.iter().all(|alpn| alpn.as_deref() != Some(b"h2")), "{alpn:?}");
    }
    let (addr, _) = switching(Some(authority.issue(&["localhost"]).acceptor())).await;
    let elsewhere = HyperTransport::builder().without_env().build().unwrap();
    let request = Request::get(format!("https://localhost:{}/", addr.port()))
        .header("upgrade", "websocket")
        .body(RequestBody::empty());
    let error = elsewhere.oneshot(request.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), tower_openai::ErrorKind::Tls);
}

#[tokio::test]
async fn a_tunnel_by_the_proxy_with_tls_and_without() {
    let authority = Authority::new("private");
    for secure in [true, false] {
        for builder in builders(&authority) {
            let tls = secure.then(|| authority.issue(&["api.test"]).acceptor());
            let (addr, _) = switching(tls).await;
            let proxy = TestProxy::http(addr, Some("Basic bWU6c2VjcmV0"), None).await;
            let url = format!("http://me:secret@{}", proxy.addr);
            let transport = builder.proxy(Proxy::all(url).unwrap()).build().unwrap();
            let scheme = if secure { "https" } else { "http" };
            switches(transport, &format!("{scheme}://api.test/v1/realtime")).await;
            let seen = proxy.log.all();
            let port = if secure { 443 } else { 80 };
            assert!(seen[0].starts_with(&format!("CONNECT api.test:{port} ")), "{seen:?}");
            assert_eq!(seen.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_socks_proxy() {
    let (addr, _) = switching(None).await;
    let proxy = TestProxy::socks(addr, Some(("me", "secret"))).await;
    let url = format!("socks5h://me:secret@{}", proxy.addr);
    let builder = HyperTransport::builder().without_env().proxy(Proxy::all(url).unwrap());
    switches(builder.build().unwrap(), "http://api.test/v1/realtime").await;
    assert_eq!(proxy.log.all(), ["api.test:80"]);
}
