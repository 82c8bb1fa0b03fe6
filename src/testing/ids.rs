//! Ids in the API's shapes, unique per call, and the hash of contents.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of ids; two sources with the same seed yield the same ones.
#[derive(Debug)]
pub(super) struct Ids {
    state: AtomicU64,
}

impl Ids {
    pub(super) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one("loopback"));
        Self { state: AtomicU64::new(seed) }
    }

    /// SplitMix64: every state gives a different number, so ids do not repeat.
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn hex(&self, digits: usize) -> String {
        let mut out = String::new();
        while out.len() < digits {
            out.push_str(&format!("{:016x}", self.next()));
        }
        out.truncate(digits);
        out
    }

    /// `resp_…`, `msg_…`, `rs_…`, `fc_…`: 48 hex digits, as the API has them.
    pub(super) fn item(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.hex(48))
    }

    /// `req_…`, the value of `x-request-id`.
    pub(super) fn request(&self) -> String {
        format!("req_{}", self.hex(32))
    }

    /// `call_…`: 24 digits and letters.
    pub(super) fn call(&self) -> String {
        format!("call_{}", self.hex(24))
    }
}

/// FNV-1a with 64 bits, a hash that needs no crate and tells contents apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fnv(u64);

impl Fnv {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn finish(self) -> u64 {
        self.0
    }

    pub(super) fn of(bytes: &[u8]) -> u64 {
        let mut hash = Self::new();
        hash.update(bytes);
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_a_seed_repeats_them() {
        let (one, two) = (Ids::new(Some(7)), Ids::new(Some(7)));
        assert_eq!(one.item("resp"), two.item("resp"));
        assert_ne!(one.item("resp"), one.item("resp"));
        assert_eq!(one.item("msg").len(), 4 + 48);
        assert_ne!(Ids::new(None).request(), Ids::new(None).request());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(Fnv::of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::of(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
