//! A realistic Responses stream: 2,000 deltas of about 220 bytes of JSON each.

use bytes::Bytes;

pub const DELTAS: usize = 2_000;

const ID: &str = "msg_67ccd3acc8d48190a77525dc6de64b4104becb25c45c1d42";
const PADDING: &str = "aV9xQ3kLmZ8Rt2";

/// Deterministic pieces of text of the length that tokens have; about one in twelve has an escape
/// or a character outside ASCII.
fn piece(n: usize) -> String {
    const WORDS: [&str; 12] = [
        " the", " stream", " of", " events", " carries", " each", " token", ",", " as", " it",
        " is", " made",
    ];
    match n % 24 {
        7 => r"\n\n".into(),
        19 => " caf\u{e9}".into(),
        _ => WORDS[(n * 7 + n / 12) % WORDS.len()].into(),
    }
}

/// How many bytes of text the deltas of an answer have, unescaped.
pub fn text_length(deltas: usize) -> usize {
    (0..deltas).map(|n| piece(n).replace(r"\n", "\n").len()).sum()
}

/// What kind of deltas a stream is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    Text,
    Reasoning,
    Arguments,
    /// Text and arguments of two items, one after the other.
    Interleaved,
}

/// The JSON of delta event `n`.
pub fn delta(shape: Shape, n: usize) -> String {
    let sequence = n + 4;
    let padding = &PADDING[..6 + n % 9];
    let piece = piece(n);
    match shape {
        Shape::Text => format!(
            r#"{{"type":"response.output_text.delta","sequence_number":{sequence},"item_id":"{ID}","output_index":0,"content_index":0,"delta":"{piece}","logprobs":[],"obfuscation":"{padding}"}}"#
        ),
        Shape::Reasoning => format!(
            r#"{{"type":"response.reasoning_summary_text.delta","sequence_number":{sequence},"item_id":"{ID}","output_index":0,"summary_index":0,"delta":"{piece}","obfuscation":"{padding}"}}"#
        ),
        Shape::Arguments => format!(
            r#"{{"type":"response.function_call_arguments.delta","sequence_number":{sequence},"item_id":"fc_{ID}","output_index":1,"delta":"{piece}","obfuscation":"{padding}"}}"#
        ),
        Shape::Interleaved if n % 2 == 0 => delta(Shape::Text, n),
        Shape::Interleaved => delta(Shape::Arguments, n),
    }
}

/// One event on the wire.
pub fn frame(json: &str) -> String {
    let name = json.split('"').nth(3).unwrap_or_default();
    format!("event: {name}\ndata: {json}\n\n")
}

/// The deltas alone, one wire event each.
pub fn deltas(shape: Shape) -> Vec<String> {
    (0..DELTAS).map(|n| frame(&delta(shape, n))).collect()
}

/// A whole answer: the events around the deltas too.
pub fn answer() -> Vec<String> {
    answer_of(DELTAS)
}

/// An answer of so many deltas.
pub fn answer_of(n: usize) -> Vec<String> {
    let text: String = (0..n).map(piece).collect();
    let response = |status: &str, output: &str, usage: &str| {
        format!(
            r#"{{"id":"resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41","object":"response","created_at":1741476777,"status":"{status}","error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":"gpt-5.2","output":[{output}],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{{"effort":null,"summary":null}},"store":true,"temperature":1.0,"text":{{"format":{{"type":"text"}}}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":{usage},"user":null,"metadata":{{}}}}"#
        )
    };
    let item = |status: &str, content: &str| {
        format!(
            r#"{{"id":"{ID}","type":"message","status":"{status}","content":[{content}],"role":"assistant"}}"#
        )
    };
    let part = |text: &str| {
        format!(r#"{{"type":"output_text","annotations":[],"logprobs":[],"text":"{text}"}}"#)
    };
    let usage = r#"{"input_tokens":37,"input_tokens_details":{"cached_tokens":0},"output_tokens":2000,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":2037}"#;
    let mut events = vec![
        format!(
            r#"{{"type":"response.created","sequence_number":0,"response":{}}}"#,
            response("in_progress", "", "null")
        ),
        format!(
            r#"{{"type":"response.in_progress","sequence_number":1,"response":{}}}"#,
            response("in_progress", "", "null")
        ),
        format!(
            r#"{{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{}}}"#,
            item("in_progress", "")
        ),
        format!(
            r#"{{"type":"response.content_part.added","sequence_number":3,"item_id":"{ID}","output_index":0,"content_index":0,"part":{}}}"#,
            part("")
        ),
    ];
    events.extend((0..n).map(|n| delta(Shape::Text, n)));
    events.extend([
        format!(r#"{{"type":"response.output_text.done","sequence_number":{},"item_id":"{ID}","output_index":0,"content_index":0,"text":"{text}","logprobs":[]}}"#, n + 4),
        format!(r#"{{"type":"response.content_part.done","sequence_number":{},"item_id":"{ID}","output_index":0,"content_index":0,"part":{}}}"#, n + 5, part(&text)),
        format!(r#"{{"type":"response.output_item.done","sequence_number":{},"output_index":0,"item":{}}}"#, n + 6, item("completed", &part(&text))),
        format!(r#"{{"type":"response.completed","sequence_number":{},"response":{}}}"#, n + 7, response("completed", &item("completed", &part(&text)), usage)),
    ]);
    events.iter().map(|json| frame(json)).collect()
}

/// How a stream is cut into chunks.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// This many events in each chunk.
    Events(usize),
    /// This many bytes in each chunk.
    Bytes(usize),
}

pub const CUTS: [(&str, Cut); 6] = [
    ("1 event", Cut::Events(1)),
    ("16 events", Cut::Events(16)),
    ("16 KiB", Cut::Bytes(16 << 10)),
    ("64 KiB", Cut::Bytes(64 << 10)),
    ("256 KiB", Cut::Bytes(256 << 10)),
    ("97 bytes", Cut::Bytes(97)),
];

/// Cuts a stream; each chunk is an allocation of its own, as a socket's reads are.
pub fn chunks(events: &[String], cut: Cut) -> Vec<Bytes> {
    match cut {
        Cut::Events(n) => events.chunks(n).map(|events| Bytes::from(events.concat())).collect(),
        Cut::Bytes(n) => events.concat().as_bytes().chunks(n).map(Bytes::copy_from_slice).collect(),
    }
}

/// One event of a single `data` line of `length` bytes.
pub fn long_line(length: usize) -> Vec<String> {
    vec![format!("data: {}\n\n", "x".repeat(length))]
}

/// One image event with `length` bytes of base64.
pub fn image(length: usize) -> String {
    frame(&format!(
        r#"{{"type":"response.image_generation_call.partial_image","sequence_number":7,"item_id":"ig_1","output_index":0,"partial_image_index":0,"partial_image_b64":"{}"}}"#,
        "iVBORw0KGgoAAAAN".repeat(length / 16)
    ))
}
