use super::*;
use crate::ErrorKind;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    Variables::read(pairs)
}

/// The host of the proxy that a request goes by.
fn by(pairs: &[(&str, &str)], uri: &str) -> Option<String> {
    let proxies = Proxies::new(Proxies::from_env(&variables(pairs)).unwrap(), false);
    proxies.of(&uri.parse().unwrap()).map(|proxy| super::super::host(&proxy.address))
}

#[test]
fn urls_are_taken_apart() {
    let http = Kind::Http;
    let socks = |resolves| Kind::Socks5 { resolves };
    for (url, kind, address) in [
        ("http://proxy.test:3128", http, "http://proxy.test:3128/"),
        ("HTTP://proxy.test", http, "http://proxy.test:80/"),
        ("proxy.test:3128", http, "http://proxy.test:3128/"),
        ("https://proxy.test/", http, "https://proxy.test:443/"),
        ("socks5://10.0.0.1", socks(false), "http://10.0.0.1:1080/"),
        ("socks5h://[::1]:9050/x?y#z", socks(true), "http://[::1]:9050/"),
    ] {
        let proxy = Proxy::all(url).unwrap();
        assert_eq!((proxy.kind, proxy.address.to_string().as_str()), (kind, address), "{url}");
        assert!(proxy.credentials.is_none());
    }
}

#[test]
fn credentials_are_decoded_and_never_shown() {
    for (url, expected) in [
        ("http://us%40er:p%3a%20%C3%A9@proxy.test", "us@er:p: \u{e9}"),
        ("user:pass@proxy.test:80", "user:pass"),
        ("http://user@proxy.test", "user:"),
        ("http://:pass@proxy.test", ":pass"),
        ("http://user:p@ss@proxy.test", "user:p@ss"),
    ] {
        let proxy = Proxy::all(url).unwrap();
        let value = proxy.authorization().unwrap();
        assert!(value.is_sensitive());
        assert_eq!(value, format!("Basic {}", BASE64_STANDARD.encode(expected)).as_str(), "{url}");
    }
    let proxy = Proxy::all("http://somebody:hush@proxy.test").unwrap();
    let shown = format!("{proxy:?} {proxy}");
    assert!(!shown.contains("hush") && !shown.contains("somebody"), "{shown}");
    let proxy = proxy.credentials("somebody", "hush").unwrap();
    assert!(!format!("{proxy:?}").contains("hush"));
}

#[test]
fn urls_that_cannot_be_used_are_refused_without_quoting_them() {
    for url in [
        "",
        "http://",
        "http://hush@",
        "ftp://hush:hush@proxy.test",
        "socks4://hush:hush@proxy.test",
        "http://user:hush/hush@proxy.test",
        "http://user:hush@proxy.test:port",
        "http://user:hush@proxy.test:",
        "http://user:hush@proxy.test:70000",
        "http://user:hush%ff@proxy.test",
        "http://us%3Aer:hush@proxy.test",
        "http://user:hush@pro xy.test",
    ] {
        let err = Proxy::all(url).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Build);
        let shown = format!("{err} {err:?}");
        assert!(shown.contains("the proxy's") && !shown.contains("hush"), "{url}: {shown}");
    }
    let long = "x".repeat(256);
    let err = Proxy::all("socks5://proxy.test").unwrap().credentials("user", &long).unwrap_err();
    assert!(err.to_string().contains("255 bytes"), "{err}");
    Proxy::all("http://proxy.test").unwrap().credentials("user", &long).unwrap();
}

#[test]
fn each_scheme_has_its_variable_and_both_have_the_third() {
    let env = [("HTTPS_PROXY", "a"), ("HTTP_PROXY", "b"), ("ALL_PROXY", "c")];
    assert_eq!(by(&env, "https://x.test/").as_deref(), Some("a:80"));
    assert_eq!(by(&env, "http://x.test/").as_deref(), Some("b:80"));
    assert_eq!(by(&env[1..], "https://x.test/").as_deref(), Some("c:80"));
    assert_eq!(by(&env[..1], "http://x.test/"), None);
    assert_eq!(by(&[], "https://x.test/"), None);
}

#[test]
fn upper_case_counts_first_and_empty_is_unset() {
    let both = [("https_proxy", "lower"), ("HTTPS_PROXY", "upper")];
    assert_eq!(by(&both, "https://x.test/").as_deref(), Some("upper:80"));
    let empty = [("https_proxy", "lower"), ("HTTPS_PROXY", "")];
    assert_eq!(by(&empty, "https://x.test/").as_deref(), Some("lower:80"));
    let all = [("HTTPS_PROXY", " "), ("https_proxy", ""), ("all_proxy", "all")];
    assert_eq!(by(&all, "https://x.test/").as_deref(), Some("all:80"));
    let no = [("ALL_PROXY", "all"), ("NO_PROXY", ""), ("no_proxy", "x.test")];
    assert_eq!(by(&no, "https://x.test/"), None);
    assert_eq!(by(&no, "https://y.test/").as_deref(), Some("all:80"));
}

