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
mod json_text;

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use tower_openai::client::BoxHttpService;
use tower_openai::model::ResponseEvent;
use tower_openai::services::Responses;
use tower_openai::sse::{RawEvent, StreamSettings};
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client, Error};

use self::arguments::Arguments;
use self::attempts::PrintAttempts;

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
        Err(Failure::Usage(problem)) => {
            eprintln!("responses: {problem}");
            ExitCode::from(2)
        }
        Err(Failure::Call(error)) => {
            let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
            eprintln!("responses: {}", causes.join(": "));
            ExitCode::FAILURE
        }
        // Whoever read our output has had enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => {
            eprintln!("responses: cannot write to stdout: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    /// The arguments ask for what cannot be.
    Usage(BoxError),
    /// The call failed.
    Call(Error),
    /// Nobody takes our output.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let policy = arguments.policy().map_err(Failure::Usage)?;
    let request = arguments.request().map_err(Failure::Usage)?;
    let mut settings = StreamSettings::default();
    settings.lenient = arguments.lenient;
    // Held to the end: dropping the embedded server stops it.
    let mut embedded = None;
    let mut builder = Client::builder().stream_settings(settings).policy(policy);
    if arguments.events {
        builder = builder.observe(PrintAttempts::default());
    }
    builder = match (&arguments.base_url, &arguments.api_key) {
        (Some(base_url), _) => builder.base_url(base_url),
        (None, Some(_)) => builder,
        (None, None) => {
            let server = Server::start().await.map_err(|error| Failure::Usage(error.into()))?;
            // A proxy of the environment is not the way to it.
            builder = builder.base_url(server.base_url()).without_proxy();
            embedded = Some(server);
            builder
        }
    };
    if let Some(key) = &arguments.api_key {
        builder = builder.api_key(key);
    }
    let client = builder.build().map_err(|error| Failure::Usage(error.into()))?;
    let responses = client.responses();
    if arguments.events {
        print_events(&responses, request).await?;
    } else {
        print_text(&responses, request).await?;
    }
    drop(embedded);
    Ok(())
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

/// One JSON object per event and line, and one more that tells how it ended. [`PrintAttempts`] adds
/// what came before them.
async fn print_events(
    responses: &Responses<BoxHttpService>,
    request: Request,
) -> Result<(), Failure> {
    match print_raw(responses, request).await {
        Ok(response_id) => {
            let end = End { r#type: "client.end", outcome: "completed", response_id };
            Ok(print_json(&end)?)
        }
        Err(Failure::Call(error)) => {
            print_json(&Failed::new(&error))?;
            Err(Failure::Call(error))
        }
        Err(failure) => Err(failure),
    }
}

async fn print_raw(
    responses: &Responses<BoxHttpService>,
    request: Request,
) -> Result<Option<String>, Failure> {
    let mut events = responses.stream_request(request).await?.into_raw();
    while let Some(event) = events.try_next().await? {
        match event {
            RawEvent::Wire(json) => print_line(&json_text::on_one_line(json.as_str()))?,
            RawEvent::Head(ResponseEvent::ServerReasoningIncluded(_)) => {
                print_line(r#"{"type":"client.reasoning_included"}"#)?;
            }
            RawEvent::Head(event) => print_json(&event)?,
            _ => {}
        }
    }
    Ok(events.get_ref().response_id().map(str::to_owned))
}

fn print_json(value: &impl Serialize) -> io::Result<()> {
    print_line(&serde_json::to_string(value)?)
}

fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[derive(Serialize)]
struct End {
    r#type: &'static str,
    outcome: &'static str,
    response_id: Option<String>,
}

#[derive(Serialize)]
struct Failed<'a> {
    r#type: &'static str,
    kind: &'static str,
    status: Option<u16>,
    code: Option<&'a str>,
    message: &'a str,
    retryable: bool,
    retry_after_ms: Option<u128>,
    request_id: Option<&'a str>,
    stage: &'static str,
    response_id: Option<&'a str>,
    sequence_number: Option<u64>,
}

impl<'a> Failed<'a> {
    fn new(error: &'a Error) -> Self {
        Self {
            r#type: "client.error",
            kind: error.kind().as_str(),
            status: error.status().map(|status| status.as_u16()),
            code: error.code(),
            message: error.message(),
            retryable: error.is_retryable(),
            retry_after_ms: error.retry_after().map(|wait| wait.as_millis()),
            request_id: error.request_id(),
            stage: error.stage().as_str(),
            response_id: error.response_id(),
            sequence_number: error.sequence_number(),
        }
    }
}
