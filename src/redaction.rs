//! What must not be printed, in one place.
//!
//! [`is_sensitive_header`] says which header values are secret, [`Headers`] prints a map without
//! them, [`scrub_known`] takes the secrets of one call out of text ([`query_values`] finds those of a
//! query), and [`scrub`] takes credentials out of text a server sent, which likes to quote them
//! ("Incorrect API key provided: sk-…").

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName};

/// A shorter secret is a word that text may hold by chance.
const SHORTEST_SECRET: usize = 8;

pub(crate) const PLACEHOLDER: &str = "[redacted]";

/// True if values of this header are never shown.
///
/// Asked for each header of each call, so it reads the name once.
pub(crate) fn is_sensitive_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name {
        "authorization"
        | "proxy-authorization"
        | "cookie"
        | "set-cookie"
        | "chatgpt-account-id"
        | "openai-organization"
        | "openai-project"
        | "x-oai-attestation"
        | "x-oai-is"
        | "x-oai-is-update"
        | "x-codex-turn-state"
        | "x-codex-turn-metadata"
        | "x-codex-installation-id" => true,
        // It tells calls apart.
        "idempotency-key" => false,
        // Counts of model tokens, not tokens.
        _ if name.starts_with("x-ratelimit-") => false,
        _ => {
            let ends = ["-key", "-auth", "authorization"];
            ends.iter().any(|end| name.ends_with(end)) || has_secret_word(name.as_bytes())
        }
    }
}

/// Whether the name of a header says that it holds a key, a token or the like.
fn has_secret_word(name: &[u8]) -> bool {
    /// The words, and where in them the rare letter is by which they are found.
    const WORDS: [(&[u8], usize); 4] =
        [(b"api-key", 4), (b"token", 2), (b"subscription-key", 13), (b"password", 4)];
    let word_at = |at: usize, word: &[u8], letter: usize| {
        at.checked_sub(letter)
            .and_then(|start| name.get(start..))
            .is_some_and(|rest| rest.starts_with(word))
    };
    memchr::memchr2_iter(b'k', b'w', name)
        .any(|at| WORDS.iter().any(|(word, letter)| word_at(at, word, *letter)))
        || memchr::memchr_iter(b'c', name)
            .any(|at| word_at(at, b"secret", 2) || word_at(at, b"credential", 0))
}

/// Prints a header map with its secret values replaced.
pub(crate) struct Headers<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| {
            let secret = value.is_sensitive() || is_sensitive_header(name);
            (name, if secret { Shown::Placeholder } else { Shown::Value(value) })
        });
        f.debug_map().entries(shown).finish()
    }
}

enum Shown<'a> {
    Placeholder,
    Value(&'a http::HeaderValue),
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Placeholder => f.write_str(PLACEHOLDER),
            // A server may quote a key in any header.
            Shown::Value(value) => match value.to_str() {
                Ok(text) => scrub(text).fmt(f),
                Err(_) => value.fmt(f),
            },
        }
    }
}

/// `text` without these secrets, whatever they look like; `None` if there is none of them in it.
///
/// Of text that was cut (it ends in `...`) the beginning of a secret at the cut goes too.
pub(crate) fn scrub_known<'a>(
    text: &str,
    secrets: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let mut scrubbed: Option<String> = None;
    for secret in secrets.filter(|secret| secret.len() >= SHORTEST_SECRET) {
        let text = scrubbed.as_deref().unwrap_or(text);
        let cut = text.strip_suffix("...").and_then(|head| {
            let part = (SHORTEST_SECRET / 2..secret.len())
                .rev()
                .find_map(|length| secret.get(..length).filter(|part| head.ends_with(part)))?;
            head.strip_suffix(part)
        });
        if let Some(head) = cut {
            let head = head.replace(secret, PLACEHOLDER);
            scrubbed = Some(format!("{head}{PLACEHOLDER}..."));
        } else if text.contains(secret) {
            scrubbed = Some(text.replace(secret, PLACEHOLDER));
        }
    }
    scrubbed
}

/// The values of a query, in their [spellings].
pub(crate) fn query_values(query: &str) -> impl Iterator<Item = String> {
    query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1)).flat_map(spellings)
}

/// A part of a URL as it is and, if that is another text, decoded; nothing if it is too short to be a
/// secret.
pub(crate) fn spellings(part: &str) -> impl Iterator<Item = String> {
    let long = Some(part).filter(|part| part.len() >= SHORTEST_SECRET);
    let decoded = long
        .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy())
        .filter(|decoded| *decoded != part);
    long.map(str::to_owned).into_iter().chain(decoded.map(Cow::into_owned))
}

/// `text` with everything that looks like a credential replaced: `sk-…`, `sess-…` and `ek_…` keys,
/// JSON web tokens, and whatever follows `Bearer`.
///
/// One pass to find out, a second one only if there is something to replace.
pub(crate) fn scrub(text: &str) -> Cow<'_, str> {
    let mut scan = Scan::default();
    if !pieces(text).any(|(word, gap)| scan.is_secret(word, gap)) {
        return Cow::Borrowed(text);
    }
    let mut scan = Scan::default();
    let mut out = String::with_capacity(text.len());
    for (word, gap) in pieces(text) {
        if scan.is_secret(word, gap) {
            out.push_str(PLACEHOLDER);
            // The full stop of the sentence.
            if word.ends_with('.') {
                out.push('.');
            }
        } else {
            out.push_str(word);
        }
        out.push_str(gap);
    }
    Cow::Owned(out)
}

/// Words and the single character after each (none at the end of the text).
fn pieces(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_inclusive(|c| !is_word(c)).map(|piece| {
        let word = piece.trim_end_matches(|c| !is_word(c));
        (word, piece.strip_prefix(word).unwrap_or_default())
    })
}

