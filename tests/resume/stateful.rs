//! Resumption against a server that makes responses in the background and remembers them.

use std::time::Duration;

use tower_openai::layers::ResumePolicy;
use tower_openai::services::{ResponsesRequest, RetrieveStreamRequest};
use tower_openai::testing::{RecordedRequest, Script, Server};
use tower_openai::{Client, ErrorKind};

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

/// Somebody else ends the response while it is read.
#[tokio::test]
async fn a_response_that_is_stopped_or_forgotten_meanwhile_is_given_up() {
    let server = Server::builder().pace(Duration::from_millis(5)).start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).build().unwrap();
    let policy = ResumePolicy::default().max_in_a_row(3).backoff([Duration::ZERO; 9]);
    let responses = client.resuming_responses().policy(policy);
    for (delete, kind) in [(false, ErrorKind::Truncated), (true, ErrorKind::NotFound)] {
        let request = ResponsesRequest::new("gpt-5.2", ANSWER_TO).background(true);
        let mut stream = responses.stream_request(request).await.unwrap();
        let mut last = None;
        for _ in 0..6 {
            last = stream.try_next().await.unwrap().unwrap().sequence_number().or(last);
        }
        let id = stream.response_id().unwrap().to_owned();
        if delete {
            client.delete_response().send(id.as_str()).await.unwrap();
        } else {
            client.cancel_response().send(id.as_str()).await.unwrap();
        }
        let (seen, error) = read(stream).await;
        let error = error.unwrap_or_else(|| panic!("{kind} after {}", seen.len()));
        assert_eq!((error.kind(), error.response_id()), (kind, Some(&*id)), "{error:?}");
        let last = seen.last().and_then(|event| event.sequence_number()).or(last);
        assert_eq!(error.sequence_number(), last);
        assert!(error.message().contains("given up"), "{error}");
    }
    server.shutdown().await;
}
