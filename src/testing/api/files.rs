//! Files: ChatGPT's three steps, and the public form. Contents go by; what is kept is their length,
//! a digest and the first 64 KiB.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::page::Page;
use super::{Answer, Api, Call, Whole, lock};
use crate::testing::api_error::ApiError;
use crate::testing::intake::{MAX_FILE, Upload};
use crate::testing::json::{Json, object};
use crate::testing::multipart::{Content, Part};
use crate::testing::params::{self, required, within};
use crate::testing::shelf::Shelf;
use crate::testing::turn::unix_seconds;

/// The files, and how uploads go.
pub(super) struct Files {
    shelf: Mutex<Shelf<File>>,
    /// Where contents are sent: scheme, host and port.
    origin: String,
    /// How often an upload is said not to be ready.
    retries: u32,
}

impl Files {
    pub(super) fn new(origin: String, retries: u32) -> Self {
        Self { shelf: Mutex::default(), origin, retries }
    }
}

struct File {
    id: String,
    name: String,
    purpose: String,
    created_at: u64,
    /// What was announced, and the signature of the upload URL.
    announced: Option<(u64, String)>,
    retries: u32,
    content: Option<Arc<Content>>,
    content_type: Option<String>,
}

/// A file that was uploaded; see [`Server::files`](crate::testing::Server::files).
#[derive(Clone)]
pub struct StoredFile {
    id: String,
    name: String,
    purpose: String,
    content: Arc<Content>,
}

impl StoredFile {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name, as the client gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `purpose` or `use_case`.
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// How many bytes arrived.
    pub fn size(&self) -> u64 {
        self.content.len
    }

    /// FNV-1a of the bytes, 64 bits.
    pub fn digest(&self) -> u64 {
        self.content.digest()
    }

    /// The first 64 KiB.
    pub fn head(&self) -> &[u8] {
        &self.content.head
    }
}

impl fmt::Debug for StoredFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFile")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// An upload URL belongs to another service, which must not get to see any of these.
const CREDENTIALS: [&str; 5] =
    ["authorization", "api-key", "chatgpt-account-id", "cookie", "proxy-authorization"];

impl Api {
    pub(in crate::testing) fn stored_files(&self) -> Vec<StoredFile> {
        let shelf = lock(&self.files.shelf);
        let stored = shelf.iter().filter_map(|file| {
            let content = Arc::clone(file.content.as_ref()?);
            let (id, name) = (file.id.clone(), file.name.clone());
            Some(StoredFile { id, name, purpose: file.purpose.clone(), content })
        });
        stored.collect()
    }

    /// Step one of three, or the whole of a public upload.
    pub(super) fn create_file(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        match call.upload.take() {
            Some(Upload::Form(form)) => self.public_file(form?),
            _ => self.announce_file(call),
        }
    }

    fn announce_file(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let object = call.object()?;
        let name = params::string(&object, "file_name")?.to_owned();
        let size = required(&object, "file_size", "an integer", Value::is_u64)?.as_u64();
        let size = within("file_size", size.unwrap_or_default(), 0..=MAX_FILE)?;
        let purpose = params::string(&object, "use_case")?.to_owned();
        let (id, signature) = (self.ids.item("file"), self.ids.item("sig"));
        let upload_url = format!("{}/storage/{id}?sig={signature}", self.files.origin);
        let answer = object! {
            "status": "success",
            "file_id": id.as_str(),
            "upload_url": upload_url,
        };
        let announced = Some((size, signature));
        let file = File { announced, ..self.file(id, name, purpose) };
        lock(&self.files.shelf).insert(file.id.clone(), 1024, file);
        Ok(Answer::json(&answer))
    }

