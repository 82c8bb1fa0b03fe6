//! A socket as the server and the proxies see it: plain, or with TLS on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "testing-tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// Runs `$body` on the pinned stream, whichever it is.
macro_rules! with {
    ($stream:expr, $inner:ident => $body:expr) => {
        match &mut *$stream {
            Stream::Plain(inner) => {
                let $inner = Pin::new(inner);
                $body
            }
            #[cfg(feature = "testing-tls")]
            Stream::Tls(inner) => {
                let $inner = Pin::new(&mut **inner);
                $body
            }
        }
    };
}

impl Stream {
    /// The socket below any TLS.
    pub(super) fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "testing-tls")]
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// The socket will be closed with a reset instead of a FIN, whenever that is.
    pub(super) fn reset_on_close(&mut self) {
        // `set_zero_linger` is its successor in newer tokio than the oldest we build with.
        // Lingering for no time at all does not block. A failure leaves an ordinary close.
        #[allow(deprecated)]
        let _ = self.tcp().set_linger(Some(std::time::Duration::ZERO));
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with!(self, inner => inner.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        with!(self, inner => inner.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, inner => inner.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, inner => inner.poll_shutdown(cx))
    }
}

#[cfg(not(feature = "testing-tls"))]
#[derive(Clone, Debug)]
pub(super) enum Acceptor {}

#[cfg(feature = "testing-tls")]
pub(super) use super::tls::Acceptor;

/// The stream that `acceptor`, if there is one, makes of an accepted socket; `None` if the client
/// did not get through its handshake.
pub(super) async fn accept(stream: TcpStream, acceptor: Option<Acceptor>) -> Option<Stream> {
    // Chunks are to leave as they are written. Without the option they still arrive.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => Some(Stream::Plain(stream)),
        #[cfg(feature = "testing-tls")]
        Some(acceptor) => acceptor.accept(stream).await,
        #[cfg(not(feature = "testing-tls"))]
        Some(never) => match never {},
    }
}

/// Closes so that what was written is read: bytes left unread would reset the connection, and what
/// is on its way with it. Ends when the client has closed, too.
pub(super) async fn close(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