fn is_word(c: char) -> bool {
    // `*` because servers mask keys half-heartedly: `sk-ab***cd`.
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*')
}

/// What the next word is taken for because of what came before it.
#[derive(Default)]
enum Scan {
    #[default]
    Anything,
    /// After `Bearer`: a credential, whatever it looks like.
    Credential,
    /// The rest of a credential that holds signs no word has.
    Rest,
}

impl Scan {
    fn is_secret(&mut self, word: &str, gap: &str) -> bool {
        if word.is_empty() {
            let goes_on = match self {
                Scan::Anything => true,
                Scan::Credential => is_space(gap),
                Scan::Rest => continues_token(gap),
            };
            if !goes_on {
                *self = Scan::Anything;
            }
            return false;
        }
        let secret = looks_secret(word)
            || match self {
                Scan::Anything => false,
                Scan::Credential => !follows_bearer_in_prose(word),
                Scan::Rest => true,
            };
        *self = if word.eq_ignore_ascii_case("bearer") && is_space(gap) {
            Scan::Credential
        } else if secret && continues_token(gap) {
            Scan::Rest
        } else {
            Scan::Anything
        };
        secret
    }
}

fn is_space(gap: &str) -> bool {
    gap.chars().all(char::is_whitespace)
}

/// Signs inside base64 and RFC 6750 tokens that do not belong to words.
fn continues_token(gap: &str) -> bool {
    matches!(gap, "/" | "+" | "=" | "~")
}

fn follows_bearer_in_prose(word: &str) -> bool {
    let word = word.trim_end_matches('.');
    ["auth", "authentication", "authorization", "credentials", "scheme", "token", "tokens"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

fn looks_secret(word: &str) -> bool {
    let word = word.trim_start_matches(['.', '-', '_', '*']);
    let key = ["sk-", "sess-", "ek_"]
        .iter()
        .any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
    let web_token = word.starts_with("eyJ") && word.trim_end_matches('.').contains('.');
    key || web_token
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_listed_headers_are_sensitive_and_counts_are_not() {
        let name = HeaderName::from_static;
        for secret in ["authorization", "api-key", "x-api-key", "openai-project", "x-oai-is"] {
            assert!(is_sensitive_header(&name(secret)), "{secret}");
        }
        for secret in [
            "x-amz-security-token",
            "x-client-secret",
            "ocp-apim-subscription-key",
            "x-gateway-key",
            "x-functions-key",
            // Where the word is not the end.
            "x-api-key-2",
            "ocp-apim-subscription-key-2",
            "x-password",
            "x-passwords-old",
            "kx-tokenw",
            "x-secrets",
            "x-authorization",
            "x-proxy-auth",
            "x-credentials",
        ] {
            assert!(is_sensitive_header(&name(secret)), "{secret}");
        }
        for open in
            ["x-request-id", "idempotency-key", "x-key-id", "x-ratelimit-limit-tokens", "accept"]
                .into_iter()
                .chain([
                    "k",
                    "w",
                    "c",
                    "x-word",
                    "x-block",
                    "oken",
                    "ssword",
                    "cret",
                    "x-cookie",
                    "x-author",
                    "x-openai-authorization-error",
                ])
        {
            assert!(!is_sensitive_header(&name(open)), "{open}");
        }
    }

    #[test]
    fn headers_print_names_and_open_values_only() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static("a=hidden"));
        headers.insert("accept", HeaderValue::from_static("shown"));
        let mut marked = HeaderValue::from_static("hidden");
        marked.set_sensitive(true);
        headers.insert("x-own", marked);
        let text = format!("{:?}", Headers(&headers));
        assert!(text.contains("shown") && text.contains("x-own"), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }

    #[test]
    fn credentials_in_text_are_replaced() {
        for (text, expected) in [
            ("Incorrect API key provided: sk-proj-ab***cd. Go on", "[redacted]. Go on"),
            ("key=sk-abc_1&x=1", "key=[redacted]&x=1"),
            (r#"{"key":"sess-abc"}"#, r#"{"key":"[redacted]"}"#),
            ("ephemeral ek_123 expired", "ephemeral [redacted] expired"),
            ("token eyJhbGci.eyJzdWIi.c2ln, bad", "token [redacted], bad"),
            ("Authorization: Bearer abc", "Authorization: Bearer [redacted]"),
            ("bearer   ab/cd+e== end", "bearer   [redacted]/[redacted]+[redacted]== end"),
            ("\u{201c}sk-abc\u{201d} \u{e9}", "\u{201c}[redacted]\u{201d} \u{e9}"),
        ] {
            let scrubbed = scrub(text);
            assert!(scrubbed.ends_with(expected), "{text} -> {scrubbed}");
        }
    }

    #[test]
    fn known_secrets_are_replaced_whatever_they_look_like() {
        let secrets = ["0123456789abcdef", "short", "another one"];
        let scrubbed = |text| scrub_known(text, secrets.into_iter());
        for (text, expected) in [
            ("key 0123456789abcdef, 0123456789abcdef", "key [redacted], [redacted]"),
            ("0123456789abcdef or another one.", "[redacted] or [redacted]."),
            ("cut at 01234567...", "cut at [redacted]..."),
        ] {
            assert_eq!(scrubbed(text).as_deref(), Some(expected));
        }
        assert_eq!(scrubbed("short and 01234567"), None);
    }

    #[test]
    fn plain_text_is_borrowed_unchanged() {
        for text in [
            "",
            "a risk-free task-list",
            "use Bearer auth in the header",
            "Missing bearer authentication.",
            "the bearer, of course",
            "eyJ is a prefix",
            "sk- alone",
            "Rate limit reached for gpt-5.2 in organization org-x: try again in 1.5s.",
        ] {
            assert!(matches!(scrub(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
