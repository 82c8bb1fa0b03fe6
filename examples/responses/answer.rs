//! One call and its answer, over whichever transport.

use tower_openai::client::{Client, ClientBuilder};
use tower_openai::services::ResponsesRequest;
use tower_openai::sse::{EventSource, ResponseStream, StreamSettings};
use tower_openai::{Error, testing};

use crate::arguments::Arguments;
use crate::attempts::PrintAttempts;
use crate::events::print_events;
use crate::failure::{ErrorLine, Failure};
use crate::lines::print_json;
use crate::text::print_text;

/// A call that is about to be made.
pub(crate) struct Call {
    pub(crate) client: Client,
    pub(crate) request: ResponsesRequest,
    events: bool,
    /// Held to the end: dropping the embedded server stops it.
    _embedded: Option<testing::Server>,
}

impl Call {
    /// What `arguments` ask for, on a client with what `prepare` adds.
    pub(crate) async fn new(
        arguments: &Arguments,
        prepare: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, Failure> {
        let policy = arguments.policy().map_err(Failure::Usage)?;
        let request = arguments.request().map_err(Failure::Usage)?;
        let mut settings = StreamSettings::default();
        settings.lenient = arguments.lenient;
        let mut builder = Client::builder().stream_settings(settings).policy(policy);
        if arguments.events {
            // Adds what comes before the events.
            builder = builder.observe(PrintAttempts::default());
        }
        let opened = arguments.connection.open(prepare(builder)).await;
        let (client, _embedded) = opened.map_err(Failure::Usage)?;
        Ok(Self { client, request, events: arguments.events, _embedded })
    }

    /// Makes the call with `stream`, and prints what comes of it.
    pub(crate) async fn print<Src>(
        self,
        stream: impl AsyncFnOnce(&Client, ResponsesRequest) -> Result<ResponseStream<Src>, Error>,
    ) -> Result<(), Failure>
    where
        Src: EventSource + Unpin,
    {
        let Self { client, request, events, _embedded } = self;
        let result = match stream(&client, request).await {
            Ok(stream) if events => print_events(stream).await,
            Ok(stream) => print_text(stream).await,
            Err(error) => Err(error.into()),
        };
        if let (true, Err(Failure::Call(error))) = (events, &result) {
            print_json(&ErrorLine::new(error))?;
        }
        result
    }
}
