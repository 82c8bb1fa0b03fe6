//! The loopback server as a process: for clients in other languages and for trying things by hand.
//!
//! Run with `cargo run --example serve -- [OPTIONS]`; `--help` has the options and the scripts. Prints
//! its base URL as the first line on stdout, then the URL of each proxy, and serves until killed.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tower_openai::testing::{Proxy, ProxyBuilder, Script, Server, Tls};

const USAGE: &str = "usage: serve [--port N] [--script FILE] [--pace MS] [--key KEY]
             [--upload-retries N] [--tls CA_FILE [--client-cert FILE] [--bad-cert HOW]]
             [--proxy http|socks5]... [--proxy-auth USER:PASSWORD]";

const HELP: &str = "\
Serves every HTTP endpoint of the OpenAI API on 127.0.0.1, under any prefix, without a model behind
it: responses (stored and background ones, too), models, images, files, conversations and the rest;
and the WebSockets of responses and of realtime sessions, at the paths responses and realtime.
Prints its base URL, http://127.0.0.1:PORT/v1, and runs until killed.

  --port N       listen on this port (default: a free one)
  --script FILE  a JSON array of scripts, one for each request in turn; after the last one,
                 natural answers. An entry is a name from the list below or an object, for
                 instance {\"status\": 503, \"headers\": {\"retry-after\": \"2\"}, \"times\": 3};
                 its members are those of tower_openai::testing::Script::from_json.
  --pace MS      wait before each delta of a natural answer (default: 20)
  --key KEY      refuse natural answers with 401 unless this key is sent (default: any is fine)
  --upload-retries N
                 say so many times that an upload is not ready (default: 0)
  --tls CA_FILE  serve HTTPS, and write the certificate to trust to this file
  --client-cert FILE
                 let in only clients with the certificate and key that are written to this file
  --bad-cert HOW present a bad certificate: expired, wrong-host, or obsolete for no TLS above 1.1
  --proxy KIND   start a proxy, http or socks5, as well, and print its URL. It goes to addresses
                 of this machine, and from api.example.test to this server; may be repeated
  --proxy-auth USER:PASSWORD
                 what the proxies ask for (default: nothing)
  --help         this text

A request picks a script by the header `x-script: NAME`, whatever --script says. At a WebSocket's
handshake the name stands for the handshake if it can answer one, and else for every turn:
";

#[derive(Default)]
struct Options {
    port: u16,
    scripts: Vec<Script>,
    pace: Duration,
    key: Option<String>,
    upload_retries: u32,
    ca_file: Option<String>,
    client_file: Option<String>,
    bad_cert: Option<fn(Tls) -> Tls>,
    proxies: Vec<fn() -> ProxyBuilder>,
    proxy_auth: Option<(String, String)>,
}

enum Command {
    Serve(Options),
    Help,
}

/// The command line. What is no text in it is not repeated: it may be a key.
fn arguments() -> Result<Vec<String>, String> {
    let args = std::env::args_os().skip(1);
    args.map(|arg| arg.into_string().map_err(|_| "an argument is not UTF-8".to_owned())).collect()
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options { pace: Duration::from_millis(20), ..Options::default() };
    while let Some(name) = args.next() {
        if name == "--help" || name == "-h" {
            return Ok(Command::Help);
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&*name, None),
        };
        let value = || value.or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value"));
        option(&mut options, name, value)?;
    }
    if options.ca_file.is_none() && (options.client_file.is_some() || options.bad_cert.is_some()) {
        return Err("--client-cert and --bad-cert go with --tls".into());
    }
    Ok(Command::Serve(options))
}