/// There is no rule for loopback: it goes by the proxy like any host, unless it is listed.
#[test]
fn loopback_is_a_host_like_any_other() {
    let env = [("ALL_PROXY", "all"), ("NO_PROXY", "localhost")];
    assert_eq!(by(&env, "http://127.0.0.1:11434/").as_deref(), Some("all:80"));
    assert_eq!(by(&env, "http://localhost:11434/"), None);
}

#[test]
fn a_cgi_program_does_not_take_a_header_for_a_proxy() {
    let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil"), ("HTTPS_PROXY", "good")];
    assert_eq!(by(&cgi, "http://x.test/"), None);
    assert_eq!(by(&cgi, "https://x.test/").as_deref(), Some("good:80"));
}

#[test]
fn the_sandbox_of_codex_has_no_proxies() {
    let env = [("CODEX_SANDBOX", "seatbelt"), ("ALL_PROXY", "all")];
    assert_eq!(by(&env, "http://x.test/"), None);
    let env = [("CODEX_SANDBOX", "other"), ("ALL_PROXY", "all")];
    assert_eq!(by(&env, "http://x.test/").as_deref(), Some("all:80"));
}

#[test]
fn a_bad_variable_is_named_and_not_quoted() {
    for (name, value) in [
        ("HTTPS_PROXY", "socks4://hush@proxy.test"),
        ("http_proxy", "http://hush:hush:hush@"),
        ("ALL_PROXY", "ftp://hush"),
    ] {
        let err = Proxies::from_env(&variables(&[(name, value)])).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Build);
        let shown = format!("{err} {err:?}");
        assert!(shown.contains(&format!("`{name}`")) && !shown.contains("hush"), "{shown}");
    }
    let env = variables(&[("HTTPS_PROXY", "a"), ("NO_PROXY", "10.0.0.0/99")]);
    let err = Proxies::from_env(&env).unwrap_err();
    assert!(err.to_string().contains("`NO_PROXY`"), "{err}");
    assert!(Proxies::from_env(&variables(&[("NO_PROXY", "10.0.0.0/99")])).unwrap().is_empty());
    assert!(!format!("{:?}", variables(&[("HTTPS_PROXY", "hush")])).contains("hush"));
}

/// Texts of the signs that mean something here.
fn odd(signs: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ahtps5:/@[].*,%2-?# \xe9";
    let signs = signs.iter().map(|&sign| char::from(ALPHABET[usize::from(sign) % ALPHABET.len()]));
    signs.collect()
}

#[test]
fn no_text_is_too_odd() {
    fn property(url: Vec<u8>, hosts: Vec<u8>) -> bool {
        let (url, hosts) = (odd(&url), odd(&hosts));
        for url in [url.clone(), format!("http://{url}"), format!("socks5h://{url}@host:1")] {
            let env = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", &hosts)];
            let Ok(list) = Proxies::from_env(&variables(&env)) else { continue };
            for uri in ["https://example.com/", "https://[::1]:1/", "http://10.0.0.1/"] {
                let uri = uri.parse().unwrap();
                if let Some(proxy) = Proxies::new(list.clone(), false).of(&uri) {
                    assert!(proxy.address.host().is_some() && proxy.address.port().is_some());
                }
            }
        }
        true
    }
    quickcheck::QuickCheck::new().tests(5000).quickcheck(property as fn(Vec<u8>, Vec<u8>) -> bool);
}

#[test]
fn only_a_request_in_clear_is_handed_to_an_http_proxy() {
    let list = |url| vec![Proxy::all(url).unwrap()];
    let (clear, tls): (Uri, Uri) =
        ("http://x.test/".parse().unwrap(), "https://x.test/".parse().unwrap());
    let http = Proxies::new(list("https://proxy.test"), false);
    assert!(http.forwarding(&clear).is_some() && http.forwarding(&tls).is_none());
    let socks = Proxies::new(list("socks5h://proxy.test"), false);
    assert!(socks.forwarding(&clear).is_none() && socks.of(&clear).is_some());
    let tunnels = Proxies::new(list("http://proxy.test"), true);
    assert!(tunnels.forwarding(&clear).is_none() && tunnels.of(&clear).is_some());
}

#[test]
fn a_target_has_the_port_of_its_scheme() {
    for (uri, expected) in [
        ("http://x.test/", "x.test:80"),
        ("https://x.test/", "x.test:443"),
        ("https://[::1]/", "[::1]:443"),
        ("http://10.0.0.1:8080/", "10.0.0.1:8080"),
    ] {
        assert_eq!(Target::of(&uri.parse().unwrap()).to_string(), expected);
    }
}
