//! TAKEN: response.rs, usage.rs, event.rs, error_body.rs and rate_limits.rs are being written by another person on
//! branch `events` (worktree /tmp/wt/events), on top of commit ba6458a. Leave these five files out: finish items,
//! content, request and tools, commit each step early, and report. Do not commit this note.
