//! What an error from below means: found by walking its causes.

use std::error::Error as StdError;
use std::{io, iter};

use bytes::Bytes;

use super::{Error, ErrorKind, Inner, Stage, said};
use crate::BoxError;
#[cfg(feature = "retry")]
use crate::layers::RetriedError;
use crate::sse::DecodeError;

impl From<BoxError> for Error {
    /// Finds the meaning of an error that came up through layers.
    ///
    /// A boxed [`Error`] is that error. Otherwise the causes are walked: an [`Error`] among them
    /// lends its facts; then the timeouts and refusals of this crate's and of tower's layers and
    /// the causes that transports have are looked for. The error stays as the
    /// [`source`](StdError::source).
    fn from(error: BoxError) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(own) => return *own,
            Err(error) => error,
        };
        #[cfg(feature = "retry")]
        let error = match error.downcast::<RetriedError>() {
            Ok(retried) => {
                let attempts = retried.list().clone();
                return Self::from(retried.into_last()).with_attempts(Some(&attempts));
            }
            Err(error) => error,
        };
        let own = causes(&*error).find_map(|cause| cause.downcast_ref::<Self>());
        let found = match own {
            Some(own) => own.facts(),
            None => {
                let (kind, stage) = meaning(&*error);
                Self::new(kind, said::one_line(&error.to_string())).with_stage(stage)
            }
        };
        #[cfg(feature = "retry")]
        let found = {
            let retried = causes(&*error).find_map(|cause| cause.downcast_ref::<RetriedError>());
            found.with_attempts(retried.map(RetriedError::list))
        };
        found.with_source(error)
    }
}

impl Error {
    /// All that can be copied of an error that stays where it is.
    pub(super) fn facts(&self) -> Self {
        let inner = &*self.0;
        Self(Box::new(Inner {
            message: inner.message.clone(),
            facts: inner.facts.clone(),
            request_id: inner.request_id.clone(),
            cf_ray: inner.cf_ray.clone(),
            authorization_error: inner.authorization_error.clone(),
            rate_limits: inner.rate_limits.clone(),
            public_rate_limits: inner.public_rate_limits.clone(),
            response: inner.response.clone(),
            response_id: inner.response_id.clone(),
            body: Bytes::clone(&inner.body),
            #[cfg(feature = "ws")]
            close: inner.close.clone(),
            source: None,
            kind: inner.kind,
            stage: inner.stage,
            status: inner.status,
            retry_after: inner.retry_after,
            retryable: inner.retryable,
            sequence_number: inner.sequence_number,
            handed_out: inner.handed_out,
            attempts: inner.attempts.clone(),
        }))
    }
}

/// The kind and stage that `Error::from` would give this error, and whether that error would be
/// retryable.
#[cfg(feature = "retry")]
pub(crate) fn kind_and_stage(error: &Cause) -> (ErrorKind, Stage, Option<bool>) {
    match own(error) {
        Some(own) => (own.kind(), own.stage(), Some(own.is_retryable())),
        None => {
            let (kind, stage) = meaning(error);
            (kind, stage, None)
        }
    }
}

/// The [`Error`] that an error is, or has among its causes.
#[cfg(feature = "retry")]
pub(crate) fn own(error: &Cause) -> Option<&Error> {
    causes(error).find_map(|cause| cause.downcast_ref::<Error>())
}

type Cause = dyn StdError + 'static;

fn causes(error: &Cause) -> impl Iterator<Item = &Cause> {
    iter::successors(Some(error), |cause| (**cause).source())
}

/// What kind of error [`Error::from`] would make of it.
#[cfg(feature = "telemetry")]
pub(crate) fn kind_of(error: &Cause) -> ErrorKind {
    match causes(error).find_map(|cause| cause.downcast_ref::<Error>()) {
        Some(own) => own.kind(),
        None => meaning(error).0,
    }
}

