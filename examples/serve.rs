//! The loopback server as a process: for clients in other languages and for trying things by hand.
//!
//! Run with `cargo run --example serve --features testing -- [OPTIONS]`; `--help` has the options
//! and the scripts. Prints its base URL as the only line on stdout and serves until killed.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tower_openai::testing::{Script, Server};

const USAGE: &str = "usage: serve [--port N] [--script FILE] [--pace MS] [--key KEY]";

const HELP: &str = "\
Serves POST .../responses on 127.0.0.1 like the OpenAI API, without a model behind it.
Prints its base URL, http://127.0.0.1:PORT/v1, and runs until killed.

  --port N       listen on this port (default: a free one)
  --script FILE  a JSON array of scripts, one for each request in turn; after the last one,
                 natural answers. An entry is a name from the list below or an object, for
                 instance {\"status\": 503, \"headers\": {\"retry-after\": \"2\"}, \"times\": 3};
                 its members are those of tower_openai::testing::Script::from_json.
  --pace MS      wait before each delta of a natural answer (default: 20)
  --key KEY      refuse natural answers with 401 unless this key is sent (default: any is fine)
  --help         this text

A request picks a script by the header `x-script: NAME`, whatever --script says:
";

struct Options {
    port: u16,
    scripts: Vec<Script>,
    pace: Duration,
    key: Option<String>,
}

enum Command {
    Serve(Options),
    Help,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let pace = Duration::from_millis(20);
    let mut options = Options { port: 0, scripts: Vec::new(), pace, key: None };
    while let Some(name) = args.next() {
        if name == "--help" || name == "-h" {
            return Ok(Command::Help);
        }
        if !["--port", "--script", "--pace", "--key"].contains(&name.as_str()) {
            return Err(format!("unknown argument {name:?}"));
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let wrong = |what: &str| format!("{name}: {value:?} is not {what}");
        match name.as_str() {
            "--port" => options.port = value.parse().map_err(|_| wrong("a port"))?,
            "--pace" => {
                let millis = value.parse().map_err(|_| wrong("a number of milliseconds"))?;
                options.pace = Duration::from_millis(millis);
            }
            "--script" => {
                let json = std::fs::read_to_string(&value).map_err(|e| format!("{value}: {e}"))?;
                options.scripts = Script::from_json(&json)
                    .map_err(|error| format!("{value}: {}", why(&error)))?;
            }
            _ => options.key = Some(value),
        }
    }
    Ok(Command::Serve(options))
}

/// An error with its causes.
fn why(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn serve(options: Options) -> std::io::Result<()> {
    let mut builder = Server::builder().port(options.port).pace(options.pace).history(1);
    if let Some(key) = options.key {
        builder = builder.require_key(key);
    }
    let server = builder.start().await?;
    for script in options.scripts {
        server.enqueue(script);
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", server.base_url())?;
    stdout.flush()?;
    std::future::pending().await
}

#[tokio::main]
async fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            let mut help = format!("{USAGE}\n\n{HELP}\n");
            for (name, about) in Script::names() {
                help.push_str(&format!("  {name:<16} {about}\n"));
            }
            // A reader that has seen enough is no error.
            let _ = std::io::stdout().write_all(help.as_bytes());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("serve: {problem}\n{USAGE}\n`serve --help` says more.");
            ExitCode::from(2)
        }
        Ok(Command::Serve(options)) => match serve(options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("serve: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(args: &[&str]) -> String {
        parse(args.iter().map(ToString::to_string)).err().expect("a usage error")
    }

    #[test]
    fn usage_errors_name_the_argument() {
        assert!(problem(&["--prot", "1"]).contains("--prot"));
        assert!(problem(&["--port"]).contains("needs a value"));
        assert!(problem(&["--port", "65536"]).contains("is not a port"));
        assert!(problem(&["--pace", "-1"]).contains("--pace"));
        assert!(problem(&["--script", "no/such/file"]).contains("no/such/file"));
    }

    #[test]
    fn options_are_read() {
        let args = ["--port", "8080", "--pace", "5", "--key", "sk-test"].map(String::from);
        let Ok(Command::Serve(options)) = parse(args.into_iter()) else { panic!("options") };
        assert_eq!((options.port, options.pace), (8080, Duration::from_millis(5)));
        assert_eq!(options.key.as_deref(), Some("sk-test"));
        assert!(matches!(parse(["--help".into()].into_iter()), Ok(Command::Help)));
    }
}
