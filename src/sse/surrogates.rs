//! Halves of surrogate pairs: JSON may have escapes of them, and text cannot.

/// `json` with `\ufffd` in place of each escape of half a pair; `None` if it has none.
///
/// Places in it stay the same.
pub(super) fn mended(json: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let start = at + found;
        at = match (unit(json, start), unit(json, start + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => start + 12,
            (Some(0xD800..=0xDFFF), _) => {
                out.push_str(json.get(copied..start)?);
                out.push_str("\\ufffd");
                copied = start + 6;
                copied
            }
            (Some(_), _) => start + 6,
            // What is escaped may be a backslash.
            (None, _) => start + 2,
        };
    }
    if copied == 0 {
        return None;
    }
    out.push_str(json.get(copied..)?);
    Some(out)
}

/// The code unit that is escaped here.
fn unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..)?.strip_prefix("\\u")?.get(..4)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_digits.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pairs_and_other_escapes_stay() {
        for text in ["", "\\", r"\u12", r"\ud83d\ude00", r"\\ud83d", r"\u00e9\n\\", "\\\u{e9}"] {
            assert_eq!(mended(text), None, "{text}");
        }
        for (text, expected) in [
            (r"\udbff", r"\ufffd"),
            (r"\\\uD83D.\ud83d\ude00", r"\\\ufffd.\ud83d\ude00"),
            (r"\ud83d\u0041\udc00", r"\ufffd\u0041\ufffd"),
        ] {
            assert_eq!(mended(text).as_deref(), Some(expected), "{text}");
        }
    }
}
