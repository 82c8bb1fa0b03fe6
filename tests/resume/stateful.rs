//! Resumption against a server that makes responses in the background and remembers them.

use std::time::Duration;

use tower_openai::Client;
use tower_openai::layers::ResumePolicy;
use tower_openai::services::{ResponsesRequest, RetrieveStreamRequest};
use tower_openai::testing::{RecordedRequest, Script, Server};

use crate::support::read;

const ANSWER_TO: &str = "Say in your own words why the sky is blue, and why it is red at dusk.";

/// Every connection that asks for it breaks behind so many events.
fn flaky(request: &RecordedRequest) -> Script {
    match request.header("x-cut") {
        Some(events) => Script::natural().cut_after(events.parse().unwrap()).then_truncate(),
        None => Script::natural(),
    }
}

#[tokio::test]
async fn a_background_response_is_read_whole_over_connections_that_keep_breaking() {
    let server =
        Server::builder().handler(flaky).pace(Duration::from_millis(1)).start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    let policy = ResumePolicy::default().backoff([Duration::ZERO; 9]);
    let responses = client.resuming_responses().policy(policy);
    for events in [1, 2, 3, 5, 8, 13] {
        let request = ResponsesRequest::new("gpt-5.2", ANSWER_TO).background(true);
        let request = request.header("x-cut", events.to_string());
        let sent = server.requests().len();
        let (seen, error) = read(responses.stream_request(request).await.unwrap()).await;
        assert!(error.is_none(), "{events}: {error:?}");
        let resumptions = server.requests().len() - sent - 1;
        assert!(resumptions >= seen.len() / events - 1, "{resumptions} of {}", seen.len());

        // The server's own account of the same response.
        let id = &seen[0].response().unwrap().id;
        let kept = client.retrieve_stream().stream_request(RetrieveStreamRequest::new(&**id));
        let (kept, error) = read(kept.await.unwrap()).await;
        assert!(error.is_none() && kept.len() > 20, "{}: {error:?}", kept.len());
        assert_eq!(seen, kept, "cut behind every {events}");
    }
    server.shutdown().await;
}
