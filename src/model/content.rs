//! What messages and tool outputs are made of: [`Content`], [`ContentPart`] and what hangs on them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::RawJson;
use super::macros::{from_payloads, open_enum, tagged_enum, wire_struct};

/// The content of a message or the output of a tool: plain text, or a list of parts.
///
/// The wire allows both; each is written as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// A JSON string.
    Text(String),
    /// A JSON array of parts.
    Parts(Vec<ContentPart>),
}

impl Content {
    /// All text, concatenated: the plain text, or that of the text parts of any kind.
    ///
    /// Refusals, images and files are not text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Parts(parts) => parts.iter().filter_map(ContentPart::text).collect(),
        }
    }

    /// The parts; none when the content is plain text.
    #[must_use]
    pub fn parts(&self) -> &[ContentPart] {
        match self {
            Self::Text(_) => &[],
            Self::Parts(parts) => parts,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }
}

impl Default for Content {
    /// No parts.
    fn default() -> Self {
        Self::Parts(Vec::new())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<ContentPart> for Content {
    fn from(part: ContentPart) -> Self {
        Self::Parts(vec![part])
    }
}

impl From<Vec<ContentPart>> for Content {
    fn from(parts: Vec<ContentPart>) -> Self {
        Self::Parts(parts)
    }
}

impl<const N: usize> From<[ContentPart; N]> for Content {
    fn from(parts: [ContentPart; N]) -> Self {
        Self::Parts(parts.into())
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;

        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or an array of content parts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.into()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(parts)).map(Content::Parts)
            }
        }

        deserializer.deserialize_any(ContentVisitor)
    }
}

tagged_enum! {
    /// One part of a message, of a reasoning item or of a tool's output.
    pub enum ContentPart {
        /// Text from the caller.
        InputText(InputText) = "input_text",
        /// An image from the caller.
        InputImage(InputImage) = "input_image",
        /// A file from the caller.
        InputFile(Box<InputFile>) = "input_file",
        /// Text from the model.
        OutputText(OutputText) = "output_text",
        /// The model's refusal.
        Refusal(Refusal) = "refusal",
        /// Raw reasoning.
        ReasoningText(TextPart) = "reasoning_text",
        /// Summarised reasoning.
        SummaryText(TextPart) = "summary_text",
        /// Text of no stated kind.
        Text(TextPart) = "text",
        /// Content that only the server can read.
        EncryptedContent(EncryptedContent) = "encrypted_content",
        /// What a computer shows.
        ComputerScreenshot(InputImage) = "computer_screenshot",
    }
}

from_payloads!(ContentPart {
    InputText,
    InputImage,
    InputFile,
    OutputText,
    Refusal,
    EncryptedContent
});

impl ContentPart {
    /// Text from the caller.
    #[must_use]
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(InputText { text: text.into(), ..Default::default() })
    }

    /// An image by its URL, which may be a `data:` URL. For a file id, or to say how closely the
    /// model looks: [`InputImage`].
    #[must_use]
    pub fn input_image(url: impl Into<String>) -> Self {
        InputImage::url(url).into()
    }

    /// An image by its bytes, sent along as a `data:` URL.
    ///
    /// ```
    /// use tower_openai::model::{ContentPart, ResponseItem, Role};
    /// use tower_openai::services::ResponsesRequest;
    ///
    /// # let png = b"\x89PNG";
    /// let question = [
    ///     ContentPart::input_text("What is this?"),
    ///     ContentPart::input_image_bytes("image/png", png),
    /// ];
    /// let item = ResponseItem::message(Role::User, question);
    /// let request = ResponsesRequest::new("gpt-5.2", item);
    /// # let _ = request;
    /// ```
    #[must_use]
    pub fn input_image_bytes(mime: &str, bytes: impl AsRef<[u8]>) -> Self {
        InputImage::bytes(mime, bytes).into()
    }

    /// An uploaded file, by its id. For a URL, or the bytes: [`InputFile`].
    #[must_use]
    pub fn input_file(id: impl Into<String>) -> Self {
        InputFile::file(id).into()
    }

    /// Text from the model.
    #[must_use]
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(OutputText { text: text.into(), ..Default::default() })
    }

    /// Raw reasoning.
    #[must_use]
    pub fn reasoning_text(text: impl Into<String>) -> Self {
        Self::ReasoningText(TextPart { text: text.into(), ..Default::default() })
    }

    /// Summarised reasoning.
    #[must_use]
    pub fn summary_text(text: impl Into<String>) -> Self {
        Self::SummaryText(TextPart { text: text.into(), ..Default::default() })
    }

    /// The text of a text part of any kind; `None` for refusals, images, files and unknown parts.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText(part) => Some(&part.text),
            Self::OutputText(part) => Some(&part.text),
            Self::ReasoningText(part) | Self::SummaryText(part) | Self::Text(part) => {
                Some(&part.text)
            }
            _ => None,
        }
    }
}

