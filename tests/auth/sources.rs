//! Tokens from a command and from a file.
#![cfg(unix)]

use std::path::PathBuf;
use std::time::Duration;

use tower::{Layer, ServiceExt};
use tower_openai::layers::AuthLayer;
use tower_openai::layers::auth::{Cached, CommandToken, CredentialsError, TokenFile, TokenSource};

use crate::support::{Gate, ORIGIN, ours, own_error};

fn shell(script: &str) -> CommandToken {
    CommandToken::new("sh").args(["-c", script])
}

async fn error_of(source: impl TokenSource) -> CredentialsError {
    source.token().await.expect_err("no token")
}

async fn sent_by<T: TokenSource + Send + Sync + 'static>(cached: &Cached<T>) -> String {
    let gate = Gate::taking("x");
    let layer = AuthLayer::new(cached.clone()).for_origin(ORIGIN).unwrap();
    layer.layer(gate.clone()).oneshot(ours()).await.unwrap();
    gate.tokens().remove(0)
}

#[tokio::test]
async fn a_command_prints_the_token() {
    let cached = Cached::new(CommandToken::new("printf").arg("  %s\n").arg("from-command"));
    assert_eq!(sent_by(&cached).await, "from-command");
    // No shell looks at the arguments.
    let plain = Cached::new(CommandToken::new("printf").arg("%s").arg("$HOME;x"));
    assert_eq!(sent_by(&plain).await, "$HOME;x");
    let debug = format!("{:?}", shell("echo hidden"));
    assert!(debug.contains("sh") && !debug.contains("hidden"), "{debug}");
}

#[tokio::test]
async fn a_command_that_fails_says_whether_to_try_again_and_shows_nothing() {
    for (command, transient, says) in [
        (CommandToken::new("/no/such/program"), false, "cannot be started"),
        (shell("echo hidden; echo hidden >&2; exit 3"), true, "exit status: 3"),
        (shell("kill -9 $$"), true, "signal"),
        (shell("true"), false, "is blank"),
        (shell("echo hidden hidden"), false, "white space"),
        (shell("printf '\\377'"), false, "UTF-8"),
        (shell("yes hidden"), false, "64 KiB"),
    ] {
        let error = error_of(command).await;
        let text = format!("{error} {error:?}");
        assert_eq!((error.is_transient(), text.contains(says)), (transient, true), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_killed() {
    let folder = Scratch::new("slow-command");
    let file = folder.0.join("pid");
    let script = format!("echo $$ > {}; exec sleep 60", file.display());
    let error = error_of(shell(&script).time_limit(Duration::from_millis(300))).await;
    assert!(error.is_transient() && error.to_string().contains("300ms"), "{error}");
    let pid = std::fs::read_to_string(&file).unwrap();
    let gone = async {
        // Killed, it is there as a zombie until tokio has waited for it.
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            if stat.map_or(true, |stat| stat.contains(") Z ")) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("killed");
}

#[tokio::test]
async fn a_command_with_a_background_child_is_bounded_too() {
    // The child keeps the output open, so the end of the program is not the end of the output.
    let began = std::time::SystemTime::now();
    let error = error_of(shell("sleep 5 & echo t").time_limit(Duration::from_millis(200))).await;
    assert!(error.is_transient(), "{error}");
    assert!(began.elapsed().unwrap() < Duration::from_secs(4));
}

/// A folder of its own that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("tower-openai-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_after_a_minute() {
    let folder = Scratch::new("file");
    let path = folder.write("token", "first\n");
    let cached = Cached::new(TokenFile::new(&path));
    assert_eq!(sent_by(&cached).await, "first");
    folder.write("token", " second ");
    tokio::time::advance(Duration::from_secs(58)).await;
    assert_eq!(sent_by(&cached).await, "first");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(sent_by(&cached).await, "second");
    // A file that is gone leaves the last token in use.
    std::fs::remove_file(&path).unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(sent_by(&cached).await, "second");
}

#[tokio::test(start_paused = true)]
async fn a_401_reads_the_file_again() {
    let folder = Scratch::new("file-401");
    let path = folder.write("token", "old");
    let cached = Cached::new(TokenFile::new(&path));
    let gate = Gate::taking("new");
    let auth = AuthLayer::new(cached).for_origin(ORIGIN).unwrap().refresh_on_unauthorized();
    let service = auth.layer(gate.clone());
    let response = service.clone().oneshot(ours()).await.unwrap();
    assert_eq!((response.status().as_u16(), gate.seen().len()), (401, 1), "the file is unchanged");
    folder.write("token", "new");
    // It was read after the first 401, and is now left alone for a while.
    assert_eq!(service.clone().oneshot(ours()).await.unwrap().status(), 401);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(service.oneshot(ours()).await.unwrap().status(), 200);
    assert_eq!(gate.tokens(), ["old", "old", "old", "new"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_an_error_that_names_it() {
    let folder = Scratch::new("bad-files");
    for (path, says) in [
        (folder.0.join("absent"), "cannot be read"),
        (folder.0.clone(), "cannot be read"),
        (folder.write("blank", " \n"), "is blank"),
        (folder.write("two", "hidden hidden"), "white space"),
        (folder.write("bytes", b"hidden\xff"), "cannot be read"),
        (folder.write("large", "x".repeat((64 << 10) + 1)), "cannot be read"),
    ] {
        let error = error_of(TokenFile::new(&path)).await;
        let text = error.to_string();
        assert!(text.contains(says) && text.contains(&*path.to_string_lossy()), "{text}");
        assert!(!error.is_transient() && !format!("{error:?}").contains("hidden"), "{error:?}");
    }
    let largest = folder.write("largest", "x".repeat(64 << 10));
    assert!(TokenFile::new(largest).token().await.is_ok());
}

#[tokio::test]
async fn a_broken_source_fails_the_call_and_sends_nothing() {
    let gate = Gate::taking("x");
    let cached = Cached::new(TokenFile::new("/no/such/token"));
    let layer = AuthLayer::new(cached).for_origin(ORIGIN).unwrap();
    let error = own_error(layer.layer(gate.clone()).oneshot(ours()).await.unwrap_err());
    assert_eq!((error.kind(), gate.seen().len()), (tower_openai::ErrorKind::Build, 0));
    let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
    assert!(chain.last().unwrap().contains("No such file"), "{chain:?}");
}
