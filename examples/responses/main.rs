//! A small command for the Responses API, much like curl: one request, its answer on stdout.
//!
//! ```text
//! cargo run --example responses -- "Why is the sky blue?"
//! cargo run --example responses -- --events --body request.json
//! ```
//!
//! `--help` tells all. Without key and base URL it asks an embedded server, so that it can be tried
//! without an account.

mod answer;
mod arguments;
mod attempts;
mod command;
mod connection;
mod events;
mod failure;
mod json_text;
mod lines;
mod text;

use std::process::ExitCode;

use self::answer::Call;
use self::arguments::{Arguments, Usage};
use self::command::command;
use self::failure::Failure;

const USAGE: Usage = Usage {
    name: "responses",
    about: "Sends one request to the Responses API and prints its answer as it comes.",
    switches: &[],
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    command(USAGE.name, Arguments::parse(&USAGE), run).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let call = Call::new(&arguments, |builder| builder).await?;
    call.print(async |client, request| client.responses().stream_request(request).await).await
}
