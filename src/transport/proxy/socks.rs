//! SOCKS5 (RFC 1928) with a user name and a password (RFC 1929).
//!
//! hyper-util has it too, but its error does not tell a wrong password from a server that is down.

use std::fmt;
use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Credentials, Target};

const VERSION: u8 = 5;
const NO_METHOD: u8 = 0xff;

/// Why there is no tunnel.
#[derive(Debug)]
pub(crate) enum SocksError {
    /// The proxy takes none of the methods that we have.
    Method,
    /// The proxy refuses the user name or the password.
    Password,
    /// The proxy did not do it; its code.
    Reply(u8),
    /// What it says is not SOCKS5.
    Protocol,
    /// The name of the server is longer than SOCKS5 allows.
    Name,
    Io(io::Error),
}

impl SocksError {
    /// Whether it is the server beyond the proxy, or the way to it, that failed.
    pub(super) fn is_beyond(&self) -> bool {
        matches!(self, Self::Reply(1 | 3..=6))
    }
}

impl fmt::Display for SocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "SOCKS5: no acceptable authentication method",
            Self::Password => "SOCKS5: authentication failed",
            Self::Reply(1) => "SOCKS5: general failure",
            Self::Reply(2) => "SOCKS5: not allowed by the proxy's rules",
            Self::Reply(3) => "SOCKS5: network unreachable",
            Self::Reply(4) => "SOCKS5: host unreachable",
            Self::Reply(5) => "SOCKS5: connection refused",
            Self::Reply(6) => "SOCKS5: time to live expired",
            Self::Reply(7) => "SOCKS5: command not supported",
            Self::Reply(8) => "SOCKS5: address type not supported",
            Self::Reply(code) => return write!(f, "SOCKS5: reply {code}"),
            Self::Protocol => "the answer is not SOCKS5",
            Self::Name => "the host name is longer than the 255 bytes of SOCKS5",
            Self::Io(_) => "the connection to the proxy broke",
        })
    }
}

impl std::error::Error for SocksError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(err) => Some(err),
            _ => None,
        }
    }
}

impl From<io::Error> for SocksError {
    fn from(err: io::Error) -> Self {
        Self::Io(err)
    }
}

/// Makes a tunnel to `target` of a connection to the proxy.
pub(super) async fn tunnel<S>(
    io: &mut S,
    target: &Target,
    credentials: Option<&Credentials>,
) -> Result<(), SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeting: &[u8] = match credentials {
        Some(_) => &[VERSION, 2, 0, 2],
        None => &[VERSION, 1, 0],
    };
    send(io, greeting).await?;
    match (receive::<2, _>(io).await?, credentials) {
        ([VERSION, 0], _) => {}
        ([VERSION, 2], Some(credentials)) => authenticate(io, credentials).await?,
        ([VERSION, NO_METHOD], _) => return Err(SocksError::Method),
        _ => return Err(SocksError::Protocol),
    }
    send(io, &request(target)?).await?;
    let [version, reply, _, kind] = receive(io).await?;
    match (version, reply) {
        (VERSION, 0) => {}
        (VERSION, code) => return Err(SocksError::Reply(code)),
        _ => return Err(SocksError::Protocol),
    }
    // The address that the proxy connects from; no one needs it.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(receive::<1, _>(io).await?[0]),
        _ => return Err(SocksError::Protocol),
    };
    let mut rest = [0; 255 + 2];
    io.read_exact(rest.get_mut(..length + 2).ok_or(SocksError::Protocol)?).await?;
    Ok(())
}

async fn authenticate<S>(io: &mut S, credentials: &Credentials) -> Result<(), SocksError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut message = vec![1];
    for text in [&credentials.user, &credentials.password] {
        // Checked when the proxy was configured.
        message.push(u8::try_from(text.len()).map_err(|_| SocksError::Password)?);
        message.extend_from_slice(text.as_bytes());
    }
    send(io, &message).await?;
    match receive(io).await? {
        [_, 0] => Ok(()),
        [1, _] => Err(SocksError::Password),
        _ => Err(SocksError::Protocol),
    }
}

fn request(target: &Target) -> Result<Vec<u8>, SocksError> {
    let mut message = vec![VERSION, 1, 0];
    match target.address() {
        Some(IpAddr::V4(address)) => {
            message.push(1);
            message.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            message.push(4);
            message.extend_from_slice(&address.octets());
        }
        None => {
            message.push(3);
            message.push(u8::try_from(target.host.len()).map_err(|_| SocksError::Name)?);
            message.extend_from_slice(target.host.as_bytes());
        }
    }
    message.extend_from_slice(&target.port.to_be_bytes());
    Ok(message)
}

