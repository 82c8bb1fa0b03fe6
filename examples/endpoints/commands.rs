//! The commands: a row in the table, and a function that sends the request and prints the answer.

use std::ffi::OsStr;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use http::header::IF_NONE_MATCH;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tower_openai::model::{
    ImageEdit, ImageGeneration, ItemPage, MemorySummarizeInput, ModelsResponse, SearchInput,
};
use tower_openai::services::{
    CancelResponseRequest, CompactRequest, CreateFileRequest, DeleteResponseRequest, ImagesRequest,
    ListInputItemsRequest, ListModelsRequest, MemoriesRequest, ModelsAnswer, ModelsRequest,
    ResponsesOptions, ResponsesRequest, RetrieveModelRequest, RetrieveResponseRequest,
    RetrieveStreamRequest, SearchRequest, UploadRequest, UploadSource,
};
use tower_openai::{BoxError, Client, Error, ErrorKind};

use crate::arguments::Arguments;
use crate::events::print_events;
use crate::failure::Failure;
use crate::lines::{print_json, read_body};
use crate::progress;

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
        name: "image",
        operand: None,
        flags: &["body"],
        about: "makes images, or changes those that the body names; with
                            \"stream\": true, a line for each preview too",
        run: |call| Box::pin(image(call)),
    },
    Command {
        name: "search",
        operand: None,
        flags: &["body"],
        about: "searches the web as the body says",
        run: |call| Box::pin(search(call)),
    },
    Command {
        name: "upload",
        operand: Some("FILE"),
        flags: &["purpose"],
        about: "uploads a file to the backend of a ChatGPT login; with
                            --purpose P, to the public API",
        run: |call| Box::pin(upload(call)),
    },
    Command {
        name: "retrieve",
        operand: Some("ID"),
        flags: &[],
        about: "looks up a stored response",
        run: |call| Box::pin(retrieve(call)),
    },
    Command {
        name: "resume",
        operand: Some("ID"),
        flags: &["starting-after"],
        about: "prints its events, a line for each; those behind the one
                            of --starting-after N",
        run: |call| Box::pin(resume(call)),
    },
    Command {
        name: "cancel",
        operand: Some("ID"),
        flags: &[],
        about: "stops it, if it runs in the background",
        run: |call| Box::pin(cancel(call)),
    },
    Command {
        name: "delete",
        operand: Some("ID"),
        flags: &[],
        about: "forgets it",
        run: |call| Box::pin(delete(call)),
    },
    Command {
        name: "input-items",
        operand: Some("ID"),
        flags: &["limit", "order", "after"],
        about: "lists what it was made from, in pages of --limit N, in
                            --order asc|desc, behind the item --after ID",
        run: |call| Box::pin(input_items(call)),
    },
    Command {
        name: "count-tokens",
        operand: None,
        flags: &["body"],
        about: "counts the tokens of the request in the body",
        run: |call| Box::pin(count_tokens(call)),
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
    let request = CompactRequest::from_body(&body).map_err(usage)?.options(call.options());
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
    let mut asked = call.arguments.connection.headers.contains_key(IF_NONE_MATCH);
    if let Some(etag) = call.flag("etag")? {
        request = request.if_none_match(etag);
        asked = true;
    }
    match call.client.models().send(request).await?.into_value() {
        ModelsAnswer::Catalog { models, etag } => print(&Listed { etag, models: &models }),
        ModelsAnswer::NotModified { etag } if asked => {
            print(&Unchanged { not_modified: true, etag })
        }
        ModelsAnswer::NotModified { .. } => {
            let problem = "the server says that nothing has changed, but was not asked (--etag)";
            Err(Error::new(ErrorKind::Protocol, problem).into())
        }
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

async fn image(call: Call) -> Result<(), Failure> {
    /// What decides how the body is sent.
    #[derive(Deserialize)]
    struct Shape<'a> {
        stream: Option<bool>,
        #[serde(borrow)]
        images: Option<&'a RawValue>,
    }

    let text = call.body_text()?;
    let Shape { stream, images } = serde_json::from_str(&text).map_err(wrong_body)?;
    let request: ImagesRequest = match images {
        Some(_) => serde_json::from_str::<ImageEdit>(&text).map_err(wrong_body)?.into(),
        None => serde_json::from_str::<ImageGeneration>(&text).map_err(wrong_body)?.into(),
    };
    let request = request.options(call.options());
    if stream != Some(true) {
        return print(call.client.images().send(request).await?.value());
    }
    let mut events = call.client.images_stream().stream_request(request).await?;
    while let Some(event) = events.try_next().await? {
        print(&event)?;
    }
    Ok(())
}

async fn upload(call: Call) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Uploaded<'a> {
        file_id: &'a str,
        uri: String,
        download_url: &'a str,
        file_name: &'a str,
        size: u64,
        mime_type: Option<&'a str>,
    }

    let path = call.arguments.operand.clone().unwrap_or_default();
    let source = UploadSource::open(path).await.map_err(usage)?;
    if let Some(purpose) = call.flag("purpose")? {
        let mut request = CreateFileRequest::new(source, purpose).options(call.options());
        if let Some(bar) = progress::bar() {
            request = request.on_progress(bar);
        }
        return print(call.client.create_file().send(request).await?.value());
    }
    let mut request = UploadRequest::from(source).options(call.options());
    if let Some(bar) = progress::bar() {
        request = request.on_progress(bar);
    }
    let file = call.client.files().upload(request).await?;
    print(&Uploaded {
        file_id: &file.file_id,
        uri: file.uri(),
        download_url: &file.download_url,
        file_name: &file.file_name,
        size: file.size,
        mime_type: file.mime_type.as_deref(),
    })
}

