//! What each endpoint of a client does about failure, time, load and size, as a value.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::endpoints::endpoints;
use crate::extensions::StreamTimeouts;
use crate::layers::resume::ResumeSettings;
use crate::layers::retry::RetrySettings;
use crate::layers::stream_retry::StreamRetrySettings;
use crate::services::Compression;

/// [`Policy`], with a field and a method for each endpoint.
macro_rules! policy {
    ($($(#[$meta:meta])* $name:ident: $Service:ident, $waits:ident;)*) => {
        /// The policies of a client's endpoints, in a form that can live in a file.
        ///
        /// A key that is not known is refused. What an endpoint leaves unset is as in
        /// [`default`](Self::default); what that leaves unset is the client's own default.
        ///
        /// ```
        /// use tower_openai::client::{Client, Policy};
        ///
        /// let policy: Policy = serde_json::from_str(
        ///     r#"{
        ///         "default": {"retry": {"max_retries": 4}, "timeouts": {"idle_ms": 240000}},
        ///         "responses": {"timeouts": {"head_ms": 20000}, "max_in_flight": 8},
        ///         "resume": {"max_in_a_row": 10}
        ///     }"#,
        /// )?;
        /// assert_eq!(policy.responses().retry.max_retries, Some(4));
        ///
        /// # let api_key = "sk-example";
        /// let client = Client::builder().api_key(api_key).policy(policy).build()?;
        /// print!("{}", client.explain());
        /// # Ok::<_, tower_openai::BoxError>(())
        /// ```
        ///
        /// In code it is the default with changes:
        ///
        /// ```
        /// use std::num::NonZeroUsize;
        /// use std::time::Duration;
        ///
        /// use tower_openai::client::Policy;
        /// use tower_openai::extensions::StreamTimeouts;
        ///
        /// let mut policy = Policy::default();
        /// policy.responses.timeouts = StreamTimeouts::new().head(Duration::from_secs(20));
        /// policy.responses.retry.max_retries = Some(4);
        /// policy.responses.max_in_flight = NonZeroUsize::new(8);
        /// ```
        ///
        /// For retry rules that are no data, a classifier say, there is
        /// [`ClientBuilder::retry_policy`](super::ClientBuilder::retry_policy).
        ///
        /// # A limit for the head in `default`
        ///
        /// It holds for every endpoint, those included whose answer begins only when the model is
        /// done, and which have no such limit by default: `compact`, `create_response`, `images`,
        /// `memories`, `search`. One that is shorter than the work cuts it off, and each retry pays
        /// for it again. Set it for `responses`, where the head comes before the work, or turn it off
        /// (0) for those endpoints.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Policy {
            /// For every endpoint, where its own policy says nothing.
            pub default: EndpointPolicy,
            /// For [`Client::responses`](super::Client::responses) and
            /// [`Client::retrieve_stream`](super::Client::retrieve_stream).
            pub responses: EndpointPolicy,
            /// For [`Client::responses_socket`](super::Client::responses_socket): the handshake, and of
            /// the timeouts those of streams.
            #[cfg(feature = "ws")]
            pub responses_socket: EndpointPolicy,
            /// How streams are taken up again that break off: for
            /// [`Client::resuming_responses`](super::Client::resuming_responses).
            pub resume: ResumeSettings,
            /// How requests are sent again whose streams fail before anything of the answer has come: for
            /// [`Client::retrying_responses`](super::Client::retrying_responses).
            pub stream_retry: StreamRetrySettings,
            $(
                #[doc = concat!("For [`Client::", stringify!($name), "`](super::Client::", stringify!($name), ").")]
                pub $name: EndpointPolicy,
            )*
        }

        impl Policy {
            /// What holds for [`Client::responses`](super::Client::responses).
            #[must_use]
            pub fn responses(&self) -> EndpointPolicy {
                self.responses.or(&self.default)
            }

            /// What holds for [`Client::responses_socket`](super::Client::responses_socket).
            #[cfg(feature = "ws")]
            #[must_use]
            pub fn responses_socket(&self) -> EndpointPolicy {
                self.responses_socket.or(&self.default)
            }

            $(
                #[doc = concat!("What holds for [`Client::", stringify!($name), "`](super::Client::", stringify!($name), ").")]
                #[must_use]
                pub fn $name(&self) -> EndpointPolicy {
                    self.$name.or(&self.default)
                }
            )*
        }
    };
}

endpoints!(policy);

/// What one endpoint does about failure, time, load and size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EndpointPolicy {
    /// Whether and when a failed attempt is followed by another.
    pub retry: RetrySettings,
    /// How long a call may wait, on each of its clocks. A limit for the head in the default policy
    /// [holds for all endpoints](Policy#a-limit-for-the-head-in-default).
    pub timeouts: StreamTimeouts,
    /// How request bodies are compressed that do not say so themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// How many attempts may be under way at once, from the request to the end of the body. Waits
    /// between attempts do not count. Unset: any number.
    ///
    /// A call beyond that waits until the stack is ready, before its clocks begin, for however long it
    /// takes. With tower's [`LoadShedLayer`](tower::load_shed::LoadShedLayer) as a
    /// [`layer`](super::ClientBuilder::layer) it is refused, as
    /// [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded); a `tokio::time::timeout` around the
    /// call gives up the wait too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<NonZeroUsize>,
}

impl EndpointPolicy {
    /// This policy, and `other` where it says nothing.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            retry: self.retry.or(other.retry),
            timeouts: self.timeouts.or(other.timeouts),
            compression: self.compression.or(other.compression),
            max_in_flight: self.max_in_flight.or(other.max_in_flight),
        }
    }
}
