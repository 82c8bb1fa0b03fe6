//! A small command for the endpoints beside Responses: JSON in, JSON out.
//!
//! ```text
//! cargo run --example endpoints -- models --client-version 1.2.3
//! cargo run --example endpoints -- compact --body request.json
//! ```
//!
//! `--help` tells all. What it has in common with the command `responses` stands there: how it begins and
//! ends, where requests go, how failures are told, and how JSON goes in and out.

mod arguments;
#[path = "../responses/command.rs"]
mod command;
mod commands;
#[path = "../responses/connection.rs"]
mod connection;
#[path = "../responses/events.rs"]
mod events;
#[path = "../responses/failure.rs"]
mod failure;
#[path = "../responses/json_text.rs"]
mod json_text;
#[path = "../responses/lines.rs"]
mod lines;
mod progress;

use std::process::ExitCode;

use tower_openai::Client;

use self::arguments::Arguments;
use self::command::command;
use self::commands::Call;
use self::failure::{ErrorLine, Failure};
use self::lines::print_json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    command("endpoints", Arguments::parse(), run).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let builder = Client::builder();
    // Held to the end: dropping the embedded server stops it.
    let (client, embedded) = arguments.connection.open(builder).await.map_err(Failure::Usage)?;
    let result = (arguments.command.run)(Call { client, arguments }).await;
    drop(embedded);
    if let Err(Failure::Call(error)) = &result {
        print_json(&ErrorLine::new(error))?;
    }
    result
}
