//! Talks to a model and shows the answer as it is made.
//!
//! ```text
//! cargo run --example chat                        # the embedded server, no account needed
//! cargo run --example chat -- "Why is the sky blue?"
//! OPENAI_API_KEY=sk-… cargo run --example chat    # the real API
//! ```
//!
//! On a terminal and without a prompt it is a conversation; an empty line ends it.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use tower_openai::env::{EnvSource, ProcessEnv};
use tower_openai::model::{ResponseEvent, ResponseItem};
use tower_openai::services::ResponsesRequest;
use tower_openai::testing::Server;
use tower_openai::{BoxError, Client, Error};

const MODEL: &str = "gpt-5.2";

const USAGE: &str = "\
usage: chat [--] [PROMPT...]

Answers PROMPT, or what stands on stdin. On a terminal and without PROMPT it is
a conversation; an empty line ends it.

OPENAI_API_KEY or OPENAI_BASE_URL choose the API; without them an embedded
server answers.
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(OsString::into_string);
    let Ok(words) = words.collect::<Result<Vec<_>, _>>() else {
        eprint!("chat: PROMPT is not UTF-8\n\n{USAGE}");
        return ExitCode::from(2);
    };
    let prompt = match &words[..] {
        [first, prompt @ ..] if first == "--" => prompt,
        words if words.iter().any(|word| word.starts_with("--") && word != "--help") => {
            // Not repeated: it may be a key.
            eprint!("chat: takes no options; `--` comes before a PROMPT like one\n\n{USAGE}");
            return ExitCode::from(2);
        }
        [first, ..] if first == "--help" || first == "-h" => {
            // Whoever does not read it has had enough.
            let _ = show(USAGE);
            return ExitCode::SUCCESS;
        }
        words => words,
    };
    match chat(prompt.join(" ")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever read the answer has had enough.
            let output = error.downcast_ref::<io::Error>();
            if output.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            eprintln!("\nchat: {error}");
            let error = Error::from(error);
            for cause in error.chain().skip(1) {
                eprintln!("  because {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn chat(prompt: String) -> Result<(), BoxError> {
    // Held to the end: dropping the embedded server stops it.
    let (client, _server) = connect().await?;
    let mut history = Vec::new();
    if !prompt.is_empty() {
        return turn(&client, &mut history, prompt).await;
    }
    if !io::stdin().is_terminal() {
        let mut prompt = String::new();
        io::Read::read_to_string(&mut io::stdin(), &mut prompt)?;
        let prompt = match prompt.trim() {
            "" => "Hello! What can you do?",
            prompt => prompt,
        };
        return turn(&client, &mut history, prompt.to_owned()).await;
    }
    loop {
        show("you> ")?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        if line.trim().is_empty() {
            return Ok(());
        }
        // A turn that fails does not end the conversation.
        if let Err(error) = turn(&client, &mut history, line.trim().to_owned()).await {
            eprintln!("\nchat: {error}");
        }
    }
}

/// The client that the environment asks for, or one for an embedded server.
async fn connect() -> Result<(Client, Option<Server>), BoxError> {
    let configured = ["OPENAI_API_KEY", "OPENAI_BASE_URL"];
    for name in configured {
        if ProcessEnv.non_blank(name)?.is_some() {
            return Ok((Client::from_env()?, None));
        }
    }
    let server = Server::builder().pace(Duration::from_millis(40)).start().await?;
    eprintln!(
        "(answers come from an embedded server; for the real API set OPENAI_API_KEY, \
         for another one OPENAI_BASE_URL)"
    );
    // A proxy of the environment is not the way to it.
    let client = Client::builder().base_url(server.base_url()).without_proxy().build()?;
    Ok((client, Some(server)))
}

/// One question and its answer; both become part of the history.
async fn turn(
    client: &Client,
    history: &mut Vec<ResponseItem>,
    prompt: String,
) -> Result<(), BoxError> {
    let question = ResponseItem::user(prompt);
    let mut input = history.clone();
    input.push(question.clone());
    let request = ResponsesRequest::new(MODEL, input);
    let mut events = client.responses().stream_request(request).await?;
    let mut answer = Vec::new();
    while let Some(event) = events.try_next().await? {
        match event {
            ResponseEvent::OutputTextDelta(event) => show(&event.delta)?,
            ResponseEvent::RefusalDelta(event) => show(&event.delta)?,
            ResponseEvent::OutputItemDone(event) => answer.push(event.item),
            _ => {}
        }
    }
    show("\n")?;
    history.push(question);
    history.extend(answer);
    Ok(())
}

/// Shows text at once; `print!` would wait for the end of the line.
fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
