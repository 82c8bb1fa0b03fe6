//! From a script and a request to the bytes of one answer.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::api::{Answer, Whole};
use super::api_error::ApiError;
use super::events::{Frames, Gate};
use super::ids::Ids;
use super::json::Json;
use super::script::{Content, Ending, Newline, Script, comment, render};

/// Bytes, and what is waited for before them.
pub(super) struct Piece {
    pub(super) delay: Duration,
    pub(super) gate: Option<Gate>,
    pub(super) bytes: Bytes,
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self { delay: Duration::ZERO, gate: None, bytes }
    }
}

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SSE: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

pub(super) type Pieces = Box<dyn Iterator<Item = Piece> + Send>;

/// An answer, ready to be played.
pub(super) struct Plan {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) pieces: Pieces,
    /// The exact length, for answers that have a `content-length`.
    pub(super) len: Option<u64>,
    pub(super) ending: Ending,
}

impl Plan {
    /// What `script` makes of the API's `answer`, whose deltas come at `pace`.
    pub(super) fn natural(
        script: Script,
        answer: Result<Answer, ApiError>,
        ids: &Ids,
        pace: Duration,
    ) -> Self {
        let plan = match answer {
            Err(refusal) => return Self::refusal(&refusal, ids),
            Ok(Answer::Events(frames)) => Self::stream(&script, frames, pace),
            Ok(Answer::Whole(whole)) => Self::whole(&script, whole),
        };
        plan.finish(script, ids)
    }

    /// What `script` says by itself.
    pub(super) fn scripted(script: Script, ids: &Ids) -> Self {
        let plan = match &script.content {
            Content::Error => {
                let status = script.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                if status.is_client_error() || status.is_server_error() {
                    let body = ApiError::of_status(status).body().pretty();
                    let mut plan = Self::bytes(&script, vec![body.into()]);
                    plan.headers.insert(header::CONTENT_TYPE, JSON);
                    plan
                } else {
                    Self::bytes(&script, Vec::new())
                }
            }
            Content::Events(events) => {
                let newline = script.newline;
                let pieces = events.clone().into_iter().map(move |event| {
                    let bytes = event.render(newline);
                    Piece { delay: event.delay, ..Piece::from(bytes) }
                });
                Self::body(shape(&script, first_waits(script.first_delay, pieces)), None)
            }
            Content::Pieces(pieces) => Self::bytes(&script, pieces.clone()),
            _ => Self::body(Box::new(std::iter::empty()), None),
        };
        plan.finish(script, ids)
    }

    /// Adds what a script says of any answer.
    fn finish(self, script: Script, ids: &Ids) -> Self {
        let mut plan = self;
        plan.status = script.status.unwrap_or(plan.status);
        plan.ending = script.ending;
        let mut headers = api_headers(ids);
        headers.extend(plan.headers);
        headers.extend(script.headers);
        plan.headers = headers;
        plan
    }

    /// An error of the API itself, which scripts do not change.
    pub(super) fn refusal(refusal: &ApiError, ids: &Ids) -> Self {
        let mut plan = Self::json(refusal.status, &refusal.body());
        let mut headers = api_headers(ids);
        headers.extend(plan.headers);
        plan.headers = headers;
        plan
    }

    fn body(pieces: Pieces, len: Option<u64>) -> Self {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Self { status, headers, pieces, len, ending: Ending::Complete }
    }

    /// A body of given bytes, with a `content-length` if all of it comes.
    fn bytes(script: &Script, pieces: Vec<Bytes>) -> Self {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        let changed = script.cut_after.is_some() || script.malformed.is_some() || script.comments;
        let whole = !changed && script.ending == Ending::Complete;
        let pieces = first_waits(script.first_delay, pieces.into_iter().map(Piece::from));
        Self::body(shape(script, pieces), whole.then_some(len))
    }

    fn json(status: StatusCode, json: &Json) -> Self {
        let body = Bytes::from(json.pretty());
        let len = body.len() as u64;
        let mut plan = Self::body(Box::new(std::iter::once(Piece::from(body))), Some(len));
        plan.status = status;
        plan.headers.insert(header::CONTENT_TYPE, JSON);
        plan
    }

