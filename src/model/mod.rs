//! The wire types: what is sent to the API and what it answers.
//!
//! Types only: nothing here does IO, needs a runtime or knows of HTTP. The endpoint services write
//! and read them; an application may as well use them alone, say in a gateway.
//!
//! Three rules hold throughout:
//!
//! - **Nothing is lost.** Members without a field are kept in `extra`, objects of unknown `type` and
//!   unknown words in an arm of their own. What was read is written with the same members again,
//!   `null`s included.
//! - **Empty fields follow the wire.** Each field is left out, `null` or written when empty, as the
//!   server expects it of a client.
//! - **Errors name the place.** A known object with a bad body is refused with the type and the member
//!   in the message.
//!
//! `Debug` shows what the types hold, prompts and the outputs of tools included: they are the
//! caller's own data, and secrets among them are the caller's to keep out of logs. Reasoning that
//! the server has encrypted, and the data of images and files, show as their length. Credentials
//! have no place in these types.
//!
//! ```
//! use tower_openai::model::ResponseItem;
//!
//! let text = r#"{"id":"x_1","type":"not_invented_yet","payload":{"b":1.50,"a":null}}"#;
//! let item: ResponseItem = serde_json::from_str(text)?;
//! assert_eq!(item.kind(), "not_invented_yet");
//! assert_eq!(serde_json::to_string(&item)?, text);
//!
//! let error = serde_json::from_str::<ResponseItem>(r#"{"type":"message","role":"user"}"#).unwrap_err();
//! assert!(error.to_string().starts_with("message: missing field `content`"));
//! # Ok::<(), serde_json::Error>(())
//! ```

mod compact;
mod content;
mod error_body;
mod event;
mod extra;
mod file;
mod image;
mod input;
mod item;
pub(crate) mod macros;
mod memories;
mod models;
pub(crate) mod modes;
mod rate_limits;
mod raw;
pub mod realtime;
mod request;
mod response;
mod search;
mod stored;
mod tool;
mod unknown;
mod usage;
pub(crate) mod wire;

pub use self::compact::*;
pub use self::content::*;
pub use self::error_body::*;
pub(crate) use self::event::status_in;
pub use self::event::*;
pub use self::extra::Extra;
pub use self::file::*;
pub use self::image::*;
pub(crate) use self::input::{IdFilter, WrittenItems};
pub use self::input::{Input, ItemIds};
pub use self::item::*;
pub use self::memories::*;
pub use self::models::*;
pub use self::rate_limits::*;
pub(crate) use self::raw::Outline;
pub use self::raw::{RawJson, RawObject};
pub use self::request::*;
pub use self::response::*;
pub use self::search::*;
pub use self::stored::*;
pub use self::tool::*;
pub use self::unknown::UnknownObject;
pub use self::usage::*;
pub use self::wire::IdCache;
