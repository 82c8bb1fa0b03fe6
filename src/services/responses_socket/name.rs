//! The names of lanes.

use std::fmt;
use std::sync::Arc;

use crate::Error;

/// The name of a lane: 1 to 256 of the characters `A-Z a-z 0-9 _ . -`. On the wire: `stream_id`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LaneName(Arc<str>);

impl LaneName {
    const LONGEST: usize = 256;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Build`](crate::ErrorKind::Build), if the server would refuse it.
    pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
        let name = name.as_ref();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !(1..=Self::LONGEST).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(Error::build(format!(
                "`{}` is no name for a lane: use 1 to {} of the characters A-Z a-z 0-9 _ . -",
                crate::error::one_line(name),
                Self::LONGEST
            )));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_server_takes() {
        for name in ["a", "A.b_c-9", &"x".repeat(256)] {
            assert_eq!(LaneName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a b", "caf\u{e9}", "a/b", "a\n", &"x".repeat(257)] {
            let error = LaneName::new(name).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Build, "{name}");
            assert!(error.to_string().contains("1 to 256"), "{error}");
        }
    }
}
