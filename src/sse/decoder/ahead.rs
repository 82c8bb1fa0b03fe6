//! From one event to the next: letting go of the last one, and the way past the lines for a reader
//! that knows an event by its bytes.

use bytes::Bytes;

use super::{Decoder, Stage, Value};

impl Decoder {
    /// The bytes at hand, from the beginning of an event on; `None` inside of one, and without any.
    ///
    /// No line and no event in them is larger than its limit.
    #[inline]
    pub(crate) fn ahead(&mut self) -> Option<&[u8]> {
        if self.chunk.is_empty() {
            return None;
        }
        self.clear_handed_out();
        if self.stage != Stage::Between || self.skip_lf {
            return None;
        }
        let ahead = self.chunk.get(self.pos..)?;
        let limit = self.limits.line.min(self.limits.event);
        Some(ahead.get(..limit).unwrap_or(ahead))
    }

    /// Passes over as many bytes of [`ahead`](Self::ahead), which were whole events.
    #[inline]
    pub(crate) fn skip(&mut self, length: usize) {
        self.pos += length;
        if self.pos >= self.chunk.len() {
            self.chunk = Bytes::new();
            self.pos = 0;
        }
    }

    /// The event has been read: frees the chunk if it was the last one in it.
    #[inline]
    pub(crate) fn done_with_event(&mut self) {
        if self.stage == Stage::HandedOut && self.pos >= self.chunk.len() {
            self.clear_handed_out();
            self.chunk = Bytes::new();
            self.pos = 0;
        }
    }

    #[inline]
    pub(super) fn clear_handed_out(&mut self) {
        if self.stage == Stage::HandedOut {
            self.stage = Stage::Between;
            self.clear_event();
        }
    }

    /// What stands before and behind the data of the event at hand: bytes that around other data
    /// on one line make an event that differs in nothing else.
    ///
    /// `None` if it did not come in one piece, or does more than name its data.
    pub(crate) fn around(&self) -> Option<(&[u8], &[u8])> {
        let Value::Chunk(data) = &self.data else { return None };
        let first = match &self.name {
            Value::Absent => data.start,
            Value::Chunk(name) => name.start.min(data.start),
            Value::Buffer(_) => return None,
        };
        let line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let start = self.chunk.get(..first)?.iter().rposition(line_end).map_or(0, |at| at + 1);
        let before = self.chunk.get(start..data.start)?;
        let behind = self.chunk.get(data.end..self.pos)?;

        // Decoded alone, it has to be the same.
        let mut alone = Self::with_limits(self.limits);
        alone.push(Bytes::copy_from_slice(self.chunk.get(start..self.pos)?));
        let is_whole = alone.advance().ok()? && alone.pos == alone.chunk.len();
        let (event, own) = (self.event(), alone.event());
        let same = (own.name, own.data) == (event.name, event.data);
        let lasting = !alone.last_event_id.is_empty() || alone.reconnect.is_some();
        (is_whole && same && !lasting).then_some((before, behind))
    }
}
