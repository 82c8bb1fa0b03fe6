//! A connection that is small to move and to keep.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What bytes go over, below TLS with the server.
pub(super) enum Wire {
    Tcp(TokioIo<TcpStream>),
    Boxed(Box<Boxed>),
}

/// What is not just a socket.
pub(super) struct Boxed {
    io: Box<dyn ReadWrite>,
    /// Whether the other end is a proxy that takes whole URIs.
    forwards: bool,
}

pub(super) trait ReadWrite: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> ReadWrite for T {}

impl Wire {
    pub(super) fn boxed(io: impl ReadWrite + 'static) -> Self {
        Self::Boxed(Box::new(Boxed { io: Box::new(io), forwards: false }))
    }

    /// Says that the other end is a proxy that takes whole URIs.
    pub(super) fn forwarded(self) -> Self {
        Self::Boxed(Box::new(Boxed { io: Box::new(self), forwards: true }))
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        match self {
            Self::Tcp(io) => io.connected(),
            Self::Boxed(io) => Connected::new().proxy(io.forwards),
        }
    }
}

/// A connection, with TLS or without.
///
/// The state of TLS is more than a kilobyte. hyper and its client hold connections by value, in a
/// future within a future while connecting, so without the box each plain connection too would
/// take several kilobytes.
pub(super) enum Io {
    Plain(Wire),
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    Tls(Box<MaybeHttpsStream<Wire>>),
}

#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
impl From<MaybeHttpsStream<Wire>> for Io {
    fn from(stream: MaybeHttpsStream<Wire>) -> Self {
        match stream {
            MaybeHttpsStream::Http(wire) => Self::Plain(wire),
            tls => Self::Tls(Box::new(tls)),
        }
    }
}

impl From<Wire> for Io {
    fn from(wire: Wire) -> Self {
        Self::Plain(wire)
    }
}

impl Connection for Io {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(io) => io.connected(),
            #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
            Self::Tls(io) => io.connected(),
        }
    }
}

impl Wire {
    fn io(&mut self) -> Pin<&mut (dyn ReadWrite + 'static)> {
        match self {
            Self::Tcp(io) => Pin::new(io),
            Self::Boxed(boxed) => Pin::new(&mut *boxed.io),
        }
    }

    fn io_ref(&self) -> &(dyn ReadWrite + 'static) {
        match self {
            Self::Tcp(io) => io,
            Self::Boxed(boxed) => &*boxed.io,
        }
    }
}

impl Io {
    fn io(&mut self) -> Pin<&mut (dyn ReadWrite + 'static)> {
        match self {
            Self::Plain(wire) => wire.io(),
            #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
            Self::Tls(io) => Pin::new(&mut **io),
        }
    }

    fn io_ref(&self) -> &(dyn ReadWrite + 'static) {
        match self {
            Self::Plain(wire) => wire.io_ref(),
            #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
            Self::Tls(io) => &**io,
        }
    }
}

/// Hands reads and writes on to what `io` gives.
macro_rules! read_and_write {
    ($ty:ty) => {
        impl Read for $ty {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                self.io().poll_read(cx, buf)
            }
        }

        impl Write for $ty {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.io().poll_write(cx, buf)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.io().poll_write_vectored(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                self.io_ref().is_write_vectored()
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.io().poll_flush(cx)
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                self.io().poll_shutdown(cx)
            }
        }
    };
}

read_and_write!(Wire);
read_and_write!(Io);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_no_larger_than_a_socket_and_a_tag() {
        assert!(size_of::<Io>() <= size_of::<TokioIo<TcpStream>>() + size_of::<usize>());
    }
}
