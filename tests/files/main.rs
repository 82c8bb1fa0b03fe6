//! Uploads: what each step sends, and what becomes of it when something goes wrong.

mod disk;
mod early;
mod faults;
mod preset;
mod public;
mod steps;
mod support;
