//! The environment, read through a source that tests can replace.
//!
//! Constructors such as [`Provider::from_env`](crate::provider::Provider::from_env) take any
//! [`EnvSource`]: [`ProcessEnv`] in a program, a map in a test, a closure over a secret store.
//!
//! ```
//! use tower_openai::env::{EnvSource, env_fn};
//!
//! let fixed = [("OPENAI_PROJECT_ID", "proj_1"), ("OPENAI_ORG_ID", "  ")];
//! assert_eq!(fixed.non_blank("OPENAI_PROJECT_ID")?.as_deref(), Some("proj_1"));
//! assert_eq!(fixed.non_blank("OPENAI_ORG_ID")?, None); // blank counts as unset
//!
//! let prefixed = env_fn(|name| Ok(fixed.var(&format!("OPENAI_{name}"))?));
//! assert_eq!(prefixed.var("PROJECT_ID")?.as_deref(), Some("proj_1"));
//! # Ok::<(), tower_openai::env::EnvError>(())
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Where environment variables come from.
pub trait EnvSource {
    /// The value of `name`; `None` if it is not set.
    ///
    /// # Errors
    ///
    /// [`EnvError`] if it is set and cannot be read as text.
    fn var(&self, name: &str) -> Result<Option<String>, EnvError>;

    /// The value of `name` without surrounding white space; `None` if that leaves nothing.
    ///
    /// # Errors
    ///
    /// As [`var`](Self::var).
    fn non_blank(&self, name: &str) -> Result<Option<String>, EnvError> {
        let value = self.var(name)?;
        Ok(value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()))
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl EnvSource for ProcessEnv {
    fn var(&self, name: &str) -> Result<Option<String>, EnvError> {
        match std::env::var_os(name) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|_| EnvError::not_unicode(name)),
        }
    }
}

impl<E: EnvSource + ?Sized> EnvSource for &E {
    fn var(&self, name: &str) -> Result<Option<String>, EnvError> {
        (**self).var(name)
    }
}

impl EnvSource for HashMap<String, String> {
    fn var(&self, name: &str) -> Result<Option<String>, EnvError> {
        Ok(self.get(name).cloned())
    }
}

impl EnvSource for BTreeMap<String, String> {
    fn var(&self, name: &str) -> Result<Option<String>, EnvError> {
        Ok(self.get(name).cloned())
    }
}

/// The first pair of that name counts.
impl EnvSource for [(&str, &str)] {
    fn var(&self, name: &str) -> Result<Option<String>, EnvError> {
        Ok(self.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }
}

/// The first pair of that name counts.
impl<const N: usize> EnvSource for [(&str, &str); N] {
    fn var(&self, name: &str) -> Result<Option<String>, EnvError> {
        self.as_slice().var(name)
    }
}

/// An [`EnvSource`] of a closure, made by [`env_fn`].
#[derive(Clone, Copy)]
pub struct EnvFn<F>(F);

/// Reads variables with `f`.
pub fn env_fn<F>(f: F) -> EnvFn<F>
where
    F: Fn(&str) -> Result<Option<String>, EnvError>,
{
    EnvFn(f)
}

impl<F> EnvSource for EnvFn<F>
where
    F: Fn(&str) -> Result<Option<String>, EnvError>,
{
    fn var(&self, name: &str) -> Result<Option<String>, EnvError> {
        (self.0)(name)
    }
}

impl<F> fmt::Debug for EnvFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvFn").finish_non_exhaustive()
    }
}

/// A variable that is set and cannot be read. It knows the variable's name, never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvError {
    name: Box<str>,
    reason: Box<str>,
}

impl EnvError {
    /// For sources of your own; `reason` completes "environment variable `NAME` …" and must not
    /// quote the value.
    pub fn new(name: &str, reason: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }

    fn not_unicode(name: &str) -> Self {
        Self::new(name, "is not valid Unicode")
    }

    /// The variable.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "environment variable `{}` {}", self.name, self.reason)
    }
}

impl std::error::Error for EnvError {}

impl From<EnvError> for crate::Error {
    fn from(error: EnvError) -> Self {
        crate::Error::build(error.to_string()).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_pairs_and_references_are_sources() {
        fn read(env: &impl EnvSource) -> Option<String> {
            env.var("A").unwrap()
        }
        assert_eq!(read(&HashMap::from([("A".to_owned(), "1".to_owned())])).as_deref(), Some("1"));
        assert_eq!(read(&BTreeMap::from([("A".to_owned(), "2".to_owned())])).as_deref(), Some("2"));
        assert_eq!(read(&[("B", "0"), ("A", "3"), ("A", "4")]).as_deref(), Some("3"));
        assert_eq!(read(&&[("A", "5")]).as_deref(), Some("5"));
        let dynamic: &dyn EnvSource = &[("A", "6")];
        assert_eq!(read(&dynamic).as_deref(), Some("6"));
        assert_eq!(read(&HashMap::new()), None);
    }

    #[test]
    fn blank_is_unset_and_white_space_is_trimmed() {
        let env = [("BLANK", " \n"), ("EMPTY", ""), ("KEY", " sk-1\n")];
        assert_eq!(env.non_blank("BLANK"), Ok(None));
        assert_eq!(env.non_blank("EMPTY"), Ok(None));
        assert_eq!(env.non_blank("KEY").unwrap().as_deref(), Some("sk-1"));
        assert_eq!(env.var("EMPTY").unwrap().as_deref(), Some(""));
    }

    #[test]
    fn a_name_that_cannot_be_set_is_unset() {
        assert_eq!(ProcessEnv.var("TOWER_OPENAI=\0"), Ok(None));
        assert_eq!(ProcessEnv.var(""), Ok(None));
    }

    #[test]
    fn an_unreadable_value_names_the_variable() {
        let env = env_fn(|name| Err(EnvError::not_unicode(name)));
        let error = env.non_blank("OPENAI_API_KEY").unwrap_err();
        assert_eq!(error.name(), "OPENAI_API_KEY");
        assert_eq!(error.to_string(), "environment variable `OPENAI_API_KEY` is not valid Unicode");
        assert_eq!(crate::Error::from(error).kind(), crate::ErrorKind::Build);
    }
}
