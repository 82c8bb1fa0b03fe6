use std::future::Future;
use std::time::Duration;

use tower_openai::services::{ResponsesConnection, ResponsesRequest, ResponsesSocketRequest};
use tower_openai::sse::{EventSource, ResponseStream};
use tower_openai::testing::Server;
use tower_openai::{Client, Error};

pub(crate) const KEY: &str = "sk-example-of-a-key";

pub(crate) fn client(server: &Server) -> Client {
    Client::builder().base_url(server.base_url()).api_key(KEY).build().unwrap()
}

pub(crate) fn request(text: &str) -> ResponsesRequest {
    ResponsesRequest::new("gpt-5.2", text)
}

/// A connection whose driver runs.
pub(crate) async fn connect(server: &Server) -> ResponsesConnection {
    let socket = client(server).responses_socket();
    let (connection, driver) = socket.connect(ResponsesSocketRequest::new()).await.unwrap();
    tokio::spawn(driver);
    connection
}

/// Reads to the end: the text, or what went wrong.
pub(crate) async fn text<S: EventSource + Unpin>(
    stream: ResponseStream<S>,
) -> Result<String, Error> {
    stream.text().collect().await
}

/// What must happen soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it happens soon")
}
