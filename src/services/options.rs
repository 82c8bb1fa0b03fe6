//! What a caller says about one call, besides its payload.
//!
//! Every endpoint's request carries a [`ResponsesOptions`]. Its part for the wire becomes headers;
//! its part for layers becomes request extensions.

use std::fmt;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::body::refuse_framing;
use crate::error;
use crate::extensions::StreamTimeouts;
use crate::model::ItemIds;
use crate::redaction;

/// What a caller says about one call.
///
/// Options that name a header replace the same header in
/// [`extra_headers`](Self::extra_headers); those replace what the provider sends by default.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ResponsesOptions {
    /// The conversation: sent as `x-client-request-id` and as the session header.
    pub conversation_id: Option<String>,
    /// The session, in the header that [`session_headers`](Self::session_headers) names.
    pub session_id: Option<String>,
    /// The thread, in the header that [`session_headers`](Self::session_headers) names.
    pub thread_id: Option<String>,
    /// How the session and thread headers are spelled.
    pub session_headers: SessionHeaders,
    /// Where the call comes from; a sub-agent is named in `x-openai-subagent`.
    pub session_source: SessionSource,
    /// Headers of the caller's, for this call.
    ///
    /// Those that tell how long the body is (`content-length`, `transfer-encoding`) are not among them: a
    /// gateway that hands headers on leaves them out, or the request is refused.
    pub extra_headers: HeaderMap,
    /// Whether the body is compressed. [`Compression::Zstd`] and [`Compression::Gzip`] need a
    /// `CompressionLayer` below the endpoint, as the preset has it; without one the request is an
    /// error.
    pub compression: Compression,
    /// The turn that this call belongs to.
    pub turn_state: Option<TurnState>,
    /// Which items of the input are sent with their ids, in place of the endpoint's rule.
    pub item_ids: Option<ItemIds>,
    /// How long the call may wait, in place of what the endpoint and the layers say.
    pub timeouts: StreamTimeouts,
    /// Extensions for the HTTP request, for layers of the caller's to read.
    pub extensions: http::Extensions,
    /// The first thing found wrong while the request was put together; told when it is to be sent.
    wrong: Option<Box<str>>,
}

impl ResponsesOptions {
    /// Options that say nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Options that say these headers.
    pub(crate) fn with_headers(extra_headers: HeaderMap) -> Self {
        Self { extra_headers, ..Self::default() }
    }

    /// These options, with what was found wrong under the ones they replace.
    pub(crate) fn replacing(self, others: Self) -> Self {
        Self { wrong: others.wrong.or(self.wrong), ..self }
    }

    /// Keeps the first thing found wrong.
    pub(crate) fn fail(&mut self, problem: impl Into<Box<str>>) {
        self.wrong.get_or_insert_with(|| problem.into());
    }

    /// Adds a header; a name or value that HTTP does not allow is found wrong.
    pub(crate) fn add_header<V: TryInto<HeaderValue>>(&mut self, name: &str, value: V) {
        match (HeaderName::try_from(name), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.extra_headers.append(name, value);
            }
            (Ok(name), Err(_)) => self.fail(format!(
                "the header `{name}`: its value has characters that a header may not have"
            )),
            (Err(_), _) => self.fail(format!(
                "the header `{}`: its name is not one that HTTP allows",
                error::one_line(name)
            )),
        }
    }

    /// How long the call may wait: as is said here, else as `endpoint` says.
    pub(crate) fn timeouts_or(&self, endpoint: StreamTimeouts) -> StreamTimeouts {
        self.timeouts.or(StreamTimeouts::of(&self.extensions)).or(endpoint)
    }

    /// Turns the wire part into headers.
    ///
    /// # Errors
    ///
    /// A value that no header can hold, a header that is not the caller's to say, and what was found
    /// wrong before.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Error> {
        if let Some(problem) = &self.wrong {
            return Err(Error::build(format!("the request cannot be sent: {problem}")));
        }
        let mut headers = self.extra_headers.clone();
        for (name, value) in &mut headers {
            refuse_framing("the request cannot be sent", name)?;
            if redaction::is_sensitive_header(name) {
                value.set_sensitive(true);
            }
        }
        let names = &self.session_headers;
        if let Some(id) = &self.conversation_id {
            set(&mut headers, &names.session, id, "conversation_id")?;
            set(&mut headers, &CLIENT_REQUEST_ID, id, "conversation_id")?;
        }
        if let Some(id) = &self.session_id {
            set(&mut headers, &names.session, id, "session_id")?;
        }
        if let Some(id) = &self.thread_id {
            set(&mut headers, &names.thread, id, "thread_id")?;
            if names.thread_is_request_id {
                set(&mut headers, &CLIENT_REQUEST_ID, id, "thread_id")?;
            }
        }
        if let Some(label) = self.session_source.subagent() {
            set(&mut headers, &SUBAGENT, label, "session_source")?;
        }
        if let Some(state) = self.turn_state.as_ref().and_then(TurnState::get) {
            set(&mut headers, &TURN_STATE, state, "turn_state")?;
        }
        Ok(headers)
    }
}

