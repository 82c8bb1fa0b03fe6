//! Raw JSON as `Debug` shows it: without the credentials that it may hold.
//!
//! Events of the Codex backend have the headers of HTTP answers in them, and the tools of an MCP
//! server an access token and headers for it. Of `authorization` nothing is shown, of `headers` the
//! names.

use std::fmt;

use http::HeaderName;
use serde_json::value::RawValue;

use super::{Members, Name, RawObject, members};
use crate::redaction::{PLACEHOLDER, is_sensitive_header};

/// JSON text.
pub(super) struct Json<'a>(pub(super) &'a str);

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        if !text.contains("authorization") && !text.contains("headers") {
            return f.write_str(text);
        }
        if text.starts_with('{') {
            if let Ok(Members(members)) = members(text) {
                let shown =
                    members.iter().map(|(Name(name), value)| (name, Member(name, value.get())));
                return f.debug_map().entries(shown).finish();
            }
        }
        if let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(text) {
            return f.debug_list().entries(values.iter().map(|value| Json(value.get()))).finish();
        }
        f.write_str(text)
    }
}

/// The JSON text of the member of this name.
pub(crate) struct Member<'a>(pub(crate) &'a str, pub(crate) &'a str);

impl fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, text) = self;
        match *name {
            "authorization" if holds_text(text) => Hidden.fmt(f),
            "headers" if holds_text(text) => Hidden.fmt(f),
            "headers" => match members(text) {
                Ok(Members(headers)) => {
                    let names = headers.iter().map(|(Name(name), _)| (name, Hidden));
                    f.debug_map().entries(names).finish()
                }
                Err(_) => f.write_str(text),
            },
            _ => Json(text).fmt(f),
        }
    }
}

/// Whether a value is a string, or a list that may hold some.
fn holds_text(text: &str) -> bool {
    text.starts_with(['"', '['])
}

struct Hidden;

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}

impl fmt::Debug for RawObject {
    /// Such objects may be headers themselves, so their names decide as those of headers do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret = |name: &str| {
            HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| is_sensitive_header(&name))
        };
        let mut out = f.debug_map();
        for (name, value) in self.iter() {
            let text = value.as_str();
            if holds_text(text) && is_secret(name) {
                out.entry(&name, &Hidden);
            } else {
                out.entry(&name, &Member(name, text));
            }
        }
        out.finish()
    }
}

/// A body of the caller's own: the names of its members, and how long it is. It may hold anything.
pub(crate) struct Outline<'a>(pub(crate) &'a RawObject);

impl fmt::Debug for Outline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|(name, _)| name).collect();
        // With the quotes, the colon and the comma of each.
        let bytes = self.0.iter().map(|(name, value)| name.len() + value.as_str().len() + 4);
        f.debug_struct("Json")
            .field("members", &names)
            .field("bytes", &(bytes.sum::<usize>() + 1))
            .finish()
    }
}
