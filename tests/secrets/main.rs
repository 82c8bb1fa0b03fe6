//! A planted secret is printed nowhere: by no `Debug` or `Display`, in no chain of causes, in no
//! trace of any crate in the stack. A process of its own, because it listens to all tracing.

mod calls;
mod json;
mod quoted;
mod stages;
mod support;
