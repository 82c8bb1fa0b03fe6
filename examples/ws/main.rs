//! The command `responses`, over a WebSocket.
//!
//! ```text
//! cargo run --example ws -- "Why is the sky blue?"
//! cargo run --example ws -- --prefer-ws --events --body request.json
//! ```
//!
//! Arguments, output and exit codes are those of `responses`, where the code for them stands.

#[path = "../responses/answer.rs"]
mod answer;
#[path = "../responses/arguments.rs"]
mod arguments;
#[path = "../responses/attempts.rs"]
mod attempts;
#[path = "../responses/command.rs"]
mod command;
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
#[path = "../responses/text.rs"]
mod text;

use std::process::ExitCode;

use tower::util::MapRequestLayer;
use tower_openai::RequestBody;
use tower_openai::services::ResponsesSocketRequest;

use self::answer::Call;
use self::arguments::{Arguments, Usage};
use self::command::command;
use self::failure::Failure;

const PREFER: &str = "prefer-ws";

const USAGE: Usage = Usage {
    name: "ws",
    about: "Sends one request to the Responses API over a WebSocket and prints its answer as it comes.",
    switches: &[(PREFER, "over HTTP, where no WebSocket can be had; its limits begin anew then")],
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    command(USAGE.name, Arguments::parse(&USAGE), run).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    // A socket has headers once, in its handshake: below the endpoints they go with either.
    let headers = arguments.connection.headers.clone();
    let with_headers = MapRequestLayer::new(move |mut request: http::Request<RequestBody>| {
        request.headers_mut().extend(headers.clone());
        request
    });
    let mut call = Call::new(&arguments, |builder| builder.layer(with_headers)).await?;
    call.request.options_mut().extra_headers.clear();
    let handshake = ResponsesSocketRequest::new();
    if arguments.switches.contains(&PREFER) {
        call.print(async |client, request| {
            client.prefer_socket(handshake).stream_request(request).await
        })
        .await
    } else {
        call.print(async |client, request| {
            client.responses_socket().reconnecting(handshake).stream_request(request).await
        })
        .await
    }
}