wire_struct! {
    /// Text from the caller.
    #[derive(Default)]
    pub struct InputText {
        /// The text.
        required text: String,
    }
}

wire_struct! {
    /// An image, by URL or by file id.
    #[derive(Default)]
    pub struct InputImage {
        /// An `https:` or `data:` URL.
        optional image_url: Option<String>,
        /// The id of an uploaded file.
        optional file_id: Option<String>,
        /// How closely the model looks.
        optional detail: Option<ImageDetail>,
    }
}

impl InputImage {
    /// The image at `url`, which may be a `data:` URL.
    #[must_use]
    pub fn url(url: impl Into<String>) -> Self {
        Self { image_url: Some(url.into()), ..Self::default() }
    }

    /// The image in the file `id`.
    #[must_use]
    pub fn file(id: impl Into<String>) -> Self {
        Self { file_id: Some(id.into()), ..Self::default() }
    }

    /// These bytes, of a media type such as `image/png`, sent along as a `data:` URL.
    #[must_use]
    pub fn bytes(mime: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::url(data_url(mime, bytes.as_ref()))
    }

    /// Sets how closely the model looks.
    #[must_use]
    pub fn detail(mut self, detail: ImageDetail) -> Self {
        self.detail = Some(detail);
        self
    }
}

wire_struct! {
    /// A file: by id, by URL, or its bytes.
    #[derive(Default)]
    pub struct InputFile {
        /// The id of an uploaded file.
        optional file_id: Option<String>,
        /// Where the server fetches the file.
        optional file_url: Option<String>,
        /// The bytes as a `data:` URL.
        optional file_data: Option<String>,
        /// The name shown to the model.
        optional filename: Option<String>,
    }
}

impl InputFile {
    /// The uploaded file `id`.
    #[must_use]
    pub fn file(id: impl Into<String>) -> Self {
        Self { file_id: Some(id.into()), ..Self::default() }
    }

    /// The file at `url`, which the server fetches.
    #[must_use]
    pub fn url(url: impl Into<String>) -> Self {
        Self { file_url: Some(url.into()), ..Self::default() }
    }

    /// These bytes, of a media type such as `application/pdf`, sent along as a `data:` URL under the
    /// name that the model is shown.
    #[must_use]
    pub fn bytes(filename: impl Into<String>, mime: &str, bytes: impl AsRef<[u8]>) -> Self {
        let file_data = Some(data_url(mime, bytes.as_ref()));
        Self { file_data, filename: Some(filename.into()), ..Self::default() }
    }
}

fn data_url(mime: &str, bytes: &[u8]) -> String {
    let mut url = format!("data:{mime};base64,");
    BASE64_STANDARD.encode_string(bytes, &mut url);
    url
}

wire_struct! {
    /// Text from the model.
    #[derive(Default)]
    pub struct OutputText {
        /// The text.
        required text: String,
        /// What the text refers to.
        optional annotations: Vec<Annotation>,
        /// Log probabilities, when they were asked for.
        optional logprobs: Option<Vec<Logprob>>,
    }
}

wire_struct! {
    /// The model's refusal.
    #[derive(Default)]
    pub struct Refusal {
        /// The model's words.
        required refusal: String,
    }
}

