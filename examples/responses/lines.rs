//! What comes in as a file and goes out as lines.

use std::ffi::OsStr;
use std::io::{self, Write};

use serde::Serialize;
use tower_openai::BoxError;

use crate::json_text::on_one_line;

/// The text of a request's body; `-` is stdin.
pub(crate) fn read_body(path: &OsStr) -> Result<String, BoxError> {
    if path == "-" {
        return Ok(io::read_to_string(io::stdin())?);
    }
    Ok(std::fs::read_to_string(path).map_err(|error| format!("the body {path:?}: {error}"))?)
}

/// Prints a value on one line. What it has kept of a server's JSON may be indented.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    print_line(&on_one_line(&serde_json::to_string(value)?))
}

/// Prints a line, at once.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Says on stderr how many events of an answer could not be decoded, if any.
pub(crate) fn note_skipped(events: u64) {
    if events > 0 {
        // The answer is out: who does not want to hear of it need not.
        let _ = writeln!(io::stderr(), "{events} event(s) could not be decoded");
    }
}
