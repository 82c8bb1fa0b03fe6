//! The scripts that have a name: one table for `x-script`, script files and the help text.

use bytes::Bytes;
use serde_json::json;

use super::api_error::ApiError;
use super::script::{Event, Newline, Script};
use super::turn::unix_seconds;
use crate::Error;

/// A named script: its name, what it does, and how it is built.
pub(super) type Row = (&'static str, &'static str, fn() -> Script);

const TABLE: &[Row] = &[
    ("ok", "what the API would answer", Script::natural),
    ("slow", "the first token after 2 s, then one every 200 ms", || {
        Script::natural().first_delay(millis(2000)).pace(millis(200))
    }),
    ("slow-head", "the head after 2 s", || Script::natural().head_delay(millis(2000))),
    ("400", "400, an invalid value", || Script::status(400)),
    ("401", "401, a wrong API key", || Script::status(401)),
    ("403", "403, a model that is not allowed", || Script::status(403)),
    ("404", "404, a model that does not exist", || Script::status(404)),
    ("408", "408, a request timeout", || Script::status(408)),
    ("409", "409, a conflict", || Script::status(409)),
    ("413", "413, a request that is too large", || Script::status(413)),
    ("422", "422, unprocessable", || Script::status(422)),
    ("429", "429, a rate limit, with retry-after: 1", rate_limit),
    ("429-quota", "429, insufficient_quota", || api_error(&ApiError::insufficient_quota())),
    ("429-usage-limit", "429, usage_limit_reached with plan and reset time", usage_limit),
    ("500", "500, a server error", || Script::status(500)),
    ("503-overloaded", "503, server_is_overloaded", || Script::status(503)),
    ("html", "502 with an HTML page, as from a proxy", || html().with_status(502)),
    ("html-200", "200 with an HTML page", html),
    ("204", "204 without a body", || Script::pieces(Vec::<Bytes>::new()).with_status(204)),
    ("empty", "a 200 event stream without an event", || Script::events(Vec::<Event>::new())),
    ("hang-up", "closes the connection instead of answering", Script::no_head),
    ("reset-head", "resets the connection instead of answering", || Script::no_head().then_reset()),
    ("no-head", "never answers, and keeps the connection open", || Script::no_head().then_stall()),
    ("cut", "a clean end after 6 events", || Script::natural().cut_after(6)),
    ("truncate", "closes the connection after 6 events, without the end of the body", || {
        Script::natural().cut_after(6).then_truncate()
    }),
    ("reset", "resets the connection (HTTP/2: the stream) after 6 events", || {
        Script::natural().cut_after(6).then_reset()
    }),
    ("stall", "falls silent after 6 events, connection open", || {
        Script::natural().cut_after(6).then_stall()
    }),
    ("stay-open", "all events, then silence, connection open", || Script::natural().then_stall()),
    ("no-terminal", "all events but the terminal one", || Script::natural().no_terminal()),
    ("malformed", "broken JSON in event 5 (a delta), the rest as usual", || {
        Script::natural().malformed(5)
    }),
    ("failed", "response.failed with server_error after half of the text", || {
        Script::natural().failed(
            "server_error",
            "The server had an error while processing your request. Sorry about that!",
        )
    }),
    ("incomplete", "response.incomplete with max_output_tokens", || {
        Script::natural().incomplete("max_output_tokens")
    }),
    ("error-event", "a top-level error event after half of the text", || {
        Script::natural().error_event("server_error", "The server had an error.")
    }),
    ("comments", "a comment before every event", || Script::natural().comments()),
    ("crlf", "CR LF line endings", || Script::natural().newline(Newline::CrLf)),
    ("drip", "one byte per chunk", || Script::natural().chunk_size(1)),
    ("huge-line", "one delta of 4 MiB", || Script::natural().text("x".repeat(4 << 20))),
    ("flood", "200,000 deltas without pause, some 57 MB", || {
        Script::natural().text("flood ".repeat(200_000)).pace(millis(0))
    }),
];

const fn millis(millis: u64) -> std::time::Duration {
    std::time::Duration::from_millis(millis)
}

fn api_error(error: &ApiError) -> Script {
    Script::status(error.status.as_u16())
        .body(error.body().pretty())
        .header("content-type", "application/json")
}

fn rate_limit() -> Script {
    Script::status(429)
        .header("retry-after", "1")
        .header("x-ratelimit-remaining-requests", "0")
        .header("x-ratelimit-reset-requests", "1s")
}

fn usage_limit() -> Script {
    const HOUR: u64 = 3600;
    let resets_at = unix_seconds() + HOUR;
    Script::status(429)
        .header("x-codex-primary-used-percent", "100")
        .header("x-codex-primary-window-minutes", "300")
        .header("x-codex-primary-reset-at", resets_at.to_string())
        .json(json!({ "error": {
            "type": "usage_limit_reached",
            "message": "The usage limit has been reached",
            "plan_type": "plus",
            "resets_at": resets_at,
            "resets_in_seconds": HOUR,
        } }))
}

fn html() -> Script {
    Script::pieces(["<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad \
                     Gateway</h1></body></html>\n"])
    .header("content-type", "text/html")
}

impl Script {
    /// The script called `name`; [`names`](Self::names) lists them.
    ///
    /// # Errors
    ///
    /// A build error that lists the known names.
    pub fn named(name: &str) -> Result<Self, Error> {
        let row = rows().find(|(known, ..)| *known == name);
        row.map(|(.., build)| build()).ok_or_else(|| {
            let known: Vec<_> = rows().map(|(known, ..)| *known).collect();
            Error::build(format!("no script is called {name:?}; known: {}", known.join(", ")))
        })
    }

    /// Every named script with what it does, in the order of the help text.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        TABLE.iter().map(|(name, about, _)| (*name, *about))
    }

    /// The named scripts that are for WebSockets alone; feature `ws`. The others can be asked for at a
    /// handshake, too: what begins as [`natural`](Self::natural) is then said at every turn.
    #[cfg(feature = "ws")]
    pub fn socket_names() -> impl Iterator<Item = (&'static str, &'static str)> {
        super::ws::NAMED.iter().map(|(name, about, _)| (*name, *about))
    }
}

/// All of them.
fn rows() -> impl Iterator<Item = &'static Row> {
    #[cfg(feature = "ws")]
    let sockets = super::ws::NAMED.iter();
    #[cfg(not(feature = "ws"))]
    let sockets = std::iter::empty();
    TABLE.iter().chain(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_script_is_sound_and_the_unknown_is_told() {
        for (name, ..) in rows() {
            assert_eq!(Script::named(name).unwrap().problem, None, "{name}");
        }
        let error = Script::named("nope").unwrap_err().to_string();
        assert!(error.contains("\"nope\"") && error.contains("429-quota"), "{error}");
    }
}
