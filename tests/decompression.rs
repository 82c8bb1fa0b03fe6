//! Compressed event streams: nothing is held back, nothing broken passes for whole.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_openai::transport::TransportError;
use tower_openai::transport::decompression::{DecompressionBody, DecompressionLayer};
use tower_openai::{BoxError, ErrorKind, RequestBody, Stage};

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

type Chunk = Result<Bytes, BoxError>;

/// A body that yields what is sent to it.
struct Fed(mpsc::UnboundedReceiver<Chunk>);

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// Events compressed with a flush after each, and the end mark.
struct Compressed {
    chunks: Vec<Bytes>,
    end: Bytes,
}

impl Compressed {
    async fn new(encoding: &str, events: &[String]) -> Self {
        match encoding {
            "gzip" => Self::with(GzipEncoder::new(Vec::new()), |it| it.get_mut(), events).await,
            "br" => Self::with(BrotliEncoder::new(Vec::new()), |it| it.get_mut(), events).await,
            "zstd" => Self::with(ZstdEncoder::new(Vec::new()), |it| it.get_mut(), events).await,
            other => panic!("{other}"),
        }
    }

    async fn with<E: AsyncWrite + Unpin>(
        mut encoder: E,
        written: fn(&mut E) -> &mut Vec<u8>,
        events: &[String],
    ) -> Self {
        let mut chunks = Vec::new();
        for event in events {
            encoder.write_all(event.as_bytes()).await.unwrap();
            encoder.flush().await.unwrap();
            chunks.push(std::mem::take(written(&mut encoder)).into());
        }
        encoder.shutdown().await.unwrap();
        Self { chunks, end: std::mem::take(written(&mut encoder)).into() }
    }

    fn whole(&self) -> Bytes {
        let mut whole = self.chunks.concat();
        whole.extend_from_slice(&self.end);
        whole.into()
    }
}

fn events() -> Vec<String> {
    let long = "lorem ipsum dolor sit amet ".repeat(1000);
    ["one", "two", &long, "four"]
        .iter()
        .enumerate()
        .map(|(k, text)| format!("event: delta\ndata: {{\"n\":{k},\"text\":\"{text}\"}}\n\n"))
        .collect()
}

/// A response of `encoding` through the layer, and what feeds its body.
async fn open(
    encoding: &'static str,
) -> (mpsc::UnboundedSender<Chunk>, Response<DecompressionBody<Fed>>) {
    let (feed, fed) = mpsc::unbounded_channel();
    let mut fed = Some(fed);
    let http = ServiceBuilder::new().layer(DecompressionLayer::new()).service(service_fn(
        move |_: Request<RequestBody>| {
            let body = Fed(fed.take().unwrap());
            let response = Response::builder().header("content-encoding", encoding).body(body);
            async { Ok::<_, Infallible>(response.unwrap()) }
        },
    ));
    let response = http.oneshot(Request::new(RequestBody::empty())).await.unwrap();
    (feed, response)
}

async fn collect(body: DecompressionBody<Fed>) -> Result<Bytes, BoxError> {
    Ok(body.collect().await?.to_bytes())
}

