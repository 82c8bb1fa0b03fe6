//! What `POST images/generations` and `POST images/edits` take and give.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::event::ErrorEvent;
use super::macros::{tagged_enum, wire_struct};
use super::{Extra, TokenUsage};
use crate::error::{Error, ErrorKind};

wire_struct! {
    /// The body of `POST images/generations`.
    ///
    /// Fields that are empty are left out, and a field that this crate does not know travels in
    /// `extra`. Which values a model takes is the server's to say; those named here are examples.
    ///
    /// ```
    /// use tower_openai::model::ImageGeneration;
    ///
    /// let mut generation = ImageGeneration::new("gpt-image-1", "A red cube");
    /// generation.size = Some("1024x1024".into());
    /// let json = r#"{"prompt":"A red cube","model":"gpt-image-1","size":"1024x1024"}"#;
    /// assert_eq!(serde_json::to_string(&generation)?, json);
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub struct ImageGeneration {
        /// What is to be seen.
        required prompt: String,
        /// The model.
        required model: String,
        /// `transparent`, `opaque` or `auto`.
        optional background: Option<String>,
        /// How many images.
        optional n: Option<u64>,
        /// `low`, `medium`, `high` or `auto`.
        optional quality: Option<String>,
        /// Width and height, as `1024x1024`, or `auto`.
        optional size: Option<String>,
        /// `png`, `webp` or `jpeg`.
        optional output_format: Option<String>,
        /// How much of the quality a compressed format keeps, from 0 to 100.
        optional output_compression: Option<u64>,
        /// How strictly the image is moderated: `low` or `auto`.
        optional moderation: Option<String>,
        /// How many previews to stream, from 0 to 3.
        optional partial_images: Option<u64>,
        /// `url` or `b64_json`; older models only.
        optional response_format: Option<String>,
        /// `vivid` or `natural`; older models only.
        optional style: Option<String>,
        /// An id of the end user.
        optional user: Option<String>,
    }
}

impl ImageGeneration {
    /// Asks `model` for an image of `prompt`.
    #[must_use]
    pub fn new(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            model: model.into(),
            background: None,
            n: None,
            quality: None,
            size: None,
            output_format: None,
            output_compression: None,
            moderation: None,
            partial_images: None,
            response_format: None,
            style: None,
            user: None,
            extra: Extra::new(),
        }
    }
}

wire_struct! {
    /// The body of `POST images/edits`, whose images are named by URL or id.
    ///
    /// Images that are sent along as bytes are the request's:
    /// [`ImagesRequest::image`](crate::services::ImagesRequest::image).
    pub struct ImageEdit {
        /// The images to change.
        optional images: Vec<ImageReference>,
        /// What is to be seen.
        required prompt: String,
        /// The model.
        required model: String,
        /// `transparent`, `opaque` or `auto`.
        optional background: Option<String>,
        /// How many images.
        optional n: Option<u64>,
        /// `low`, `medium`, `high` or `auto`.
        optional quality: Option<String>,
        /// Width and height, as `1024x1024`, or `auto`.
        optional size: Option<String>,
        /// How closely the images are followed: `low` or `high`.
        optional input_fidelity: Option<String>,
        /// An image whose transparent places are those to change.
        optional mask: Option<ImageReference>,
        /// `png`, `webp` or `jpeg`.
        optional output_format: Option<String>,
        /// How much of the quality a compressed format keeps, from 0 to 100.
        optional output_compression: Option<u64>,
        /// How strictly the image is moderated: `low` or `auto`.
        optional moderation: Option<String>,
        /// How many previews to stream, from 0 to 3.
        optional partial_images: Option<u64>,
        /// `url` or `b64_json`; older models only.
        optional response_format: Option<String>,
        /// An id of the end user.
        optional user: Option<String>,
    }
}

