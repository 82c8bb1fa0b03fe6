//! `POST images/generations` and `POST images/edits`: make images, whole or piece by piece.
//!
//! Two services of the same [`ImagesRequest`] stand over any HTTP service, above `ProviderLayer`:
//! [`Images`], whose response holds the finished images, and [`ImagesStream`], whose response is an
//! [`EventStream`] of previews and finished images. A request asks for new images or for changes to
//! given ones; those are named by URL or id, and the request is JSON, or they are sent along as
//! bytes, and the request is a form. An answer comes once the model is done, so the limit to set is
//! that of the whole call, [`StreamTimeouts::total`]; the preset's is 20 minutes.
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::model::ImageGeneration;
//! use tower_openai::services::Images;
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/images/generations");
//!     let body = r#"{"created":1764967971,"data":[{"b64_json":"aW1hZ2U="}]}"#;
//!     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! });
//!
//! let mut generation = ImageGeneration::new("gpt-image-1", "A red cube");
//! generation.quality = Some("low".into());
//! let images = Images::new(http).send(generation).await?;
//! assert_eq!(images.data[0].decode()?, b"image");
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! Streamed, and with an image of one's own:
//!
//! ```
//! # use tower::service_fn;
//! # use tower_openai::RequestBody;
//! use tower_openai::model::ImageEvent;
//! use tower_openai::services::{FormFile, ImagesRequest, ImagesStream};
//!
//! # tokio_test::block_on(async {
//! # let http = service_fn(|request: http::Request<RequestBody>| async move {
//! #     assert_eq!(request.uri(), "/images/edits");
//! #     let body = concat!(
//! #         r#"data: {"type":"image_edit.partial_image","b64_json":"aW0=","partial_image_index":0}"#, "\n\n",
//! #         r#"data: {"type":"image_edit.completed","b64_json":"aW1hZ2U="}"#, "\n\n");
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from(body)))
//! # });
//! # let png = "";
//! let request = ImagesRequest::edit("gpt-image-1", "The same in blue").image(FormFile::png(png));
//! let mut events = ImagesStream::new(http).stream_request(request).await?;
//! while let Some(event) = events.try_next().await? {
//!     match event {
//!         ImageEvent::EditPartial(preview) => println!("{} bytes", preview.decode()?.len()),
//!         ImageEvent::EditCompleted(image) => assert_eq!(image.decode()?, b"image"),
//!         _ => {}
//!     }
//! }
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! # Errors
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers as for
//! `Responses`. A stream has the rules of [`EventStream`]; with `n` images it ends with the `n`th, or
//! after the first where the server ends it. A
//! request that has its images in two ways, or sends some to make new ones, is refused with nothing
//! sent ([`ErrorKind::Build`](crate::ErrorKind::Build)).
//!
//! # Memory
//!
//! An answer may have 128 MiB, ten large images in base64, and is in memory twice while it is read;
//! [`body_limit`](Images::body_limit) sets another limit. An event of a stream may have 32 MiB
//! ([`Limits`](crate::sse::Limits)). A form is put together in memory, once, whatever the number of
//! attempts.
//!
//! [`EventStream`]: crate::sse::EventStream
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total

mod stream;

use std::fmt;

use http::Method;

use super::encode::{Outgoing, Target};
use super::endpoint::unary_endpoint;
use super::multipart::{Form, FormFile};
use super::options::{ResponsesOptions, call_options};
use super::unary::{UnaryRequest, UnarySettings, json_answer};
use crate::Error;
use crate::model::{GeneratedImages, ImageEdit, ImageGeneration, RawObject};
use crate::sse::AnswerFacts;

pub use self::stream::{ImagesStream, ImagesStreamFuture, ImagesStreamLayer, StreamImages};

/// A request to make images, or to change some.
#[derive(Clone)]
#[must_use]
pub struct ImagesRequest {
    payload: Payload,
    /// Sent along with an edit.
    images: Vec<FormFile>,
    mask: Option<FormFile>,
    options: ResponsesOptions,
}

#[derive(Clone, Debug)]
enum Payload {
    Generation(Box<ImageGeneration>),
    Edit(Box<ImageEdit>),
}

impl ImagesRequest {
    /// Asks `model` for an image of `prompt`.
    pub fn generate(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        ImageGeneration::new(model, prompt).into()
    }

    /// Asks `model` to change the images that are [sent along](Self::image) into `prompt`. For images
    /// that are named by URL or id, make the request of an [`ImageEdit`].
    pub fn edit(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        ImageEdit::new(model, prompt, Vec::new()).into()
    }

    /// Sends an image to change along. The request is a form then.
    pub fn image(mut self, image: FormFile) -> Self {
        self.images.push(image);
        self
    }

    /// Sends an image along whose transparent places are those to change.
    pub fn mask(mut self, mask: FormFile) -> Self {
        self.mask = Some(mask);
        self
    }

