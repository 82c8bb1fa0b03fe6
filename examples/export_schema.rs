//! Writes the JSON Schemas and the TypeScript of the realtime payloads of Codex into a folder.
//!
//! ```sh
//! cargo run --example export_schema -- OUT_DIR
//! ```
//!
//! Files that are there already are written over; others are left alone. What this crate has checked
//! in is in `schema/`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use tower_openai::BoxError;
use tower_openai::model::realtime::codex::schema;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: export_schema OUT_DIR");
        return ExitCode::from(2);
    };
    match export(&PathBuf::from(folder)) {
        Ok(files) => {
            // A reader that has gone is no error: the files are there.
            let _ = writeln!(io::stdout(), "{files} files");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("export_schema: {error}");
            ExitCode::FAILURE
        }
    }
}

fn export(folder: &std::path::Path) -> Result<usize, BoxError> {
    let definitions = schema::definitions()?;
    for file in &definitions {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(definitions.len())
}