    fn stream(script: &Script, frames: Frames, pace: Duration) -> Self {
        let newline = script.newline;
        let mut first = Some(script.first_delay);
        let pieces = frames.map(move |frame| {
            let delay = match frame.is_delta {
                true => pace.saturating_add(first.take().unwrap_or_default()),
                false => Duration::ZERO,
            };
            let bytes = render(Some(frame.kind), &frame.data.compact(), newline);
            Piece { delay, gate: frame.gate, bytes }
        });
        let mut plan = Self::body(shape(script, pieces), None);
        plan.headers.insert(header::CONTENT_TYPE, SSE);
        plan
    }

    /// A body that comes at once; a script that cuts it leaves the first half.
    fn whole(script: &Script, whole: Whole) -> Self {
        let Whole { status, headers, mut body, cut } = whole;
        let len = body.len() as u64;
        let short = script.cut_after.is_some() || script.malformed.is_some() || cut;
        if short {
            body.truncate(body.len() / 2);
        }
        // A broken-off body announces what is missing; a short one that ends is just short.
        let len = match (script.ending, short) {
            (Ending::Complete, _) => Some(body.len() as u64),
            (_, true) => Some(len),
            (_, false) => None,
        };
        let piece = Piece { delay: script.first_delay, ..Piece::from(body) };
        let piece = Some(piece).filter(|piece| !piece.bytes.is_empty());
        let mut plan = Self::body(reslice(script, Box::new(piece.into_iter())), len);
        plan.status = status;
        plan.headers = headers;
        plan
    }
}

/// Adds the first delay to the first piece.
fn first_waits(
    first: Duration,
    pieces: impl Iterator<Item = Piece> + Send + 'static,
) -> impl Iterator<Item = Piece> + Send + 'static {
    let mut first = Some(first);
    pieces.map(move |piece| {
        let delay = piece.delay.saturating_add(first.take().unwrap_or_default());
        Piece { delay, ..piece }
    })
}

/// Everything a script does to the pieces of a body, whatever they are.
fn shape(script: &Script, pieces: impl Iterator<Item = Piece> + Send + 'static) -> Pieces {
    let (malformed, newline) = (script.malformed, script.newline);
    let pieces = pieces.take(script.cut_after.unwrap_or(usize::MAX)).enumerate().map(
        move |(number, piece)| match malformed {
            Some(event) if event == number => {
                Piece { bytes: break_json(&piece.bytes, newline), ..piece }
            }
            _ => piece,
        },
    );
    if script.comments {
        let heartbeat = move || Piece::from(comment("keep-alive", newline));
        reslice(script, Box::new(pieces.flat_map(move |piece| [heartbeat(), piece])))
    } else {
        reslice(script, Box::new(pieces))
    }
}

/// The event without the second half of its JSON.
fn break_json(event: &[u8], newline: Newline) -> Bytes {
    let text = String::from_utf8_lossy(event);
    let json = text.find('{').unwrap_or(0);
    let mut end = json + (text.len() - json) / 2;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let (kept, end) = (text.get(..end).unwrap_or_default(), newline.as_str());
    Bytes::from(format!("{kept}{end}{end}"))
}

/// Applies chunk sizes and the delay between pieces.
fn reslice(script: &Script, pieces: Pieces) -> Pieces {
    let between = script.delay;
    let pieces: Pieces = if script.chunk_sizes.is_empty() {
        pieces
    } else {
        Box::new(Reslice {
            pieces,
            buffered: BytesMut::new(),
            delay: Duration::ZERO,
            gate: None,
            next: None,
            sizes: script.chunk_sizes.clone().into(),
        })
    };
    Box::new(pieces.enumerate().map(move |(number, piece)| match number {
        0 => piece,
        _ => Piece { delay: piece.delay.saturating_add(between), ..piece },
    }))
}

