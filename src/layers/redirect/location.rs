//! Where a `location` leads (RFC 3986, 5.2).

use http::Uri;

/// The absolute URI that `location` means in an answer from `base`; `None` if it means none, or has
/// credentials in it.
pub(super) fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default().trim();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let uri: Uri = if has_scheme(location) {
        location.parse().ok()?
    } else if location.starts_with("//") {
        format!("{scheme}:{location}").parse().ok()?
    } else {
        let path = below(base.path(), base.query(), location);
        format!("{scheme}://{authority}{path}").parse().ok()?
    };
    let absolute = uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty());
    (absolute && !uri.authority()?.as_str().contains('@')).then_some(uri)
}

fn has_scheme(location: &str) -> bool {
    match location.split_once(':') {
        Some((scheme, _)) => {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        }
        None => false,
    }
}

/// The path and query of a reference without scheme and host.
fn below(path: &str, query: Option<&str>, reference: &str) -> String {
    let (to, query) = match reference.split_once('?') {
        Some((to, query)) => (to, Some(query)),
        None if reference.is_empty() => ("", query),
        None => (reference, None),
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = match to {
        "" => path.to_owned(),
        _ if to.starts_with('/') => without_dots(to),
        _ => without_dots(&format!("{folder}/{to}")),
    };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    }
}

/// `path`, which begins with a slash, without the segments `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        for (location, expected) in [
            ("https://other.test/x?y#z", Some("https://other.test/x?y")),
            ("http://a.test", Some("http://a.test/")),
            ("//other.test:81/x", Some("https://other.test:81/x")),
            ("/x", Some("https://a.test:8443/x")),
            ("/", Some("https://a.test:8443/")),
            ("x", Some("https://a.test:8443/b/x")),
            ("../x/./y/..", Some("https://a.test:8443/x/")),
            ("../../../x", Some("https://a.test:8443/x")),
            (".", Some("https://a.test:8443/b/")),
            ("?q", Some("https://a.test:8443/b/c?q")),
            ("x?q/../", Some("https://a.test:8443/b/x?q/../")),
            ("", Some("https://a.test:8443/b/c?d=e")),
            ("./b:c", Some("https://a.test:8443/b/b:c")),
            ("https://user:secret@a.test:8443/", None),
            ("mailto:someone", None),
            ("https://", None),
            ("/a b", None),
        ] {
            let base = Uri::from_static("https://a.test:8443/b/c?d=e");
            let found = resolve(&base, location).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
        assert_eq!(resolve(&Uri::from_static("/b"), "/x"), None);
    }

    /// Whatever a server says, what comes of it is absolute and has no dots to climb by.
    #[test]
    fn no_location_is_too_odd() {
        fn property(signs: Vec<u8>) -> bool {
            const ALPHABET: &[u8] = b"ahtps:/@[].?# %2\xe9";
            let location: String = signs
                .iter()
                .map(|&sign| char::from(ALPHABET[usize::from(sign) % ALPHABET.len()]))
                .collect();
            for base in ["https://a.test/b/c?d", "http://a.test", "https://[::1]:1/x/"] {
                let base = base.parse().unwrap();
                if let Some(uri) = resolve(&base, &location) {
                    assert!(uri.scheme().is_some() && uri.host().is_some(), "{location}");
                    let climbs = uri.path().split('/').any(|part| matches!(part, "." | ".."));
                    // As it is read: what is around it, and behind a `#`, says nothing.
                    let said = location.split('#').next().unwrap_or_default().trim();
                    let own = !has_scheme(said) && !said.starts_with("//");
                    assert!(!(own && climbs), "{location}: {uri}");
                    assert!(!own || uri.authority() == base.authority(), "{location}: {uri}");
                }
            }
            true
        }
        quickcheck::QuickCheck::new().tests(5000).quickcheck(property as fn(Vec<u8>) -> bool);
    }
}
