//! Scripts as JSON: the builder's methods as members.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::script::{Ending, Event, Newline, Script};
use crate::Error;

/// An entry of a script file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Name(String),
    Fields(Map<String, Value>),
}

/// The members of an object entry. At most one of `script`, `events`, `frames`, `pieces`, `raw_tcp`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    script: Option<String>,
    #[serde(rename = "for")]
    path: Option<String>,
    events: Option<Vec<Value>>,
    pieces: Option<Vec<String>>,
    raw_tcp: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: Map<String, Value>,
    json: Option<Value>,
    body: Option<String>,
    text: Option<String>,
    head_delay_ms: Option<u64>,
    first_delay_ms: Option<u64>,
    delay_ms: Option<u64>,
    pace_ms: Option<u64>,
    chunk_sizes: Option<Vec<usize>>,
    cut_after: Option<usize>,
    malformed: Option<usize>,
    #[serde(default)]
    comments: bool,
    newline: Option<String>,
    ending: Option<String>,
    #[cfg(feature = "ws")]
    frames: Option<Vec<Value>>,
    #[cfg(feature = "ws")]
    close: Option<u16>,
    #[cfg(feature = "ws")]
    #[serde(default)]
    reason: String,
    #[cfg(feature = "ws")]
    #[serde(default)]
    after_handshake: bool,
    times: Option<usize>,
}

/// A file may ask for this many answers.
const MAX_SCRIPTS: usize = 100_000;

impl Script {
    /// Reads a JSON array of scripts, to be used in that order.
    ///
    /// An entry is a name (see [`names`](Self::names)) or an object. What the answer is comes from
    /// one of `script` (a name), `events` (JSON objects, or strings written as they are),
    /// `pieces` (strings), `raw_tcp` (a string) or, with none of these, `status` alone (the API's
    /// error) or the natural answer. The other members are the methods of the same name: `status`,
    /// `headers` (an object; a value is a string or an array of strings), `json`, `body`, `text`,
    /// `head_delay_ms`, `first_delay_ms`, `delay_ms`, `pace_ms`, `chunk_sizes`, `cut_after`,
    /// `malformed`, `comments`, `newline` (`lf`, `crlf`, `cr`), `ending` (`complete`, `stall`,
    /// `truncate`, `reset`, and with the feature `ws` `freeze`). With that feature there are also
    /// `frames` (JSON objects, or strings that are said as they are), `after_handshake`, and `close`
    /// (a code) with `reason` for an ending. `for` is the path of [`Server::enqueue_for`](super::Server::enqueue_for),
    /// `times` repeats the entry.
    ///
    /// ```
    /// use tower_openai::testing::Script;
    ///
    /// let queue = Script::from_json(
    ///     r#"["429", {"status": 503, "headers": {"retry-after": "2"}, "times": 2}, "ok"]"#,
    /// )?;
    /// assert_eq!(queue.len(), 4);
    /// # Ok::<(), tower_openai::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A build error that says which entry is wrong: bad JSON, an unknown name or member, or a
    /// value that no script can have.
    pub fn from_json(json: &str) -> Result<Vec<Self>, Error> {
        let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| {
            Error::build("a script file is a JSON array of names and objects").with_source(error)
        })?;
        let mut scripts = Vec::new();
        for (number, entry) in entries.into_iter().enumerate() {
            let wrong =
                |error: Error| Error::build(format!("script {number} (counted from 0): {error}"));
            let (script, times) = match entry {
                Entry::Name(name) => (Self::named(&name).map_err(wrong)?, 1),
                Entry::Fields(fields) => from_fields(fields).map_err(wrong)?,
            };
            if let Some(problem) = script.problem {
                return Err(wrong(Error::build(problem)));
            }
            if times > MAX_SCRIPTS - scripts.len() {
                return Err(wrong(Error::build(format!("more than {MAX_SCRIPTS} answers"))));
            }
            scripts.extend(std::iter::repeat_n(script, times));
        }
        Ok(scripts)
    }
}

fn from_fields(fields: Map<String, Value>) -> Result<(Script, usize), Error> {
    let fields: Fields = serde_json::from_value(Value::Object(fields))
        .map_err(|error| Error::build(error.to_string()))?;
    let mut script = content(&fields)?;
    script.path = fields.path;
    if let Some(status) = fields.status {
        script = script.with_status(status);
    }
    for (name, value) in &fields.headers {
        for value in header_values(name, value)? {
            script = script.header(name, value);
        }
    }
    let set = |script, field: Option<u64>, method: fn(Script, Duration) -> Script| match field {
        Some(millis) => method(script, Duration::from_millis(millis)),
        None => script,
    };
    script = set(script, fields.head_delay_ms, Script::head_delay);
    script = set(script, fields.first_delay_ms, Script::first_delay);
    script = set(script, fields.delay_ms, Script::delay);
    script = set(script, fields.pace_ms, Script::pace);
    if let Some(text) = fields.text {
        script = script.text(text);
    }
    if let Some(value) = fields.json {
        script = script.json(value);
    }
    if let Some(body) = fields.body {
        script = script.body(body);
    }
    if let Some(sizes) = fields.chunk_sizes {
        script = script.chunk_sizes(sizes);
    }
    if let Some(events) = fields.cut_after {
        script = script.cut_after(events);
    }
    if let Some(event) = fields.malformed {
        script = script.malformed(event);
    }
    if fields.comments {
        script = script.comments();
    }
    if let Some(name) = fields.newline {
        script = script.newline(match name.as_str() {
            "lf" => Newline::Lf,
            "crlf" => Newline::CrLf,
            "cr" => Newline::Cr,
            _ => return Err(Error::build("newline is lf, crlf or cr")),
        });
    }
    if let Some(name) = fields.ending {
        script = script.ending(match name.as_str() {
            "complete" => Ending::Complete,
            "stall" => Ending::Stall,
            "truncate" => Ending::Truncate,
            "reset" => Ending::Reset,
            #[cfg(feature = "ws")]
            "freeze" => Ending::Freeze,
            _ => return Err(Error::build("ending is complete, stall, truncate or reset")),
        });
    }
    #[cfg(feature = "ws")]
    {
        if let Some(code) = fields.close {
            script = script.then_close(code, fields.reason);
        }
        if fields.after_handshake {
            script = script.after_handshake();
        }
    }
    Ok((script, fields.times.unwrap_or(1)))
}