/// Pieces cut anew. A piece with a wait of its own starts a new chunk, so that nothing before it
/// waits for it.
struct Reslice {
    pieces: Pieces,
    buffered: BytesMut,
    /// What is waited for before what is buffered.
    delay: Duration,
    gate: Option<Gate>,
    next: Option<Piece>,
    sizes: VecDeque<usize>,
}

impl Iterator for Reslice {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let size = self.sizes.front().copied().unwrap_or(usize::MAX).max(1);
        while self.buffered.len() < size {
            let Some(piece) = self.next.take().or_else(|| self.pieces.next()) else { break };
            let waits = !piece.delay.is_zero() || piece.gate.is_some();
            if waits && !self.buffered.is_empty() {
                self.next = Some(piece);
                break;
            }
            self.delay = self.delay.saturating_add(piece.delay);
            self.gate = piece.gate.or(self.gate.take());
            self.buffered.extend_from_slice(&piece.bytes);
        }
        if self.buffered.is_empty() {
            return None;
        }
        self.sizes.rotate_left(1.min(self.sizes.len()));
        let bytes = self.buffered.split_to(size.min(self.buffered.len())).freeze();
        Some(Piece { delay: std::mem::take(&mut self.delay), gate: self.gate.take(), bytes })
    }
}

/// The headers of every answer of the API.
pub(super) fn api_headers(ids: &Ids) -> HeaderMap {
    const FIXED: [(&str, &str); 8] = [
        ("openai-version", "2020-10-01"),
        ("openai-processing-ms", "12"),
        ("x-ratelimit-limit-requests", "500"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-requests", "499"),
        ("x-ratelimit-remaining-tokens", "199900"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-reset-tokens", "30ms"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::try_from(ids.request()) {
        headers.insert("x-request-id", id);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(script: Script) -> Vec<String> {
        let plan = Plan::scripted(script, &Ids::new(None));
        plan.pieces.map(|piece| String::from_utf8(piece.bytes.to_vec()).unwrap()).collect()
    }

    #[test]
    fn chunk_sizes_cut_anew_and_repeat() {
        let script = Script::pieces(["abc", "defg", "h"]);
        assert_eq!(chunks(script.clone().chunk_size(3)), ["abc", "def", "gh"]);
        assert_eq!(chunks(script.clone().chunk_sizes([1, 4])), ["a", "bcde", "f", "gh"]);
        assert_eq!(chunks(script), ["abc", "defg", "h"]);
    }

    #[test]
    fn a_piece_with_a_delay_starts_a_chunk() {
        use super::super::script::Event;
        let wait = Duration::from_secs(1);
        let script = Script::events([Event::raw("abc"), Event::raw("def").after(wait)]);
        let plan = Plan::scripted(script.chunk_size(2), &Ids::new(None));
        let seen: Vec<_> = plan.pieces.map(|piece| (piece.bytes, piece.delay)).collect();
        let none = Duration::ZERO;
        let expected = [("ab", none), ("c", none), ("de", wait), ("f", none)];
        assert_eq!(seen, expected.map(|(text, delay)| (Bytes::from(text), delay)));
    }

    #[test]
    fn waits_add_up_to_for_ever_at_most() {
        use super::super::script::Event;
        let event = Event::raw("x").after(Duration::MAX);
        let script = Script::events([event.clone(), event]);
        let script = script.first_delay(Duration::from_nanos(1)).delay(Duration::MAX);
        let plan = Plan::scripted(script.chunk_size(1), &Ids::new(None));
        assert!(plan.pieces.map(|piece| piece.delay).eq([Duration::MAX; 2]));
    }

    #[test]
    fn one_event_is_broken_and_the_others_are_not() {
        let event = |n: u8| serde_json::json!({ "type": "x", "n": n });
        let got = chunks(Script::events([event(0), event(1)]).malformed(1));
        assert_eq!(got[0], "event: x\ndata: {\"n\":0,\"type\":\"x\"}\n\n");
        assert!(got[1].starts_with("event: x\ndata: {") && got[1].ends_with("\n\n"), "{got:?}");
        assert!(!got[1].contains('}'), "{got:?}");
    }
}