async fn send<S: AsyncWrite + Unpin>(io: &mut S, message: &[u8]) -> io::Result<()> {
    io.write_all(message).await?;
    io.flush().await
}

async fn receive<const N: usize, S: AsyncRead + Unpin>(io: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> Target {
        Target { host: host.to_owned(), port: 443 }
    }

    fn user(password: &str) -> Credentials {
        Credentials { user: "me".to_owned(), password: password.to_owned() }
    }

    /// Plays the proxy: expects what is sent, says the answers; the bytes behind them must be left.
    async fn talk(
        script: &[(&[u8], &[u8])],
        target: Target,
        credentials: Option<Credentials>,
    ) -> Result<(), SocksError> {
        let mut mock = tokio_test::io::Builder::new();
        for (sent, answer) in script {
            mock.write(sent).read(answer);
        }
        tunnel(&mut mock.build(), &target, credentials.as_ref()).await
    }

    const OPEN: (&[u8], &[u8]) = (&[5, 1, 0], &[5, 0]);
    const BOTH: (&[u8], &[u8]) = (&[5, 2, 0, 2], &[5, 2]);
    const DONE: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80];

    #[tokio::test]
    async fn names_and_addresses_are_sent_as_such() {
        let name: &[u8] = b"\x05\x01\x00\x03\x06a.test\x01\xbb";
        talk(&[OPEN, (name, DONE)], target("a.test"), None).await.unwrap();
        let v4: &[u8] = &[5, 1, 0, 1, 10, 0, 0, 1, 1, 0xbb];
        talk(&[OPEN, (v4, DONE)], target("10.0.0.1"), None).await.unwrap();
        let v6: &[u8] = &[5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0xbb];
        let named: &[u8] = b"\x05\x00\x00\x03\x03abc\x00\x50";
        talk(&[OPEN, (v6, named)], target("::1"), None).await.unwrap();
    }

    #[tokio::test]
    async fn credentials_are_sent_to_who_asks() {
        let request: &[u8] = b"\x05\x01\x00\x03\x01a\x01\xbb";
        let script = [BOTH, (b"\x01\x02me\x02pw", &[1, 0]), (request, DONE)];
        talk(&script, target("a"), Some(user("pw"))).await.unwrap();
        let script = [(BOTH.0, OPEN.1), (request, DONE)];
        talk(&script, target("a"), Some(user("pw"))).await.unwrap();
        let long = "x".repeat(255);
        let message = [b"\x01\x02me\xff", long.as_bytes()].concat();
        let script = [BOTH, (&message, &[1, 0]), (request, DONE)];
        talk(&script, target("a"), Some(user(&long))).await.unwrap();
    }

    #[tokio::test]
    async fn refusals_are_told_apart() {
        let request: &[u8] = b"\x05\x01\x00\x03\x01a\x01\xbb";
        let wrong = [BOTH, (b"\x01\x02me\x02no", &[1, 1])];
        let err = talk(&wrong, target("a"), Some(user("no"))).await.unwrap_err();
        assert!(matches!(err, SocksError::Password));
        let err = talk(&[(OPEN.0, &[5, 0xff])], target("a"), None).await.unwrap_err();
        assert!(matches!(err, SocksError::Method));
        for (code, beyond) in [(1, true), (2, false), (4, true), (5, true), (7, false), (99, false)]
        {
            let reply = [5, code, 0, 1];
            let err = talk(&[OPEN, (request, &reply)], target("a"), None).await.unwrap_err();
            assert!(matches!(err, SocksError::Reply(found) if found == code), "{err:?}");
            assert_eq!(err.is_beyond(), beyond, "{err}");
        }
    }

    #[tokio::test]
    async fn what_is_not_socks_is_refused() {
        for answer in [b"HT", b"\x05\x02", b"\x04\x00"] {
            let err = talk(&[(OPEN.0, answer)], target("a"), None).await.unwrap_err();
            assert!(matches!(err, SocksError::Protocol), "{err:?}");
        }
        let err = talk(&[OPEN], target(&"x".repeat(256)), None).await.unwrap_err();
        assert!(matches!(err, SocksError::Name));
        let err = talk(&[(OPEN.0, &[5])], target("a"), None).await.unwrap_err();
        assert!(matches!(err, SocksError::Io(_)));
    }
}