    /// What new images are asked for, to change in place; `None` if it is an edit.
    pub fn generation_mut(&mut self) -> Option<&mut ImageGeneration> {
        match &mut self.payload {
            Payload::Generation(generation) => Some(generation),
            Payload::Edit(_) => None,
        }
    }

    /// What changes are asked for, to change in place; `None` if new images are asked for.
    pub fn edit_mut(&mut self) -> Option<&mut ImageEdit> {
        match &mut self.payload {
            Payload::Edit(edit) => Some(edit),
            Payload::Generation(_) => None,
        }
    }

    call_options!();

    fn of(payload: Payload) -> Self {
        Self { payload, images: Vec::new(), mask: None, options: ResponsesOptions::default() }
    }

    /// How many images are asked for.
    fn count(&self) -> u64 {
        let n = match &self.payload {
            Payload::Generation(generation) => generation.n,
            Payload::Edit(edit) => edit.n,
        };
        n.unwrap_or(1).max(1)
    }

    /// The request to send; what the payload says of `stream` is the endpoint's to say.
    fn into_outgoing(self, stream: bool) -> Result<(Outgoing, ResponsesOptions), Error> {
        let post = |path| Outgoing::new(Method::POST, Target::of(path));
        let outgoing = match self.payload {
            Payload::Generation(_) if !self.images.is_empty() || self.mask.is_some() => {
                return Err(Error::build(
                    "images are sent along to make new ones: ask for an edit, or leave them out",
                ));
            }
            Payload::Generation(mut generation) => {
                say(&mut generation.extra, stream)?;
                post("/images/generations")?.json(&*generation)?
            }
            Payload::Edit(mut edit) => {
                say(&mut edit.extra, stream)?;
                let post = post("/images/edits")?;
                if self.images.is_empty() && self.mask.is_none() {
                    post.json(&*edit)?
                } else {
                    let (content_type, form) = form(&edit, &self.images, self.mask.as_ref())?;
                    post.body(content_type, form)
                }
            }
        };
        Ok((outgoing, self.options))
    }
}

/// Says whether the answer is to be a stream.
fn say(extra: &mut crate::model::Extra, stream: bool) -> Result<(), Error> {
    extra.remove("stream");
    if stream { extra.set("stream", &true).map_err(unwritten) } else { Ok(()) }
}

/// An edit whose images are sent along, as a form: each member of the JSON is a field.
fn form(
    edit: &ImageEdit,
    images: &[FormFile],
    mask: Option<&FormFile>,
) -> Result<(http::HeaderValue, crate::RequestBody), Error> {
    if !edit.images.is_empty() || edit.mask.is_some() {
        return Err(Error::build(
            "some of the edit's images are sent along and some are named by URL or id: the API takes \
             either",
        ));
    }
    if images.is_empty() {
        return Err(Error::build("a mask is sent along, but no image: send that too"));
    }
    let json = serde_json::to_vec(edit).map_err(unwritten)?;
    let members: RawObject = serde_json::from_slice(&json).map_err(unwritten)?;
    let mut form = Form::new();
    let field = if images.len() == 1 { "image" } else { "image[]" };
    for image in images {
        form = form.file(field, image);
    }
    if let Some(mask) = mask {
        form = form.file("mask", mask);
    }
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        // A text without its quotes, anything else as it is written.
        let text = value.parse().unwrap_or_else(|_| value.as_str().to_owned());
        form = form.field(name, text);
    }
    form.into_body()
}

fn unwritten(error: serde_json::Error) -> Error {
    Error::build("the request does not serialise").with_source(error)
}

impl From<ImageGeneration> for ImagesRequest {
    fn from(generation: ImageGeneration) -> Self {
        Self::of(Payload::Generation(Box::new(generation)))
    }
}

impl From<ImageEdit> for ImagesRequest {
    fn from(edit: ImageEdit) -> Self {
        Self::of(Payload::Edit(Box::new(edit)))
    }
}

impl fmt::Debug for ImagesRequest {
    /// Shows how long the images are, not what is in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImagesRequest")
            .field("payload", &self.payload)
            .field("images", &self.images)
            .field("mask", &self.mask)
            .field("options", &self.options)
            .finish()
    }
}

const ENDPOINT: &str = "images";

impl UnaryRequest for ImagesRequest {
    const ENDPOINT: &'static str = ENDPOINT;
    const BODY_LIMIT: usize = 128 * 1024 * 1024;
    type Answer = GeneratedImages;

    fn model(&self) -> Option<String> {
        Some(match &self.payload {
            Payload::Generation(generation) => generation.model.clone(),
            Payload::Edit(edit) => edit.model.clone(),
        })
    }

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        self.into_outgoing(false)
    }
}

json_answer!(GeneratedImages, |answer| AnswerFacts {
    usage: answer.usage.as_ref(),
    ..AnswerFacts::default()
});

unary_endpoint! {
    /// Turns an HTTP service into [`Images`].
    pub struct ImagesLayer;
    /// The endpoints `POST images/generations` and `POST images/edits` over an HTTP service; see the
    /// [module](self).
    pub struct Images: ImagesRequest => GeneratedImages;
}