fn meaning(error: &Cause) -> (ErrorKind, Stage) {
    if let Some(found) = causes(error).find_map(of_layer) {
        return found;
    }
    #[cfg(feature = "client")]
    if let Some(found) = crate::transport::classify(error) {
        return found;
    }
    let io = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    io.map_or((ErrorKind::Transport, Stage::Unknown), |error| of_io(error.kind()))
}

/// The errors of layers, ours and tower's.
fn of_layer(cause: &Cause) -> Option<(ErrorKind, Stage)> {
    if cause.is::<DecodeError>() {
        return Some((ErrorKind::TooLarge, Stage::Streaming));
    }
    #[cfg(feature = "timeout")]
    if cause.is::<crate::layers::IdleTimeoutError>() {
        return Some((ErrorKind::IdleTimeout, Stage::Streaming));
    }
    #[cfg(feature = "timeout")]
    if cause.is::<crate::layers::HeadTimeoutError>() {
        // Connecting counts: the request may not have gone out, and may as well have.
        return Some((ErrorKind::HeadTimeout, Stage::Unknown));
    }
    #[cfg(feature = "timeout")]
    if let Some(total) = cause.downcast_ref::<crate::layers::TotalTimeoutError>() {
        let stage = if total.has_head() { Stage::Streaming } else { Stage::Unknown };
        return Some((ErrorKind::TotalTimeout, stage));
    }
    #[cfg(feature = "timeout")]
    if cause.is::<tower::timeout::error::Elapsed>() {
        return Some((ErrorKind::Timeout, Stage::Unknown));
    }
    if cause.is::<tower::load_shed::error::Overloaded>() {
        // The load that was shed is the caller's own; nothing went out.
        return Some((ErrorKind::Overloaded, Stage::NotSent));
    }
    None
}

fn of_io(kind: io::ErrorKind) -> (ErrorKind, Stage) {
    match kind {
        io::ErrorKind::ConnectionRefused => (ErrorKind::Connect, Stage::NotSent),
        io::ErrorKind::TimedOut => (ErrorKind::Timeout, Stage::Unknown),
        // What decompression says of bytes that are not what the header promised.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            (ErrorKind::Protocol, Stage::Unknown)
        }
        _ => (ErrorKind::Transport, Stage::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapper(BoxError);

    impl std::fmt::Display for Wrapper {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a layer failed")
        }
    }

    impl StdError for Wrapper {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn a_boxed_error_comes_back_as_itself() {
        let error = Error::from(BoxError::from(Error::build("no")));
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Build, Stage::NotSent));
        assert!(StdError::source(&error).is_none());
    }

    #[test]
    fn an_error_under_a_wrapper_lends_its_facts() {
        let inner = Error::new(ErrorKind::RateLimited, "slow down").with_stage(Stage::Sent);
        let error = Error::from(BoxError::from(Wrapper(inner.into())));
        assert_eq!((error.kind(), error.stage()), (ErrorKind::RateLimited, Stage::Sent));
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        assert_eq!(chain, ["slow down", "a layer failed", "slow down"]);
    }

    #[test]
    fn causes_decide() {
        let cases: [(BoxError, ErrorKind, Stage); 4] = [
            (
                io::Error::from(io::ErrorKind::ConnectionRefused).into(),
                ErrorKind::Connect,
                Stage::NotSent,
            ),
            (
                io::Error::from(io::ErrorKind::ConnectionReset).into(),
                ErrorKind::Transport,
                Stage::Unknown,
            ),
            (
                tower::load_shed::error::Overloaded::new().into(),
                ErrorKind::Overloaded,
                Stage::NotSent,
            ),
            ("something else".into(), ErrorKind::Transport, Stage::Unknown),
        ];
        for (error, kind, stage) in cases {
            let text = error.to_string();
            let error = Error::from(BoxError::from(Wrapper(error)));
            assert_eq!((error.kind(), error.stage()), (kind, stage), "{text}");
            assert_eq!(error.chain().last().map(ToString::to_string), Some(text));
        }
    }
}
