//! An HTTP/1.1 proxy: tunnels by `CONNECT`, and plain requests with a whole URL as their target.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::Uri;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{NoWay, Shared, carry};
use crate::testing::stream::{Stream, close};

const MAX_HEAD: usize = 64 * 1024;

pub(super) async fn serve(mut client: Stream, shared: &Shared) -> io::Result<()> {
    let Some((head, rest)) = head(&mut client).await? else {
        return refuse(client, "400 Bad Request", "").await;
    };
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else {
        return refuse(client, "400 Bad Request", "").await;
    };
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let (user, password) = credentials(&headers).unwrap_or_default();
    if !shared.admits(&user, &password) {
        let ask = "proxy-authenticate: Basic realm=\"test proxy\"\r\n";
        return refuse(client, "407 Proxy Authentication Required", ask).await;
    }
    let Ok(uri) = target.parse::<Uri>() else {
        return refuse(client, "400 Bad Request", "").await;
    };
    let Some(host) = uri.host() else { return refuse(client, "400 Bad Request", "").await };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let tunnel = method == "CONNECT";
    let port = match (uri.port_u16(), tunnel) {
        (Some(port), _) => port,
        (None, false) => 80,
        (None, true) => return refuse(client, "400 Bad Request", "").await,
    };
    let mut server = match shared.connect(host, port).await {
        Ok(server) => server,
        Err(NoWay::Forbidden) => return refuse(client, "403 Forbidden", "").await,
        Err(NoWay::Unreachable) => return refuse(client, "502 Bad Gateway", "").await,
    };
    if tunnel {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        client.flush().await?;
    } else {
        server.write_all(forwarded(method, &uri, &headers).as_bytes()).await?;
    }
    server.write_all(&rest).await?;
    carry(client, server).await
}

/// The head of a request, and what came after it; `None` for what is no HTTP, such as TLS.
async fn head(client: &mut Stream) -> io::Result<Option<(String, Bytes)>> {
    let mut read = BytesMut::new();
    loop {
        if let Some(end) = memmem::find(&read, b"\r\n\r\n") {
            let head = read.split_to(end + 4);
            let head = String::from_utf8(head.to_vec()).ok();
            return Ok(head.map(|head| (head, read.freeze())));
        }
        if read.len() > MAX_HEAD || read.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
            return Ok(None);
        }
        if client.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Name and password from `proxy-authorization`.
fn credentials(headers: &[(&str, &str)]) -> Option<(Vec<u8>, Vec<u8>)> {
    let named = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case("proxy-authorization");
    let (scheme, encoded) = headers.iter().find(named)?.1.trim().split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at(colon);
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (user.to_vec(), password.get(1..).unwrap_or_default().to_vec()))
}

/// The head as the server is to get it. The connection serves one request, so that the proxy
/// needs to read no other head.
fn forwarded(method: &str, uri: &Uri, headers: &[(&str, &str)]) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        let own = name.eq_ignore_ascii_case("connection")
            || name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("proxy-"));
        if !own {
            head.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    head + "connection: close\r\n\r\n"
}

async fn refuse(mut client: Stream, status: &str, headers: &str) -> io::Result<()> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).await?;
    close(client).await
}
