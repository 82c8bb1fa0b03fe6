//! [`RealtimeRequest`]: which conversation to open, and how.

use std::fmt;

use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::extensions::{ApiRoot, Call};
use crate::model::realtime::codex::{RealtimeConversationVersion, Transcript};
use crate::model::realtime::{ClientEvent, Item, OutputModality, Session, SessionKind, Voice};
use crate::provider::Provider;
use crate::services::RealtimeCallAnswer;
use crate::services::encode::{Outgoing, Target};
use crate::services::options::{ResponsesOptions, call_options};
use crate::ws::{Message, WebSocketConfig};
use crate::{Error, ErrorKind, Stage};

const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
const ALPHA: HeaderName = HeaderName::from_static("openai-alpha");

/// So much may be said as soon as a socket is open: what there is room for while it waits.
const MOST: usize = 1024 * 1024;

/// A request to open a realtime conversation, or to join one.
#[derive(Clone, Default)]
#[must_use]
pub struct RealtimeRequest {
    model: Option<String>,
    call_id: Option<String>,
    version: Option<RealtimeConversationVersion>,
    session: Option<Box<Session>>,
    carried: Vec<Item>,
    session_header: Option<String>,
    base_url: Option<String>,
    options: ResponsesOptions,
}

impl RealtimeRequest {
    /// A conversation with this model.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: Some(model.into()), ..Self::default() }
    }

    /// Joins the call of this id, which has its model already: a server-side connection to a call
    /// over WebRTC or SIP.
    pub fn join(call_id: impl Into<String>) -> Self {
        Self { call_id: Some(call_id.into()), ..Self::default() }
    }

    /// What to say of the session as soon as the socket is open, as `session.update`. Without it
    /// nothing is said, and the session is the server's default, or what the call began with. What the
    /// server alone sets, such as the `id`, is left out.
    pub fn session(mut self, session: Session) -> Self {
        self.session = Some(Box::new(session));
        self
    }

    /// Opens it as Codex does: version 1 has a query and a header of its own, and a session has to
    /// be one of that version. Unset, nothing is added and nothing checked.
    pub fn codex(mut self, version: RealtimeConversationVersion) -> Self {
        self.version = Some(version);
        self
    }

    /// What was said in a conversation before, for the model to know: an item for each entry, after
    /// the session.
    pub fn carry_over(mut self, transcript: &Transcript) -> Self {
        self.carried.clear();
        self.carry_over_too(transcript)
    }

    /// As [`carry_over`](Self::carry_over), behind what is carried over already, unless the transcript
    /// begins with that.
    pub(super) fn carry_over_too(mut self, transcript: &Transcript) -> Self {
        let said = transcript.entries().map(|entry| match entry.role.as_str() {
            "assistant" => Item::assistant(entry.text.as_str()),
            _ => Item::user(entry.text.as_str()),
        });
        let said: Vec<_> = said.collect();
        if said.starts_with(&self.carried) {
            self.carried.clear();
        }
        self.carried.extend(said);
        self
    }

    /// Whether the conversation is that of a call, and outlives the socket.
    pub(super) fn joins_a_call(&self) -> bool {
        self.call_id.is_some()
    }

    /// The id of the session for the provider's records, in the header `x-session-id`. It goes before
    /// a header of that name.
    pub fn provider_session_id(mut self, id: impl Into<String>) -> Self {
        self.session_header = Some(id.into());
        self
    }

    /// Another base URL than the provider's, of the scheme `wss`, `ws`, `https` or `http`. The
    /// provider's query does not go there, and credentials only if the origin is the provider's.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    call_options!();

    /// The URL of the socket, by the rules of [`ApiRoot::Realtime`]: what a client that opens it by
    /// other means than [`Realtime`](super::Realtime) wants.
    ///
    /// # Errors
    ///
    /// A base URL that cannot be used, or a URL that is too long.
    pub fn url(&self, provider: &Provider) -> Result<Uri, Error> {
        let url = match self.own_url()? {
            Some(url) => url,
            None => {
                let target = self.target().into_uri()?;
                provider.root(ApiRoot::Realtime)?.url_of(target.path_and_query())?
            }
        };
        let mut parts = url.into_parts();
        let scheme = parts.scheme.as_ref().map(|scheme| scheme.as_str());
        let scheme = if scheme == Some("http") { "ws" } else { "wss" };
        parts.scheme = scheme.parse().ok();
        Uri::from_parts(parts)
            .map_err(|error| Error::build("the URL of the socket is malformed").with_source(error))
    }

    fn target(&self) -> Target {
        let v1 = self.version == Some(RealtimeConversationVersion::V1);
        let model = self.model.as_ref().filter(|_| self.call_id.is_none());
        Target::of("/realtime")
            .query_if("intent", v1.then_some("quicksilver"))
            .query_if("model", model)
            .query_if("call_id", self.call_id.as_ref())
    }

    /// The URL at the base URL of the request's own, for an HTTP transport.
    fn own_url(&self) -> Result<Option<Uri>, Error> {
        let Some(base) = &self.base_url else { return Ok(None) };
        let target = self.target().into_uri()?;
        let root = Provider::new("realtime", base)?;
        root.root(ApiRoot::Realtime)?.url_of(target.path_and_query()).map(Some)
    }

    /// The request of the handshake, and what is said once it is done.
    pub(super) fn open(
        self,
        config: &WebSocketConfig,
    ) -> Result<(Request<()>, Vec<Message>), Error> {
        self.check()?;
        let first = self.first(config)?;
        let url = self.own_url()?;
        let call = Call::unary("realtime", self.model.clone());
        let outgoing = Outgoing::new(Method::GET, self.target())?;
        let Self { mut options, session_header, version, .. } = self;
        options.extensions.insert(ApiRoot::Realtime);
        let timeouts = options.timeouts_or(Default::default());
        let mut request = outgoing.into_request(&mut options, timeouts, call)?.map(drop);
        if let Some(url) = url {
            *request.uri_mut() = url;
        }
        if let Some(id) = session_header {
            let id = HeaderValue::from_str(&id).map_err(|error| {
                Error::build(
                    "the id of the realtime session cannot be sent as the header `x-session-id`: it \
                     has characters that a header value may not have",
                )
                .with_source(error)
            })?;
            request.headers_mut().insert(SESSION_ID, id);
        }
        if version == Some(RealtimeConversationVersion::V1) {
            let alpha = const { HeaderValue::from_static("quicksilver=v1") };
            request.headers_mut().entry(ALPHA).or_insert(alpha);
        }
        Ok((request, first))
    }

    /// That the session is one that Codex's version has.
    fn check(&self) -> Result<(), Error> {
        let voice = || self.session.as_ref()?.audio.as_ref()?.output.as_ref()?.voice.as_ref();
        let of_the_other = |others: &[Voice]| voice().is_some_and(|voice| others.contains(voice));
        let modalities = || self.session.as_ref()?.output_modalities.as_ref();
        match &self.version {
            Some(RealtimeConversationVersion::V1) => {
                if of_the_other(&Voice::V2) {
                    return Err(Error::build(
                        "the voice is one of version 2, and the session of version 1: take one of \
                         `Voice::V1`",
                    ));
                }
                if modalities().is_some_and(|all| all.contains(&OutputModality::Text)) {
                    return Err(Error::build(
                        "sessions of version 1 answer by voice only: take version 2 for text",
                    ));
                }
            }
            Some(RealtimeConversationVersion::V2) if of_the_other(&Voice::V1) => {
                return Err(Error::build(
                    "the voice is one of version 1, and the session of version 2: take one of \
                     `Voice::V2`",
                ));
            }
            _ => {}
        }
        let kind = || self.session.as_ref()?.kind.as_ref();
        let first = kind().map(|kind| *kind == SessionKind::Quicksilver);
        match (&self.version, first) {
            (Some(RealtimeConversationVersion::V1), Some(false)) => {
                return Err(Error::build(
                    "the session is not one of version 1: make it with `Session::codex_v1`",
                ));
            }
            (Some(RealtimeConversationVersion::V2), Some(true)) => {
                return Err(Error::build(
                    "the session is one of version 1: make it with `Session::codex_v2`",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// What is said as soon as the socket is open.
    fn first(&self, config: &WebSocketConfig) -> Result<Vec<Message>, Error> {
        let session = self.session.iter().map(|session| {
            let mut session = (**session).clone();
            // The server gives them, and refuses them.
            (session.id, session.object, session.expires_at) = (None, None, None);
            ClientEvent::session(session)
        });
        let carried = self.carried.iter().cloned().map(ClientEvent::item);
        let mut messages = Vec::new();
        let mut bytes = 0;
        let most = MOST.min(config.max_outgoing_size_value());
        for event in session.chain(carried) {
            let text = serde_json::to_string(&event).map_err(|error| {
                Error::build("the session does not serialise").with_source(error)
            })?;
            bytes += text.len() + 64;
            if bytes > most {
                let message = format!(
                    "what is to be said of the session has more than {most} bytes: shorten its \
                     instructions, or carry less over"
                );
                return Err(Error::new(ErrorKind::TooLarge, message).with_stage(Stage::NotSent));
            }
            messages.push(Message::from(text));
        }
        Ok(messages)
    }
}

impl From<&RealtimeCallAnswer> for RealtimeRequest {
    /// Joins the call that was answered.
    fn from(answer: &RealtimeCallAnswer) -> Self {
        Self::join(answer.call_id.as_str())
    }
}

impl fmt::Debug for RealtimeRequest {
    /// Shows no instructions, and of a base URL only that there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeRequest")
            .field("model", &self.model)
            .field("call_id", &self.call_id)
            .field("version", &self.version)
            .field("session", &self.session.is_some())
            .field("carried", &self.carried.len())
            .field("base_url", &self.base_url.is_some())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
