//! Limits on how much retrying may add to the load of a server that fails already.

use std::sync::atomic::{AtomicU32, Ordering};

use super::RetryKind;
use crate::Error;

/// What calls share so that their retries together stay bounded, in an [`Arc`](std::sync::Arc)
/// between layers.
///
/// Tower's budgets ([`TpsBudget`](tower::retry::budget::TpsBudget) and others) are such budgets; a
/// call that could have been retried and ends well deposits once. [`TokenBucket`] is another.
///
/// The methods are called while a response is handed on: they must neither block nor panic.
pub trait RetryBudget: Send + Sync + 'static {
    /// Pays for one more attempt; `false` ends the call as it stands.
    fn withdraw(&self, kind: RetryKind) -> bool;

    /// A call ended well: at once, or with a retry that had to be made because of `last`.
    fn deposit(&self, last: Option<RetryKind>);

    /// The attempt that a withdrawal because of `kind` had paid for was never made: the service
    /// failed before it was ready for it. By default, as with tower's budgets, nothing is given back.
    fn refund(&self, kind: RetryKind) {
        let _ = kind;
    }
}

impl<T> RetryBudget for T
where
    T: tower::retry::budget::Budget + Send + Sync + 'static,
{
    fn withdraw(&self, _: RetryKind) -> bool {
        tower::retry::budget::Budget::withdraw(self)
    }

    fn deposit(&self, _: Option<RetryKind>) {
        tower::retry::budget::Budget::deposit(self);
    }
}

/// A bucket of tokens after the rule of the AWS SDKs.
///
/// A retry takes what its kind costs. A call that ends well after retries gives the cost of the last
/// one back, a call that ends well at once gives one token; one that ends otherwise, or is dropped,
/// gives nothing, but for a retry for which the service was not ready. So single failures cost next to nothing,
/// and a server that is down gets `capacity / cost` retries and then none until calls succeed again.
///
/// ```
/// use std::sync::Arc;
/// use tower_openai::layers::RetryPolicy;
/// use tower_openai::layers::retry::TokenBucket;
///
/// let shared = Arc::new(TokenBucket::default());
/// let policy = RetryPolicy::default().budget(shared.clone());
/// assert_eq!(shared.tokens(), 500);
/// # let _ = policy;
/// ```
#[derive(Debug)]
pub struct TokenBucket {
    capacity: u32,
    failure_cost: u32,
    throttle_cost: u32,
    tokens: AtomicU32,
}

impl TokenBucket {
    /// What a call that ends well at once gives.
    const FIRST_TRY: u32 = 1;

    /// A full bucket of `capacity` tokens. A retry after a failure takes `failure_cost`, one after
    /// the server asked for less takes `throttle_cost`.
    ///
    /// # Errors
    ///
    /// If a cost is zero, or more than the bucket holds.
    pub fn new(capacity: u32, failure_cost: u32, throttle_cost: u32) -> Result<Self, Error> {
        for cost in [failure_cost, throttle_cost] {
            if cost == 0 || cost > capacity {
                return Err(Error::build(format!(
                    "a retry must cost from 1 to {capacity} tokens, the bucket's capacity, not {cost}"
                )));
            }
        }
        Ok(Self::full(capacity, failure_cost, throttle_cost))
    }

    const fn full(capacity: u32, failure_cost: u32, throttle_cost: u32) -> Self {
        Self { capacity, failure_cost, throttle_cost, tokens: AtomicU32::new(capacity) }
    }

    /// The tokens in it now.
    pub fn tokens(&self) -> u32 {
        self.tokens.load(Ordering::Relaxed)
    }

    fn cost(&self, kind: RetryKind) -> u32 {
        match kind {
            RetryKind::Throttled => self.throttle_cost,
            RetryKind::Failed => self.failure_cost,
        }
    }

    fn give(&self, back: u32) {
        let give = |tokens: u32| Some(tokens.saturating_add(back).min(self.capacity));
        let _ = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
    }
}

/// 500 tokens, 14 for a failure, 5 for throttling.
impl Default for TokenBucket {
    fn default() -> Self {
        Self::full(500, 14, 5)
    }
}

// The number of tokens guards no other memory, so no order is needed.
impl RetryBudget for TokenBucket {
    fn withdraw(&self, kind: RetryKind) -> bool {
        let cost = self.cost(kind);
        let take = |tokens: u32| tokens.checked_sub(cost);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn deposit(&self, last: Option<RetryKind>) {
        if self.tokens() == self.capacity {
            return;
        }
        self.give(last.map_or(Self::FIRST_TRY, |kind| self.cost(kind)));
    }

    fn refund(&self, kind: RetryKind) {
        self.give(self.cost(kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_cost_and_its_refund() {
        let bucket = TokenBucket::default();
        assert!(bucket.withdraw(RetryKind::Failed));
        assert_eq!(bucket.tokens(), 486);
        assert!(bucket.withdraw(RetryKind::Throttled));
        assert_eq!(bucket.tokens(), 481);
        bucket.deposit(Some(RetryKind::Throttled));
        assert_eq!(bucket.tokens(), 486);
        bucket.deposit(None);
        assert_eq!(bucket.tokens(), 487);
        bucket.deposit(Some(RetryKind::Failed));
        assert_eq!(bucket.tokens(), 500, "never more than it holds");
    }

    #[test]
    fn impossible_costs_are_refused() {
        for (capacity, failure, throttle) in [(0, 1, 1), (10, 0, 1), (10, 1, 0), (10, 11, 1)] {
            let refused = TokenBucket::new(capacity, failure, throttle).unwrap_err();
            assert_eq!(refused.kind(), crate::ErrorKind::Build);
        }
    }
}
