//! The preset: everything between an endpoint and the network, assembled.
//!
//! # Problem
//!
//! Most callers want a stack that is known to be in the right order, behind a type they can name
//! and store. [`Client`] is that stack, erased into a [`BoxHttpService`]: `Clone + Send + Sync`,
//! built outside a runtime, with no task and no queue inside.
//!
//! # Place
//!
//! Endpoints stand on it: [`Client::responses`] and its neighbours give them. For another order, or
//! static types, assemble the same layers with [`ServiceBuilder`](tower::ServiceBuilder); nothing from
//! here is needed.
//!
//! # Cost
//!
//! One box per call for the future and one for the response body. Each layer added with
//! [`ClientBuilder::layer`] adds another such pair.
//!
//! # Example
//!
//! ```
//! # use tower_openai::testing::Server;
//! use tower_openai::Client;
//! use tower_openai::services::ResponsesRequest;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let server = Server::start().await?;
//! # let (base_url, key) = (server.base_url(), "sk-example");
//! let client = Client::builder().base_url(base_url).api_key(key).build()?;
//! let responses = client.responses();
//! let stream = responses.stream_request(ResponsesRequest::new("gpt-5.2", "hello")).await?;
//! println!("{}", stream.text().collect().await?);
//! # Ok::<_, tower_openai::BoxError>(()) }).unwrap();
//! ```

mod builder;
mod endpoints;
mod explain;
mod policy;
mod stack;
mod stacks;

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "ws")]
use std::time::Duration;

use crate::Error;
use crate::env::ProcessEnv;
use crate::layers::{RateLimitsHandle, Resume, ResumePolicy, StreamRetry, StreamRetryPolicy};
use crate::model::ItemIds;
use crate::services::{
    CancelResponse, Compact, Conversations, CountInputTokens, CreateFile, CreateResponse,
    DeleteFile, DeleteResponse, FileContent, Files, Images, ImagesStream, ListFiles,
    ListInputItems, ListModels, Memories, Models, PresetSettings, RealtimeCall, Responses,
    RetrieveFile, RetrieveModel, RetrieveResponse, RetrieveStream, Search, SessionForm,
};
#[cfg(feature = "ws")]
use crate::services::{
    Inline, Prefer, Reconnecting, ResponsesSocket, ResponsesSocketRequest, ResponsesSocketSettings,
};
use crate::sse::StreamSettings;

use self::endpoints::endpoints;
use self::stacks::Stacks;

pub use self::builder::ClientBuilder;
pub use self::explain::Explanation;
pub use self::policy::{EndpointPolicy, Policy};
pub use crate::services::BoxHttpService;

/// The preset stack and its endpoints. Cloning is cheap and shares connections.
#[derive(Clone)]
pub struct Client {
    stacks: Arc<Stacks>,
    stream: StreamSettings,
    policy: Arc<Policy>,
    resume: ResumePolicy,
    stream_retry: StreamRetryPolicy,
    item_ids: ItemIds,
    session_form: SessionForm,
}

/// What [`Client::prefer_socket`] gives: one socket, and HTTP where there is none. Clones share both.
#[cfg(feature = "ws")]
pub type PreferSocket =
    Prefer<Reconnecting<ResponsesSocket<BoxHttpService, Inline>>, Responses<BoxHttpService>>;

