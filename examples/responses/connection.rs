//! Where requests go and what goes with all of them: the flags and variables that the commands
//! `responses` and `endpoints` have in common.

use http::{HeaderMap, HeaderName, HeaderValue};
use lexopt::ValueExt;
use tower_openai::client::ClientBuilder;
use tower_openai::env::{EnvSource, ProcessEnv};
use tower_openai::provider::Provider;
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client, Error};

/// What the flags say, and where they say nothing the environment.
#[derive(Default)]
pub(crate) struct Connection {
    base_url: Option<String>,
    api_key: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Connection {
    /// Whether a flag is one of these.
    pub(crate) fn has(flag: &str) -> bool {
        matches!(flag, "base-url" | "api-key" | "header")
    }

    /// Reads the value of a flag that [is one of these](Self::has).
    pub(crate) fn set(&mut self, flag: &str, parser: &mut lexopt::Parser) -> Result<(), BoxError> {
        // Not quoted: it may be a key.
        let value = parser.value()?.string().map_err(|_| format!("--{flag} is not UTF-8"))?;
        match flag {
            "base-url" => self.base_url = Some(value),
            "api-key" => self.api_key = Some(value),
            _ => {
                let (name, value) = header(&value)?;
                self.headers.append(name, value);
            }
        }
        Ok(())
    }

    /// Looks in the environment for what no flag has said.
    pub(crate) fn look_around(&mut self) -> Result<(), BoxError> {
        if self.base_url.is_none() {
            self.base_url = ProcessEnv.non_blank("OPENAI_BASE_URL")?;
        }
        if self.api_key.is_none() {
            self.api_key = ProcessEnv.non_blank("OPENAI_API_KEY")?;
        }
        Ok(())
    }

    /// The client that was asked for, and the server that answers it if nobody else does. Dropping
    /// the server stops it.
    pub(crate) async fn open(
        &self,
        mut builder: ClientBuilder,
    ) -> Result<(Client, Option<Server>), BoxError> {
        let mut embedded = None;
        if let Some(base_url) = &self.base_url {
            builder = builder.provider(provider(base_url)?);
        } else if self.api_key.is_none() {
            let server = Server::start().await?;
            // A proxy of the environment is not the way to it.
            builder = builder.provider(provider(server.base_url())?).without_proxy();
            embedded = Some(server);
        }
        if let Some(key) = &self.api_key {
            builder = builder.api_key(key);
        }
        Ok((builder.build()?, embedded))
    }
}

/// Uploads go to a backend. That of ChatGPT is known by its URL; anybody else's is at the same place.
fn provider(base_url: &str) -> Result<Provider, Error> {
    let provider = Provider::new("custom", base_url)?;
    match base_url.trim_end_matches('/').ends_with("/backend-api/codex") {
        true => Ok(provider),
        false => provider.backend_url(base_url),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), BoxError> {
    // Not quoted: without its name nobody can tell whether it is a secret.
    let (name, value) =
        text.split_once(':').ok_or("--header takes 'Name: value', and one has no colon")?;
    let (name, value) = (name.trim(), value.trim());
    let value = HeaderValue::try_from(value)
        .map_err(|_| format!("--header: the value of {name:?} is not legal in a header"));
    let name =
        HeaderName::try_from(name).map_err(|_| format!("--header: {name:?} is no header name"))?;
    Ok((name, value?))
}
