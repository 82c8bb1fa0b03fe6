//! Retrying as a caller stacks it, over services of the test's, on a paused clock.
//!
//! `faults.md` in comments is the project's fault matrix; `retry-cases.jsonl` stands in
//! `tests/corpus`.

mod bodies;
mod conformance;
mod contract;
mod endpoint;
mod limits;
mod support;
mod verdicts;
mod wire;
