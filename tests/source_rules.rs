//! Rules of the sources that no compiler checks: the library spawns nothing and queues nothing
//! without bound, and nothing is left undone.

use std::fs;
use std::path::{Path, PathBuf};

/// A word that must not stand in the sources, and why.
struct Rule {
    word: &'static str,
    why: &'static str,
}

/// For `src/` without the test server, and for code only: comments and tests may say the words.
const LIBRARY: [Rule; 14] = [
    Rule {
        word: "tokio::spawn",
        why: "cancelling is dropping: nothing may go on behind the caller",
    },
    Rule {
        word: "task::spawn",
        why: "cancelling is dropping: nothing may go on behind the caller",
    },
    Rule {
        word: "spawn_blocking",
        why: "cancelling is dropping: nothing may go on behind the caller",
    },
    Rule {
        word: "thread::spawn",
        why: "cancelling is dropping: nothing may go on behind the caller",
    },
    Rule { word: "JoinSet", why: "cancelling is dropping: nothing may go on behind the caller" },
    Rule { word: "unbounded", why: "a queue without bound lets the server take all memory" },
    Rule { word: "mpsc", why: "streams are pulled, not pumped" },
    Rule { word: "broadcast::", why: "streams are pulled, not pumped" },
    Rule { word: "Buffer::new", why: "it spawns a task, and is the caller's to add" },
    Rule { word: "BufferLayer", why: "it spawns a task, and is the caller's to add" },
    Rule { word: "install_default", why: "the TLS provider of the process is the application's" },
    Rule { word: "std::time::Instant", why: "time is read through `tokio::time` only" },
    Rule { word: "env::var", why: "the environment is read through `EnvSource` only" },
    Rule { word: "unsafe ", why: "unsafe is forbidden" },
];

/// For all sources, comments included.
const EVERYWHERE: [Rule; 6] = [
    Rule { word: concat!("to", "do!("), why: "it panics" },
    Rule { word: concat!("un", "implemented!("), why: "it panics" },
    Rule { word: concat!("#[ig", "nore"), why: "a test that is not run proves nothing" },
    Rule { word: concat!("TO", "DO"), why: "say it in an issue, not in the code" },
    Rule { word: concat!("FIX", "ME"), why: "say it in an issue, not in the code" },
    Rule { word: concat!("```", "ignore"), why: "an example that is not run proves nothing" },
];

/// Where a word of [`LIBRARY`] is allowed after all.
const ALLOWED: [(&str, &str); 1] = [
    // The one implementation of `EnvSource` that reads the process.
    ("src/env.rs", "env::var"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}")) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found
}

/// The lines that are code and not part of the unit tests, which stand last in a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let end = text.find("#[cfg(all(test").map_or(end, |other| end.min(other));
    let lines = text[..end].lines().enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn check(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn the_library_spawns_nothing_and_queues_nothing_without_bound() {
    let mut broken = Vec::new();
    let mut files = 0;
    for (path, text) in sources("src") {
        let is_test = path.starts_with("src/testing")
            || path.ends_with("tests.rs")
            || path.iter().any(|part| part == "tests");
        if is_test {
            continue;
        }
        files += 1;
        for (number, line) in code(&text) {
            for Rule { word, why } in LIBRARY.iter().filter(|rule| line.contains(rule.word)) {
                let allowed = |(file, of): &(&str, &str)| path == Path::new(file) && of == word;
                if !ALLOWED.iter().any(allowed) {
                    broken.push(format!("{}:{number}: `{word}`: {why}", path.display()));
                }
            }
        }
    }
    assert!(files > 40, "only {files} files were looked at");
    check(&broken);
}

#[test]
fn nothing_is_left_undone_or_left_out() {
    let mut broken = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        for (path, text) in sources(folder) {
            for (n, line) in text.lines().enumerate() {
                for Rule { word, why } in EVERYWHERE.iter().filter(|rule| line.contains(rule.word))
                {
                    broken.push(format!("{}:{}: `{word}`: {why}", path.display(), n + 1));
                }
            }
        }
    }
    check(&broken);
}

#[test]
fn the_exceptions_are_still_needed() {
    for (file, word) in ALLOWED {
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(code(&text).any(|(_, line)| line.contains(word)), "{file}: no `{word}`");
    }
}

#[test]
fn the_rules_find_what_they_are_for() {
    let text =
        "fn f() {\n    // tokio::spawn\n    tokio::spawn(x);\n}\n#[cfg(test)]\nmod tests {\n";
    let found: Vec<_> = code(text).filter(|(_, line)| line.contains("tokio::spawn")).collect();
    assert_eq!(found, [(3, "    tokio::spawn(x);")]);
}
