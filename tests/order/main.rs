//! The order of the whole stack, by what it does: assembled by hand and by the preset.

mod dropping;
mod misassembled;
mod sequence;
mod support;
mod time;
