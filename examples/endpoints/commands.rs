//! The commands: a row in the table, and a function that sends the request and prints the answer.

use std::ffi::OsStr;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tower_openai::model::{MemorySummarizeInput, ModelsResponse, SearchInput};
use tower_openai::services::{
    CompactRequest, ListModelsRequest, MemoriesRequest, ModelsAnswer, ModelsRequest,
    ResponsesOptions, RetrieveModelRequest, SearchRequest,
};
use tower_openai::{BoxError, Client};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::lines::{print_json, read_body};

/// What a command is, and what it takes beside the flags of all.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// The word that has to follow.
    pub(crate) operand: Option<&'static str>,
    /// Flags, each with a value.
    flags: &'static [&'static str],
    /// For the help.
    pub(crate) about: &'static str,
    pub(crate) run: fn(Call) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "compact",
        operand: None,
        flags: &["body"],
        about: "makes the conversation in the body shorter",
        run: |call| Box::pin(compact(call)),
    },
    Command {
        name: "memories",
        operand: None,
        flags: &["body"],
        about: "summarises the sessions in the body",
        run: |call| Box::pin(memories(call)),
    },
    Command {
        name: "models",
        operand: None,
        flags: &["client-version", "etag"],
        about: "lists the models of the Codex backend for
                            --client-version X.Y.Z; nothing if its list is the one
                            of --etag E",
        run: |call| Box::pin(models(call)),
    },
    Command {
        name: "list-models",
        operand: None,
        flags: &[],
        about: "lists the models of the public API",
        run: |call| Box::pin(list_models(call)),
    },
    Command {
        name: "retrieve-model",
        operand: Some("ID"),
        flags: &[],
        about: "tells of one of them",
        run: |call| Box::pin(retrieve_model(call)),
    },
    Command {
        name: "search",
        operand: None,
        flags: &["body"],
        about: "searches the web as the body says",
        run: |call| Box::pin(search(call)),
    },
];

impl Command {
    /// The flag, if the command has it.
    pub(crate) fn flag(&self, name: &str) -> Option<&'static str> {
        self.flags.iter().copied().find(|flag| *flag == name)
    }
}

async fn compact(call: Call) -> Result<(), Failure> {
    let body: Box<RawValue> = call.body()?;
    let request = CompactRequest::from_body(&body)?.options(call.options());
    print(call.client.compact().send(request).await?.value())
}

async fn memories(call: Call) -> Result<(), Failure> {
    let request = MemoriesRequest::from(call.body::<MemorySummarizeInput>()?);
    let request = request.options(call.options());
    print(call.client.memories().send(request).await?.value())
}

async fn models(call: Call) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Listed<'a> {
        etag: Option<String>,
        #[serde(flatten)]
        models: &'a ModelsResponse,
    }
    #[derive(Serialize)]
    struct Unchanged {
        not_modified: bool,
        etag: Option<String>,
    }

    let version = call.flag("client-version")?.unwrap_or(env!("CARGO_PKG_VERSION"));
    let mut request = ModelsRequest::new(version).options(call.options());
    if let Some(etag) = call.flag("etag")? {
        request = request.if_none_match(etag);
    }
    match call.client.models().send(request).await?.into_value() {
        ModelsAnswer::Catalog { models, etag } => print(&Listed { etag, models: &models }),
        ModelsAnswer::NotModified { etag } => print(&Unchanged { not_modified: true, etag }),
    }
}

async fn list_models(call: Call) -> Result<(), Failure> {
    let request = ListModelsRequest::new().options(call.options());
    print(call.client.list_models().send(request).await?.value())
}

async fn retrieve_model(call: Call) -> Result<(), Failure> {
    let request = RetrieveModelRequest::new(call.operand()?).options(call.options());
    print(call.client.retrieve_model().send(request).await?.value())
}

async fn search(call: Call) -> Result<(), Failure> {
    let request = SearchRequest::from(call.body::<SearchInput>()?).options(call.options());
    print(call.client.search().send(request).await?.value())
}

/// A command with what was said beside it.
pub(crate) struct Call {
    pub(crate) client: Client,
    pub(crate) arguments: Arguments,
}

impl Call {
    /// What goes with every request.
    fn options(&self) -> ResponsesOptions {
        let mut options = ResponsesOptions::new();
        options.extra_headers = self.arguments.connection.headers.clone();
        options
    }

    /// The body, which has to be there.
    fn body<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let Some(path) = self.arguments.flags.get("body") else {
            let name = self.arguments.command.name;
            return Err(usage(format!("`{name}` needs --body FILE, or --body - for stdin")));
        };
        let text = read_body(path).map_err(Failure::Usage)?;
        serde_json::from_str(&text)
            .map_err(|error| usage(format!("the body {path:?} is not what it should be: {error}")))
    }

    /// The word after the command.
    fn operand(&self) -> Result<&str, Failure> {
        self.arguments.operand.as_deref().map_or(Ok(""), |word| text("the word", word))
    }

    /// The value of a flag.
    fn flag(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.arguments.flags.get(name).map(|value| text(name, value)).transpose()
    }
}

fn text<'a>(what: &str, value: &'a OsStr) -> Result<&'a str, Failure> {
    value.to_str().ok_or_else(|| usage(format!("{what} {value:?} is not UTF-8")))
}

fn usage(problem: impl Into<BoxError>) -> Failure {
    Failure::Usage(problem.into())
}

/// Prints an answer.
fn print(answer: &impl Serialize) -> Result<(), Failure> {
    Ok(print_json(answer)?)
}
