//! Shows how a server-sent event stream is read: bytes on stdin, one JSON line per event on stdout.
//!
//! ```text
//! printf 'event: greeting\ndata: hello\n\n' | cargo run -q --example sse_dump -- --chunk 1
//! ```
//!
//! `--chunk N` feeds the decoder at most N bytes at a time (default 65536): what is there is not held
//! back for more. The last line tells what outlives the events: the last event id and the
//! reconnection time.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;

use bytes::Bytes;
use serde::Serialize;
use tower_openai::sse::Decoder;

fn main() -> ExitCode {
    let chunk = match chunk_size(std::env::args_os().skip(1)) {
        Ok(chunk) => chunk,
        Err(problem) => {
            eprintln!("sse_dump: {problem}\nusage: sse_dump [--chunk BYTES] < STREAM");
            return ExitCode::from(2);
        }
    };
    match dump(chunk, io::stdin().lock(), BufWriter::new(io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sse_dump: {error}");
            ExitCode::FAILURE
        }
    }
}

/// No read takes more than this.
const MOST: usize = 1 << 20;

fn chunk_size(mut args: impl Iterator<Item = OsString>) -> Result<usize, String> {
    let mut chunk = 65_536;
    while let Some(flag) = args.next() {
        if flag != "--chunk" {
            return Err(format!("unknown argument {flag:?}"));
        }
        let value = args.next().ok_or("--chunk needs a number of bytes")?;
        chunk = value
            .to_str()
            .and_then(|value| value.parse::<u64>().ok())
            .filter(|bytes| *bytes > 0)
            .map(|bytes| usize::try_from(bytes).unwrap_or(MOST).min(MOST))
            .ok_or_else(|| format!("--chunk takes a number of bytes above 0, not {value:?}"))?;
    }
    Ok(chunk)
}

#[derive(Serialize)]
struct Line<'a> {
    event: Cow<'a, str>,
    data: Cow<'a, str>,
    id: &'a str,
    retry: Option<u128>,
}

#[derive(Serialize)]
struct Final<'a> {
    last_event_id: &'a str,
    retry_ms: Option<u128>,
}

fn dump(chunk: usize, input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut decoder = Decoder::new();
    let mut input = BufReader::with_capacity(chunk, input);
    loop {
        let bytes = Bytes::copy_from_slice(input.fill_buf()?);
        if bytes.is_empty() {
            break;
        }
        input.consume(bytes.len());
        decoder.push(bytes);
        while let Some(event) = decoder.next_event().map_err(io::Error::other)? {
            let line = Line {
                event: event.name(),
                data: event.data(),
                id: event.id(),
                retry: event.retry().map(|time| time.as_millis()),
            };
            writeln!(output, "{}", serde_json::to_string(&line)?)?;
        }
        output.flush()?;
    }
    let end = Final {
        last_event_id: decoder.last_event_id(),
        retry_ms: decoder.reconnection_time().map(|time| time.as_millis()),
    };
    writeln!(output, "{{\"final\":{}}}", serde_json::to_string(&end)?)?;
    output.flush()
}
