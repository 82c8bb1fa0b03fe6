//! Who has refused an encoding.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Uri;

use super::encoder::Coding;
use crate::extensions::Origin;

/// So many origins are remembered.
const CAPACITY: usize = 64;

/// The encodings that origins have refused, oldest first.
#[derive(Default)]
pub(super) struct Refusals(Mutex<VecDeque<Refusal>>);

/// An encoding, and who refused it: `None` is wherever requests without an absolute URI go.
#[derive(Clone, PartialEq)]
pub(super) struct Refusal {
    coding: Coding,
    origin: Option<Origin>,
}

impl Refusal {
    pub(super) fn new(coding: Coding, uri: &Uri) -> Self {
        Self { coding, origin: Origin::of(uri) }
    }

    fn holds_for(&self, coding: Coding, uri: &Uri) -> bool {
        self.coding == coding
            && match &self.origin {
                Some(origin) => origin.matches(uri),
                None => Origin::of(uri).is_none(),
            }
    }
}

impl Refusals {
    pub(super) fn contains(&self, coding: Coding, uri: &Uri) -> bool {
        self.lock().iter().any(|refusal| refusal.holds_for(coding, uri))
    }

    pub(super) fn remember(&self, refusal: Refusal) {
        tracing::debug!(
            coding = %refusal.coding,
            origin = refusal.origin.as_ref().map(tracing::field::display),
            "compressed requests are refused; they are sent as they are from now on"
        );
        let mut all = self.lock();
        // Concurrent calls hear of it at the same time.
        if !all.contains(&refusal) {
            if all.len() == CAPACITY {
                all.pop_front();
            }
            all.push_back(refusal);
        }
    }

    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Refusal>> {
        // The sections leave the list whole at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "compression-zstd")]
    const CODING: Coding = Coding::Zstd;
    #[cfg(not(feature = "compression-zstd"))]
    const CODING: Coding = Coding::Gzip;

    #[test]
    fn the_oldest_refusal_gives_way() {
        let refusals = Refusals::default();
        let uri = |n: usize| Uri::try_from(format!("https://host-{n}.test/v1")).unwrap();
        for n in 0..=CAPACITY {
            for _ in 0..2 {
                refusals.remember(Refusal::new(CODING, &uri(n)));
            }
        }
        assert_eq!(refusals.lock().len(), CAPACITY);
        assert!(!refusals.contains(CODING, &uri(0)));
        assert!(refusals.contains(CODING, &uri(1)) && refusals.contains(CODING, &uri(CAPACITY)));
        assert!(!refusals.contains(CODING, &Uri::from_static("/v1")));
        refusals.forget();
        assert!(!refusals.contains(CODING, &uri(1)));
    }
}
