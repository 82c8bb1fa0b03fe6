//! The vocabulary of errors.

use std::fmt;

/// What went wrong, in the vocabulary of the API.
///
/// [`as_str`](Self::as_str) gives the stable `snake_case` name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The credential is missing, wrong or expired (401).
    Auth,
    /// The credential may not do this (403).
    Permission,
    /// No such thing (404).
    NotFound,
    /// The request is malformed or refused as it stands (400, 413, 422 and others of the kind).
    InvalidRequest,
    /// The input does not fit the model's context window.
    ContextWindow,
    /// The account's quota is used up; waiting does not help.
    Quota,
    /// The plan's usage limit is reached until it resets.
    UsageLimit,
    /// The plan does not include this.
    UsageNotIncluded,
    /// Too many requests or tokens for now.
    RateLimited,
    /// The server asks for less traffic. Worth another try only if the status alone says so (529),
    /// not the codes `server_is_overloaded` and `slow_down`.
    Overloaded,
    /// The request or its answer breaks a usage policy.
    Policy,
    /// The resource is in another state than the request supposes (409).
    Conflict,
    /// The response that the request continues is not there any more: send the whole conversation.
    ChainLost,
    /// The server, or a timeout layer, gave up waiting (408 and others of the kind).
    Timeout,
    /// No response head within the limit.
    HeadTimeout,
    /// No first event within the limit.
    FirstEventTimeout,
    /// No byte within the limit.
    IdleTimeout,
    /// No event within the limit, although bytes may have come.
    ProgressTimeout,
    /// The whole call took longer than its limit.
    TotalTimeout,
    /// The server failed (5xx).
    Server,
    /// No connection could be made.
    Connect,
    /// The connection takes no more requests, because of its age or of what it still brings: open
    /// another.
    ConnectionExpired,
    /// TLS could not be agreed on.
    Tls,
    /// The proxy refused or failed.
    Proxy,
    /// The connection broke.
    Transport,
    /// The socket was closed while it was needed, for the reason in
    #[cfg_attr(feature = "ws", doc = "[`Error::close_code`](super::Error::close_code).")]
    #[cfg_attr(not(feature = "ws"), doc = "`Error::close_code` (feature `ws`).")]
    Closed,
    /// The stream ended before its terminal event.
    Truncated,
    /// The server said something that is not the protocol.
    Protocol,
    /// Something is larger than its limit.
    TooLarge,
    /// The answer was cut short by the server, with a reason (`response.incomplete`).
    Incomplete,
    /// The request or the configuration cannot be sent as it is; nothing was sent.
    Build,
}

impl ErrorKind {
    /// The stable `snake_case` name, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Permission => "permission",
            Self::NotFound => "not_found",
            Self::InvalidRequest => "invalid_request",
            Self::ContextWindow => "context_window",
            Self::Quota => "quota",
            Self::UsageLimit => "usage_limit",
            Self::UsageNotIncluded => "usage_not_included",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Policy => "policy",
            Self::Conflict => "conflict",
            Self::ChainLost => "chain_lost",
            Self::Timeout => "timeout",
            Self::HeadTimeout => "head_timeout",
            Self::FirstEventTimeout => "first_event_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::ProgressTimeout => "progress_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Server => "server",
            Self::Connect => "connect",
            Self::ConnectionExpired => "connection_expired",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Transport => "transport",
            Self::Closed => "closed",
            Self::Truncated => "truncated",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
            Self::Build => "build",
        }
    }
}

impl ErrorKind {
    /// Whether a limit of time was passed, whoever set it: [`Timeout`](Self::Timeout),
    /// [`HeadTimeout`](Self::HeadTimeout), [`FirstEventTimeout`](Self::FirstEventTimeout),
    /// [`IdleTimeout`](Self::IdleTimeout), [`ProgressTimeout`](Self::ProgressTimeout) or
    /// [`TotalTimeout`](Self::TotalTimeout).
    pub const fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::HeadTimeout
                | Self::FirstEventTimeout
                | Self::IdleTimeout
                | Self::ProgressTimeout
                | Self::TotalTimeout
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far the request had come when it failed: what a caller needs to know before sending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Nothing reached the server.
    NotSent,
    /// The server has, or may have, the whole request; no event of its answer was read.
    Sent,
    /// The answer had begun.
    Streaming,
    /// It cannot be told whether the server has the request.
    Unknown,
}

impl Stage {
    /// The stable `snake_case` name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Sent => "sent",
            Self::Streaming => "streaming",
            Self::Unknown => "unknown",
        }
    }

    /// The one of two attempts of which the server may have seen more.
    pub(crate) const fn furthest(self, other: Self) -> Self {
        match (self, other) {
            (Self::Streaming, _) | (_, Self::Streaming) => Self::Streaming,
            (Self::Sent, _) | (_, Self::Sent) => Self::Sent,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::NotSent, Self::NotSent) => Self::NotSent,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn timeouts_are_told_by_their_names() {
        use ErrorKind as K;
        for kind in [
            K::Timeout,
            K::HeadTimeout,
            K::FirstEventTimeout,
            K::IdleTimeout,
            K::ProgressTimeout,
            K::TotalTimeout,
        ] {
            assert!(kind.is_timeout() && kind.as_str().ends_with("timeout"), "{kind}");
            assert!(Error::new(kind, "late").is_timeout());
        }
        assert!(!K::Transport.is_timeout() && !K::RateLimited.is_timeout());
        assert_eq!(Stage::NotSent.to_string(), "not_sent");
    }
}
