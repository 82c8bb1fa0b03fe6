//! Servers that answer before they have the whole file, which they then do not read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_openai::services::{CreateFileRequest, UploadSource};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, Client, Error, ErrorKind, RequestBody};

const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno";

/// How a server leaves a client that it has refused.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// It reads no more and keeps the connection.
    Waits,
    /// It says that it is done, and lets come what is under way.
    Closes,
    /// Of HTTP/2: it wants no more of this request.
    Resets,
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn refuse1(mut socket: TcpStream, then: Then) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    socket.write_all(REFUSAL).await.unwrap();
    if then == Then::Closes {
        socket.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    } else {
        std::future::pending().await
    }
}

async fn refuse2(mut socket: TcpStream, then: Then) {
    // The client's preface, and the beginning of its request.
    let mut first = vec![0; 1024];
    let mut read = 0;
    while read < first.len() {
        read += socket.read(&mut first[read..]).await.unwrap();
    }
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let head = [0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        [&head[..], payload].concat()
    };
    let mut answer = [
        frame(4, 0, 0, &[]),     // SETTINGS
        frame(4, 1, 0, &[]),     // and that the client's have come
        frame(1, 4, 1, &[0x8c]), // HEADERS: status 400
        frame(0, 1, 1, b"no"),   // DATA, the last
    ];
    if then == Then::Resets {
        answer[3].extend(frame(3, 0, 1, &[0; 4])); // RST_STREAM: NO_ERROR
    }
    socket.write_all(&answer.concat()).await.unwrap();
    std::future::pending().await
}

/// The error of a file of 32 MiB, and how often it was sent.
async fn refused(http2: bool, then: Then) -> (Error, u32) {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if http2 {
                tokio::spawn(refuse2(socket, then));
            } else {
                tokio::spawn(refuse1(socket, then));
            }
        }
    });
    let transport = HyperTransport::builder();
    let transport = if http2 { transport.http2_only() } else { transport.http1_only() };
    let client = Client::builder().base_url(format!("http://{address}/v1"));
    let client = client.transport(transport.build().unwrap()).build().unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let note = Arc::clone(&attempts);
    // In pieces, so that there is always one to come.
    let pieces = || {
        let piece = || Ok::<_, BoxError>(Frame::data(Bytes::from(vec![0; 64 << 10])));
        StreamBody::new(futures_util::stream::iter((0..512).map(move |_| piece())))
    };
    let source = RequestBody::replayable(Some(32 << 20), pieces);
    let source = UploadSource::from_body("a", source).unwrap();
    let request = CreateFileRequest::new(source, "batch")
        .on_progress(move |told| note.store(told.attempt, Ordering::Relaxed));
    let call = client.create_file().send(request);
    let error = tokio::time::timeout(Duration::from_secs(30), call).await;
    (error.expect("it does not hang").unwrap_err(), attempts.load(Ordering::Relaxed))
}

#[tokio::test]
async fn row_35_an_answer_before_the_end_of_the_file_is_the_answer() {
    for (http2, then) in
        [(false, Then::Waits), (false, Then::Closes), (true, Then::Waits), (true, Then::Resets)]
    {
        let (error, attempts) = refused(http2, then).await;
        assert_eq!(
            (error.kind(), attempts),
            (ErrorKind::InvalidRequest, 1),
            "{http2} {then:?} {error:?}"
        );
        assert_eq!(error.body(), "no", "{http2} {then:?}");
    }
}
