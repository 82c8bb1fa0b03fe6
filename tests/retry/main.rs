//! Retrying as a caller stacks it, over services of the test's, on a paused clock.
//!
//! Rows in names are those of the project's fault matrix; `retry-cases.jsonl` stands in
//! `tests/corpus`.

mod bodies;
mod conformance;
mod contract;
mod endpoint;
mod limits;
mod support;
mod verdicts;
mod wire;