/// On a paused clock this fails at once when nothing more can happen.
async fn read(body: &mut DecompressionBody<Fed>, len: usize) -> String {
    let mut text = Vec::new();
    while text.len() < len {
        let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await;
        let frame = frame.expect("held back").expect("ended").unwrap();
        text.extend_from_slice(&frame.into_data().unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_event_comes_out_before_the_next_is_sent() {
    for encoding in ENCODINGS {
        let events = events();
        let compressed = Compressed::new(encoding, &events).await;
        let (feed, response) = open(encoding).await;
        let mut body = response.into_body();
        for (event, chunk) in events.iter().zip(&compressed.chunks) {
            feed.send(Ok(chunk.clone())).unwrap();
            assert!(read(&mut body, event.len()).await == *event, "{encoding}");
            let more = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
            assert!(more.is_pending(), "{encoding}");
        }
        feed.send(Ok(compressed.end)).unwrap();
        drop(feed);
        assert!(body.frame().await.is_none(), "{encoding}");
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_does_when_its_bytes_come_one_by_one() {
    for encoding in ENCODINGS {
        let events = events();
        let compressed = Compressed::new(encoding, &events).await;
        let (feed, response) = open(encoding).await;
        let mut body = response.into_body();
        for (event, chunk) in events.iter().zip(&compressed.chunks) {
            for byte in chunk {
                feed.send(Ok(vec![*byte].into())).unwrap();
                tokio::task::yield_now().await;
            }
            assert!(read(&mut body, event.len()).await == *event, "{encoding}");
        }
    }
}

#[tokio::test]
async fn a_cut_stream_is_never_a_clean_end() {
    for encoding in ENCODINGS {
        let whole = Compressed::new(encoding, &events()).await.whole();
        for cut in 1..whole.len() {
            let (feed, response) = open(encoding).await;
            feed.send(Ok(whole.slice(..cut))).unwrap();
            drop(feed);
            let err = collect(response.into_body()).await.expect_err(encoding);
            let err = err.downcast::<TransportError>().unwrap();
            let found = (err.kind(), err.stage());
            assert_eq!(found, (ErrorKind::Truncated, Stage::Streaming), "{encoding} {cut} {err:?}");
        }
        let (feed, response) = open(encoding).await;
        feed.send(Ok(whole)).unwrap();
        drop(feed);
        assert_eq!(collect(response.into_body()).await.unwrap(), events().concat());
    }
}

/// gzip calls them members, zstd frames. A server that flushes by closing its encoder sends them.
#[tokio::test]
async fn streams_behind_one_another_are_read_or_refused_and_never_lost() {
    for encoding in ["gzip", "zstd"] {
        let mut members = Vec::new();
        for event in events() {
            members.push(Compressed::new(encoding, &[event]).await.whole());
        }
        let whole = Bytes::from(members.concat());
        for split in 0..=whole.len() {
            let (feed, response) = open(encoding).await;
            feed.send(Ok(whole.slice(..split))).unwrap();
            feed.send(Ok(whole.slice(split..))).unwrap();
            drop(feed);
            let body = collect(response.into_body()).await;
            if encoding == "zstd" {
                assert!(body.unwrap() == events().concat(), "{encoding} {split}");
            } else {
                let err = body.expect_err("more than one member").downcast::<TransportError>();
                assert_eq!(err.unwrap().kind(), ErrorKind::Protocol, "{encoding} {split}");
            }
        }
    }
}

/// All of them end in a chunk of their own, and behind nothing.
#[tokio::test]
async fn the_end_of_one_member_is_found_wherever_it_is_cut() {
    for events in [events(), vec![]] {
        let whole = Compressed::new("gzip", &events).await.whole();
        for split in 0..=whole.len() {
            let (feed, response) = open("gzip").await;
            feed.send(Ok(whole.slice(..split))).unwrap();
            feed.send(Ok(whole.slice(split..))).unwrap();
            drop(feed);
            let body = collect(response.into_body()).await.unwrap();
            assert!(body == events.concat(), "{split}");
        }
    }
}

#[tokio::test]
async fn corrupt_data_is_a_protocol_error() {
    for encoding in ENCODINGS {
        let compressed = Compressed::new(encoding, &events()).await;
        let garbage = Bytes::from_static(b"<html>502 Bad Gateway</html>");
        let broken = [
            vec![garbage.clone()],
            vec![compressed.chunks[0].clone(), garbage.clone(), garbage.clone()],
            vec![compressed.whole(), garbage],
        ];
        for (case, chunks) in broken.into_iter().enumerate() {
            let (feed, response) = open(encoding).await;
            for chunk in chunks {
                feed.send(Ok(chunk)).unwrap();
            }
            drop(feed);
            let err = collect(response.into_body()).await.expect_err(encoding);
            let err = err.downcast::<TransportError>().unwrap();
            assert_eq!(err.kind(), ErrorKind::Protocol, "{encoding} {case} {err:?}");
            assert_eq!(err.stage(), Stage::Streaming);
        }
    }
}

#[tokio::test]
async fn errors_from_below_stay_what_they_are() {
    for encoding in ENCODINGS.into_iter().chain(["identity"]) {
        let compressed = Compressed::new("gzip", &events()).await;
        let (feed, response) = open(encoding).await;
        if encoding == "gzip" {
            feed.send(Ok(compressed.chunks[0].clone())).unwrap();
        }
        feed.send(Err(std::io::Error::other("from below").into())).unwrap();
        let err = collect(response.into_body()).await.expect_err(encoding);
        assert_eq!(err.downcast::<std::io::Error>().unwrap().to_string(), "from below");
    }
}

#[tokio::test]
async fn a_bomb_comes_out_in_small_frames() {
    let zeros = ["0".repeat(8 * 1024 * 1024)];
    for encoding in ENCODINGS {
        let whole = Compressed::new(encoding, &zeros).await.whole();
        let (feed, response) = open(encoding).await;
        feed.send(Ok(whole)).unwrap();
        drop(feed);
        let mut body = response.into_body();
        let mut len = 0;
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= 4096, "{encoding}: {}", data.len());
            len += data.len();
        }
        assert_eq!(len, zeros[0].len());
    }
}

#[tokio::test]
async fn the_request_asks_for_what_can_be_decoded() {
    for (own, sent) in [(None, "zstd,gzip,br"), (Some("identity"), "identity")] {
        let http = ServiceBuilder::new().layer(DecompressionLayer::new()).service(service_fn(
            move |request: Request<RequestBody>| async move {
                assert_eq!(request.headers()["accept-encoding"], sent);
                let body = RequestBody::from("plain");
                Ok::<_, Infallible>(Response::builder().body(body).unwrap())
            },
        ));
        let mut request = Request::new(RequestBody::empty());
        if let Some(own) = own {
            request.headers_mut().insert("accept-encoding", own.parse().unwrap());
        }
        let body = http.oneshot(request).await.unwrap().into_body();
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "plain");
    }
}

#[tokio::test]
async fn the_encoding_is_gone_from_the_head() {
    let (_feed, response) = open("gzip").await;
    assert!(!response.headers().contains_key("content-encoding"));
    let (_feed, response) = open("unheard-of").await;
    assert_eq!(response.headers()["content-encoding"], "unheard-of");
}