/// Reads one option and its value.
fn option(
    options: &mut Options,
    name: &str,
    value: impl FnOnce() -> Result<String, String>,
) -> Result<(), String> {
    let wrong = |value: &str, what: &str| format!("{name}: {value:?} is not {what}");
    match name {
        "--port" => {
            let value = value()?;
            options.port = value.parse().map_err(|_| wrong(&value, "a port"))?;
        }
        "--pace" => {
            let value = value()?;
            let millis = value.parse().map_err(|_| wrong(&value, "a number of milliseconds"))?;
            options.pace = Duration::from_millis(millis);
        }
        "--script" => {
            let file = value()?;
            let json = std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
            options.scripts =
                Script::from_json(&json).map_err(|error| format!("{file}: {}", why(&error)))?;
        }
        "--key" => options.key = Some(value()?),
        "--upload-retries" => {
            let value = value()?;
            options.upload_retries = value.parse().map_err(|_| wrong(&value, "a number"))?;
        }
        "--tls" => options.ca_file = Some(value()?),
        "--client-cert" => options.client_file = Some(value()?),
        "--bad-cert" => {
            options.bad_cert = Some(match value()?.as_str() {
                "expired" => Tls::expired,
                "wrong-host" => Tls::wrong_host,
                "obsolete" => Tls::obsolete,
                other => return Err(wrong(other, "expired, wrong-host or obsolete")),
            });
        }
        "--proxy" => options.proxies.push(match value()?.as_str() {
            "http" => Proxy::http,
            "socks5" => Proxy::socks5,
            other => return Err(wrong(other, "http or socks5")),
        }),
        "--proxy-auth" => {
            let value = value()?;
            // A wrong value is not repeated: it may be a password.
            let (user, password) =
                value.split_once(':').ok_or("--proxy-auth is USER:PASSWORD, with a colon")?;
            options.proxy_auth = Some((user.into(), password.into()));
        }
        _ => return Err(format!("unknown argument {name:?}")),
    }
    Ok(())
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

/// The authority, with its certificates written to the files that were asked for.
fn tls(options: &Options) -> Result<Option<Tls>, Box<dyn std::error::Error>> {
    let Some(ca_file) = &options.ca_file else { return Ok(None) };
    let mut tls = Tls::new()?.host("api.example.test");
    let write = |file: &String, pem: &str| {
        std::fs::write(file, pem).map_err(|error| format!("{file}: {error}"))
    };
    write(ca_file, &tls.ca_pem())?;
    if let Some(file) = &options.client_file {
        write(file, tls.client_pem())?;
        tls = tls.require_client_certificate();
    }
    Ok(Some(options.bad_cert.map_or_else(|| tls.clone(), |bad| bad(tls.clone()))))
}

async fn serve(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Server::builder()
        .port(options.port)
        .pace(options.pace)
        .upload_retries(options.upload_retries)
        .history(1);
    if let Some(tls) = tls(&options)? {
        builder = builder.tls(tls);
    }
    if let Some(key) = options.key {
        builder = builder.require_key(key);
    }
    let server = builder.start().await?;
    for script in options.scripts {
        server.enqueue(script);
    }
    let mut proxies = Vec::new();
    for proxy in options.proxies {
        let mut proxy = proxy().host("api.example.test", server.address());
        if let Some((user, password)) = &options.proxy_auth {
            proxy = proxy.credentials(user, password);
        }
        proxies.push(proxy.start().await?);
    }
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", server.base_url())?;
    for proxy in &proxies {
        writeln!(stdout, "{}", proxy.url())?;
    }
    stdout.flush()?;
    std::future::pending().await
}

#[tokio::main]
async fn main() -> ExitCode {
    match arguments().and_then(|args| parse(args.into_iter())) {
        Ok(Command::Help) => {
            let mut help = format!("{USAGE}\n\n{HELP}\n");
            let mut list = |(name, about)| help.push_str(&format!("  {name:<16} {about}\n"));
            Script::names().for_each(&mut list);
            list(("", "and for WebSockets:"));
            Script::socket_names().for_each(list);
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
        assert!(problem(&["--proxy", "socks4"]).contains("http or socks5"));
        assert!(problem(&["--bad-cert", "ugly"]).contains("wrong-host"));
        assert!(problem(&["--bad-cert", "expired"]).contains("--tls"));
        assert!(!problem(&["--proxy-auth", "hush"]).contains("hush"));
    }

    #[test]
    fn options_are_read() {
        let args = ["--port=8080", "--pace", "5", "--key", "sk-test"].map(String::from);
        let Ok(Command::Serve(options)) = parse(args.into_iter()) else { panic!("options") };
        assert_eq!((options.port, options.pace), (8080, Duration::from_millis(5)));
        assert_eq!(options.key.as_deref(), Some("sk-test"));
        let args = ["--tls", "ca", "--proxy", "http", "--proxy", "socks5", "--proxy-auth", "u:p:q"];
        let Ok(Command::Serve(options)) = parse(args.map(String::from).into_iter()) else {
            panic!("options")
        };
        assert_eq!((options.ca_file.as_deref(), options.proxies.len()), (Some("ca"), 2));
        assert_eq!(options.proxy_auth, Some(("u".into(), "p:q".into())));
        assert!(matches!(parse(["--help".into()].into_iter()), Ok(Command::Help)));
    }
}
