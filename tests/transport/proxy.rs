//! Proxies.

use std::time::Duration;

use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_openai::services::ResponsesRequest;
use tower_openai::transport::{HyperTransport, HyperTransportBuilder, Proxy};
use tower_openai::{Client, ErrorKind, RequestBody, Stage};

use super::certs::{Authority, https};
use super::proxies::TestProxy;
use super::support::{HELLO, PATIENCE, Server, assert_error, send, text};
use super::verdicts::fails;

/// `me:secret`.
const AUTHORIZATION: &str = "Basic bWU6c2VjcmV0";

fn builder(authority: &Authority) -> HyperTransportBuilder {
    HyperTransport::builder().only_added_roots().add_root_pem(authority.pem())
}

/// Sends to a host that only a proxy can find, and checks that the answer is the server's.
async fn reaches_the_server(transport: HyperTransport) {
    let request = Request::post("https://api.test/v1/responses").body(RequestBody::from("body"));
    let response = transport.oneshot(request.unwrap());
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    let seen = response.headers()["x-seen"].to_str().unwrap();
    assert!(seen.contains("/v1/responses") && !seen.contains("proxy-authorization"), "{seen}");
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(text(response).await.unwrap(), "body");
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["api.test"]).acceptor()).await;
    let proxy = TestProxy::http(server.addr, Some(AUTHORIZATION), None).await;
    let env = [("HTTPS_PROXY", &*format!("http://me:secret@{}", proxy.addr))];
    reaches_the_server(builder(&authority).env(&env).build().unwrap()).await;
    let seen = proxy.log.all();
    let [head] = &*seen else { panic!("{seen:?}") };
    assert!(head.starts_with("CONNECT api.test:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Host: api.test:443\r\n"), "{head}");
    assert!(head.contains(&format!("Proxy-Authorization: {AUTHORIZATION}\r\n")), "{head}");
}

#[tokio::test]
async fn http_is_handed_to_the_proxy() {
    let upstream = "127.0.0.1:1".parse().unwrap();
    let proxy = TestProxy::http(upstream, Some(AUTHORIZATION), None).await;
    let env = [("http_proxy", &*format!("me:secret@{}", proxy.addr))];
    let transport = HyperTransport::builder().env(&env).build().unwrap();
    for _ in 0..2 {
        let response = send(transport.clone(), "http://api.test:8080/a?b=c").await.unwrap();
        assert_eq!(text(response).await.unwrap(), "hello");
        tokio::task::yield_now().await;
    }
    for head in proxy.log.all() {
        assert!(head.starts_with("GET http://api.test:8080/a?b=c HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: api.test:8080\r\n"), "{head}");
        assert!(head.contains(&format!("proxy-authorization: {AUTHORIZATION}\r\n")), "{head}");
    }
    assert_eq!((proxy.log.all().len(), proxy.connections()), (2, 1));
}

#[tokio::test]
async fn a_proxy_can_be_reached_by_tls() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["api.test"]).acceptor()).await;
    let tls = authority.issue(&["127.0.0.1"]).acceptor();
    let proxy = TestProxy::http(server.addr, Some(AUTHORIZATION), Some(tls)).await;
    let url = format!("https://me:secret@{}", proxy.addr);
    let transport = builder(&authority).proxy(Proxy::all(url).unwrap()).build().unwrap();
    reaches_the_server(transport.clone()).await;
    let response = send(transport, "http://api.test/plain").await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    let seen = proxy.log.all();
    assert!(seen[0].starts_with("CONNECT api.test:443 "), "{seen:?}");
    assert!(seen[1].starts_with("GET http://api.test/plain "), "{seen:?}");
}

#[tokio::test]
async fn socks_takes_names_and_a_password() {
    let authority = Authority::new("private");
    let server = https(authority.issue(&["api.test"]).acceptor()).await;
    let proxy = TestProxy::socks(server.addr, Some(("me", "secret"))).await;
    let env = [("ALL_PROXY", &*format!("socks5h://me:secret@{}", proxy.addr))];
    reaches_the_server(builder(&authority).env(&env).build().unwrap()).await;
    assert_eq!(proxy.log.all(), ["api.test:443"]);
}

#[tokio::test]
async fn socks5_without_h_resolves_names_here() {
    let server = Server::answering(HELLO).await;
    let proxy = TestProxy::socks(server.addr, None).await;
    let proxied = Proxy::all(format!("socks5://{}", proxy.addr)).unwrap();
    let transport = HyperTransport::builder().proxy(proxied).build().unwrap();
    let response = send(transport.clone(), "http://localhost/").await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    assert_eq!(proxy.log.all(), ["127.0.0.1:80"]);

    let result = send(transport, "http://no-such..host/").await;
    let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
    assert!(message.contains("write `socks5h`"), "{message}");
}

