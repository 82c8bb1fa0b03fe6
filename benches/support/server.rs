//! A server that sends bytes rendered beforehand.
//!
//! HTTP/1.1 is written by hand: hyper would join body frames into writes of its own sizes, and how
//! the bytes are cut is what is measured. The first segment of the path chooses the [`Answer`].

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{process, unary, workload};

/// Paced streams: the time between two events, and from the head to the first of them.
pub const PACE: Duration = Duration::from_millis(10);
const BEFORE_PACED: Duration = Duration::from_millis(400);

/// How many streams the starts of paced ones are spread over, so that events do not come at once.
pub const PACED_STREAMS: u32 = 200;

/// Bytes of base64 in an image event, and how many events there are.
const IMAGE: usize = 1 << 20;
pub const IMAGES: usize = 8;

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// One HTTP chunk per event.
    EventChunks,
    /// HTTP chunks of this many KiB.
    Blocks16,
    Blocks64,
    /// Image events, in HTTP chunks of 16 KiB.
    Images,
    /// One event each [`PACE`].
    Paced,
    /// Six events, then nothing and no end.
    Idle,
    /// A thousand events as fast as they can be had, then nothing and no end.
    Burst,
    /// 5 MB as fast as they can be had.
    Flood,
}

impl Answer {
    const ALL: [Self; 8] = [
        Self::EventChunks,
        Self::Blocks16,
        Self::Blocks64,
        Self::Images,
        Self::Paced,
        Self::Idle,
        Self::Burst,
        Self::Flood,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Self::EventChunks => "/event-chunks",
            Self::Blocks16 => "/blocks-16",
            Self::Blocks64 => "/blocks-64",
            Self::Images => "/images",
            Self::Paced => "/paced",
            Self::Idle => "/idle",
            Self::Burst => "/burst",
            Self::Flood => "/flood",
        }
    }

    pub fn deltas(self) -> usize {
        match self {
            Self::EventChunks | Self::Blocks16 | Self::Blocks64 => workload::DELTAS,
            Self::Images => 0,
            Self::Paced => 120,
            Self::Idle => 2,
            Self::Burst => 996,
            Self::Flood => 20_000,
        }
    }

    /// The events, as on the wire.
    pub fn events(self) -> Vec<String> {
        let mut events = workload::answer_of(self.deltas());
        match self {
            Self::Images => {
                let images = std::iter::repeat_n(workload::image(IMAGE), IMAGES);
                drop(events.splice(4..4, images));
            }
            Self::Idle | Self::Burst => events.truncate(4 + self.deltas()),
            _ => {}
        }
        events
    }

    /// The events as messages of a WebSocket, each in a frame; in writes as the others.
    fn frames(self) -> Vec<u8> {
        let events = self.events();
        let json = events.iter().filter_map(|event| event.split_once("data: "));
        json.flat_map(|(_, json)| frame(json.trim_end().as_bytes())).collect()
    }

    fn ends(self) -> bool {
        !matches!(self, Self::Idle | Self::Burst)
    }

    /// The body, cut into writes: of 64 KiB, so that the server is not the slower of the two.
    fn writes(self) -> Vec<Bytes> {
        let events = self.events();
        let stream = events.concat();
        let blocks = |size: usize| stream.as_bytes().chunks(size).map(http_chunk).collect();
        let chunks: Vec<Bytes> = match self {
            Self::Blocks16 | Self::Images => blocks(16 << 10),
            Self::Blocks64 => blocks(64 << 10),
            _ => events.iter().map(|event| http_chunk(event.as_bytes())).collect(),
        };
        let mut writes = match self {
            Self::Paced => chunks,
            _ => chunks.concat().chunks(64 << 10).map(Bytes::copy_from_slice).collect(),
        };
        if self.ends() {
            if let Some(last) = writes.last_mut() {
                *last = [last, &b"0\r\n\r\n"[..]].concat().into();
            }
        }
        writes
    }
}

fn http_chunk(data: &[u8]) -> Bytes {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat().into()
}