impl Client {
    /// Settings for a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The client that the environment of this process asks for, proxies and CA bundle included: see
    /// [`ClientBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// A variable that is missing or cannot be used, and what [`ClientBuilder::build`] refuses.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().from_env(&ProcessEnv)?.build()
    }

    /// The Responses endpoint, streamed. Without a stream: [`create_response`](Self::create_response).
    #[doc(alias = "chat")]
    #[doc(alias = "completions")]
    #[doc(alias = "create")]
    #[doc(alias = "stream")]
    pub fn responses(&self) -> Responses<BoxHttpService> {
        Responses::new(self.stacks.responses.clone()).settings(self.stream).item_ids(self.item_ids)
    }

    /// The endpoint of images that come piece by piece: [`services::images`](crate::services::images).
    /// It goes by the policy of [`images`](Self::images).
    pub fn images_stream(&self) -> ImagesStream<BoxHttpService> {
        let timeouts = self.policy.images().timeouts;
        let settings = StreamSettings { timeouts, ..self.stream };
        ImagesStream::new(self.stacks.images.clone()).settings(settings)
    }

    /// The Responses endpoint with streams that are taken up again where they broke off, if the
    /// request lets the server keep the response: [`layers::resume`](crate::layers::resume). How often
    /// and how long that is tried, [`Policy::resume`] says.
    pub fn resuming_responses(
        &self,
    ) -> Resume<Responses<BoxHttpService>, RetrieveStream<BoxHttpService>> {
        Resume::new(self.responses(), self.retrieve_stream()).policy(self.resume.clone())
    }

    /// The Responses endpoint that sends a request again whose stream fails before anything of the answer
    /// has come: [`layers::stream_retry`](crate::layers::stream_retry). How often that is tried,
    /// [`Policy::stream_retry`] says.
    pub fn retrying_responses(&self) -> StreamRetry<Responses<BoxHttpService>> {
        StreamRetry::new(self.responses()).policy(self.stream_retry.clone())
    }

    /// Conversations by voice and text over a WebSocket: [`services::realtime`](crate::services::realtime).
    /// Opening one goes by the policy of [`realtime_call`](Self::realtime_call).
    #[cfg(feature = "ws")]
    pub fn realtime(&self) -> crate::services::Realtime<BoxHttpService> {
        crate::services::Realtime::new(self.stacks.realtime_call.clone())
    }

    /// The endpoint that streams a stored response:
    /// [`responses::retrieve_stream`](crate::services::responses::retrieve_stream). It goes by the
    /// policy of [`responses`](Self::responses).
    pub fn retrieve_stream(&self) -> RetrieveStream<BoxHttpService> {
        RetrieveStream::new(self.stacks.responses.clone()).settings(self.stream)
    }

    /// The endpoint that opens connections for responses: [`services::responses_socket`](crate::services::responses_socket).
    #[cfg(feature = "ws")]
    pub fn responses_socket(&self) -> ResponsesSocket<BoxHttpService> {
        let timeouts = self.policy.responses_socket().timeouts;
        // The head of a stack's answer is that of the handshake. A stream's is its first message.
        let timeouts = timeouts.head(Duration::ZERO);
        let settings = ResponsesSocketSettings::new()
            .stream(StreamSettings { timeouts, ..self.stream })
            .item_ids(self.item_ids);
        ResponsesSocket::new(self.stacks.responses_socket.clone()).settings(settings)
    }

    /// The Responses endpoint on a socket if there is one, else over HTTP:
    /// [`services::prefer`](crate::services::prefer). The socket is opened when it is first needed and
    /// goes on while it is used; `handshake` sets the headers of the opening request.
    ///
    /// Each call of this method makes another socket, which knows nothing of the failures of the
    /// others: keep what it gives, as a [`PreferSocket`], and clone that.
    ///
    /// ```
    /// use tower_openai::client::{Client, PreferSocket};
    /// use tower_openai::services::ResponsesSocketRequest;
    ///
    /// #[derive(Clone)]
    /// struct Agent {
    ///     responses: PreferSocket,
    /// }
    ///
    /// impl Agent {
    ///     fn new(client: &Client) -> Self {
    ///         Self { responses: client.prefer_socket(ResponsesSocketRequest::new()) }
    ///     }
    /// }
    /// # let _ = Agent::new(&Client::builder().build()?).clone();
    /// # Ok::<_, tower_openai::Error>(())
    /// ```
    #[cfg(feature = "ws")]
    pub fn prefer_socket(&self, handshake: ResponsesSocketRequest) -> PreferSocket {
        Prefer::new(self.responses_socket().reconnecting(handshake), self.responses())
    }

    /// The stack itself, for an endpoint or for a request of one's own; it goes by the default of the
    /// [`Policy`].
    pub fn http(&self) -> BoxHttpService {
        self.stacks.http.clone()
    }

    /// The latest rate limits that the provider has reported to any endpoint of this client.
    pub fn rate_limits(&self) -> RateLimitsHandle {
        self.stacks.rate_limits.clone()
    }

    /// What the client is made of: every layer of every stack with its settings, for people.
    pub fn explain(&self) -> &Explanation {
        &self.stacks.explanation
    }
}

/// A method for each endpoint that does not stream.
macro_rules! methods {
    ($($(#[$meta:meta])* $name:ident: $Service:ident, $waits:ident;)*) => {
        impl Client {$(
            $(#[$meta])*
            pub fn $name(&self) -> $Service<BoxHttpService> {
                let timeouts = self.policy.$name.timeouts.or(self.policy.default.timeouts);
                $Service::new(self.stacks.$name.clone()).sending(PresetSettings {
                    item_ids: self.item_ids,
                    session_form: self.session_form,
                    timeouts,
                })
            }
        )*}
    };
}

endpoints!(methods);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("stream", &self.stream).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_be_kept_anywhere() {
        fn kept<T: Clone + Send + Sync + 'static>() {}
        kept::<Client>();
        kept::<BoxHttpService>();
    }
}
