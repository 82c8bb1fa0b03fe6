//! The wire types: what is sent to the API and what it answers.

mod content;
mod extra;
mod item;
pub(crate) mod macros;
pub(crate) mod modes;
mod raw;
mod unknown;
pub(crate) mod wire;

pub use self::content::*;
pub use self::extra::Extra;
pub use self::item::*;
pub use self::raw::{RawJson, RawObject};
pub use self::unknown::UnknownObject;
pub use self::wire::IdCache;
