//! How far an upload has come, drawn on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use tower_openai::services::UploadProgress;

const WIDTH: u64 = 30;
const MIB: f64 = 1024.0 * 1024.0;

/// Draws a bar on stderr; `None` if that is no terminal.
pub(crate) fn bar() -> Option<impl Fn(UploadProgress) + Send + Sync + 'static> {
    let bar = io::stderr().is_terminal().then(Bar::default)?;
    Some(move |progress| bar.draw(progress))
}

/// A bar, and the end of its line once nobody draws it any more.
#[derive(Default)]
struct Bar {
    /// What was drawn last: most pieces of a large file change nothing that can be seen.
    last: Mutex<String>,
}

impl Bar {
    fn draw(&self, UploadProgress { sent, total, attempt, .. }: UploadProgress) {
        let part = |of: u64| sent.saturating_mul(of).checked_div(total).unwrap_or(of);
        let done = "#".repeat(part(WIDTH) as usize);
        let open = "-".repeat((WIDTH - part(WIDTH)) as usize);
        let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        let (percent, size) = (part(100), total as f64 / MIB);
        let line = format!("[{done}{open}] {percent:3} % of {size:.1} MiB{again}");
        let Ok(mut last) = self.last.lock() else { return };
        if *last != line {
            // A bar that nobody sees is no reason to fail.
            let _ = write!(io::stderr(), "\r{line}");
            *last = line;
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        let _ = writeln!(io::stderr());
    }
}