fn content(fields: &Fields) -> Result<Script, Error> {
    #[cfg(feature = "ws")]
    if let Some(frames) = &fields.frames {
        let others = [fields.script.is_some(), fields.events.is_some(), fields.pieces.is_some()];
        if others.contains(&true) || fields.raw_tcp.is_some() {
            return Err(Error::build("only one of script, events, frames, pieces and raw_tcp"));
        }
        return Ok(Script::frames(frames.iter().map(|frame| match frame {
            Value::String(text) => super::Frame::text(text.clone()),
            json => super::Frame::from(json.clone()),
        })));
    }
    Ok(match (&fields.script, &fields.events, &fields.pieces, &fields.raw_tcp) {
        (Some(name), None, None, None) => Script::named(name)?,
        (None, Some(events), None, None) => {
            Script::events(events.iter().map(|event| match event {
                Value::String(raw) => Event::raw(raw.clone()),
                json => Event::from(json.clone()),
            }))
        }
        (None, None, Some(pieces), None) => Script::pieces(pieces.iter().cloned()),
        (None, None, None, Some(raw)) => Script::raw_tcp(raw.clone()),
        (None, None, None, None) => match fields.status {
            Some(status) => Script::status(status),
            None => Script::natural(),
        },
        _ => return Err(Error::build("only one of script, events, pieces and raw_tcp")),
    })
}

fn header_values<'a>(name: &str, value: &'a Value) -> Result<Vec<&'a str>, Error> {
    let values = match value {
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        value => value.as_str().map(|value| vec![value]),
    };
    values.ok_or_else(|| {
        Error::build(format!("the header {name:?} is neither a string nor an array of strings"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        Script::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn errors_say_which_entry_and_why() {
        assert!(error("{}").contains("JSON array"));
        assert!(error(r#"["ok","nope"]"#).contains("script 1 (counted from 0): no script is"));
        assert!(error(r#"[{"sttus":429}]"#).contains("sttus"));
        assert!(error(r#"[{"status":42}]"#).contains("42"));
        assert!(error(r#"[{"ending":"bang"}]"#).contains("truncate"));
        assert!(error(r#"[{"headers":{"a b":"c"}}]"#).contains("a b"));
        assert!(error(r#"[{"headers":{"a":1}}]"#).contains("neither"));
        assert!(error(r#"[{"script":"ok","pieces":[]}]"#).contains("only one"));
        assert!(error(r#"[{"times":1000000}]"#).contains("100000"));
    }

    #[cfg(feature = "ws")]
    #[test]
    fn sockets_have_members_of_their_own() {
        let json = r#"[{"frames":[{"type":"x"},"text"],"close":4000,"reason":"why"},
            {"status":429,"after_handshake":true,"ending":"freeze"}]"#;
        let scripts = Script::from_json(json).unwrap();
        assert_eq!((scripts[0].ending, &*scripts[0].reason), (Ending::Close(4000), "why"));
        assert!(scripts[0].answers_handshakes() && !scripts[0].answers_requests());
        assert_eq!((scripts[1].ending, scripts[1].answers_handshakes()), (Ending::Freeze, false));
        assert!(error(r#"[{"frames":[],"pieces":[]}]"#).contains("only one"));
    }

    #[test]
    fn members_are_the_methods() {
        let json = r#"[{"events":[{"type":"x"},": hi\n\n"],"status":206,"delay_ms":5,
            "headers":{"a":["1","2"]},"chunk_sizes":[3],"ending":"stall","cut_after":1,
            "for":"models"}]"#;
        let script = Script::from_json(json).unwrap().remove(0);
        assert_eq!(script.status.unwrap().as_u16(), 206);
        assert_eq!(script.headers.get_all("a").iter().count(), 2);
        assert_eq!(script.delay, Duration::from_millis(5));
        assert_eq!((script.chunk_sizes, script.cut_after), (vec![3], Some(1)));
        assert_eq!((script.ending, script.path.as_deref()), (Ending::Stall, Some("models")));
    }
}