wire_struct! {
    /// Text of reasoning, of a summary, or of no stated kind.
    #[derive(Default)]
    pub struct TextPart {
        /// The text.
        required text: String,
    }
}

wire_struct! {
    /// Content that only the server can read.
    #[derive(Default)]
    pub struct EncryptedContent {
        /// Opaque.
        required encrypted_content: String,
    }
}

open_enum! {
    /// How closely the model looks at an image.
    pub enum ImageDetail {
        /// The server decides.
        Auto = "auto",
        /// A small version.
        Low = "low",
        /// Enlarged tiles.
        High = "high",
        /// Unscaled.
        Original = "original",
    }
}

tagged_enum! {
    /// What a piece of output text refers to.
    pub enum Annotation {
        /// A file of a file search.
        FileCitation(FileCitation) = "file_citation",
        /// A web page.
        UrlCitation(UrlCitation) = "url_citation",
        /// A file in a code interpreter's container.
        ContainerFileCitation(Box<ContainerFileCitation>) = "container_file_citation",
        /// The path of a file.
        FilePath(FilePath) = "file_path",
    }
}

from_payloads!(Annotation { FileCitation, UrlCitation, ContainerFileCitation, FilePath });

wire_struct! {
    /// A file of a file search.
    #[derive(Default)]
    pub struct FileCitation {
        /// The file.
        required file_id: String,
        /// Where in the list of files.
        optional index: Option<u64>,
        /// The file's name.
        optional filename: Option<String>,
    }
}

wire_struct! {
    /// A web page.
    #[derive(Default)]
    pub struct UrlCitation {
        /// The page's address.
        required url: String,
        /// First character of the cited text.
        optional start_index: Option<u64>,
        /// Last character of the cited text.
        optional end_index: Option<u64>,
        /// The page's title.
        optional title: Option<String>,
    }
}

wire_struct! {
    /// A file in a code interpreter's container.
    #[derive(Default)]
    pub struct ContainerFileCitation {
        /// The container.
        required container_id: String,
        /// The file.
        required file_id: String,
        /// First character of the cited text.
        optional start_index: Option<u64>,
        /// Last character of the cited text.
        optional end_index: Option<u64>,
        /// The file's name.
        optional filename: Option<String>,
    }
}

wire_struct! {
    /// The path of a file.
    #[derive(Default)]
    pub struct FilePath {
        /// The file.
        required file_id: String,
        /// Where in the list of files.
        optional index: Option<u64>,
    }
}

wire_struct! {
    /// The log probability of one token.
    pub struct Logprob {
        /// The token.
        required token: String,
        /// Its natural-log probability.
        required logprob: Number,
        /// The token's bytes.
        optional bytes: Option<Vec<u8>>,
        /// The likeliest tokens in its place.
        optional top_logprobs: Option<Vec<Logprob>>,
    }
}

wire_struct! {
    /// One hit of a file search.
    #[derive(Default)]
    pub struct FileSearchResult {
        /// The file.
        optional file_id: Option<String>,
        /// The text found.
        optional text: Option<String>,
        /// The file's name.
        optional filename: Option<String>,
        /// The caller's own attributes of the file.
        optional attributes: Option<RawJson>,
        /// Relevance from 0 to 1.
        optional score: Option<Number>,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_and_files_go_by_reference_or_along() {
        for (part, wire) in [
            (
                ContentPart::input_image_bytes("image/png", [0xfb, 0xff]),
                json!({"type": "input_image", "image_url": "data:image/png;base64,+/8="}),
            ),
            (
                InputImage::file("file_1").detail(ImageDetail::Low).into(),
                json!({"type": "input_image", "file_id": "file_1", "detail": "low"}),
            ),
            (ContentPart::input_file("file_1"), json!({"type": "input_file", "file_id": "file_1"})),
            (
                InputFile::url("https://example.com/a.pdf").into(),
                json!({"type": "input_file", "file_url": "https://example.com/a.pdf"}),
            ),
            (
                InputFile::bytes("a.txt", "text/plain", "hi").into(),
                json!({"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}),
            ),
        ] {
            assert_eq!(serde_json::to_value(part).unwrap(), wire);
        }
    }
}
