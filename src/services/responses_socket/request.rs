//! The request that opens a socket: the headers of the handshake.

use http::HeaderName;

use crate::services::options::call_options;
use crate::services::{ResponsesOptions, SessionHeaders};

/// A request to open a connection.
///
/// A socket has headers once, in its handshake: what is said here holds for all its responses.
///
/// ```
/// use tower_openai::services::ResponsesSocketRequest;
///
/// // The public API needs none of it.
/// let request = ResponsesSocketRequest::new();
/// // The Codex backend wants to know more.
/// let request = ResponsesSocketRequest::codex()
///     .session_id("session-1")
///     .thread_id("thread-1")
///     .window_id("window-1")
///     .beta_features(["remote_compaction"]);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ResponsesSocketRequest {
    pub(super) options: ResponsesOptions,
}

const BETA: HeaderName = HeaderName::from_static("openai-beta");

/// Setters for headers, by name.
macro_rules! headers {
    ($($(#[$meta:meta])* $name:ident, $header:literal;)*) => {$(
        $(#[$meta])*
        #[doc = concat!("\n\nThe header `", $header, "`. A value that no header can have is an error of the connection.")]
        pub fn $name(self, value: impl AsRef<str>) -> Self {
            self.replace($header, value.as_ref())
        }
    )*};
}

impl ResponsesSocketRequest {
    /// A request that says nothing but that it wants a socket.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the Codex backend asks for: the header `OpenAI-Beta: responses_websockets=2026-02-06`, and
    /// session and thread in headers [spelled](SessionHeaders::HYPHEN) the newest way.
    pub fn codex() -> Self {
        Self::new().beta("responses_websockets=2026-02-06").session_headers(SessionHeaders::HYPHEN)
    }

    /// Asks for a feature in beta, beside others: `responses_multi_agent=v1`, say.
    ///
    /// The header `OpenAI-Beta`.
    pub fn beta(mut self, feature: impl AsRef<str>) -> Self {
        self.options.add_header(BETA.as_str(), feature.as_ref());
        self
    }

    /// The experiments that the client takes part in (Codex). None of them leaves the header out.
    ///
    /// The header `x-codex-beta-features`.
    pub fn beta_features(self, features: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let features: Vec<_> = features.into_iter().map(|name| name.as_ref().to_owned()).collect();
        if features.is_empty() {
            self
        } else {
            self.replace("x-codex-beta-features", &features.join(","))
        }
    }

    headers! {
        /// The client's data on the turn, as JSON (Codex).
        turn_metadata, "x-codex-turn-metadata";
        /// The window that the client shows (Codex).
        window_id, "x-codex-window-id";
        /// The thread that this one was begun by (Codex).
        parent_thread_id, "x-codex-parent-thread-id";
        /// The proof of an attestation provider (Codex).
        attestation, "x-oai-attestation";
    }

    /// Says that the responses write memories (Codex).
    ///
    /// The header `x-openai-memgen-request`.
    pub fn memory_generation(self) -> Self {
        self.replace("x-openai-memgen-request", "true")
    }

    /// Asks for measurements of the server's (`responsesapi.websocket_timing`), which come as events
    /// of an unknown type.
    ///
    /// The header `x-responsesapi-include-timing-metrics`.
    pub fn timing_metrics(self) -> Self {
        self.replace("x-responsesapi-include-timing-metrics", "true")
    }

    fn replace(mut self, name: &'static str, value: &str) -> Self {
        let name = HeaderName::from_static(name);
        self.options.extra_headers.remove(&name);
        self.options.add_header(name.as_str(), value);
        self
    }

    call_options!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::TurnState;
    use http::HeaderValue;

    #[test]
    fn the_headers_of_the_handshake_are_those_of_codex() {
        let turn = TurnState::new();
        turn.capture("sticky");
        let request = ResponsesSocketRequest::codex()
            .session_id("s")
            .thread_id("t")
            .window_id("v")
            .window_id("w")
            .beta_features(["a", "b"])
            .beta("responses_multi_agent=v1")
            .parent_thread_id("p")
            .turn_metadata("{}")
            .attestation("proof")
            .memory_generation()
            .timing_metrics()
            .turn_state(turn);
        let headers = request.options.headers().unwrap();
        for (name, value) in [
            ("session-id", "s"),
            ("thread-id", "t"),
            ("x-client-request-id", "t"),
            ("x-codex-window-id", "w"),
            ("x-codex-beta-features", "a,b"),
            ("x-codex-parent-thread-id", "p"),
            ("x-codex-turn-metadata", "{}"),
            ("x-codex-turn-state", "sticky"),
            ("x-oai-attestation", "proof"),
            ("x-openai-memgen-request", "true"),
            ("x-responsesapi-include-timing-metrics", "true"),
        ] {
            assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
        }
        let betas: Vec<&HeaderValue> = headers.get_all("openai-beta").iter().collect();
        assert_eq!(betas, ["responses_websockets=2026-02-06", "responses_multi_agent=v1"]);
        assert!(ResponsesSocketRequest::new().options.headers().unwrap().is_empty());
        assert!(
            ResponsesSocketRequest::new().beta_features([""; 0]).options.extra_headers.is_empty()
        );
        let bad = ResponsesSocketRequest::new().window_id("a\nb");
        assert!(bad.options.headers().unwrap_err().message().contains("x-codex-window-id"));
    }
}
