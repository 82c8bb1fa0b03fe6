//! What went wrong below HTTP, and how far the request had come.

mod tls;

use std::error::Error as StdError;
use std::{fmt, io, iter};

use http::Uri;
use hyper_util::client::legacy;

use super::connect::ConnectTimeout;
use super::proxy::Proxy;
use super::proxy::connect::ProxyError;
use crate::{BoxError, ErrorKind, Stage};

use self::tls::of_tls;
pub(super) use self::tls::{of_proxys_tls, tls_error};

/// Why a request got no answer, or why an answer stopped.
///
/// Its [`Display`](fmt::Display) is one sentence about this call. The causes (hyper's, rustls',
/// the operating system's) are behind [`source`](StdError::source); which types they have is not
/// promised. Endpoints turn it into [`Error`](crate::Error) with the same kind and stage.
pub struct TransportError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    stage: Stage,
    message: Box<str>,
    source: Option<BoxError>,
}

impl TransportError {
    pub(super) fn new(kind: ErrorKind, stage: Stage, message: impl Into<Box<str>>) -> Self {
        Self(Box::new(Inner { kind, stage, message: message.into(), source: None }))
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    ///
    /// [`Connect`](ErrorKind::Connect), [`Tls`](ErrorKind::Tls), [`Proxy`](ErrorKind::Proxy),
    /// [`Transport`](ErrorKind::Transport), [`TooLarge`](ErrorKind::TooLarge),
    /// [`Protocol`](ErrorKind::Protocol), [`Truncated`](ErrorKind::Truncated) or
    /// [`Build`](ErrorKind::Build).
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How far the request had come.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("kind", &self.0.kind)
            .field("stage", &self.0.stage)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

/// Says what an error of this transport, or of any other that stands on hyper, means.
///
/// `None`: nothing in its causes is known here.
pub(crate) fn classify(err: &(dyn StdError + 'static)) -> Option<(ErrorKind, Stage)> {
    let mut connecting = false;
    let mut known = None;
    for cause in causes(err) {
        if let Some(own) = cause.downcast_ref::<TransportError>() {
            return Some((own.kind(), own.stage()));
        }
        if let Some(proxy) = cause.downcast_ref::<ProxyError>() {
            return Some((proxy.kind(), Stage::NotSent));
        }
        if cause.is::<rustls::Error>() || tls::is_alert(cause) {
            // In TLS 1.3 the server may refuse us after we have begun to send.
            let stage = if connecting { Stage::NotSent } else { Stage::Unknown };
            return Some((ErrorKind::Tls, stage));
        }
        if let Some(client) = cause.downcast_ref::<legacy::Error>() {
            connecting = client.is_connect();
            known = Some(of_client(client));
        } else if connecting {
            // Whatever else broke, no connection stood. Only a TLS cause is more precise.
        } else if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            known = Some(of_hyper(hyper));
            if hyper.is_user() {
                // Deeper causes are those of the caller's request body.
                return known;
            }
        } else if let Some(found) = of_http2(cause) {
            return Some(found);
        } else if let Some(found) = cause.downcast_ref().and_then(of_io) {
            // hyper tells of broken framing in a body by such an error alone.
            if known.is_none() || found.0 == ErrorKind::Protocol {
                known = Some(found);
            }
        }
    }
    known
}

fn of_client(err: &legacy::Error) -> (ErrorKind, Stage) {
    match err.source() {
        _ if err.is_connect() => (ErrorKind::Connect, Stage::NotSent),
        // hyper-util's own refusals (version, method, URI form) are its only errors without cause.
        None => (ErrorKind::Build, Stage::NotSent),
        Some(_) => (ErrorKind::Transport, Stage::Unknown),
    }
}

fn of_hyper(err: &hyper::Error) -> (ErrorKind, Stage) {
    if err.is_parse_too_large() {
        (ErrorKind::TooLarge, Stage::Sent)
    } else if err.is_parse() {
        (ErrorKind::Protocol, Stage::Sent)
    } else if err.is_canceled() {
        // The connection closed before it took the request out of its queue.
        (ErrorKind::Transport, Stage::NotSent)
    } else {
        (ErrorKind::Transport, Stage::Unknown)
    }
}

#[cfg(feature = "http2")]
fn of_http2(cause: &(dyn StdError + 'static)) -> Option<(ErrorKind, Stage)> {
    let err = cause.downcast_ref::<h2::Error>()?;
    match err.reason()? {
        // Promises that the server did nothing with the request (RFC 9113, 8.7).
        h2::Reason::REFUSED_STREAM => Some((ErrorKind::Transport, Stage::NotSent)),
        // Our side's verdict about what came in. A head above the limit is a PROTOCOL_ERROR.
        h2::Reason::PROTOCOL_ERROR
        | h2::Reason::FRAME_SIZE_ERROR
        | h2::Reason::COMPRESSION_ERROR
        | h2::Reason::FLOW_CONTROL_ERROR
            if err.is_library() =>
        {
            Some((ErrorKind::Protocol, Stage::Sent))
        }
        _ => None,
    }
}

#[cfg(not(feature = "http2"))]
fn of_http2(_: &(dyn StdError + 'static)) -> Option<(ErrorKind, Stage)> {
    None
}

fn of_io(err: &io::Error) -> Option<(ErrorKind, Stage)> {
    use io::ErrorKind as Io;
    match err.kind() {
        Io::ConnectionRefused => Some((ErrorKind::Connect, Stage::NotSent)),
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof => {
            Some((ErrorKind::Transport, Stage::Unknown))
        }
        Io::InvalidData | Io::InvalidInput => Some((ErrorKind::Protocol, Stage::Unknown)),
        _ => None,
    }
}

/// An error and its causes, those included that an `io::Error` carries: its own `source` skips
/// the error inside it, and rustls' errors arrive in that way.
pub(super) fn causes<'a>(
    err: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(err), |&err| {
        match err.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => err.source(),
        }
    })
}

/// Puts a failed call into words. The peer is the server, or the proxy that the request was handed
/// to.
pub(super) fn describe(
    err: legacy::Error,
    uri: &Uri,
    proxy: Option<&Proxy>,
    read_buffer: usize,
) -> TransportError {
    let host = proxy.map_or_else(|| super::host(uri), ToString::to_string);
    let (kind, stage) = classify(&err).unwrap_or((ErrorKind::Transport, Stage::Unknown));
    let own = causes(&err).find_map(|cause| {
        let timeout = cause.downcast_ref::<ConnectTimeout>().map(ToString::to_string);
        timeout.or_else(|| cause.downcast_ref::<ProxyError>().map(ToString::to_string))
    });
    let message = match kind {
        _ if own.is_some() => own.unwrap_or_default(),
        ErrorKind::Connect => format!("cannot connect to {host}"),
        ErrorKind::Tls => match tls_error(&err) {
            Some(tls) if proxy.is_some() => of_proxys_tls(&tls, &host),
            Some(tls) => of_tls(&tls, &host),
            None => format!("TLS with {host} failed"),
        },
        ErrorKind::TooLarge => format!(
            "the response head from {host} has more than {read_buffer} bytes or 100 fields: \
             a larger `read_buffer` of the transport lets more bytes in"
        ),
        ErrorKind::Protocol if causes(&err).any(|cause| of_http2(cause).is_some()) => format!(
            "what {host} answered breaks HTTP/2, or its head has more than {read_buffer} bytes: \
             a larger `read_buffer` of the transport lets more bytes in"
        ),
        ErrorKind::Protocol => format!("what {host} answered is not HTTP/1.1"),
        ErrorKind::Build => "the transport cannot send such a request".to_owned(),
        _ => format!("the connection to {host} broke before a response head came"),
    };
    TransportError::new(kind, stage, message).with_source(err)
}

/// Puts a broken response body into words.
pub(super) fn of_body(err: hyper::Error) -> TransportError {
    let (kind, _) = classify(&err).unwrap_or((ErrorKind::Transport, Stage::Streaming));
    let message = match kind {
        ErrorKind::Tls => "TLS failed while the response body was read",
        ErrorKind::Protocol => "the response body is not HTTP",
        _ => "the connection broke while the response body was read",
    };
    TransportError::new(kind, Stage::Streaming, message).with_source(err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioExecutor;

    fn io_with(inner: impl Into<BoxError>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, inner)
    }

    #[test]
    fn a_tls_cause_is_found_inside_io_errors() {
        let tls = rustls::Error::HandshakeNotComplete;
        let err = io::Error::other(io_with(tls));
        assert_eq!(classify(&err), Some((ErrorKind::Tls, Stage::Unknown)));
    }

    #[test]
    fn our_own_verdict_stands() {
        let own = TransportError::new(ErrorKind::TooLarge, Stage::Sent, "too large");
        assert_eq!(classify(&io_with(own)), Some((ErrorKind::TooLarge, Stage::Sent)));
    }

    #[test]
    fn io_errors_without_hyper() {
        let cases = [
            (io::ErrorKind::ConnectionRefused, Some((ErrorKind::Connect, Stage::NotSent))),
            (io::ErrorKind::ConnectionReset, Some((ErrorKind::Transport, Stage::Unknown))),
            (io::ErrorKind::NotFound, None),
        ];
        for (kind, expected) in cases {
            assert_eq!(classify(&io::Error::from(kind)), expected, "{kind:?}");
        }
        assert_eq!(classify(&fmt::Error), None);
    }

    /// What a caller's own hyper client yields is understood too.
    #[tokio::test]
    async fn a_foreign_hyper_client_is_understood() {
        let client =
            legacy::Client::builder(TokioExecutor::new()).build_http::<crate::RequestBody>();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", closed.local_addr().unwrap()).parse().unwrap();
        drop(closed);
        let err = client.get(uri).await.unwrap_err();
        let err: BoxError = Box::new(err);
        assert_eq!(classify(&*err), Some((ErrorKind::Connect, Stage::NotSent)));
    }

    struct Failing;

    impl http_body::Body for Failing {
        type Data = bytes::Bytes;
        type Error = io::Error;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, io::Error>>> {
            std::task::Poll::Ready(Some(Err(io::ErrorKind::ConnectionRefused.into())))
        }
    }

    /// A request body that fails is not taken for a fault of the network, whatever it failed of.
    #[tokio::test]
    async fn a_failing_request_body_is_not_a_connect_error() {
        use tokio::io::AsyncReadExt;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
        });
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        let body = crate::RequestBody::replayable(None, || Failing);
        let err = client.request(http::Request::post(uri).body(body).unwrap()).await.unwrap_err();
        assert_eq!(classify(&err), Some((ErrorKind::Transport, Stage::Unknown)));
    }
}
