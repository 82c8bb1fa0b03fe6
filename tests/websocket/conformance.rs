//! Row 65, as the Autobahn suite has it: what a server sends, whole and octet by octet, and what a
//! client that sends back every message says to it. The numbers are those of its groups of cases.

use tokio::io::{AsyncWriteExt, split};
use tower_openai::ws::WebSocketConfig;

use super::support::{BINARY, CLOSE, FINAL, PING, PONG, Peer, TEXT, close, driven, frame, in_time};

/// The first frame of a message that has more.
const TEXT_PART: u8 = TEXT & !FINAL;
const BINARY_PART: u8 = BINARY & !FINAL;
/// A frame in the middle of a message, and its last one.
const PART: u8 = 0;
const LAST: u8 = FINAL;

type Frame = (u8, Vec<u8>);

/// What is sent, and what is to come back.
struct Case {
    name: String,
    sent: Vec<u8>,
    said: Vec<Frame>,
}

impl Case {
    fn new(name: impl Into<String>, sent: &[(u8, &[u8])], said: &[(u8, &[u8])]) -> Self {
        let sent = sent.iter().flat_map(|(first, payload)| frame(*first, payload)).collect();
        let said = said.iter().map(|(first, payload)| (*first, payload.to_vec())).collect();
        Self { name: name.into(), sent, said }
    }

    /// The client is to fail the connection with this code.
    fn refused(name: impl Into<String>, sent: &[(u8, &[u8])], code: u16) -> Self {
        Self::new(name, sent, &[(CLOSE, &code.to_be_bytes())])
    }

    async fn check(&self) {
        for chunk in [usize::MAX, 1000, 1] {
            in_time(self.check_in_chunks(chunk)).await;
        }
    }

    async fn check_in_chunks(&self, chunk: usize) {
        let name = format!("{} in chunks of {chunk}", self.name);
        let (mut socket, driving, Peer(theirs)) = driven(&WebSocketConfig::default(), 100_000);
        let echo = tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                let _ = socket.send(message).await;
            }
        });
        let (read, mut write) = split(theirs);
        let (sent, closes) = (self.sent.clone(), self.closes());
        let mut peer = Peer(tokio::io::join(read, tokio::io::sink()));
        let writing = tokio::spawn(async move {
            for chunk in sent.chunks(chunk) {
                // The client may have had enough.
                let _ = write.write_all(chunk).await;
            }
            write
        });
        for said in &self.said {
            let heard = peer.receive().await.unwrap_or_else(|| panic!("{name}: it has gone"));
            assert!(heard == *said, "{name}: {} is not {}", shown(&heard), shown(said));
        }
        let mut write = writing.await.unwrap();
        if !closes {
            write.write_all(&frame(CLOSE, &close(1000, "done"))).await.unwrap();
            assert_eq!(peer.receive().await, Some((CLOSE, close(1000, "done"))), "{name}");
        }
        let _ = write.shutdown().await;
        assert_eq!(peer.receive().await, None, "{name}");
        echo.await.unwrap();
        let _ = driving.await.unwrap();
    }

    /// Whether the connection is at its end then.
    fn closes(&self) -> bool {
        self.said.last().is_some_and(|(first, _)| *first == CLOSE)
    }
}

fn shown((first, payload): &Frame) -> String {
    format!("{first:#x} {} {:x?}", payload.len(), &payload[..payload.len().min(20)])
}

