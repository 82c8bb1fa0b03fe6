//! Credentials of one's own: an access token that has expired, is refused, and is refreshed once.
//!
//! ```text
//! cargo run --example custom_auth
//! ```

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tower::{Service, ServiceBuilder, ServiceExt};
use tower_openai::BoxError;
use tower_openai::layers::auth::{Cached, CredentialsError, Token, TokenSource};
use tower_openai::layers::{AuthLayer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;

/// The identity provider of this example: its first token is one that the API does not take any
/// more.
#[derive(Default)]
struct IdentityProvider {
    tokens: AtomicU32,
}

impl TokenSource for IdentityProvider {
    async fn token(&self) -> Result<Token, CredentialsError> {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        println!("identity provider: hands out token {number}");
        // A real one is asked over the network; what may pass is a `CredentialsError::transient`.
        Ok(Token::new(format!("token-{number}"))?.expires_in(Duration::from_secs(3600)))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let server = Server::builder().handler(|request| {
        let taken = request.header("authorization") == Some("Bearer token-2");
        println!("API: {}", if taken { "takes the token" } else { "401, the token has expired" });
        if taken { Script::natural() } else { Script::status(401) }
    });
    let server = server.start().await?;

    let mut responses = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url())?))
        .layer(AuthLayer::new(Cached::new(IdentityProvider::default())).refresh_on_unauthorized())
        // A proxy of the environment is not the way to a server on this machine.
        .service(HyperTransport::builder().without_proxy().build()?);

    for prompt in ["Is my token good?", "And now?"] {
        let request = ResponsesRequest::new("gpt-5.2", prompt);
        let answer = responses.ready().await?.call(request).await?;
        println!("answer: {}", answer.text().collect().await?);
    }
    println!("{} requests came to the API", server.received());
    Ok(())
}
