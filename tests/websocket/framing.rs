//! Row 65: whatever frames a message comes in, it is that message; what is no frame ends the socket.

use quickcheck::{Arbitrary, Gen, quickcheck};
use tokio::io::AsyncWriteExt;
use tower_openai::ErrorKind;
use tower_openai::ws::{Message, WebSocketConfig};

use super::support::{
    BINARY, CLOSE, PING, PONG, Peer, TEXT, assert_kind, close, driven, failure, frame, in_time,
};

/// A message, where it is cut into frames, and the pings between them.
#[derive(Clone, Debug)]
struct Sent {
    message: Message,
    cuts: Vec<usize>,
    pings: Vec<Option<u8>>,
}

impl Arbitrary for Sent {
    fn arbitrary(g: &mut Gen) -> Self {
        let message = if bool::arbitrary(g) {
            // Characters of one to four bytes, so that cuts fall into them.
            Message::from(String::arbitrary(g).repeat(usize::arbitrary(g) % 40))
        } else {
            Message::from(Vec::arbitrary(g))
        };
        Self { message, cuts: Vec::arbitrary(g), pings: Vec::arbitrary(g) }
    }
}

impl Sent {
    /// The frames, and the pings among them.
    fn frames(&self) -> (Vec<u8>, Vec<u8>) {
        let payload = self.message.as_bytes();
        let mut cuts: Vec<_> = self.cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(payload.len());
        let (mut frames, mut pings, mut start) = (Vec::new(), Vec::new(), 0);
        let opcode = if self.message.as_text().is_some() { TEXT } else { BINARY } & 0x0f;
        for (number, cut) in cuts.iter().enumerate() {
            let last = if number + 1 == cuts.len() { 0x80 } else { 0 };
            let first = last | if number == 0 { opcode } else { 0 };
            frames.extend(frame(first, &payload[start..*cut]));
            start = *cut;
            if let Some(ping) = self.pings.get(number).copied().flatten() {
                frames.extend(frame(PING, &[ping]));
                pings.push(ping);
            }
        }
        (frames, pings)
    }
}

quickcheck! {
    fn messages_survive_any_framing_and_any_chunks(sent: Vec<Sent>, chunk: u8, pipe: u16) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(in_time(survive(sent, usize::from(chunk) + 1, usize::from(pipe) + 1)))
    }
}

async fn survive(sent: Vec<Sent>, chunk: usize, pipe: usize) -> bool {
    let (mut socket, driving, Peer(theirs)) = driven(&WebSocketConfig::default(), pipe);
    let (read, mut write) = tokio::io::split(theirs);
    let (frames, pings): (Vec<_>, Vec<_>) = sent.iter().map(Sent::frames).unzip();
    let pings = pings.concat();
    let writing = tokio::spawn(async move {
        for chunk in frames.concat().chunks(chunk) {
            write.write_all(chunk).await.unwrap();
        }
        write.write_all(&frame(CLOSE, &close(1000, "done"))).await.unwrap();
        write
    });
    let answers = tokio::spawn(async move {
        let mut peer = Peer(tokio::io::join(read, tokio::io::sink()));
        let mut pongs = Vec::new();
        while let Some((first, payload)) = peer.receive().await {
            match first {
                PONG => pongs.extend(payload),
                CLOSE => break,
                other => panic!("the client sent {other:#x}"),
            }
        }
        pongs
    });
    for sent in sent {
        assert_eq!(socket.next().await.unwrap().unwrap(), sent.message);
    }
    assert!(socket.next().await.is_none());
    drop(writing.await.unwrap());
    driving.await.unwrap().unwrap();
    // An answer to a later ping is one to those before it.
    let pongs = answers.await.unwrap();
    let mut asked = pings.iter();
    assert!(pongs.iter().all(|pong| asked.any(|ping| ping == pong)), "{pongs:?} of {pings:?}");
    pongs.last() == pings.last()
}