impl fmt::Debug for ResponsesOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesOptions")
            .field("conversation_id", &self.conversation_id)
            .field("session_id", &self.session_id)
            .field("thread_id", &self.thread_id)
            .field("session_headers", &self.session_headers)
            .field("session_source", &self.session_source)
            .field("extra_headers", &redaction::Headers(&self.extra_headers))
            .field("compression", &self.compression)
            .field("turn_state", &self.turn_state)
            .field("item_ids", &self.item_ids)
            .field("timeouts", &self.timeouts)
            .field("wrong", &self.wrong)
            .finish_non_exhaustive()
    }
}

/// What every endpoint's request lets its caller say beside the payload; for a type with a field
/// `options`.
macro_rules! call_options {
    (@ $($(#[$meta:meta])* $name:ident($ty:ty), $value:ident => $typed:expr;)*) => {$(
        $(#[$meta])*
        pub fn $name(mut self, $value: $ty) -> Self {
            self.options.$name = $typed;
            self
        }
    )*};
    () => {
        /// The options, to read.
        pub fn options_ref(&self) -> &$crate::services::ResponsesOptions {
            &self.options
        }

        /// The options, to change in place.
        pub fn options_mut(&mut self) -> &mut $crate::services::ResponsesOptions {
            &mut self.options
        }

        /// Replaces all options.
        pub fn options(mut self, options: $crate::services::ResponsesOptions) -> Self {
            self.options = options.replacing(self.options);
            self
        }

        /// Adds a header to this call. A name or value that HTTP does not allow is an error when the
        /// request is sent.
        pub fn header<K, V>(mut self, name: K, value: V) -> Self
        where
            K: AsRef<str>,
            V: TryInto<http::HeaderValue>,
        {
            self.options.add_header(name.as_ref(), value);
            self
        }

        /// Adds an extension to the HTTP request, for a layer to read.
        pub fn extension<T: Clone + Send + Sync + 'static>(mut self, extension: T) -> Self {
            self.options.extensions.insert(extension);
            self
        }

        /// How long the call may wait, in place of what the endpoint and the layers say. Limits that
        /// are unset stay as they are.
        pub fn timeouts(mut self, timeouts: $crate::extensions::StreamTimeouts) -> Self {
            self.options.timeouts = timeouts.or(self.options.timeouts);
            self
        }

        /// The longest that the whole call may take, retries and the body included:
        /// [`StreamTimeouts::total`](crate::extensions::StreamTimeouts::total); zero is off.
        pub fn total_timeout(self, limit: std::time::Duration) -> Self {
            self.timeouts($crate::extensions::StreamTimeouts::new().total(limit))
        }

        /// How often this call is tried again at most, whatever the policy says:
        /// [`RetryOverride::max_retries`](crate::extensions::RetryOverride::max_retries); zero is off.
        #[cfg(feature = "retry")]
        pub fn max_retries(self, retries: u32) -> Self {
            let own = self.options.extensions.get::<$crate::extensions::RetryOverride>();
            let own = own.copied().unwrap_or_default();
            self.extension(own.max_retries(retries))
        }

        $crate::services::options::call_options! { @
            /// The conversation, sent as `x-client-request-id` and as the session header.
            conversation_id(impl Into<String>), id => Some(id.into());
            /// The session.
            session_id(impl Into<String>), id => Some(id.into());
            /// The thread.
            thread_id(impl Into<String>), id => Some(id.into());
            /// How the session and thread headers are spelled.
            session_headers($crate::services::SessionHeaders), names => names;
            /// Where the call comes from.
            session_source($crate::services::SessionSource), source => source;
            /// Whether the body is compressed; see [`ResponsesOptions::compression`].
            ///
            /// [`ResponsesOptions::compression`]: crate::services::ResponsesOptions::compression
            compression($crate::services::Compression), compression => compression;
            /// The turn that this call belongs to.
            turn_state($crate::services::TurnState), state => Some(state);
        }
    };
}

pub(super) use call_options;

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const SUBAGENT: HeaderName = HeaderName::from_static("x-openai-subagent");
pub(crate) const TURN_STATE: HeaderName = HeaderName::from_static("x-codex-turn-state");

fn set(
    headers: &mut HeaderMap,
    name: &HeaderName,
    value: &str,
    option: &'static str,
) -> Result<(), Error> {
    let mut value = HeaderValue::from_str(value).map_err(|error| {
        Error::build(format!(
            "the option `{option}` cannot be sent as the header `{name}`: \
             it has characters that a header value may not have"
        ))
        .with_source(error)
    })?;
    value.set_sensitive(redaction::is_sensitive_header(name));
    headers.insert(name, value);
    Ok(())
}

/// How the session and thread headers are spelled.
///
/// Names with `_` are legal, but some gateways drop them: ask yours before choosing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionHeaders {
    /// The header of the session (and of the conversation).
    pub session: HeaderName,
    /// The header of the thread.
    pub thread: HeaderName,
    /// Whether the thread is sent as `x-client-request-id` too.
    pub thread_is_request_id: bool,
}

