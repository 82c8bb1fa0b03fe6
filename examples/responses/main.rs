//! A small command for the Responses API, much like curl: one request, its answer on stdout.
//!
//! ```text
//! cargo run --example responses -- "Why is the sky blue?"
//! cargo run --example responses -- --events --body request.json
//! ```
//!
//! `--help` tells all. Without key and base URL it asks an embedded server, so that it can be tried
//! without an account.

mod arguments;
mod attempts;
mod connection;
mod events;
mod failure;
mod json_text;
mod lines;

use std::io::{self, Write};
use std::process::ExitCode;

use tower_openai::Client;
use tower_openai::client::BoxHttpService;
use tower_openai::services::Responses;
use tower_openai::sse::StreamSettings;

use self::arguments::Arguments;
use self::attempts::PrintAttempts;
use self::events::print_events;
use self::failure::{ErrorLine, Failure};
use self::lines::print_json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("responses: {problem}");
            eprintln!("try `responses --help`");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("responses"),
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let policy = arguments.policy().map_err(Failure::Usage)?;
    let request = arguments.request().map_err(Failure::Usage)?;
    let mut settings = StreamSettings::default();
    settings.lenient = arguments.lenient;
    let mut builder = Client::builder().stream_settings(settings).policy(policy);
    if arguments.events {
        builder = builder.observe(PrintAttempts::default());
    }
    // Held to the end: dropping the embedded server stops it.
    let (client, embedded) = arguments.connection.open(builder).await.map_err(Failure::Usage)?;
    let responses = client.responses();
    let result = if arguments.events {
        // [`PrintAttempts`] adds what came before the events.
        match responses.stream_request(request).await {
            Ok(stream) => print_events(stream).await,
            Err(error) => Err(error.into()),
        }
    } else {
        print_text(&responses, request).await
    };
    drop(embedded);
    if let (true, Err(Failure::Call(error))) = (arguments.events, &result) {
        print_json(&ErrorLine::new(error))?;
    }
    result
}

type Request = tower_openai::services::ResponsesRequest;

/// The text of the answer, as it comes.
async fn print_text(
    responses: &Responses<BoxHttpService>,
    request: Request,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let mut text = responses.stream_request(request).await?.text();
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
    Ok(result?)
}
