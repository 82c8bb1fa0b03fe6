//! A long answer over a connection that keeps breaking.
//!
//! ```text
//! cargo run --example resume
//! ```
//!
//! The server makes the response in the background: it goes on when the connection is gone, and can be
//! asked for from behind the last event that was read. The preset does that by itself. Where it has to
//! give up, the error says how to go on by hand, an hour later or in another process.

use std::time::Duration;

use tower_openai::layers::ResumePolicy;
use tower_openai::model::ResponseEvent;
use tower_openai::services::{ResponsesRequest, RetrieveStreamRequest};
use tower_openai::sse::{EventSource, ResponseStream};
use tower_openai::testing::{RecordedRequest, Script, Server};
use tower_openai::{BoxError, Client, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // Its connections break behind every twelfth event; the response is made all the same.
    let flaky = |_: &RecordedRequest| Script::natural().cut_after(12).then_truncate();
    let server = Server::builder().handler(flaky).start().await?;
    // A proxy of the environment is not the way to it.
    let client = Client::builder().base_url(server.base_url()).without_proxy().build()?;
    let request = || ResponsesRequest::new("gpt-5.2", "Why is the sky blue?").background(true);

    println!("--- by itself");
    let policy = ResumePolicy::default().backoff([Duration::from_millis(20); 5]);
    let responses = client.resuming_responses().policy(policy);
    let mut stream = responses.stream_request(request()).await?;
    print(&mut stream).await?;
    println!("\nresumed {} times", stream.resumptions());

    println!("--- by hand");
    let mut stream = client.responses().stream_request(request()).await?;
    while let Err(broken) = print(&mut stream).await {
        let (Some(id), Some(after)) = (broken.response_id(), broken.sequence_number()) else {
            return Err(broken.into());
        };
        println!("\n{id} broke off behind event {after}: {broken}");
        let rest = RetrieveStreamRequest::new(id).starting_after(after);
        stream = client.retrieve_stream().stream_request(rest).await?;
    }
    println!();
    server.shutdown().await;
    Ok(())
}

/// Prints the text of a stream as it comes, resumed or not.
async fn print<Src: EventSource>(stream: &mut ResponseStream<Src>) -> Result<(), Error>
where
    ResponseStream<Src>: Unpin,
{
    while let Some(event) = stream.try_next().await? {
        if let ResponseEvent::OutputTextDelta(event) = event {
            print!("{}", event.delta);
        }
    }
    Ok(())
}
