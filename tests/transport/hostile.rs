//! Proxies that mean no good, and callers that lose patience.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_openai::transport::{HyperTransport, Proxy};
use tower_openai::{ErrorKind, RequestBody, Stage};

use super::certs::{Authority, https};
use super::proxies::TestProxy;
use super::support::{HELLO, PATIENCE, Server, assert_error, read_head, send, text};

/// By a proxy at `url`, with little patience for connecting.
fn impatient(url: &str) -> HyperTransport {
    let proxy = Proxy::all(url).unwrap();
    let limit = Duration::from_millis(200);
    HyperTransport::builder().proxy(proxy).connect_timeout(limit).build().unwrap()
}

/// Says `first`, then `again` for ever, or nothing more if that is empty.
async fn saying(first: &'static [u8], again: &'static [u8]) -> Server {
    Server::start(move |mut socket| async move {
        let _ = socket.read(&mut [0; 1024]).await;
        let _ = socket.write_all(first).await;
        if again.is_empty() {
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
        while socket.write_all(again).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn what_never_comes_to_an_end_runs_into_the_connect_limit() {
    let silent: &[u8] = b"";
    for (scheme, first, again) in [
        ("http", &b"HTTP/1.1 200 OK\r\nx-half: a he"[..], silent),
        ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n", silent),
        ("socks5h", b"\x05", silent),
        ("socks5h", b"\x05\x00\x05\x00\x00\x03\xff", silent),
        ("socks5h", b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", silent),
    ] {
        let server = saying(first, again).await;
        let transport = impatient(&format!("{scheme}://{}", server.addr));
        let result = send(transport, "https://api.test/").await;
        let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
        assert!(message.contains("within 200ms"), "{first:?}: {message}");
    }
}

#[tokio::test]
async fn an_answer_to_connect_that_is_odd_is_a_tunnel_or_an_error() {
    let tls = (ErrorKind::Tls, "api.test speaks no TLS");
    for (answer, (kind, expected)) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nwelcome to the tunnel"[..], tls),
        (b"HTTP/1.0 200 OK\r\n\r\nwelcome to the tunnel", tls),
        (b"HTTP/1.1 204 No Content\r\n\r\nwelcome to the tunnel", tls),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nwelcome to the tunnel", tls),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", (ErrorKind::Proxy, "refuses")),
        (b"HTTP/9.9 200 OK\r\n\r\n", (ErrorKind::Proxy, "is not HTTP/1.1")),
        (b"HTTP/1.1 999 \xff\xff\r\n\r\n", (ErrorKind::Proxy, "refuses")),
        (b"\0\0\0\0\0\0\0\0\r\n\r\n", (ErrorKind::Proxy, "is not HTTP/1.1")),
    ] {
        let proxy = TestProxy::answering(answer).await;
        let result = send(impatient(&proxy.addr.to_string()), "https://api.test/").await;
        let message = assert_error(result, kind, Stage::NotSent);
        assert!(message.contains(expected), "{}: {message}", answer.escape_ascii());
    }
}

#[tokio::test]
async fn an_answer_by_socks_that_is_odd_is_an_error() {
    for (answer, kind, expected) in [
        (&b"\x04\x00"[..], ErrorKind::Proxy, "is not SOCKS5"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ErrorKind::Proxy, "is not SOCKS5"),
        (b"\x05\x02", ErrorKind::Proxy, "is not SOCKS5"),
        (b"\x05\x00\x05\x00\x00\x09", ErrorKind::Proxy, "is not SOCKS5"),
        (b"\x05\x00\x04\x00\x00\x01", ErrorKind::Proxy, "is not SOCKS5"),
        (b"\x05\x00\x05\x63\x00\x01", ErrorKind::Proxy, "refuses to connect"),
    ] {
        let server = saying(answer, b"").await;
        let transport = impatient(&format!("socks5h://{}", server.addr));
        let result = send(transport, "https://api.test/").await;
        let message = assert_error(result, kind, Stage::NotSent);
        assert!(message.contains(expected), "{}: {message}", answer.escape_ascii());
    }
}

#[tokio::test]
async fn giving_up_closes_the_connection_to_the_proxy() {
    for scheme in ["http", "https", "socks5h"] {
        let (asked, closed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notify = (Arc::clone(&asked), Arc::clone(&closed));
        let server = Server::start(move |mut socket| {
            let (asked, closed) = notify.clone();
            async move {
                let _ = socket.read_u8().await;
                asked.notify_one();
                let _ = socket.read_to_end(&mut Vec::new()).await;
                closed.notify_one();
            }
        })
        .await;
        let proxy = Proxy::all(format!("{scheme}://{}", server.addr)).unwrap();
        let transport = HyperTransport::builder().proxy(proxy).build().unwrap();
        let request = Request::get("https://api.test/").body(RequestBody::empty()).unwrap();
        let mut call = Box::pin(transport.clone().oneshot(request));
        tokio::select! {
            _ = &mut call => panic!("an answer"),
            () = asked.notified() => {}
        }
        drop(call);
        tokio::time::timeout(PATIENCE, closed.notified()).await.expect(scheme);
        drop(transport);
    }
}

#[tokio::test]
async fn an_ipv6_server_is_named_as_such() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["::1"]).acceptor()).await;
    let http = TestProxy::http(server.addr, None, None).await;
    let socks = TestProxy::socks(server.addr, None).await;
    for url in [format!("http://{}", http.addr), format!("socks5://{}", socks.addr)] {
        let transport = HyperTransport::builder()
            .only_added_roots()
            .add_root_pem(authority.pem())
            .proxy(Proxy::all(url).unwrap())
            .build()
            .unwrap();
        let response = send(transport, "https://[::1]:8443/").await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert!(http.log.all()[0].starts_with("CONNECT [::1]:8443 HTTP/1.1\r\n"));
    assert_eq!(socks.log.all(), ["::1:8443"]);
}

/// A connection for one host's requests is not for another's, and each has its proxy's own
/// credentials.
#[tokio::test]
async fn credentials_go_to_their_own_proxy_only() {
    let upstream = "127.0.0.1:1".parse().unwrap();
    let one = TestProxy::http(upstream, None, None).await;
    let two = TestProxy::http(upstream, None, None).await;
    let direct = Server::start(|mut socket| async move {
        let head = read_head(&mut socket).await;
        assert!(!head.to_ascii_lowercase().windows(10).any(|part| part == b"proxy-auth"));
        let _ = socket.write_all(HELLO).await;
    })
    .await;
    let by = |user: &str, proxy: &TestProxy, except: &str| {
        Proxy::all(format!("{user}:x@{}", proxy.addr)).unwrap().except(except).unwrap()
    };
    let transport = HyperTransport::builder()
        .proxy(by("one", &one, "b.test, 127.0.0.1"))
        .proxy(by("two", &two, "127.0.0.1"))
        .build()
        .unwrap();
    for host in ["a.test", "b.test", "c.test", "a.test"] {
        let response = send(transport.clone(), &format!("http://{host}/")).await.unwrap();
        assert_eq!(text(response).await.unwrap(), "hello");
        tokio::task::yield_now().await;
    }
    assert_eq!(direct.get("http", transport).await.unwrap().status(), 200);
    assert_eq!((one.connections(), two.connections()), (2, 1));
    for (proxy, others) in [(&one, "dHdvOng="), (&two, "b25lOng=")] {
        let seen = proxy.log.all().concat();
        assert!(seen.contains("proxy-authorization: Basic ") && !seen.contains(others), "{seen}");
    }
}

#[tokio::test]
async fn a_tunnel_is_used_again() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["api.test", "b.test"]).acceptor()).await;
    let builder = || HyperTransport::builder().only_added_roots().add_root_pem(authority.pem());
    for builder in [builder(), builder().http1_only()] {
        let proxy = TestProxy::http(server.addr, None, None).await;
        let transport = builder.proxy(Proxy::all(proxy.addr.to_string()).unwrap()).build().unwrap();
        for uri in ["https://api.test/1", "https://api.test/2", "https://b.test/3"] {
            let response = send(transport.clone(), uri).await.unwrap();
            text(response).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(proxy.connections(), 2);
    }
}

