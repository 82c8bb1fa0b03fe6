//! The wire types: what is sent to the API and what it answers.

mod content;
mod extra;
mod input;
mod item;
pub(crate) mod macros;
pub(crate) mod modes;
mod raw;
mod request;
mod tool;
mod unknown;
pub(crate) mod wire;

pub use self::content::*;
pub use self::extra::Extra;
pub use self::input::{Input, ItemIds};
pub use self::item::*;
pub use self::raw::{RawJson, RawObject};
pub use self::request::*;
pub use self::tool::*;
pub use self::unknown::UnknownObject;
pub use self::wire::IdCache;
