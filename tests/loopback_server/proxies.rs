//! The test proxies, spoken to byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_openai::testing::{Proxy, Server, Tls};

use crate::support::*;

/// `user:pass`, in Base64.
const BASIC: &str = "proxy-authorization: Basic dXNlcjpwYXNz\r\n";

/// What a proxy says to `request`, on a connection of its own.
async fn said(proxy: &Proxy, request: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, request).await.0
}

/// The status line of the answer to `CONNECT`, and the tunnel.
async fn connect(proxy: &Proxy, target: &str, headers: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap().into());
    }
    (head.lines().next().unwrap().to_owned(), stream)
}

#[tokio::test]
async fn a_tunnel_leads_to_the_server_with_the_right_password() {
    let tls = Tls::new().unwrap().host("api.example.test");
    let server = Server::builder().tls(tls.clone()).start().await.unwrap();
    let proxy =
        Proxy::http().credentials("user", "pass").host("API.example.test", server.address());
    let proxy = proxy.start().await.unwrap();
    let target = "api.example.test:443";
    let wrong = "proxy-authorization: Basic dXNlcjpvdGhlcg==\r\n";
    for headers in ["", wrong, "proxy-authorization: Basic ?\r\n", "proxy-authorization: x\r\n"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\n{headers}\r\n");
        let answer = said(&proxy, &request).await;
        assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
        assert!(answer.contains("proxy-authenticate: Basic realm="), "{answer}");
    }
    assert_eq!((proxy.refused(), proxy.targets().len()), (4, 0));
    let (status, tunnel) = connect(&proxy, target, BASIC).await;
    assert_eq!(status, "HTTP/1.1 200 Connection established");
    let mut tunnel = secured(tunnel, "api.example.test", &tls.ca_pem(), None).await.unwrap();
    let (answer, end) = exchange(&mut tunnel, GET_MODELS).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && end.is_none(), "{answer}");
    assert_eq!(proxy.targets(), [target]);
    assert!(!format!("{proxy:?}").contains("pass"));
}

#[tokio::test]
async fn plain_requests_are_forwarded_without_what_is_the_proxy_s() {
    let server = Server::start().await.unwrap();
    let proxy = Proxy::http().credentials("user", "pass").start().await.unwrap();
    let url = format!("http://{}/v1/models?a=b", server.address());
    let request = format!(
        "GET {url} HTTP/1.1\r\nhost: {}\r\nproxy-connection: keep-alive\r\n{BASIC}x-mine: 1\r\n\r\n",
        server.address()
    );
    let answer = said(&proxy, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen = server.requests().remove(0);
    assert_eq!((seen.target(), seen.header("x-mine")), ("/v1/models?a=b", Some("1")));
    assert!(seen.headers().keys().all(|name| !name.as_str().starts_with("proxy-")));
    assert_eq!(proxy.targets(), [server.address().to_string()]);
}

#[tokio::test]
async fn a_proxy_leads_nowhere_else_and_survives_nonsense() {
    let proxy = Proxy::http().start().await.unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (request, status) in [
        ("CONNECT api.example.test:443 HTTP/1.1\r\n\r\n".to_owned(), 403),
        ("CONNECT 192.0.2.1:443 HTTP/1.1\r\n\r\n".to_owned(), 403),
        (format!("CONNECT {free} HTTP/1.1\r\n\r\n"), 502),
        ("CONNECT localhost HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /v1/models HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("NONSENSE\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1} a TLS hello".to_owned(), 400),
        (format!("GET {}", "x".repeat(100_000)), 400),
    ] {
        let answer = said(&proxy, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.60}: {answer}");
    }
    let away: SocketAddr = "192.0.2.1:80".parse().unwrap();
    Proxy::http().host("away.test", away).start().await.unwrap_err();
}

#[tokio::test]
async fn a_proxy_speaks_tls_or_nothing_and_ends_with_its_handle() {
    let server = Server::start().await.unwrap();
    let tls = Tls::new().unwrap();
    let proxy = Proxy::http().tls(tls.clone()).start().await.unwrap();
    assert!(proxy.url().starts_with("https://127.0.0.1:"));
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let mut stream = secured(stream, "127.0.0.1", &tls.ca_pem(), None).await.unwrap();
    let request = format!("CONNECT {0} HTTP/1.1\r\nhost: {0}\r\n\r\n", server.address());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 39];
    soon(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head[..12], b"HTTP/1.1 200");
    let (answer, _) = exchange(&mut stream, GET_MODELS).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let silent = Proxy::http().silent().start().await.unwrap();
    let mut stream = TcpStream::connect(silent.address()).await.unwrap();
    stream.write_all(b"CONNECT localhost:1 HTTP/1.1\r\n\r\n").await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(waited.is_err(), "a word: {waited:?}");
    assert_eq!((silent.connections(), silent.targets().len()), (1, 0));
    soon(silent.shutdown()).await;
    soon(stream.read_u8()).await.unwrap_err();

    let (status, mut tunnel) = {
        let proxy = Proxy::http().start().await.unwrap();
        let target = server.address().to_string();
        let open = connect(&proxy, &target, "").await;
        soon(proxy.shutdown()).await;
        open
    };
    assert_eq!(status, "HTTP/1.1 200 Connection established");
    assert!(soon(tunnel.read_u8()).await.is_err());
}