#[tokio::test]
async fn hosts_that_are_left_out_are_reached_directly() {
    let server = Server::answering(HELLO).await;
    let down = "http://127.0.0.1:1";
    for no in ["127.0.0.1", "*", "127.0.0.0/8", &*format!("127.0.0.1:{}", server.addr.port())] {
        let env = [("ALL_PROXY", down), ("no_proxy", no)];
        let transport = HyperTransport::builder().env(&env).build().unwrap();
        assert_eq!(server.get("http", transport).await.unwrap().status(), 200, "{no}");
    }
    let env = [("ALL_PROXY", down)];
    let transport = HyperTransport::builder().env(&env).without_proxy().build().unwrap();
    assert_eq!(server.get("http", transport).await.unwrap().status(), 200);
    let transport = HyperTransport::builder().env(&env).without_env().build().unwrap();
    assert_eq!(server.get("http", transport).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_first_proxy_that_takes_a_request_carries_it() {
    let upstream = "127.0.0.1:1".parse().unwrap();
    let proxy = TestProxy::http(upstream, None, None).await;
    let other = TestProxy::http(upstream, None, None).await;
    let transport = HyperTransport::builder()
        .env(&[("HTTP_PROXY", "http://127.0.0.1:1")])
        .proxy(Proxy::https("http://127.0.0.1:1").unwrap())
        .proxy(Proxy::http(proxy.addr.to_string()).unwrap().except("b.test").unwrap())
        .proxy(Proxy::all(other.addr.to_string()).unwrap())
        .build()
        .unwrap();
    for host in ["a", "b"] {
        let response = send(transport.clone(), &format!("http://{host}.test/")).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!((proxy.log.all().len(), other.log.all().len()), (1, 1));
}

#[tokio::test]
async fn http2_alone_goes_through_a_tunnel_in_clear_too() {
    let server = Server::start(super::certs::echo).await;
    let proxy = TestProxy::http(server.addr, None, None).await;
    let transport = HyperTransport::builder()
        .http2_only()
        .proxy(Proxy::all(proxy.addr.to_string()).unwrap())
        .build()
        .unwrap();
    let response = send(transport, "http://api.test/").await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert!(proxy.log.all()[0].starts_with("CONNECT api.test:80 "));
}

// ===== refusals =====

#[tokio::test]
async fn row_10_a_wrong_password_is_an_error_of_the_proxy() {
    let upstream = "127.0.0.1:1".parse().unwrap();
    let http = TestProxy::http(upstream, Some(AUTHORIZATION), None).await;
    for uri in ["https://api.test/", "http://api.test/"] {
        let env = [("ALL_PROXY", &*format!("http://me:secret-but-wrong@{}", http.addr))];
        let transport = HyperTransport::builder().env(&env).build().unwrap();
        let message = assert_error(send(transport, uri).await, ErrorKind::Proxy, Stage::NotSent);
        let expected = format!(
            "the proxy {} (`ALL_PROXY`) refuses the user name or the password in its URL",
            http.addr
        );
        assert_eq!(message, expected);

        let proxy = Proxy::all(http.addr.to_string()).unwrap();
        let transport = HyperTransport::builder().proxy(proxy).build().unwrap();
        let message = assert_error(send(transport, uri).await, ErrorKind::Proxy, Stage::NotSent);
        assert!(message.contains("asks for a user name and a password"), "{message}");
    }
}

#[tokio::test]
async fn another_way_to_authenticate_is_named() {
    let answer = b"HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate\r\n\
        proxy-authenticate: NTLM TlRMTVNTUAAB\r\ncontent-length: 0\r\n\r\n";
    let proxy = TestProxy::answering(answer).await;
    for uri in ["https://api.test/", "http://api.test/"] {
        let proxied = Proxy::all(format!("me:secret@{}", proxy.addr)).unwrap();
        let transport = HyperTransport::builder().proxy(proxied).build().unwrap();
        let message = assert_error(send(transport, uri).await, ErrorKind::Proxy, Stage::NotSent);
        let asks = format!("the proxy {} asks for authentication by Negotiate or NTLM", proxy.addr);
        assert!(message.starts_with(&asks), "{message}");
    }
}

#[tokio::test]
async fn basic_among_others_in_one_header_is_found() {
    let answer = b"HTTP/1.1 407 No\r\nproxy-authenticate: Negotiate, Basic realm=\"a, b\"\r\n\
        content-length: 0\r\n\r\n";
    let proxy = TestProxy::answering(answer).await;
    for uri in ["https://api.test/", "http://api.test/"] {
        let proxied = Proxy::all(format!("me:wrong@{}", proxy.addr)).unwrap();
        let transport = HyperTransport::builder().proxy(proxied).build().unwrap();
        let message = assert_error(send(transport, uri).await, ErrorKind::Proxy, Stage::NotSent);
        assert!(message.contains("refuses the user name or the password"), "{message}");
    }
}

#[tokio::test]
async fn row_12_a_wrong_socks_password_is_an_error_of_the_proxy() {
    let upstream = "127.0.0.1:1".parse().unwrap();
    let proxy = TestProxy::socks(upstream, Some(("me", "right"))).await;
    for (url, expected) in [
        (format!("socks5h://me:secret@{}", proxy.addr), "refuses the user name or the password"),
        (format!("socks5h://{}", proxy.addr), "asks for a user name and a password"),
    ] {
        let transport = HyperTransport::builder().proxy(Proxy::all(url).unwrap()).build().unwrap();
        let result = send(transport, "https://api.test/").await;
        let message = assert_error(result, ErrorKind::Proxy, Stage::NotSent);
        assert!(message.contains(expected) && message.contains(&proxy.addr.to_string()));
    }
}

#[tokio::test]
async fn row_11_a_proxy_that_is_down_is_named() {
    let addr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (scheme, uri) in
        [("http", "http://a.test/"), ("http", "https://a.test/"), ("socks5h", "https://a.test/")]
    {
        let env = [("ALL_PROXY", &*format!("{scheme}://me:secret@{addr}"))];
        let transport = HyperTransport::builder().env(&env).build().unwrap();
        let message = assert_error(send(transport, uri).await, ErrorKind::Connect, Stage::NotSent);
        assert_eq!(message, format!("cannot connect to the proxy {addr} (`ALL_PROXY`)"));
    }
}

#[tokio::test]
async fn refusals_to_connect_tell_the_proxys_rules_from_a_server_that_is_down() {
    let cases: [(&[u8], _, _); 5] = [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", ErrorKind::Proxy, "refuses to connect to api.test:443"),
        (
            b"HTTP/1.0 502 Bad Gateway\r\n\r\n",
            ErrorKind::Connect,
            "cannot connect to api.test:443: 502 Bad Gateway",
        ),
        (b"HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n", ErrorKind::Proxy, "refuses to connect"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ErrorKind::Proxy, "is not HTTP/1.1"),
        (b"", ErrorKind::Connect, "hung up"),
    ];
    for (answer, kind, expected) in cases {
        let proxy = TestProxy::answering(answer).await;
        let proxied = Proxy::all(proxy.addr.to_string()).unwrap();
        let transport = HyperTransport::builder().proxy(proxied).build().unwrap();
        let result = send(transport, "https://api.test/").await;
        let message = assert_error(result, kind, Stage::NotSent);
        assert!(message.contains(expected), "{message}");
        assert!(message.contains(&format!("the proxy {}", proxy.addr)), "{message}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let mut answer = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    answer.resize(1024 * 1024, b'x');
    let server = Server::answering(answer).await;
    let proxy = Proxy::all(server.addr.to_string()).unwrap();
    let transport = HyperTransport::builder().proxy(proxy).build().unwrap();
    assert_error(send(transport, "https://api.test/").await, ErrorKind::Proxy, Stage::NotSent);
}

#[tokio::test]
async fn what_comes_right_behind_the_proxys_answer_is_the_servers() {
    let server = Server::start(|mut socket| async move {
        // With it, what a server of TLS 1.1 answers to us, and does not wait to be asked.
        let answer = b"HTTP/1.1 200 OK\r\n\r\n\x15\x03\x02\x00\x02\x02\x46";
        socket.write_all(answer).await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let proxy = Proxy::all(server.addr.to_string()).unwrap();
    let transport = HyperTransport::builder().proxy(proxy).build().unwrap();
    let result = send(transport, "https://api.test/").await;
    let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
    assert!(message.starts_with("api.test speaks neither TLS 1.2 nor 1.3"), "{message}");
}

#[tokio::test]
async fn a_silent_proxy_runs_into_the_connect_limit_and_is_named() {
    let server = Server::start(|mut socket| async move {
        let _ = socket.read_to_end(&mut Vec::new()).await;
    })
    .await;
    for scheme in ["http", "https", "socks5h"] {
        let proxy = Proxy::all(format!("{scheme}://{}", server.addr)).unwrap();
        let limit = Duration::from_millis(100);
        let transport = HyperTransport::builder().proxy(proxy).connect_timeout(limit);
        let result = send(transport.build().unwrap(), "https://api.test/").await;
        let message = assert_error(result, ErrorKind::Connect, Stage::NotSent);
        let by = format!("no connection to api.test by the proxy {} within 100ms", server.addr);
        assert!(message.starts_with(&by), "{message}");
    }
}

#[tokio::test]
async fn tls_with_the_proxy_fails_as_such() {
    let tls = Authority::new("unknown").issue(&["127.0.0.1"]).acceptor();
    let proxy = TestProxy::http("127.0.0.1:1".parse().unwrap(), None, Some(tls)).await;
    let authority = Authority::new("private");
    let proxied = Proxy::all(format!("https://{}", proxy.addr)).unwrap();
    let transport = builder(&authority).proxy(proxied).build().unwrap();
    let result = send(transport, "https://api.test/").await;
    let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
    assert!(message.contains(&format!("the certificate of the proxy {}", proxy.addr)), "{message}");
}

/// Only a proxy's 407 is an error of the transport.
#[tokio::test]
async fn a_407_of_the_server_is_an_answer() {
    let server = Server::answering("HTTP/1.1 407 Odd\r\ncontent-length: 0\r\n\r\n").await;
    let transport = HyperTransport::builder().without_env().build().unwrap();
    assert_eq!(server.get("http", transport).await.unwrap().status(), 407);
}

#[tokio::test]
async fn row_13_a_proxy_that_reads_tls_needs_its_authority() {
    let theirs = Authority::new("inspection");
    // What it shows for any host, with a certificate of its own.
    let inspector = https(theirs.issue(&["api.test"]).acceptor()).await;
    let proxy = TestProxy::http(inspector.addr, None, None).await;
    let url = format!("http://{}", proxy.addr);
    let env = [("HTTPS_PROXY", &*url)];
    let transport = builder(&Authority::new("other")).env(&env).build().unwrap();
    let result = send(transport, "https://api.test/").await;
    let message = assert_error(result, ErrorKind::Tls, Stage::NotSent);
    assert!(message.contains("`CODEX_CA_CERTIFICATE`"), "{message}");
    reaches_the_server(builder(&theirs).env(&env).build().unwrap()).await;
}

// ===== with the client above =====

#[tokio::test]
async fn the_client_goes_by_the_environment_it_is_given() {
    let server = tower_openai::testing::Server::start().await.unwrap();
    let proxy = TestProxy::socks(server.address(), Some(("me", "secret"))).await;
    let env = [
        ("OPENAI_BASE_URL", "http://api.test/v1"),
        ("ALL_PROXY", &*format!("socks5h://me:secret@{}", proxy.addr)),
    ];
    let client = Client::builder().from_env(&env).unwrap().build().unwrap();
    let request = ResponsesRequest::new("gpt-5.2", "hello");
    let stream = client.responses().stream_request(request).await.unwrap();
    assert!(stream.text().collect().await.unwrap().starts_with("You said"));
    assert_eq!(proxy.log.all(), ["api.test:80"]);
}

#[tokio::test]
async fn a_refusal_by_the_proxy_is_not_retried() {
    let proxy = TestProxy::http("127.0.0.1:1".parse().unwrap(), Some(AUTHORIZATION), None).await;
    for base_url in ["https://api.test/v1", "http://api.test/v1"] {
        let before = proxy.connections();
        let proxied = Proxy::all(format!("http://me:hush-hush@{}", proxy.addr)).unwrap();
        let transport = HyperTransport::builder().proxy(proxied).build().unwrap();
        let err = fails(transport, base_url).await;
        assert_eq!((err.kind(), err.stage()), (ErrorKind::Proxy, Stage::NotSent), "{err:?}");
        assert!(!err.is_retryable() && err.attempts().is_empty());
        assert!(!format!("{err} {err:?}").contains("hush"), "{err:?}");
        assert_eq!(proxy.connections(), before + 1, "{base_url}");
    }
}

#[tokio::test]
async fn a_proxy_that_hangs_up_is_tried_again() {
    let proxy = TestProxy::answering(b"").await;
    let proxied = Proxy::all(proxy.addr.to_string()).unwrap();
    let transport = HyperTransport::builder().proxy(proxied).build().unwrap();
    let err = fails(transport, "https://api.test/v1").await;
    assert_eq!(err.kind(), ErrorKind::Connect);
    assert_eq!(proxy.connections(), 3);
}
