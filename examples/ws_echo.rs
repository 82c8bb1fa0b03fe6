//! Opens a WebSocket and sends back what comes, until it is closed: for conformance suites.
//!
//! ```text
//! cargo run -q --example ws_echo -- ws://127.0.0.1:9001/runCase?case=1
//! ```
//!
//! Autobahn's own suite (`pip install autobahntestsuite`, for Python 2.7) is such a server when it is
//! started with `wstest -m fuzzingserver`: it has a case for each number, and a report afterwards at
//! `/updateReports`.
//!
//! The URL may begin with `ws`, `wss`, `http` or `https`. How the socket ended is told on stderr;
//! whatever the server did to it, only a socket that does not open is a failure.

use std::process::ExitCode;

use tower_openai::transport::HyperTransport;
use tower_openai::ws::{Driver, Handshake, WebSocket, WebSocketConfig};
use tower_openai::{BoxError, Error};

/// The largest message, in bytes.
const LARGEST: usize = 256 * 1024 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let url = args.next().and_then(|url| url.into_string().ok());
    let (Some(url), None) = (url, args.next()) else {
        eprintln!("usage: ws_echo URL");
        return ExitCode::from(2);
    };
    let (mut socket, driver) = match open(&url).await {
        Ok(opened) => opened,
        Err(error) => {
            for cause in error.chain() {
                eprintln!("ws_echo: {cause}");
            }
            return ExitCode::FAILURE;
        }
    };
    let driving = tokio::spawn(driver);
    match echo(&mut socket).await {
        Ok(()) => eprintln!("ws_echo: closed"),
        Err(error) => eprintln!("ws_echo: {error}"),
    }
    // It sees to an end in order.
    let _ = driving.await;
    ExitCode::SUCCESS
}

async fn open(url: &str) -> Result<(WebSocket, Driver), Error> {
    let request =
        http::Request::get(url).body(()).map_err(|error| Error::from(BoxError::from(error)))?;
    let config = WebSocketConfig::default()
        .max_message_size(LARGEST)?
        .max_frame_size(LARGEST)?
        .max_outgoing_size(LARGEST)?;
    let upgraded = Handshake::new(HyperTransport::new()?).send(request).await?;
    Ok(WebSocket::new(upgraded, &config))
}

async fn echo(socket: &mut WebSocket) -> Result<(), Error> {
    while let Some(message) = socket.next().await.transpose()? {
        socket.send(message).await?;
    }
    Ok(())
}