#[tokio::test]
async fn a_frozen_proxy_keeps_its_connections_and_carries_nothing() {
    let server = Server::start().await.unwrap();
    let proxy = Proxy::http().start().await.unwrap();
    let (_, mut tunnel) = connect(&proxy, &server.address().to_string(), "").await;
    proxy.freeze();
    // The task of the connection has to hear of it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tunnel.write_all(GET_MODELS.as_bytes()).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), tunnel.read_u8()).await;
    assert!(waited.is_err(), "a word: {waited:?}");
    assert_eq!((server.received(), server.connections()), (0, 1));
    soon(proxy.shutdown()).await;
    assert!(soon(tunnel.read_u8()).await.is_err());
}

/// A SOCKS5 dialogue: what is sent, and how long an answer is waited for.
async fn socks(proxy: &Proxy, steps: &[(&[u8], usize)]) -> (Vec<u8>, TcpStream) {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let mut last = Vec::new();
    for (sent, length) in steps {
        stream.write_all(sent).await.unwrap();
        last = vec![0; *length];
        soon(stream.read_exact(&mut last)).await.unwrap();
    }
    (last, stream)
}

fn to_name(host: &str, port: u16) -> Vec<u8> {
    let mut request = vec![5, 1, 0, 3, u8::try_from(host.len()).unwrap()];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    request
}

#[tokio::test]
async fn socks_leads_to_names_and_addresses() {
    let server = Server::start().await.unwrap();
    let proxy = Proxy::socks5().host("api.example.test", server.address()).start().await.unwrap();
    let url = format!("socks5h://{}", proxy.address());
    assert_eq!(proxy.url(), url);
    let mut address = vec![5, 1, 0, 1, 127, 0, 0, 1];
    address.extend_from_slice(&server.address().port().to_be_bytes());
    for request in [to_name("api.example.test", 80), address] {
        let (reply, mut tunnel) = socks(&proxy, &[(&[5, 2, 0, 2], 2), (&request, 10)]).await;
        assert_eq!(reply[..2], [5, 0]);
        let (answer, _) = exchange(&mut tunnel, GET_MODELS).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    assert_eq!(proxy.targets(), ["api.example.test:80".to_owned(), server.address().to_string()]);

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bind = [5, 2, 0, 1, 127, 0, 0, 1, 0, 80];
    for (request, status) in
        [(to_name("other.test", 80), 2), (to_name("localhost", free.port()), 5), (bind.to_vec(), 7)]
    {
        let (reply, _) = socks(&proxy, &[(&[5, 1, 0], 2), (&request, 10)]).await;
        assert_eq!(reply[1], status);
    }
    for nonsense in ["GET / HTTP/1.1\r\n\r\n", "\u{5}\u{1}\u{0}\u{4}\u{4}\u{4}\u{4}"] {
        said(&proxy, nonsense).await;
    }
}

#[tokio::test]
async fn socks_asks_for_the_password() {
    let server = Server::start().await.unwrap();
    let proxy = Proxy::socks5().credentials("user", "pass").start().await.unwrap();
    assert_eq!(socks(&proxy, &[(&[5, 1, 0], 2)]).await.0, [5, 255]);
    let password =
        |password: &[u8]| [b"\x01\x04user", &[password.len() as u8][..], password].concat();
    let wrong = password(b"other");
    assert_eq!(socks(&proxy, &[(&[5, 2, 0, 2], 2), (&wrong, 2)]).await.0, [1, 1]);
    assert_eq!((proxy.refused(), proxy.targets().len()), (2, 0));
    let (right, request) = (password(b"pass"), to_name("localhost", server.address().port()));
    let steps: [(&[u8], usize); 3] = [(&[5, 2, 0, 2], 2), (&right, 2), (&request, 10)];
    let (reply, mut tunnel) = socks(&proxy, &steps).await;
    assert_eq!(reply[..2], [5, 0]);
    assert!(exchange(&mut tunnel, GET_MODELS).await.0.starts_with("HTTP/1.1 200 OK\r\n"));
}
