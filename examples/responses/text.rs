//! The text of a stream.

use std::io::{self, Write};

use tower_openai::sse::{EventSource, ResponseStream};

use crate::failure::Failure;
use crate::lines::note_skipped;

/// The text of the answer, as it comes.
pub(crate) async fn print_text<Src>(stream: ResponseStream<Src>) -> Result<(), Failure>
where
    Src: EventSource + Unpin,
{
    let mut out = io::stdout().lock();
    let mut text = stream.text();
    let mut last = '\n';
    let result = loop {
        match text.try_next().await {
            Ok(Some(piece)) => {
                last = piece.chars().last().unwrap_or(last);
                out.write_all(piece.as_bytes())?;
                out.flush()?;
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if last != '\n' {
        writeln!(out)?;
        out.flush()?;
    }
    result?;
    note_skipped(text.get_ref().skipped_events());
    Ok(())
}
