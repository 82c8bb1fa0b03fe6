//! A plain client, and readers of what it gets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tower_openai::testing::Server;

pub(crate) const STREAM: &str = r#"{"model":"gpt-5.2","input":"hello","stream":true}"#;
pub(crate) const JSON: &str = r#"{"model":"gpt-5.2","input":"hello"}"#;

pub(crate) fn client(version: Version) -> Client<HttpConnector, Full<Bytes>> {
    let http2 = version == Version::HTTP_2;
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

pub(crate) fn post(server: &Server, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(format!("{}/responses", server.base_url()))
        .body(Full::new(body.into()))
        .expect("a request")
}

pub(crate) async fn send(server: &Server, body: &'static str) -> Response<Incoming> {
    client(Version::HTTP_11).request(post(server, body)).await.expect("a head")
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(body.to_vec()).expect("text")
}

pub(crate) async fn json_of(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

/// Reads what comes until the body ends or breaks.
pub(crate) async fn read_all(mut body: Incoming) -> (String, bool) {
    let mut read = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().expect("data")),
            Some(Err(_)) => return (String::from_utf8(read).expect("text"), false),
            None => return (String::from_utf8(read).expect("text"), true),
        }
    }
}

/// The `data:` of each event, checked against its `event:` line.
pub(crate) fn events(text: &str) -> Vec<Value> {
    text.split_terminator("\n\n")
        .map(|event| {
            let (kind, data) = event.split_once('\n').expect("two lines");
            let data: Value =
                serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
            assert_eq!(kind.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

/// Fails a test that hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}

/// Sends a request to `path` below the base URL; `body` is JSON if there is one.
pub(crate) async fn ask(
    server: &Server,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Response<Incoming> {
    ask_over(Version::HTTP_11, server, method, path, body).await
}

/// As [`ask`], over another version of HTTP.
pub(crate) async fn ask_over(
    version: Version,
    server: &Server,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Response<Incoming> {
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(format!("{}/{path}", server.base_url()))
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request");
    soon(client(version).request(request)).await.expect("a head")
}

/// As [`ask`], and reads status and JSON.
pub(crate) async fn call(
    server: &Server,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let response = ask(server, method, path, body).await;
    (response.status().as_u16(), soon(json_of(response)).await)
}

/// As [`call`], for what has to succeed.
pub(crate) async fn get(server: &Server, path: &str) -> Value {
    let (status, body) = call(server, "GET", path, None).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// As [`call`], for a `POST` that has to succeed.
pub(crate) async fn made(server: &Server, path: &str, body: Value) -> Value {
    let (status, body) = call(server, "POST", path, Some(body)).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// Status, `param` and `code` of a refusal.
pub(crate) async fn refused(
    server: &Server,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, String, String) {
    let (status, body) = call(server, method, path, body).await;
    let error = &body["error"];
    assert!(error["message"].is_string() && error["type"].is_string(), "{body}");
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    (status, text("param"), text("code"))
}

/// Sends `request` as it is and reads status and JSON.
pub(crate) async fn sent(request: Request<Full<Bytes>>) -> (u16, Value) {
    let response = soon(client(Version::HTTP_11).request(request)).await.expect("a head");
    (response.status().as_u16(), soon(json_of(response)).await)
}

/// What a refusal for a missing member looks like.
pub(crate) fn missing(param: &str) -> (u16, String, String) {
    (400, param.into(), "missing_required_parameter".into())
}

/// TLS on `stream`, trusting `ca`, with the certificate and key of `client` if given.
pub(crate) async fn secured<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    ca: &str,
    client: Option<&str>,
) -> io::Result<TlsStream<S>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(pem) => {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("one");
            let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key");
            config.with_client_auth_cert(vec![certificate], key).expect("a pair")
        }
    };
    let host = ServerName::try_from(host.to_owned()).expect("a name");
    soon(TlsConnector::from(Arc::new(config)).connect(host, stream)).await
}

/// Sends a request as it is written and reads to the end, or to the error there.
pub(crate) async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
) -> (String, Option<io::Error>) {
    let mut read = Vec::new();
    let end = soon(async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        stream.read_to_end(&mut read).await
    });
    let end = end.await.err();
    (String::from_utf8_lossy(&read).into_owned(), end)
}

pub(crate) const GET_MODELS: &str =
    "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// A WebSocket of a client that is not this crate's.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A handshake to `path` below the base URL, as that client makes it.
pub(crate) fn handshake(server: &Server, path: &str) -> Request<()> {
    let url = format!("ws://{}/v1/{path}", server.address());
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("authorization", "Bearer sk-test".parse().expect("a value"));
    request
}

/// Sends a handshake; the socket and the head of its 101, or the answer that is none.
pub(crate) async fn knock(
    server: &Server,
    request: Request<()>,
) -> Result<(Socket, Response<Option<Vec<u8>>>), Response<Option<Vec<u8>>>> {
    let stream = TcpStream::connect(server.address()).await.expect("a connection");
    match soon(client_async(request, stream)).await {
        Ok(opened) => Ok(opened),
        Err(WsError::Http(response)) => Err(*response),
        Err(error) => panic!("{error}"),
    }
}

/// An open socket to `path`.
pub(crate) async fn open(server: &Server, path: &str) -> Socket {
    match knock(server, handshake(server, path)).await {
        Ok((socket, _)) => socket,
        Err(response) => panic!("{response:?}"),
    }
}

pub(crate) async fn say(socket: &mut Socket, message: Value) {
    soon(socket.send(Message::text(message.to_string()))).await.expect("it is open");
}

/// The next event; pings are passed over.
pub(crate) async fn hear(socket: &mut Socket) -> Value {
    loop {
        match soon(socket.next()).await.expect("an event").expect("a message") {
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The events up to and with the first one that has one of these types.
pub(crate) async fn hear_until(socket: &mut Socket, types: &[&str]) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let event = hear(socket).await;
        let last = types.contains(&event["type"].as_str().expect("a type"));
        events.push(event);
        if last {
            return events;
        }
    }
}

/// The code and the reason that the server closes with; events are passed over.
pub(crate) async fn hear_close(socket: &mut Socket) -> Option<(u16, String)> {
    loop {
        match soon(socket.next()).await {
            Some(Ok(Message::Close(close))) => {
                return close.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    let mut types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    types.dedup();
    types
}
