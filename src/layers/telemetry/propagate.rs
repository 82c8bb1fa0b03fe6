//! Headers that carry the trace on to the server.

use std::sync::Arc;

use http::HeaderMap;

/// Writes headers on each attempt, for [`AttemptLayer::propagate`](super::AttemptLayer::propagate).
///
/// A closure does it; `()` writes nothing. It is called inside the attempt's span, when everything
/// else in the request is final. For a request on a socket it is called inside the call's span, and of
/// what it writes `traceparent` and `tracestate` travel in the message.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use tower_openai::layers::AttemptLayer;
///
/// let layer = AttemptLayer::new().propagate(|headers: &mut HeaderMap| {
///     let context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
///     headers.insert("traceparent", HeaderValue::from_static(context));
/// });
/// ```
pub trait Propagate: Send + Sync + 'static {
    /// Whether anything is ever written. If not, the layer looks at no request for its sake.
    fn injects(&self) -> bool {
        true
    }

    /// Writes to the headers of a request.
    fn inject(&self, headers: &mut HeaderMap);
}

impl Propagate for () {
    fn injects(&self) -> bool {
        false
    }

    fn inject(&self, _: &mut HeaderMap) {}
}

impl<F: Fn(&mut HeaderMap) + Send + Sync + 'static> Propagate for F {
    fn inject(&self, headers: &mut HeaderMap) {
        self(headers);
    }
}

impl<P: Propagate + ?Sized> Propagate for Arc<P> {
    fn injects(&self) -> bool {
        (**self).injects()
    }

    fn inject(&self, headers: &mut HeaderMap) {
        (**self).inject(headers);
    }
}

/// `None` writes nothing.
impl<P: Propagate> Propagate for Option<P> {
    fn injects(&self) -> bool {
        self.as_ref().is_some_and(P::injects)
    }

    fn inject(&self, headers: &mut HeaderMap) {
        if let Some(propagate) = self {
            propagate.inject(headers);
        }
    }
}

#[cfg(feature = "opentelemetry")]
pub use self::global::OpenTelemetry;

#[cfg(feature = "opentelemetry")]
mod global {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use opentelemetry::propagation::Injector;
    use opentelemetry::{Context, global};

    use super::Propagate;

    /// Writes the current OpenTelemetry context with the application's propagator: `traceparent` and
    /// `tracestate` if it is W3C's.
    ///
    /// The context is the attempt's if the subscriber has a bridge such as `tracing-opentelemetry`,
    /// which makes a span's context current while the span is entered. The propagator is the one set
    /// with `opentelemetry::global::set_text_map_propagator`; without one, nothing is written.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct OpenTelemetry;

    impl Propagate for OpenTelemetry {
        fn inject(&self, headers: &mut HeaderMap) {
            global::get_text_map_propagator(|propagator| {
                propagator.inject_context(&Context::current(), &mut Headers(headers));
            });
        }
    }

    struct Headers<'a>(&'a mut HeaderMap);

    impl Injector for Headers<'_> {
        /// What HTTP does not allow is left out: a trace that ends here is no reason to fail.
        fn set(&mut self, key: &str, value: String) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
            {
                // A full map fails too, and is told by the layers that need it.
                let _ = self.0.try_insert(name, value);
            }
        }
    }
}
