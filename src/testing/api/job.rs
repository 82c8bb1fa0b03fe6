//! A background turn: it goes on whether or not anybody reads along.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::testing::events::{Gate, frames};
use crate::testing::turn::{Status, Turn};

/// How far a background turn has come.
#[derive(Debug)]
pub(super) struct Job {
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    /// So many events have happened.
    events: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Finished,
    Cancelled,
}

/// The events that come before work on the turn begins.
const QUEUED: usize = 2;

impl Job {
    /// A job, and the work that makes it go on.
    ///
    /// The event that ends the queue, and each delta, come `pace` after the event before; the
    /// first delta `first_delay` later.
    pub(super) fn new(
        turn: Arc<Turn>,
        first_delay: Duration,
        pace: Duration,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static) {
        let progress = watch::Sender::new(Progress { events: 0, state: State::Running });
        let job = Arc::new(Self { progress });
        (Arc::clone(&job), job.run(turn, first_delay, pace))
    }

    async fn run(self: Arc<Self>, turn: Arc<Turn>, first_delay: Duration, pace: Duration) {
        let mut ended = self.progress.subscribe();
        let work = async {
            let mut first = Some(first_delay);
            for (number, frame) in frames(turn).enumerate() {
                let delay = match frame.is_delta {
                    true => pace.saturating_add(first.take().unwrap_or_default()),
                    false if number == QUEUED => pace,
                    false => Duration::ZERO,
                };
                if !delay.is_zero() {
                    sleep(delay).await;
                }
                self.progress.send_modify(|progress| progress.events = number + 1);
                tokio::task::consume_budget().await;
            }
        };
        tokio::select! {
            biased;
            _ = ended.wait_for(|progress| progress.state != State::Running) => {}
            () = work => self.end(State::Finished),
        }
    }

    fn end(&self, state: State) {
        self.progress.send_if_modified(|progress| {
            let running = progress.state == State::Running;
            if running {
                progress.state = state;
            }
            running
        });
    }

    /// Ends the job where it is, unless it is over.
    pub(super) fn cancel(&self) {
        self.end(State::Cancelled);
    }

    /// Opens once event `number` has happened.
    pub(super) fn gate(&self, number: usize) -> Gate {
        let mut progress = self.progress.subscribe();
        Box::pin(async move {
            let moved = progress
                .wait_for(|progress| progress.events > number || progress.state != State::Running);
            moved.await.is_ok_and(|progress| progress.events > number)
        })
    }

    pub(super) fn status(&self, turn: &Turn) -> Status {
        let progress = *self.progress.borrow();
        match progress.state {
            State::Cancelled => Status::Cancelled,
            State::Finished => turn.status(),
            State::Running if progress.events <= QUEUED => Status::Queued,
            State::Running => Status::InProgress,
        }
    }
}