impl ImageEdit {
    /// Asks `model` to change `images` into `prompt`.
    #[must_use]
    pub fn new(
        model: impl Into<String>,
        prompt: impl Into<String>,
        images: Vec<ImageReference>,
    ) -> Self {
        Self {
            images,
            prompt: prompt.into(),
            model: model.into(),
            background: None,
            n: None,
            quality: None,
            size: None,
            input_fidelity: None,
            mask: None,
            output_format: None,
            output_compression: None,
            moderation: None,
            partial_images: None,
            response_format: None,
            user: None,
            extra: Extra::new(),
        }
    }
}

wire_struct! {
    /// An image that is somewhere else.
    #[derive(Default)]
    pub struct ImageReference {
        /// Its URL, or a `data:` URL that holds it.
        optional image_url: Option<String>,
        /// The id of a file.
        optional file_id: Option<String>,
    }
}

impl ImageReference {
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
}

wire_struct! {
    /// What the images endpoints give.
    pub struct GeneratedImages {
        /// When they were made, in seconds since the Unix epoch; 0 if the server does not say.
        lenient created: u64,
        /// The images.
        required data: Vec<GeneratedImage>,
        /// The background that was used.
        lenient background: Option<String>,
        /// The format they are in.
        lenient output_format: Option<String>,
        /// The quality that was used.
        lenient quality: Option<String>,
        /// Width and height.
        lenient size: Option<String>,
        /// What they cost.
        lenient usage: Option<TokenUsage>,
    }
}

wire_struct! {
    /// One image: as base64, or as a URL that is good for a while.
    #[derive(Default)]
    pub struct GeneratedImage {
        /// The image's bytes as base64.
        optional b64_json: Option<String>,
        /// Where it is; often signed, so `Debug` shows no signature.
        lenient url: Option<String>,
        /// The prompt that was used in place of the one that was sent.
        lenient revised_prompt: Option<String>,
    }
}