    /// Step two, at the upload URL, where the client is nobody.
    pub(super) fn upload_content(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let headers = call.request.headers();
        if let Some(name) = CREDENTIALS.iter().find(|name| headers.contains_key(**name)) {
            return Err(ApiError::forbidden(format!(
                "The upload URL is signed, but the request has the header '{name}'."
            )));
        }
        if headers.get("x-ms-blob-type").is_none_or(|kind| kind != "BlockBlob") {
            return Err(ApiError::missing("x-ms-blob-type"));
        }
        if !headers.contains_key(header::CONTENT_LENGTH) {
            return Err(ApiError::of_status(StatusCode::LENGTH_REQUIRED));
        }
        let Some(Upload::Content(content)) = call.upload.take() else {
            return Err(ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR));
        };
        let mut shelf = lock(&self.files.shelf);
        let file = shelf.get_mut(call.id()).ok_or_else(|| not_found(call))?;
        let signed = |(_, signature): &(u64, String)| call.query().get("sig") == Some(signature);
        if !file.announced.as_ref().is_some_and(signed) {
            return Err(ApiError::forbidden("The signature of the upload URL is wrong."));
        }
        file.content_type =
            headers.get(header::CONTENT_TYPE).and_then(|kind| Some(kind.to_str().ok()?.to_owned()));
        let kept = content.head.len();
        file.content = Some(Arc::new(content));
        shelf.grow(call.id(), kept);
        Ok(Answer::empty(StatusCode::CREATED))
    }

    /// Step three: is it there?
    pub(super) fn finish_upload(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        call.object()?;
        let mut shelf = lock(&self.files.shelf);
        let file = shelf.get_mut(call.id()).ok_or_else(|| not_found(call))?;
        let failed = |why: String| object! { "status": "error", "error_message": why };
        let answer = match (&file.content, &file.announced) {
            (None, _) => failed(String::from("Nothing was uploaded.")),
            (Some(content), Some((size, _))) if content.len != *size => {
                failed(format!("{} bytes were uploaded instead of {size}.", content.len))
            }
            _ if file.retries > 0 => {
                file.retries -= 1;
                object! { "status": "retry" }
            }
            _ => object! {
                "status": "success",
                "download_url": format!("{}/files/{}/content", self.files.origin, file.id),
                "file_name": file.name.as_str(),
                "mime_type": file.content_type.as_deref().unwrap_or("application/octet-stream"),
            },
        };
        Ok(Answer::json(&answer))
    }

    fn public_file(&self, parts: Vec<Part>) -> Result<Answer, ApiError> {
        let mut purpose = None;
        let mut upload = None;
        for part in parts {
            match part.name.as_str() {
                "purpose" => purpose = part.text().map(str::to_owned),
                "file" => upload = Some(part),
                _ => {}
            }
        }
        let upload = upload.ok_or_else(|| ApiError::missing("file"))?;
        let purpose = purpose.ok_or_else(|| ApiError::missing("purpose"))?;
        if upload.content.len > MAX_FILE {
            return Err(ApiError::too_large());
        }
        let name = upload.file_name.unwrap_or_else(|| String::from("file"));
        let mut file = self.file(self.ids.item("file"), name, purpose);
        file.content_type = upload.content_type;
        let weight = 1024 + upload.content.head.len();
        file.content = Some(Arc::new(upload.content));
        let answer = file.json();
        lock(&self.files.shelf).insert(file.id.clone(), weight, file);
        Ok(Answer::json(&answer))
    }

    fn file(&self, id: String, name: String, purpose: String) -> File {
        File {
            id,
            name,
            purpose,
            created_at: unix_seconds(),
            announced: None,
            retries: self.files.retries,
            content: None,
            content_type: None,
        }
    }

    pub(super) fn list_files(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let query = call.query();
        let page = Page::with(&query, 10_000, 10_000)?;
        let purpose = query.get("purpose").filter(|purpose| !purpose.is_empty());
        let shelf = lock(&self.files.shelf);
        let wanted = shelf.iter().filter(|file| purpose.is_none_or(|only| file.purpose == only));
        let files = wanted.map(|file| file.json().into_value()).collect::<Vec<_>>();
        Ok(Answer::json(&page.of(&files)?))
    }

    pub(super) fn retrieve_file(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let shelf = lock(&self.files.shelf);
        let file = shelf.get(call.id()).ok_or_else(|| not_found(call))?;
        Ok(Answer::json(&file.json()))
    }

    pub(super) fn delete_file(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let removed = lock(&self.files.shelf).remove(call.id());
        removed.ok_or_else(|| not_found(call))?;
        Ok(Answer::json(&object! { "id": call.id(), "object": "file", "deleted": true }))
    }

    /// The bytes, of files that are small enough to have been kept.
    pub(super) fn file_content(&self, call: &Call<'_>) -> Result<Answer, ApiError> {
        let shelf = lock(&self.files.shelf);
        let file = shelf.get(call.id()).ok_or_else(|| not_found(call))?;
        let whole = file.content.as_ref().and_then(|content| content.whole());
        let body = whole.ok_or_else(|| {
            ApiError::invalid_request("The loopback server keeps no file of more than 64 KiB.")
        })?;
        let kind = file.content_type.as_deref().unwrap_or("application/octet-stream");
        let kind = HeaderValue::try_from(kind).ok();
        let headers = HeaderMap::from_iter(kind.map(|kind| (header::CONTENT_TYPE, kind)));
        let (status, body) = (StatusCode::OK, Bytes::copy_from_slice(body));
        Ok(Answer::Whole(Whole { status, headers, body, cut: false }))
    }
}

impl File {
    fn json(&self) -> Json {
        let size = self.announced.as_ref().map(|(size, _)| *size);
        let len = self.content.as_ref().map(|content| content.len);
        object! {
            "id": self.id.as_str(),
            "object": "file",
            "bytes": len.or(size).unwrap_or_default(),
            "created_at": self.created_at,
            "filename": self.name.as_str(),
            "purpose": self.purpose.as_str(),
            "status": if len.is_some() { "processed" } else { "uploaded" },
        }
    }
}

fn not_found(call: &Call<'_>) -> ApiError {
    ApiError::not_found("File", call.id(), "file_not_found")
}
