//! SOCKS5 (RFC 1928) with user and password (RFC 1929).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{NoWay, Shared, carry};
use crate::testing::stream::{Stream, close};

const VERSION: u8 = 5;

/// The methods of authentication.
const NONE: u8 = 0;
const PASSWORD: u8 = 2;
const NOT_ACCEPTABLE: u8 = 0xff;

/// The replies to a request.
const SUCCEEDED: u8 = 0;
const NOT_ALLOWED: u8 = 2;
const REFUSED: u8 = 5;
const NO_SUCH_COMMAND: u8 = 7;

pub(super) async fn serve(mut client: Stream, shared: &Shared) -> io::Result<()> {
    if !admitted(&mut client, shared).await? {
        return close(client).await;
    }
    let (command, host, port) = request(&mut client).await?;
    if command != 1 {
        return refuse(client, NO_SUCH_COMMAND).await;
    }
    match shared.connect(&host, port).await {
        Ok(server) => {
            client.write_all(&reply(SUCCEEDED)).await?;
            client.flush().await?;
            carry(client, server).await
        }
        Err(NoWay::Forbidden) => refuse(client, NOT_ALLOWED).await,
        Err(NoWay::Unreachable) => refuse(client, REFUSED).await,
    }
}

/// Agrees on a method of authentication, and goes through it.
async fn admitted(client: &mut Stream, shared: &Shared) -> io::Result<bool> {
    if client.read_u8().await? != VERSION {
        return Err(malformed("not SOCKS5"));
    }
    let methods = text(client).await?;
    let method = if shared.credentials.is_some() { PASSWORD } else { NONE };
    if !methods.contains(&method) {
        // Noted as refused: nobody without credentials is let in.
        shared.admits(b"", b"");
        client.write_all(&[VERSION, NOT_ACCEPTABLE]).await?;
        return Ok(false);
    }
    client.write_all(&[VERSION, method]).await?;
    client.flush().await?;
    if method == NONE {
        return Ok(true);
    }
    client.read_u8().await?;
    let (user, password) = (text(client).await?, text(client).await?);
    let admitted = shared.admits(&user, &password);
    client.write_all(&[1, u8::from(!admitted)]).await?;
    client.flush().await?;
    Ok(admitted)
}

/// The command, and where to.
async fn request(client: &mut Stream) -> io::Result<(u8, String, u16)> {
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let [VERSION, command, _, kind] = head else { return Err(malformed("not SOCKS5")) };
    let host = match kind {
        1 => Ipv4Addr::from(client.read_u32().await?).to_string(),
        3 => String::from_utf8(text(client).await?).map_err(|_| malformed("no text"))?,
        4 => Ipv6Addr::from(client.read_u128().await?).to_string(),
        _ => return Err(malformed("no such kind of address")),
    };
    Ok((command, host, client.read_u16().await?))
}

/// A length in one byte, and as many bytes.
async fn text(client: &mut Stream) -> io::Result<Vec<u8>> {
    let mut text = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut text).await?;
    Ok(text)
}

/// A reply with an address that nobody needs.
fn reply(status: u8) -> [u8; 10] {
    [VERSION, status, 0, 1, 0, 0, 0, 0, 0, 0]
}

async fn refuse(mut client: Stream, status: u8) -> io::Result<()> {
    client.write_all(&reply(status)).await?;
    close(client).await
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
