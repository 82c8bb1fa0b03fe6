//! A bounded store: the oldest things are forgotten first.

use std::collections::VecDeque;

/// Things by id.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    slots: VecDeque<Slot<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<T> {
    id: String,
    bytes: usize,
    thing: T,
}

/// More things than this are not kept.
const MAX_THINGS: usize = 1000;

/// Nor more than this of them together.
const MAX_BYTES: usize = 64 * 1024 * 1024;

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { slots: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Shelf<T> {
    /// Adds a thing that weighs about `bytes`. The newest stays, however heavy it is.
    pub(super) fn insert(&mut self, id: String, bytes: usize, thing: T) {
        self.bytes += bytes;
        self.slots.push_back(Slot { id, bytes, thing });
        self.trim(1);
    }

    /// Notes that the thing `id` has become heavier by `bytes`. One that outgrows the shelf goes.
    pub(super) fn grow(&mut self, id: &str, bytes: usize) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) {
            slot.bytes += bytes;
            self.bytes += bytes;
            self.trim(usize::from(bytes == 0));
        }
    }

    /// Forgets until the rest fits, but never the last `kept`.
    fn trim(&mut self, kept: usize) {
        let over = |this: &Self| this.slots.len() > MAX_THINGS || this.bytes > MAX_BYTES;
        while over(self) && self.slots.len() > kept {
            let Some(oldest) = self.slots.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        // What is asked for is new more often than not.
        self.slots.iter().rev().find(|slot| slot.id == id).map(|slot| &slot.thing)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.slots.iter_mut().rev().find(|slot| slot.id == id).map(|slot| &mut slot.thing)
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<T> {
        let index = self.slots.iter().position(|slot| slot.id == id)?;
        let slot = self.slots.remove(index)?;
        self.bytes -= slot.bytes;
        Some(slot.thing)
    }

    /// All things, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|slot| &slot.thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_by_number_and_by_weight() {
        let mut shelf = Shelf::default();
        for number in 0..=MAX_THINGS {
            shelf.insert(number.to_string(), 1, number);
        }
        assert_eq!((shelf.get("0"), shelf.get("1")), (None, Some(&1)));
        shelf.insert("heavy".into(), MAX_BYTES - 2, 7);
        assert_eq!(shelf.iter().count(), 3);
        shelf.grow("heavy", 1);
        assert_eq!(shelf.iter().copied().collect::<Vec<_>>(), [MAX_THINGS, 7]);
        assert_eq!(shelf.remove("heavy"), Some(7));
        assert_eq!((shelf.remove("heavy"), shelf.bytes), (None, 1));
        shelf.insert("too heavy".into(), MAX_BYTES + 1, 8);
        assert_eq!(shelf.iter().collect::<Vec<_>>(), [&8]);
        shelf.grow("too heavy", 0);
        assert_eq!(shelf.iter().count(), 1);
        shelf.grow("too heavy", 1);
        assert_eq!((shelf.iter().count(), shelf.bytes), (0, 0));
    }
}
