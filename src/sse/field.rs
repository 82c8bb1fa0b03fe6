//! One line of a stream: its field and where the value begins.

/// What a line of a stream sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field {
    Data,
    Name,
    Other(Other),
    /// A comment or a field that the standard does not know.
    Ignored,
}

/// A field that outlives its event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Other {
    Id,
    Retry,
}

/// The field of a line, and how many bytes stand before its value.
#[inline]
pub(super) fn field(line: &[u8]) -> (Field, usize) {
    let (field, name) = match line {
        [b'd', b'a', b't', b'a', rest @ ..] => (Field::Data, rest),
        [b'e', b'v', b'e', b'n', b't', rest @ ..] => (Field::Name, rest),
        [b'i', b'd', rest @ ..] => (Field::Other(Other::Id), rest),
        [b'r', b'e', b't', b'r', b'y', rest @ ..] => (Field::Other(Other::Retry), rest),
        _ => (Field::Ignored, line),
    };
    let before = line.len() - name.len();
    match name {
        [] => (field, before),
        [b':', b' ', ..] => (field, before + 2),
        [b':', ..] => (field, before + 1),
        _ => (Field::Ignored, 0),
    }
}

/// The value of ASCII digits, saturating; `None` for anything else.
pub(super) fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(sum.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_its_exact_name() {
        assert_eq!(field(b"data: x"), (Field::Data, 6));
        assert_eq!(field(b"data:x"), (Field::Data, 5));
        assert_eq!(field(b"data"), (Field::Data, 4));
        assert_eq!(field(b"retry:"), (Field::Other(Other::Retry), 6));
        for line in [&b"datax"[..], b"data x", b"Data: x", b" data: x", b": data", b""] {
            assert_eq!(field(line).0, Field::Ignored);
        }
    }

    #[test]
    fn digits_are_ascii_and_saturate() {
        assert_eq!(digits(b"0050"), Some(50));
        assert_eq!(digits(b"99999999999999999999999"), Some(u64::MAX));
        for bad in [&b""[..], b"+1", b"1 ", b"1.5"] {
            assert_eq!(digits(bad), None);
        }
    }
}
