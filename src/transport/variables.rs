//! The environment variables that the transport goes by, read once.

use std::fmt;

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
#[derive(Clone, Default)]
pub(super) struct Variables(Vec<(&'static str, String)>);

impl Variables {
    pub(super) fn read(env: &(impl EnvSource + ?Sized)) -> Result<Self, EnvError> {
        let mut set = Vec::new();
        for name in NAMES {
            if let Some(value) = env.non_blank(name)? {
                set.push((name, value));
            }
        }
        Ok(Self(set))
    }

    /// The first of these names that is set, and its value.
    pub(super) fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|&name| {
            let (name, value) = self.0.iter().find(|(set, _)| *set == name)?;
            Some((*name, value.as_str()))
        })
    }

    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        self.first(&[name]).map(|(_, value)| value)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