async fn retrieve(call: Call) -> Result<(), Failure> {
    let request = RetrieveResponseRequest::new(call.operand()?).options(call.options());
    print(call.client.retrieve_response().send(request).await?.value())
}

async fn resume(call: Call) -> Result<(), Failure> {
    let mut request = RetrieveStreamRequest::new(call.operand()?).options(call.options());
    if let Some(number) = call.number("starting-after")? {
        request = request.starting_after(number);
    }
    print_events(call.client.retrieve_stream().stream_request(request).await?).await
}

async fn cancel(call: Call) -> Result<(), Failure> {
    let request = CancelResponseRequest::new(call.operand()?).options(call.options());
    print(call.client.cancel_response().send(request).await?.value())
}

async fn delete(call: Call) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Deleted<'a> {
        id: &'a str,
        deleted: bool,
    }

    let id = call.operand()?;
    let request = DeleteResponseRequest::new(id).options(call.options());
    call.client.delete_response().send(request).await?;
    print(&Deleted { id, deleted: true })
}

/// The items of all pages, as one list.
async fn input_items(call: Call) -> Result<(), Failure> {
    let mut request = ListInputItemsRequest::new(call.operand()?).options(call.options());
    if let Some(limit) = call.number("limit")? {
        request = request.limit(limit);
    }
    if let Some(order) = call.flag("order")? {
        request = request.order(order);
    }
    if let Some(id) = call.flag("after")? {
        request = request.after(id);
    }
    let mut list = ItemPage::default();
    list.object = Some("list".into());
    let mut items = call.client.list_input_items().items(request);
    while let Some(item) = items.try_next().await? {
        list.data.push(item);
    }
    print(&list)
}

async fn count_tokens(call: Call) -> Result<(), Failure> {
    let body: Box<RawValue> = call.body()?;
    let request = ResponsesRequest::from_body(&body).map_err(usage)?.options(call.options());
    print(call.client.count_input_tokens().send(request).await?.value())
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
        serde_json::from_str(&self.body_text()?).map_err(wrong_body)
    }

    fn body_text(&self) -> Result<String, Failure> {
        let Some(path) = self.arguments.flags.get("body") else {
            let name = self.arguments.command.name;
            return Err(usage(format!("`{name}` needs --body FILE, or --body - for stdin")));
        };
        read_body(path).map_err(Failure::Usage)
    }

    /// The word after the command.
    fn operand(&self) -> Result<&str, Failure> {
        self.arguments.operand.as_deref().map_or(Ok(""), |word| text("the word", word))
    }

    /// The value of a flag.
    fn flag(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.arguments.flags.get(name).map(|value| text(name, value)).transpose()
    }

    /// The value of a flag that is a number.
    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let wrong = |value| usage(format!("--{name} takes a whole number, not {value:?}"));
        let value = self.flag(name)?;
        value.map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }
}

fn wrong_body(error: serde_json::Error) -> Failure {
    usage(format!("the body is not what it should be: {error}"))
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
