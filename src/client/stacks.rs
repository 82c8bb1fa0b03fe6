//! The stacks of a client, one for each endpoint.

use super::endpoints::endpoints;
use super::explain::Explanation;
use super::policy::Policy;
use super::stack::{Preset, Waits};
use crate::Error;
use crate::layers::RateLimitsHandle;
use crate::services::{BoxHttpService, BoxableHttpService};

/// The stacks of the endpoints over one transport, and how they are made.
macro_rules! stacks {
    ($($(#[$meta:meta])* $name:ident: $Service:ident, $waits:ident;)*) => {
        pub(super) struct Stacks {
            pub(super) http: BoxHttpService,
            pub(super) responses: BoxHttpService,
            #[cfg(feature = "ws")]
            pub(super) responses_socket: BoxHttpService,
            $(pub(super) $name: BoxHttpService,)*
            pub(super) rate_limits: RateLimitsHandle,
            pub(super) explanation: Explanation,
        }

        /// One stack per endpoint over clones of one transport.
        pub(super) fn assemble<S>(preset: &Preset, policy: &Policy, transport: S) -> Result<Stacks, Error>
        where
            S: BoxableHttpService,
        {
            let mut explanation = Explanation::default();
            let mut stack = |name, waits, policy: &_| {
                let (stack, told) = preset.assemble(name, waits, policy, transport.clone())?;
                explanation.add(told);
                Ok::<_, Error>(stack)
            };
            Ok(Stacks {
                responses: stack("responses", Waits::QUICK, &policy.responses())?,
                $($name: stack(stringify!($name), Waits::$waits, &policy.$name())?,)*
                #[cfg(feature = "ws")]
                responses_socket: stack(
                    "responses_socket",
                    Waits::SOCKET,
                    &policy.responses_socket(),
                )?,
                http: stack("any other call", Waits::QUICK, &policy.default)?,
                rate_limits: preset.rate_limits.handle(),
                explanation,
            })
        }
    };
}

endpoints!(stacks);

/// Puts the preset on a transport.
pub(super) type Assemble = Box<dyn FnOnce(&Preset, &Policy) -> Result<Stacks, Error> + Send>;