impl GeneratedImage {
    /// The image's bytes.
    ///
    /// # Errors
    ///
    /// An image that came as a URL, or base64 that is none
    /// ([`ErrorKind::Protocol`](crate::ErrorKind::Protocol)).
    pub fn decode(&self) -> Result<Vec<u8>, Error> {
        match &self.b64_json {
            Some(text) => decode(text),
            None => Err(Error::new(ErrorKind::Protocol, "the image came without its bytes")),
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Error> {
    BASE64_STANDARD.decode(text).map_err(|error| {
        // Its words name one byte and its place.
        Error::new(ErrorKind::Protocol, "the image is not base64").with_source(error)
    })
}

tagged_enum! {
    /// One event of a stream of images.
    pub enum ImageEvent {
        /// A preview of an image that is being made.
        GenerationPartial(Box<ImagePreview>) = "image_generation.partial_image",
        /// An image is finished. Terminal.
        GenerationCompleted(Box<CompletedImage>) = "image_generation.completed",
        /// A preview of an image that is being changed.
        EditPartial(Box<ImagePreview>) = "image_edit.partial_image",
        /// A changed image is finished. Terminal.
        EditCompleted(Box<CompletedImage>) = "image_edit.completed",
        /// The stream failed; never handed out, but the stream's error.
        Error(Box<ErrorEvent>) = "error",
    }
}

wire_struct! {
    /// A preview of an image.
    #[derive(Default)]
    pub struct ImagePreview {
        /// The preview's bytes as base64.
        required b64_json: String,
        /// Which preview this is, from 0.
        lenient partial_image_index: Option<u64>,
        /// When it was made, in seconds since the Unix epoch.
        lenient created_at: Option<u64>,
        /// Width and height.
        lenient size: Option<String>,
        /// The quality.
        lenient quality: Option<String>,
        /// The background.
        lenient background: Option<String>,
        /// The format it is in.
        lenient output_format: Option<String>,
    }
}

impl ImagePreview {
    /// The preview's bytes.
    ///
    /// # Errors
    ///
    /// Base64 that is none ([`ErrorKind::Protocol`](crate::ErrorKind::Protocol)).
    pub fn decode(&self) -> Result<Vec<u8>, Error> {
        decode(&self.b64_json)
    }
}

wire_struct! {
    /// A finished image of a stream.
    #[derive(Default)]
    pub struct CompletedImage {
        /// The image's bytes as base64.
        required b64_json: String,
        /// When it was made, in seconds since the Unix epoch.
        lenient created_at: Option<u64>,
        /// Width and height.
        lenient size: Option<String>,
        /// The quality.
        lenient quality: Option<String>,
        /// The background.
        lenient background: Option<String>,
        /// The format it is in.
        lenient output_format: Option<String>,
        /// What it cost.
        lenient usage: Option<TokenUsage>,
    }
}

impl CompletedImage {
    /// The image's bytes.
    ///
    /// # Errors
    ///
    /// Base64 that is none ([`ErrorKind::Protocol`](crate::ErrorKind::Protocol)).
    pub fn decode(&self) -> Result<Vec<u8>, Error> {
        decode(&self.b64_json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_how_long_images_are_and_no_signature() {
        let json = r#"{"created":1,"data":[{"b64_json":"aGlkZGVu"},
            {"url":"https://x.test/1.png?sv=1&sig=hidden"},{"url":"https://x.test/plain.png"}]}"#;
        let images: GeneratedImages = serde_json::from_str(json).unwrap();
        let text = format!("{images:?}");
        assert!(text.contains("b64_json: [8 bytes]") && text.contains("plain.png"), "{text}");
        assert!(!text.contains("hidden") && !text.contains("aGlkZGVu"), "{text}");
        assert_eq!(images.data[0].decode().unwrap(), b"hidden");
        assert_eq!(images.data[1].decode().unwrap_err().kind(), ErrorKind::Protocol);
        let edit =
            ImageEdit::new("m", "p", vec![ImageReference::url("data:image/png;base64,aaaa")]);
        assert!(!format!("{edit:?}").contains("aaaa"));
        let event = r#"{"type":"image_edit.partial_image","b64_json":"aGlkZGVu","new":null}"#;
        let event: ImageEvent = serde_json::from_str(event).unwrap();
        assert!(!format!("{event:?}").contains("aGlkZGVu"), "{event:?}");
    }

    /// An image is not lost for what is said beside it.
    #[test]
    fn a_bad_word_beside_an_image_is_kept_aside() {
        let json = r#"{"created":1.5,"data":[{"b64_json":"aGk=","url":7}],"quality":[],"size":{}}"#;
        let images: GeneratedImages = serde_json::from_str(json).unwrap();
        assert_eq!((images.created, images.data[0].decode().unwrap().as_slice()), (0, &b"hi"[..]));
        assert_eq!(images.extra.get("created").map(|raw| raw.as_str()), Some("1.5"));
        let bare: GeneratedImages =
            serde_json::from_str(r#"{"data":[{"url":"https://x.test/1.png"}]}"#).unwrap();
        assert_eq!(bare.data.len(), 1);
        let event = r#"{"type":"image_edit.completed","b64_json":"aGk=","created_at":"now"}"#;
        let event: ImageEvent = serde_json::from_str(event).unwrap();
        let ImageEvent::EditCompleted(image) = event else { panic!("{event:?}") };
        assert_eq!((image.decode().unwrap().as_slice(), image.created_at), (&b"hi"[..], None));
    }

    #[test]
    fn events_come_back_as_they_came() {
        for json in [
            r#"{"type":"image_generation.partial_image","b64_json":"aGk=","partial_image_index":0,"created_at":1,"size":"1024x1024","quality":"high","background":"opaque","output_format":"png","extra":{"b":1}}"#,
            r#"{"type":"image_edit.completed","b64_json":"aGk=","created_at":1,"usage":{"input_tokens":1,"input_tokens_details":{"image_tokens":1,"text_tokens":0},"output_tokens":2,"total_tokens":3}}"#,
            r#"{"type":"image_generation.not_invented","b":null}"#,
        ] {
            let event: ImageEvent = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
        }
        let error = serde_json::from_str::<ImageEvent>(r#"{"type":"image_edit.completed"}"#);
        assert!(error.unwrap_err().to_string().contains("b64_json"));
    }
}