async fn check(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        case.check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn group_1_messages_of_every_form_of_length_come_back() {
    for len in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let text = vec![b'*'; len];
        let bytes = vec![0xfe; len];
        check([
            Case::new(format!("text of {len}"), &[(TEXT, &text)], &[(TEXT, &text)]),
            Case::new(format!("bytes of {len}"), &[(BINARY, &bytes)], &[(BINARY, &bytes)]),
        ])
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn group_2_pings_are_answered_in_order_and_pongs_are_not() {
    let full = [0xfe; 125];
    let ten: Vec<_> = (0..10).map(|number| format!("payload-{number}").into_bytes()).collect();
    let pings: Vec<_> = ten.iter().map(|payload| (PING, &payload[..])).collect();
    let pongs: Vec<_> = ten.iter().map(|payload| (PONG, &payload[..])).collect();
    check([
        Case::new("empty ping", &[(PING, b"")], &[(PONG, b"")]),
        Case::new("ping with a text", &[(PING, b"hello")], &[(PONG, b"hello")]),
        Case::new("ping with bytes", &[(PING, b"\0\xff\xfe")], &[(PONG, b"\0\xff\xfe")]),
        Case::new("ping of 125 bytes", &[(PING, &full)], &[(PONG, &full)]),
        Case::refused("ping of 126 bytes", &[(PING, &[0xfe; 126])], 1002),
        Case::new("pong that nobody asked for", &[(PONG, b"")], &[]),
        Case::new("such a pong with a payload", &[(PONG, b"unsolicited")], &[]),
        Case::new("such a pong, and a ping", &[(PONG, b"no"), (PING, b"yes")], &[(PONG, b"yes")]),
        Case::new("ten pings", &pings, &pongs),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn group_3_reserved_bits_are_refused() {
    let each = (1..8).flat_map(|bits| {
        [TEXT, BINARY, TEXT_PART, PING, PONG, CLOSE].map(|first| {
            let first = first | (bits << 4);
            Case::refused(format!("{first:#x}"), &[(first, b"Hello")], 1002)
        })
    });
    check(each).await;
}

#[tokio::test(start_paused = true)]
async fn group_4_reserved_opcodes_are_refused() {
    let each = (3..=7).chain(0xb..=0xf).flat_map(|opcode| {
        [&b""[..], b"reserved"].map(|payload| {
            let name = format!("opcode {opcode:#x} with {} bytes", payload.len());
            Case::refused(name, &[(FINAL | opcode, payload)], 1002)
        })
    });
    check(each).await;
}

#[tokio::test(start_paused = true)]
async fn group_5_frames_make_messages_and_control_frames_may_come_between() {
    let whole: &[(u8, &[u8])] = &[(TEXT, b"onetwothree")];
    let between: &[(u8, &[u8])] = &[(PONG, b"a"), (PONG, b"b"), (TEXT, b"onetwothree")];
    check([
        Case::refused("ping in fragments", &[(PING & !FINAL, b"one"), (LAST, b"two")], 1002),
        Case::refused("pong in fragments", &[(PONG & !FINAL, b"one"), (LAST, b"two")], 1002),
        Case::refused("close in fragments", &[(CLOSE & !FINAL, b""), (LAST, b"")], 1002),
        Case::new("text", &[(TEXT_PART, b"one"), (PART, b"two"), (LAST, b"three")], whole),
        Case::new("bytes", &[(BINARY_PART, b"\xff"), (LAST, b"\xfe")], &[(BINARY, b"\xff\xfe")]),
        Case::new(
            "text with pings between",
            &[
                (TEXT_PART, b"one"),
                (PING, b"a"),
                (PART, b"two"),
                (PONG, b"nobody asked"),
                (PING, b"b"),
                (LAST, b"three"),
            ],
            between,
        ),
        Case::new(
            "nothing in three",
            &[(TEXT_PART, b""), (PART, b""), (LAST, b"")],
            &[(TEXT, b"")],
        ),
        Case::new(
            "something in the middle",
            &[(TEXT_PART, b""), (PART, b"x"), (LAST, b"")],
            &[(TEXT, b"x")],
        ),
        Case::refused("end of nothing", &[(LAST, b"one"), (TEXT, b"two")], 1002),
        Case::refused("middle of nothing", &[(PART, b"one"), (TEXT, b"two")], 1002),
        Case::refused("text within a text", &[(TEXT_PART, b"one"), (TEXT, b"two")], 1002),
        Case::refused("bytes within a text", &[(TEXT_PART, b"one"), (BINARY_PART, b"two")], 1002),
    ])
    .await;
}

/// Texts of group 6, and others at the borders of what UTF-8 is.
fn texts() -> Vec<String> {
    let borders = [
        0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1_fffe,
        0xf_ffff, 0x10_0000, 0x10_ffff,
    ];
    let mut texts: Vec<_> =
        borders.iter().map(|code| char::from_u32(*code).unwrap().to_string()).collect();
    texts.extend(["", "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!"].map(Into::into));
    texts.extend(["\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}", "\u{feff}bom"].map(Into::into));
    texts
}

/// What no text may have in it, by how it goes wrong.
const NO_TEXT: &[(&str, &[u8])] = &[
    ("continuation alone", b"\x80"),
    ("two continuations", b"\x80\xbf"),
    ("start of two without an end", b"\xc3 "),
    ("start of three without an end", b"\xe0\xa0 "),
    ("start of four without an end", b"\xf0\x90\x80 "),
    ("impossible bytes", b"\xfe\xff"),
    ("start of five", b"\xf8\x88\x80\x80\x80"),
    ("start of six", b"\xfc\x84\x80\x80\x80\x80"),
    ("overlong of two", b"\xc0\xaf"),
    ("overlong of three", b"\xe0\x80\xaf"),
    ("overlong of four", b"\xf0\x80\x80\xaf"),
    ("longest overlong of two", b"\xc1\xbf"),
    ("longest overlong of three", b"\xe0\x9f\xbf"),
    ("longest overlong of four", b"\xf0\x8f\xbf\xbf"),
    ("overlong NUL", b"\xc0\x80"),
    ("above all characters", b"\xf4\x90\x80\x80"),
    ("first surrogate", b"\xed\xa0\x80"),
    ("last surrogate", b"\xed\xbf\xbf"),
    ("pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80"),
];

/// One frame for each byte; the last of them is the message's only if it `ends`.
fn apart(text: &[u8], ends: bool) -> Vec<(u8, &[u8])> {
    let last = text.len().saturating_sub(1);
    let frames = text.chunks(1).enumerate().map(|(number, byte)| {
        let first = if number == 0 { TEXT_PART } else { PART };
        (first | if ends && number == last { FINAL } else { 0 }, byte)
    });
    frames.collect()
}

#[tokio::test(start_paused = true)]
async fn group_6_texts_come_back_however_their_characters_are_cut() {
    for text in texts() {
        let text = text.as_bytes();
        Case::new(format!("{text:x?}"), &[(TEXT, text)], &[(TEXT, text)]).check().await;
        if !text.is_empty() {
            let apart = apart(text, true);
            Case::new(format!("{text:x?} apart"), &apart, &[(TEXT, text)]).check().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn group_6_what_is_not_utf8_is_refused() {
    for (name, bytes) in NO_TEXT {
        let text = [b"valid \xce\xba", *bytes, b" and more"].concat();
        Case::refused(*name, &[(TEXT, &text)], 1007).check().await;
        Case::refused(format!("{name}, apart"), &apart(&text, true), 1007).check().await;
    }
    for cut in ["\u{b5}", "\u{20ac}", "\u{10ffff}"] {
        for len in 1..cut.len() {
            let text = [b"valid ", &cut.as_bytes()[..len]].concat();
            Case::refused(format!("{text:x?}"), &[(TEXT, &text)], 1007).check().await;
        }
    }
}

/// Nobody waits for the end of a message that cannot become a text any more.
#[tokio::test(start_paused = true)]
async fn group_6_a_fragment_that_is_not_utf8_is_refused_at_once() {
    for (name, bytes) in NO_TEXT {
        let text = [b"valid \xce\xba", *bytes].concat();
        let bad = (1..=text.len())
            .find(|len| std::str::from_utf8(&text[..*len]).is_err_and(|e| e.error_len().is_some()))
            .unwrap();
        Case::refused(*name, &apart(&text[..bad], false), 1007).check().await;
        // One byte less may still become a text.
        let mut frames = apart(&text[..bad - 1], false);
        frames.extend([(PING, &b"well?"[..]), (CLOSE, b"")]);
        Case::new(*name, &frames, &[(PONG, b"well?"), (CLOSE, b"")]).check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn group_7_a_close_is_answered_and_what_comes_after_it_is_nobodys() {
    let closes: &[(u8, &[u8])] = &[(CLOSE, &[3, 232])];
    let after =
        |name: &str, more: &[(u8, &[u8])]| Case::new(name, &[closes, more].concat(), closes);
    check([
        after("a second close", closes),
        after("a close with another code", &[(CLOSE, &[3, 233])]),
        after("a ping", &[(PING, b"there?")]),
        after("a text", &[(TEXT, b"late")]),
        after("nonsense", &[(0xff, b"\xff")]),
        Case::new(
            "in the middle of a message",
            &[(TEXT_PART, b"one"), (CLOSE, &[3, 232]), (LAST, b"two")],
            closes,
        ),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn group_7_closes_of_every_form_are_answered_or_refused() {
    let longest = close(1000, &"*".repeat(123));
    let too_long = close(1000, &"*".repeat(124));
    check([
        Case::new("empty", &[(CLOSE, b"")], &[(CLOSE, b"")]),
        Case::refused("one byte", &[(CLOSE, b"\x03")], 1002),
        Case::new("a code", &[(CLOSE, &[3, 232])], &[(CLOSE, &[3, 232])]),
        Case::new("a code and a reason", &[(CLOSE, b"\x03\xe8bye")], &[(CLOSE, b"\x03\xe8bye")]),
        Case::new("a reason of 123 bytes", &[(CLOSE, &longest)], &[(CLOSE, &longest)]),
        Case::refused("a reason of 124 bytes", &[(CLOSE, &too_long)], 1002),
        Case::refused("a reason that is no text", &[(CLOSE, b"\x03\xe8\xce\xba\xed\xa0")], 1007),
    ])
    .await;
    for code in (1000..=1003).chain(1007..=1013).chain([3000, 3999, 4000, 4999]) {
        let told = close(code, "");
        Case::new(format!("code {code}"), &[(CLOSE, &told)], &[(CLOSE, &told)]).check().await;
    }
    // The engine does not know 1014.
    for code in [0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, u16::MAX] {
        let told = close(code, "");
        let answer = close(1002, "Protocol violation");
        Case::new(format!("code {code}"), &[(CLOSE, &told)], &[(CLOSE, &answer)]).check().await;
    }
}

#[tokio::test(start_paused = true)]
async fn group_9_large_messages_come_back_from_small_frames() {
    let large: Vec<_> = (0..=255).cycle().take(300_000).collect();
    for len in [64, 1000, 65_536] {
        let mut frames: Vec<_> = large.chunks(len).map(|payload| (PART, payload)).collect();
        frames.first_mut().unwrap().0 = BINARY_PART;
        frames.last_mut().unwrap().0 |= FINAL;
        let name = format!("in frames of {len}");
        Case::new(name, &frames, &[(BINARY, &large)]).check().await;
    }
}
