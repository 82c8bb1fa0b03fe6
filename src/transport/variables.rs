//! The environment variables that the transport goes by, read once.

use std::fmt;

use crate::Error;
use crate::env::{EnvError, EnvSource};

const NAMES: [&str; 13] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "REQUEST_METHOD",
    "CODEX_SANDBOX",
    "CODEX_CA_CERTIFICATE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Those of [`NAMES`] that are set to something. A proxy's URL may hold a password.
///
/// What cannot be read is an error where it is asked for: nobody may ask.
#[derive(Clone, Default)]
pub(super) struct Variables(Vec<(&'static str, Result<String, EnvError>)>);

impl Variables {
    pub(super) fn read(env: &(impl EnvSource + ?Sized)) -> Self {
        let set = |name| Some((name, env.non_blank(name).transpose()?));
        Self(NAMES.into_iter().filter_map(set).collect())
    }

    /// The first of these names that is set, and its value.
    pub(super) fn first(
        &self,
        names: &[&'static str],
    ) -> Result<Option<(&'static str, &str)>, Error> {
        let set = |name| self.0.iter().find(|(set, _)| *set == name);
        match names.iter().copied().find_map(set) {
            Some((name, Ok(value))) => Ok(Some((name, value))),
            Some((_, Err(unreadable))) => Err(unreadable.clone().into()),
            None => Ok(None),
        }
    }

    pub(super) fn get(&self, name: &'static str) -> Result<Option<&str>, Error> {
        Ok(self.first(&[name])?.map(|(_, value)| value))
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
