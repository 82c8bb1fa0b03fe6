//! Runs of events that are alike. The stream reads them by what they have in common; what it reads
//! has to be what stands there, however it is framed and cut.

use quickcheck::{Arbitrary, Gen, QuickCheck};
use tower_openai::ErrorKind;
use tower_openai::model::ResponseEvent;
use tower_openai::sse::{ResponseStream, SseSource, StreamSettings};

use crate::support::{Fed, Feed, read};

fn stream_of(chunks: &[&[u8]]) -> ResponseStream<SseSource<Fed>> {
    let (feed, body) = Feed::new();
    chunks.iter().for_each(|chunk| feed.text(chunk.to_vec()));
    ResponseStream::from_response(http::Response::new(body), StreamSettings::default())
}

/// The events, read as what they are and read as JSON that is parsed afterwards.
async fn both_ways(chunks: &[&[u8]]) -> [Vec<ResponseEvent>; 2] {
    let (typed, error) = read(stream_of(chunks)).await;
    assert_eq!(error.unwrap().kind(), ErrorKind::Truncated);
    let mut raw = stream_of(chunks).into_raw();
    let mut parsed = Vec::new();
    while let Some(Ok(event)) = raw.next().await {
        parsed.push(event.parse().unwrap());
    }
    [typed, parsed]
}

#[derive(Clone, Debug)]
struct Delta {
    item: u8,
    text: String,
    number: u32,
    frame: u8,
}

impl Arbitrary for Delta {
    fn arbitrary(g: &mut Gen) -> Self {
        let text = ["a", " the", "", "caf\u{e9}", "\"\\\n", "\u{1F600}", "data: x", "\r\r"];
        // Runs, with something else now and then.
        let odd = |g: &mut Gen| *g.choose(&[0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        Self {
            item: odd(g) % 3,
            text: (*g.choose(&text).unwrap()).to_owned(),
            number: u32::arbitrary(g),
            frame: odd(g),
        }
    }
}

impl Delta {
    fn wire(&self, style: u8) -> String {
        let Self { item, number, .. } = self;
        let text = serde_json::to_string(&self.text).unwrap();
        let json = format!(
            r#"{{"type":"response.output_text.delta","sequence_number":{number},"item_id":"msg_{item}","delta":{text},"obfuscation":"x"}}"#
        );
        match if self.frame == 0 { style } else { self.frame } {
            0 | 1 => format!("event: response.output_text.delta\ndata: {json}\n\n"),
            2 => format!("data:{json}\r\n\r\n"),
            3 => format!("event: e\rdata: {json}\r\r"),
            4 => format!(": note\n\ndata: {json}\n\n"),
            5 => format!("id: {number}\ndata: {json}\n\n"),
            6 => format!("data: {json}\nretry: {number}\n\n"),
            7 => format!("data: {}\n\n", json.replacen(",\"", ",\ndata: \"", 1)),
            8 => format!("event: nothing\n\ndata: {json}\nevent: late\n\n"),
            _ => format!("{json}\n\n: no data\n\n"),
        }
    }
}

#[test]
fn a_run_is_read_as_its_json_says_in_any_frame_and_any_cut() {
    fn property(deltas: Vec<Delta>, style: u8, sizes: Vec<u8>) -> bool {
        let wire: String = deltas.iter().map(|delta| delta.wire(style % 10)).collect();
        let mut rest = wire.as_bytes();
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle().map(|size| usize::from(*size) * 4 + 1) {
            let (chunk, behind) = rest.split_at(size.min(rest.len()));
            chunks.push(chunk);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        chunks.push(rest);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let [typed, parsed] = runtime.block_on(both_ways(&chunks));
        typed == parsed
    }
    QuickCheck::new().tests(2_000).quickcheck(property as fn(Vec<Delta>, u8, Vec<u8>) -> bool);
}

#[tokio::test]
async fn a_delta_above_the_limit_is_refused_like_any_event() {
    let delta = |text: &str| {
        format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{text}\"}}\n\n")
    };
    let wire = [delta("a"), delta("b"), delta(&"c".repeat(100))].concat();
    let (feed, body) = Feed::new();
    feed.text(wire);
    let mut settings = StreamSettings::default();
    settings.limits = tower_openai::sse::Limits::uniform(100);
    let stream = ResponseStream::from_response(http::Response::new(body), settings);
    let (events, error) = read(stream).await;
    assert_eq!(events.len(), 2);
    assert_eq!(error.unwrap().kind(), ErrorKind::TooLarge);
}