#[tokio::test]
async fn the_names_of_proxy_and_server_are_not_mixed_up() {
    let authority = Authority::new("private");
    let acceptor = |name| authority.issue(&[name]).acceptor();
    for (of_proxy, of_server, expected) in [
        ("api.test", "api.test", "the certificate of the proxy"),
        ("127.0.0.1", "127.0.0.1", "the certificate of api.test is for another name"),
    ] {
        let server = https(acceptor(of_server)).await;
        let proxy = TestProxy::http(server.addr, None, Some(acceptor(of_proxy))).await;
        let transport = HyperTransport::builder()
            .only_added_roots()
            .add_root_pem(authority.pem())
            .proxy(Proxy::all(format!("https://{}", proxy.addr)).unwrap())
            .build()
            .unwrap();
        let result = send(transport, "https://api.test/").await;
        let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[tokio::test]
async fn a_proxy_is_not_shown_the_client_certificate_and_nobody_told_to_give_one() {
    let authority = Authority::new("private");
    let acceptor = authority.issue(&["127.0.0.1"]).acceptor_for(&authority);
    let proxy = TestProxy::http("127.0.0.1:1".parse().unwrap(), None, Some(acceptor)).await;
    let leaf = authority.issue(&["me"]);
    let transport = HyperTransport::builder()
        .only_added_roots()
        .add_root_pem(authority.pem())
        .client_certificate_pem(leaf.pem(), leaf.key_pem())
        .proxy(Proxy::all(format!("https://{}", proxy.addr)).unwrap())
        .build()
        .unwrap();
    for uri in ["https://api.test/", "http://api.test/"] {
        let result = send(transport.clone(), uri).await;
        let message = result.as_ref().map(drop).map_err(ToString::to_string).unwrap_err();
        assert!(!message.contains("client_certificate_pem"), "{uri}: {message}");
        assert!(message.contains("the proxy"), "{uri}: {message}");
        assert_eq!(result.map(drop).unwrap_err().kind(), ErrorKind::Tls, "{uri}: {message}");
    }
}
