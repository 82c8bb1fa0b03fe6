//! The scripts for WebSockets that have a name.

use std::time::Duration;

use serde_json::{Value, json};

use super::Frame;
use crate::testing::named::Row;
use crate::testing::script::Script;

pub(in crate::testing) const TABLE: &[Row] = &[
    ("426", "refuses the handshake with 426", || Script::status(426)),
    ("bad-accept", "a handshake with a wrong sec-websocket-accept", || {
        Script::handshake().header("sec-websocket-accept", "c29tZWJvZHkgZWxzZSdzIGtleQ==")
    }),
    ("deflate", "a handshake that grants a compression, asked for or not", || {
        Script::handshake().header("sec-websocket-extensions", "permessage-deflate")
    }),
    ("ping-only", "pings every 200 ms, and nothing else", || {
        let ping = Frame::ping("still here").after(Duration::from_millis(200));
        Script::frames(std::iter::repeat_n(ping, 10_000)).then_stall()
    }),
    ("close-1000", "closes with 1000 after 6 events of each turn", || close(1000, "bye")),
    ("close-1009", "closes with 1009 after 6 events", || close(1009, "message too big")),
    ("close-1011", "closes with 1011 after 6 events", || close(1011, "internal error")),
    ("close-1013", "closes with 1013 after 6 events", || close(1013, "try again later")),
    ("freeze", "goes dead after 6 events, pings included", || {
        Script::natural().cut_after(6).then_freeze()
    }),
    ("turn-429", "answers each turn with an error event, status 429", || {
        Script::status(429).header("retry-after", "1").after_handshake()
    }),
    ("turn-500", "an error event, status 500", || Script::status(500).after_handshake()),
    ("turn-503", "an error event, server_is_overloaded", || Script::status(503).after_handshake()),
    ("connection-limit", "an error event, websocket_connection_limit_reached", || {
        error(400, "websocket_connection_limit_reached", "Create a new websocket connection.")
    }),
    ("chain-lost", "an error event, previous_response_not_found", || {
        error(400, "previous_response_not_found", "Previous response not found.")
    }),
    ("error-bare", "an error event with no member but its type", || {
        turn([json!({ "type": "error" }).into()])
    }),
    ("not-json", "a message that is no JSON", || turn([Frame::text("not JSON")])),
    ("binary", "a binary message", || turn([Frame::binary(&b"\x00\x01"[..])])),
    ("bad-utf8", "a text frame that is no UTF-8", || turn([Frame::raw(&b"\x81\x02\xc3\x28"[..])])),
    ("reserved-bit", "a frame that claims to be compressed", || {
        turn([Frame::raw(&b"\xc1\x02{}"[..])])
    }),
    ("huge-frame", "a frame that is announced with 1 TiB", || {
        turn([Frame::raw(&b"\x81\x7f\x00\x00\x01\x00\x00\x00\x00\x00"[..])])
    }),
];

fn close(code: u16, reason: &str) -> Script {
    Script::natural().cut_after(6).then_close(code, reason)
}

/// The answer to a turn, and nothing after it.
fn turn<const N: usize>(frames: [Frame; N]) -> Script {
    Script::frames(frames).after_handshake().then_stall()
}

fn error(status: u16, code: &str, message: &str) -> Script {
    let error: Value = json!({ "type": "invalid_request_error", "code": code, "message": message });
    Script::status(status).json(json!({ "error": error })).after_handshake()
}