impl SessionHeaders {
    /// `session_id` and `thread_id`: the older spelling, and the default. The first Codex clients
    /// give a [conversation](ResponsesOptions::conversation_id) instead of the two, which goes as
    /// `session_id` and as `x-client-request-id`.
    pub const UNDERSCORE: Self = Self::custom("session_id", "thread_id", false);
    /// `session-id` and `thread-id`, the thread as `x-client-request-id` too: the newest spelling.
    pub const HYPHEN: Self = Self::custom("session-id", "thread-id", true);

    const fn custom(session: &'static str, thread: &'static str, both: bool) -> Self {
        Self {
            session: HeaderName::from_static(session),
            thread: HeaderName::from_static(thread),
            thread_is_request_id: both,
        }
    }

    /// Names of the caller's.
    pub fn named(session: HeaderName, thread: HeaderName) -> Self {
        Self { session, thread, thread_is_request_id: false }
    }
}

impl Default for SessionHeaders {
    fn default() -> Self {
        Self::UNDERSCORE
    }
}

/// Where a call comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionSource {
    /// A command line.
    Cli,
    /// Visual Studio Code.
    VsCode,
    /// A run without a person.
    Exec,
    /// An MCP server.
    Mcp,
    /// A name of the caller's.
    Custom(String),
    /// An agent that works for another: the only source that is sent to the server.
    SubAgent(SubAgentSource),
    /// Not said.
    #[default]
    Unknown,
}

/// What a sub-agent is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubAgentSource {
    /// `review`.
    Review,
    /// `compact`.
    Compact,
    /// `memory_consolidation`.
    MemoryConsolidation,
    /// `collab_spawn`.
    ThreadSpawn,
    /// A label of the caller's, sent as it is.
    Other(String),
}

impl SessionSource {
    /// The value of `x-openai-subagent`, for sub-agents.
    pub fn subagent(&self) -> Option<&str> {
        let Self::SubAgent(source) = self else { return None };
        Some(match source {
            SubAgentSource::Review => "review",
            SubAgentSource::Compact => "compact",
            SubAgentSource::MemoryConsolidation => "memory_consolidation",
            SubAgentSource::ThreadSpawn => "collab_spawn",
            SubAgentSource::Other(label) => label,
        })
    }
}

/// Whether a request body is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compression {
    /// As the stack's `CompressionLayer` does it by default; without one, not at all.
    #[default]
    Auto,
    /// Sent as it is, whatever the default of the layer.
    None,
    /// Zstandard, however small the body (feature `compression-zstd`).
    Zstd,
    /// Gzip, however small the body (feature `compression-gzip`).
    Gzip,
}

/// The server's opaque note on a turn: written once by the first answer of the turn, sent with every
/// later call of the same turn.
///
/// Clones share the note. Give each turn a new one: a note must not reach the next turn.
#[derive(Clone, Default)]
pub struct TurnState(Arc<OnceLock<String>>);

impl TurnState {
    /// A turn that the server has said nothing of.
    pub fn new() -> Self {
        Self::default()
    }

    /// The note, once there is one.
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// Keeps `value`, unless there is a note already.
    pub(crate) fn capture(&self, value: &str) {
        let _first_wins = self.0.set(value.to_owned());
    }
}

impl fmt::Debug for TurnState {
    /// Says whether there is a note, never what it says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnState").field("known", &self.get().is_some()).finish()
    }
}
