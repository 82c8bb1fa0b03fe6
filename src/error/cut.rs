//! Error bodies that end in the middle: cut at the limit, or by a connection that broke.

use serde::de::IgnoredAny;

use crate::model::ApiError;

/// What can be read of a JSON error body that is not whole; `None` if it is whole, or no JSON.
///
/// The first `code`, `type` and `message` with a text count, at whatever depth; a text that is cut
/// is taken as far as it goes.
pub(super) fn read(body: &[u8]) -> Option<ApiError> {
    let start = body.trim_ascii_start();
    if !start.starts_with(b"{") && !start.starts_with(b"[{") {
        return None;
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Err(error) if error.is_eof() => {}
        _ => return None,
    }
    let text = String::from_utf8_lossy(body);
    Some(ApiError {
        message: member(&text, "message"),
        kind: member(&text, "type").map(Into::into),
        code: member(&text, "code").map(Into::into),
        ..ApiError::default()
    })
}

/// The first text that stands under a name. A name quoted inside of a text has escaped quotes, and
/// is not found.
fn member(json: &str, name: &str) -> Option<String> {
    let quoted = format!("\"{name}\"");
    json.match_indices(&quoted).find_map(|(at, _)| {
        let rest = json.get(at + quoted.len()..)?.trim_start();
        text(rest.strip_prefix(':')?.trim_start().strip_prefix('"')?)
    })
}

/// A JSON text from behind its opening quote, to its end or to the cut.
fn text(json: &str) -> Option<String> {
    let mut escaped = false;
    let end = json.find(|c| match c {
        '\\' => {
            escaped = !escaped;
            false
        }
        '"' if !escaped => true,
        _ => {
            escaped = false;
            false
        }
    });
    let mut text = json.get(..end.unwrap_or(json.len()))?;
    // An escape that was cut in two goes: at most `\uD83D\uDE0` of it.
    for _ in 0..12 {
        if let Ok(read) = serde_json::from_str(&format!("\"{text}\"")) {
            return Some(read);
        }
        let mut chars = text.chars();
        chars.next_back();
        text = chars.as_str();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_body_gives_what_it_has() {
        let whole = r#"{"error": {"code" : "slow_down","param":null,"type":"t","message":"a \"code\": \u00e9\ud83d\ude00 b"}}"#;
        for cut in whole.find("slow").unwrap() + 9..whole.len() - 1 {
            let error = read(&whole.as_bytes()[..cut]).unwrap();
            assert_eq!(error.code(), Some("slow_down"), "{cut}");
            let message = error.message.unwrap_or_default();
            assert!("a \"code\": \u{e9}\u{1f600} b".starts_with(&message), "{message}");
        }
        assert_eq!(read(br#"{"message":"the \"code\":\"x"#).unwrap().code(), None);
        for other in [whole, "", "text", "<html>", "{nonsense}", "[1,"] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }
}
