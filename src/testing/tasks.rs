//! The server's tasks: they end with the server, and a panic in one of them is kept for the test.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::sync::watch;

/// What went wrong on the server's side, for the test to fail on.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(Arc<Mutex<Vec<String>>>);

impl Failures {
    /// Beyond this many, further failures say nothing new.
    const MAX: usize = 100;

    pub(super) fn add(&self, failure: String) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < Self::MAX {
            failures.push(failure);
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Spawns guarded tasks; also hyper's executor for HTTP/2 streams.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    failures: Failures,
    stop: watch::Receiver<bool>,
}

impl Tasks {
    pub(super) fn new(failures: Failures, stop: watch::Receiver<bool>) -> Self {
        Self { failures, stop }
    }

    /// Spawns `task`, which ends at the latest when the server stops.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let failures = self.failures.clone();
        let mut stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                result = (CatchPanic { task }) => if let Err(panic) = result {
                    failures.add(format!("a server task panicked: {}", message(&*panic)));
                },
            }
        });
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(async move {
            task.await;
        });
    }
}

/// The text of a panic.
pub(super) fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)")
}

pin_project! {
    /// Turns a panic of `task` into an error. The task is not polled again after one.
    struct CatchPanic<F> {
        #[pin]
        task: F,
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.project().task;
        match catch_unwind(AssertUnwindSafe(|| task.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