/// A text frame as a server writes it.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..65536 => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(text);
    frame
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    date: Sat, 09 Mar 2025 00:00:00 GMT\r\n\
    content-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\n\
    connection: keep-alive\r\n\
    server: bench\r\n\
    openai-version: 2020-10-01\r\n\
    openai-organization: user-r6cqf5yvhjqnu8v1\r\n\
    openai-processing-ms: 87\r\n\
    x-request-id: req_99bd5df1bd4d4ae5adf8d5d9e0f8a0e5\r\n\
    strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n\
    cf-cache-status: DYNAMIC\r\n\
    cf-ray: 8c7f1a2b3c4d5e6f-FRA\r\n\
    x-content-type-options: nosniff\r\n\r\n";

/// With the argument `--server`, the server: it prints its port, runs until its standard input ends
/// and does not return.
pub fn run_if_asked() {
    if !std::env::args().any(|arg| arg == "--server") {
        return;
    }
    process::pin(0);
    process::allow_files(1024);
    std::thread::spawn(|| {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(serve());
}

async fn serve() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    let answers: [Vec<Bytes>; Answer::ALL.len()] = Answer::ALL.map(Answer::writes);
    let answers: &'static _ = Box::leak(Box::new(answers));
    for connection in 0.. {
        let (socket, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            // The client going away is how most connections end.
            drop(answer_all(socket, answers, connection).await);
        });
    }
}

/// Answers the requests of one connection, the number `connection`.
async fn answer_all(
    mut socket: TcpStream,
    answers: &[Vec<Bytes>; Answer::ALL.len()],
    connection: u32,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    while let Some((path, key)) = read_request(&mut socket, &mut buffer).await? {
        if let Some(key) = key {
            return answer_messages(socket, &key).await;
        }
        if path == "/connections" {
            // This one does not count.
            let body = connection.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            socket.write_all((head + &body).as_bytes()).await?;
            continue;
        }
        if path.ends_with(unary::PATH) {
            // The head of a stream, but for how the body is sent.
            let head = String::from_utf8_lossy(HEAD)
                .replace("text/event-stream; charset=utf-8", "application/json");
            let length = format!("content-length: {}", unary::ANSWER.len());
            let head = head.replace("transfer-encoding: chunked", &length);
            socket.write_all((head + unary::ANSWER).as_bytes()).await?;
            continue;
        }
        let found =
            Answer::ALL.iter().zip(answers).find(|(answer, _)| path.starts_with(answer.path()));
        let (answer, writes) = found.expect("a path that is known");
        if *answer != Answer::Paced {
            let mut rest = writes.iter();
            let first = rest.next().map(|first| [HEAD, first].concat()).unwrap_or_default();
            socket.write_all(&first).await?;
            for write in rest {
                socket.write_all(write).await?;
            }
            continue;
        }
        socket.write_all(HEAD).await?;
        let spread = PACE * (connection % PACED_STREAMS) / PACED_STREAMS;
        let mut ticks = interval_at(Instant::now() + BEFORE_PACED + spread, PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for write in writes {
            ticks.tick().await;
            socket.write_all(write).await?;
        }
    }
    Ok(())
}

/// Opens a WebSocket, and answers each message with one event to a frame.
async fn answer_messages(mut socket: TcpStream, key: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    socket.write_all(head.as_bytes()).await?;
    let frames = Answer::EventChunks.frames();
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            for write in frames.chunks(64 << 10) {
                socket.get_mut().write_all(write).await?;
            }
        }
    }
    Ok(())
}

/// The path of the next request, whose body is read too, and its key if it opens a WebSocket;
/// `None` at the end.
async fn read_request(
    socket: &mut TcpStream,
    buffer: &mut BytesMut,
) -> std::io::Result<Option<(String, Option<String>)>> {
    loop {
        if let Some(head) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head_text = String::from_utf8_lossy(&buffer[..head]).into_owned();
            let key = head_text.lines().filter_map(|line| line.split_once(": ")).find_map(
                |(name, key)| {
                    name.eq_ignore_ascii_case("sec-websocket-key").then(|| key.to_owned())
                },
            );
            let text = head_text.to_ascii_lowercase();
            let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
            if buffer.len() >= head + 4 + length {
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                drop(buffer.split_to(head + 4 + length));
                return Ok(Some((path, key)));
            }
        }
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}
