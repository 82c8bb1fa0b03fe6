//! `images/generations` and `images/edits`: one grey pixel, whatever was asked for.

use serde_json::{Map, Value};

use super::{Answer, Api, Call};
use crate::testing::api_error::ApiError;
use crate::testing::events::Frame;
use crate::testing::intake::form_type;
use crate::testing::json::{Json, object};
use crate::testing::multipart::Multipart;
use crate::testing::params::{self, optional, within};
use crate::testing::turn::unix_seconds;

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAA\
                     ggCBd81ytgAAAABJRU5ErkJggg==";

/// What an image is made of.
struct Wanted {
    /// `image_generation` or `image_edit`, which the events are called by.
    generated: bool,
    count: u64,
    /// The partial images before the last one, of a stream.
    partial: Option<u64>,
    options: Map<String, Value>,
}

impl Api {
    pub(super) fn generate_image(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        Ok(Wanted::new(call.object()?, true)?.answer())
    }

    /// Takes JSON with image URLs, and forms with images.
    pub(super) fn edit_image(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = match form_type(call.request.headers()) {
            Some(kind) => fields(kind, &call.body()?)?,
            None => {
                let object = call.object()?;
                if params::array(&object, "images")?.is_empty() {
                    return Err(ApiError::missing("images"));
                }
                object
            }
        };
        Ok(Wanted::new(object, false)?.answer())
    }
}

/// The fields of a form, which has to have an image.
fn fields(kind: &str, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut form = Multipart::new(kind, body.len())?;
    form.push(body)?;
    let parts = form.finish()?;
    let is_image = |name: &str| ["image", "image[]"].contains(&name);
    if !parts.iter().any(|part| is_image(&part.name) && part.content.len > 0) {
        return Err(ApiError::missing("image"));
    }
    let fields = parts.iter().filter(|part| part.file_name.is_none()).filter_map(|part| {
        let text = part.text()?;
        let value = match (part.name.as_str(), text) {
            ("n" | "partial_images", text) => text.parse::<u64>().map_or(text.into(), Value::from),
            ("stream", "true") => true.into(),
            ("stream", "false") => false.into(),
            (_, text) => text.into(),
        };
        Some((part.name.clone(), value))
    });
    Ok(fields.collect())
}

impl Wanted {
    fn new(options: Map<String, Value>, generated: bool) -> Result<Self, ApiError> {
        params::string(&options, "prompt")?;
        optional(&options, "model", "a string", Value::is_string)?;
        let number = |param| {
            let value = optional(&options, param, "an integer", Value::is_u64)?;
            Ok::<_, ApiError>(value.and_then(Value::as_u64))
        };
        let count = within("n", number("n")?.unwrap_or(1), 1..=10)?;
        let partial = within("partial_images", number("partial_images")?.unwrap_or(0), 0..=3)?;
        let stream = optional(&options, "stream", "a boolean", Value::is_boolean)?;
        let stream = stream == Some(&Value::Bool(true));
        Ok(Self { generated, count, partial: stream.then_some(partial), options })
    }

    fn answer(self) -> Answer {
        match self.partial {
            None => Answer::json(&self.whole()),
            Some(partial) => {
                let frames = (0..partial).map(Some).chain([None]);
                Answer::Events(Box::new(frames.map(move |number| self.frame(number))))
            }
        }
    }

    fn echo(&self, key: &str, default: &str) -> Json {
        match params::present(self.options.get(key)) {
            Some(value) => value.clone().into(),
            None => default.into(),
        }
    }

    fn whole(&self) -> Json {
        let image = || object! { "b64_json": PIXEL };
        object! {
            "created": unix_seconds(),
            "background": self.echo("background", "opaque"),
            "data": (0..self.count).map(|_| image()).collect::<Vec<_>>(),
            "output_format": self.echo("output_format", "png"),
            "quality": self.echo("quality", "low"),
            "size": self.echo("size", "1024x1024"),
            "usage": usage(),
        }
    }

    /// The event of partial image `number`, or the last one.
    fn frame(&self, number: Option<u64>) -> Frame {
        let kind = match (self.generated, number) {
            (true, Some(_)) => "image_generation.partial_image",
            (true, None) => "image_generation.completed",
            (false, Some(_)) => "image_edit.partial_image",
            (false, None) => "image_edit.completed",
        };
        let mut fields = vec![
            ("type", kind.into()),
            ("b64_json", PIXEL.into()),
            ("created_at", unix_seconds().into()),
            ("size", self.echo("size", "1024x1024")),
            ("quality", self.echo("quality", "low")),
            ("background", self.echo("background", "opaque")),
            ("output_format", self.echo("output_format", "png")),
        ];
        fields.push(match number {
            Some(number) => ("partial_image_index", number.into()),
            None => ("usage", usage()),
        });
        Frame { kind, data: Json::Object(fields), is_delta: true, gate: None }
    }
}

fn usage() -> Json {
    object! {
        "input_tokens": 12_u64,
        "input_tokens_details": object! { "image_tokens": 0_u64, "text_tokens": 12_u64 },
        "output_tokens": 272_u64,
        "total_tokens": 284_u64,
    }
}