/// Bytes that break the protocol, and the code that the server is told.
fn violations() -> Vec<(String, Vec<u8>, u16)> {
    let mut all = Vec::new();
    for (name, bit) in [("first", 0x40), ("second", 0x20), ("third", 0x10)] {
        for opcode in [TEXT, BINARY, PING, CLOSE] {
            all.push((format!("{name} reserved bit, {opcode:#x}"), frame(opcode | bit, b""), 1002));
        }
    }
    for opcode in (3..=7).chain(11..=15) {
        all.push((format!("opcode {opcode}"), frame(0x80 | opcode, b""), 1002));
    }
    let mut add = |name: &str, bytes: Vec<u8>, code| all.push((name.to_owned(), bytes, code));
    add("fragmented ping", frame(PING & 0x0f, b""), 1002);
    add("long ping", frame(PING, &[0; 126]), 1002);
    add("continuation of nothing", frame(0x80, b"x"), 1002);
    add("text in a text", [frame(0x01, b"a"), frame(TEXT, b"b")].concat(), 1002);
    add("masked", [vec![TEXT, 0x81, 1, 2, 3, 4], vec![0]].concat(), 1002);
    add("bad text", frame(TEXT, b"\xff"), 1007);
    add("surrogate in a text", frame(TEXT, b"\xed\xa0\x80"), 1007);
    add("text cut in a character", frame(TEXT, b"\xe2\x82"), 1007);
    add("fragment of bad text", frame(0x01, b"ab\xff"), 1007);
    add("bad across fragments", [frame(0x01, b"\xe2\x82"), frame(0x80, b"a")].concat(), 1007);
    add("end in a character", [frame(0x01, b"a"), frame(0x80, b"\xe2\x82")].concat(), 1007);
    add("close of one byte", frame(CLOSE, b"\x03"), 1002);
    add("close with a bad reason", frame(CLOSE, b"\x03\xe8\xff"), 1007);
    all
}

#[tokio::test(start_paused = true)]
async fn row_65_what_breaks_the_protocol_ends_the_socket_with_a_code() {
    for (name, bytes, code) in violations() {
        let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
        peer.send(TEXT, b"before").await;
        peer.0.write_all(&bytes).await.unwrap();
        assert_eq!(
            in_time(socket.next()).await.unwrap().unwrap(),
            Message::from("before"),
            "{name}"
        );
        let error = failure(&mut socket).await;
        assert_eq!(error.kind(), ErrorKind::Protocol, "{name}: {error}");
        assert!(!error.is_retryable(), "{name}");
        let told = in_time(peer.receive()).await;
        assert_eq!(told, Some((CLOSE, close(code, ""))), "{name}");
        assert_eq!(in_time(peer.receive()).await, None, "{name}");
        let end = in_time(driving).await.unwrap().unwrap_err();
        assert_eq!(end.kind(), ErrorKind::Protocol, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_65_close_codes_are_told_and_answered() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4000, 4999]
    {
        let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
        peer.send(CLOSE, &close(code, "why")).await;
        match in_time(socket.next()).await {
            None => assert!(matches!(code, 1000 | 1001), "{code}"),
            Some(end) => {
                let error = end.unwrap_err();
                assert_eq!(error.close_code().map(u16::from), Some(code));
                assert_eq!(error.close_reason(), Some("why"));
            }
        }
        assert_eq!(in_time(peer.receive()).await, Some((CLOSE, close(code, "why"))));
        drop(peer);
        assert_eq!(in_time(driving).await.unwrap().is_ok(), matches!(code, 1000 | 1001), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_65_codes_that_must_not_be_sent_are_a_violation() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
        let (mut socket, _driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
        peer.send(CLOSE, &close(code, "")).await;
        assert_kind(&failure(&mut socket).await, ErrorKind::Protocol, Some(1002));
        let (first, told) = in_time(peer.receive()).await.unwrap();
        assert_eq!((first, &told[..2]), (CLOSE, &1002_u16.to_be_bytes()[..]), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_code_is_an_end_in_order() {
    let (mut socket, driving, mut peer) = driven(&WebSocketConfig::default(), 1024);
    peer.send(CLOSE, b"").await;
    assert!(in_time(socket.next()).await.is_none());
    assert_eq!(in_time(peer.receive()).await, Some((CLOSE, Vec::new())));
    drop(peer);
    in_time(driving).await.unwrap().unwrap();
    let error = in_time(socket.send("late")).await.unwrap_err();
    assert_kind(&error, ErrorKind::Closed, Some(1005));
}
