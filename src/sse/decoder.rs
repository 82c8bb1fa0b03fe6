//! Bytes in, events out: the sans-IO decoder of `text/event-stream`.
//!
//! ```
//! use tower_openai::sse::Decoder;
//!
//! let mut decoder = Decoder::new();
//! decoder.push("event: greeting\ndata: he".into());
//! assert!(decoder.next_event()?.is_none()); // not whole yet
//! decoder.push("llo\n\n".into());
//! let event = decoder.next_event()?.expect("the blank line has come");
//! assert_eq!((&*event.name(), &*event.data()), ("greeting", "hello"));
//! # Ok::<(), tower_openai::sse::DecodeError>(())
//! ```

use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::field::{Field, Other, digits, field};
use super::limits::{DecodeError, Limits};

/// Capacity that a buffer may keep between events, in bytes: an idle stream stays small after a
/// large event.
const KEEP: usize = 4 * 1024;

/// One event, borrowed from the decoder until the next one is asked for.
#[derive(Clone, Copy)]
pub struct SseEvent<'a> {
    name: &'a [u8],
    data: &'a [u8],
    id: &'a str,
    retry: Option<u64>,
}

impl<'a> SseEvent<'a> {
    /// An event that is nothing but data.
    #[cfg(feature = "ws")]
    pub(crate) fn of_data(data: &'a [u8]) -> Self {
        Self { name: b"", data, id: "", retry: None }
    }

    /// The event's name: its `event:` field, or `message` without one.
    pub fn name(&self) -> Cow<'a, str> {
        if self.name.is_empty() {
            return Cow::Borrowed("message");
        }
        text(self.name)
    }

    /// The event's data, lines joined by `\n`; invalid UTF-8 shows as U+FFFD.
    pub fn data(&self) -> Cow<'a, str> {
        text(self.data)
    }

    /// The event's data as it came, which need not be UTF-8.
    pub fn data_bytes(&self) -> &'a [u8] {
        self.data
    }

    /// The last event id in force, empty if there was none.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The reconnection time that this event carries.
    pub fn retry(&self) -> Option<Duration> {
        self.retry.map(Duration::from_millis)
    }
}

impl fmt::Debug for SseEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SseEvent")
            .field("name", &self.name())
            .field("data", &self.data())
            .field("id", &self.id)
            .field("retry", &self.retry)
            .finish()
    }
}

/// Where a field's value lies.
#[derive(Clone, Debug, Default)]
enum Value {
    /// The field has not come.
    #[default]
    Absent,
    /// In the chunk at hand: nothing was copied.
    Chunk(Range<usize>),
    /// In the field's own buffer, from this offset on.
    Buffer(usize),
}

/// A decoder of server-sent events that does no IO.
///
/// Feed it chunks with [`push`](Self::push) and take events with
/// [`next_event`](Self::next_event) until there is none. Its work is linear in the bytes fed,
/// however they are cut. An event that lies inside one chunk is handed out without a copy; of
/// others each byte is copied once. Memory is bounded by [`Limits`].
///
/// It follows the WHATWG rules: LF, CR and CRLF end a line, also mixed and split; one byte-order
/// mark at the very start is skipped; an event without a `data` field, and one that the stream
/// leaves unfinished, is dropped.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// The chunk at hand and how far it is read.
    chunk: Bytes,
    pos: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The event being put together.
    name: Value,
    name_buffer: Vec<u8>,
    data: Value,
    data_buffer: Vec<u8>,
    retry: Option<u64>,
    id: Vec<u8>,
    id_changed: bool,
    /// What outlives an event.
    last_event_id: String,
    reconnect: Option<u64>,
    /// Bytes of the byte-order mark seen at the start; `None` once the start is past.
    bom: Option<usize>,
    /// A CR ended the last chunk: an LF at the start of the next belongs to it.
    skip_lf: bool,
    stage: Stage,
    failed: Option<DecodeError>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Something of the next event may have been read.
    Within,
    /// The event has been handed out and is to be cleared.
    HandedOut,
    /// Nothing of the next event has been read.
    Between,
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder with the default [`Limits`].
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// A decoder with limits of the caller's.
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            limits,
            chunk: Bytes::new(),
            pos: 0,
            line: Vec::new(),
            name: Value::Absent,
            name_buffer: Vec::new(),
            data: Value::Absent,
            data_buffer: Vec::new(),
            retry: None,
            id: Vec::new(),
            id_changed: false,
            last_event_id: String::new(),
            reconnect: None,
            bom: Some(0),
            skip_lf: false,
            stage: Stage::Within,
            failed: None,
        }
    }

    /// Feeds the next bytes of the stream.
    ///
    /// Best called when [`next_event`](Self::next_event) has said that there is none: what is left
    /// of an earlier chunk is otherwise joined with this one by a copy. The limits are about lines
    /// and events as they are read: what is pushed and not read is kept, however much it is.
    #[inline]
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() && self.bom.is_none() {
            self.chunk = chunk;
            return;
        }
        self.push_behind(chunk);
    }

    fn push_behind(&mut self, chunk: Bytes) {
        self.chunk = match self.chunk.get(self.pos..) {
            None | Some([]) => chunk,
            Some(rest) => {
                let joined = [rest, &chunk].concat().into();
                self.detach();
                joined
            }
        };
        self.pos = 0;
        if self.bom.is_some() {
            self.skip_bom();
        }
    }

    /// The next event that is whole, or `None` until more bytes are pushed.
    ///
    /// # Errors
    ///
    /// A line or an event larger than its limit; the decoder is of no use afterwards and says the
    /// same again.
    pub fn next_event(&mut self) -> Result<Option<SseEvent<'_>>, DecodeError> {
        if self.advance()? { Ok(Some(self.event())) } else { Ok(None) }
    }

    /// Goes on to the next event; whether there is one. [`event`](Self::event) is it.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, DecodeError> {
        // A stream asks once for each of its waits, with nothing at hand.
        if self.chunk.is_empty() && self.failed.is_none() {
            return Ok(false);
        }
        self.advance_in_chunk()
    }

    #[inline(never)]
    fn advance_in_chunk(&mut self) -> Result<bool, DecodeError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.clear_handed_out();
        self.stage = Stage::Within;
        let result = self.read_lines();
        self.failed = result.err();
        result
    }

    /// The event that [`advance`](Self::advance) has found.
    pub(crate) fn event(&self) -> SseEvent<'_> {
        SseEvent {
            name: self.resolve(&self.name, &self.name_buffer),
            data: self.resolve(&self.data, &self.data_buffer),
            id: &self.last_event_id,
            retry: self.retry,
        }
    }

    /// The id of the last event that had one, for `last-event-id` on a reconnection.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The last reconnection time the server gave.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.reconnect.map(Duration::from_millis)
    }

    fn resolve<'a>(&'a self, value: &Value, buffer: &'a [u8]) -> &'a [u8] {
        match value {
            Value::Absent => None,
            Value::Chunk(range) => self.chunk.get(range.clone()),
            Value::Buffer(start) => buffer.get(*start..),
        }
        .unwrap_or_default()
    }

    /// Reads lines up to and including the blank one that ends an event with data.
    fn read_lines(&mut self) -> Result<bool, DecodeError> {
        loop {
            if self.skip_lf && self.pos < self.chunk.len() {
                self.skip_lf = false;
                self.pos += usize::from(self.chunk.get(self.pos) == Some(&b'\n'));
            }
            let rest = self.chunk.get(self.pos..).unwrap_or_default();
            let found = match rest.first() {
                // Spares the search for the commonest short line.
                Some(b'\n' | b'\r') => Some(0),
                Some(_) => memchr::memchr2(b'\n', b'\r', rest),
                None => None,
            };
            let Some(length) = found else {
                self.limits.check_line(self.line.len() + rest.len())?;
                self.line.extend_from_slice(rest);
                self.let_go_of_chunk();
                return Ok(false);
            };
            self.limits.check_line(self.line.len() + length)?;
            let start = self.pos;
            let end = start + length;
            self.pass_line_end(end);

            if !self.line.is_empty() {
                let tail = self.chunk.get(start..end).unwrap_or_default();
                self.line.extend_from_slice(tail);
                self.take_buffered_line()?;
            } else if length != 0 {
                self.take_line(start..end)?;
            } else if self.end_event() {
                return Ok(true);
            }
        }
    }

    /// Moves past the line end at `end`.
    fn pass_line_end(&mut self, end: usize) {
        self.pos = end + 1;
        if self.chunk.get(end) == Some(&b'\r') {
            match self.chunk.get(self.pos) {
                Some(b'\n') => self.pos += 1,
                Some(_) => {}
                None => self.skip_lf = true,
            }
        }
    }

    /// The blank line: whether an event is to be handed out.
    fn end_event(&mut self) -> bool {
        if self.id_changed {
            self.id_changed = false;
            self.last_event_id = text(&self.id).into_owned();
            clear(&mut self.id);
        }
        if matches!(self.data, Value::Absent) {
            self.clear_event();
            return false;
        }
        self.stage = Stage::HandedOut;
        true
    }

    /// A line that lies whole in the chunk.
    fn take_line(&mut self, line: Range<usize>) -> Result<(), DecodeError> {
        let bytes = self.chunk.get(line.clone()).unwrap_or_default();
        let (field, skip) = field(bytes);
        let value = line.start + skip..line.end;
        match field {
            Field::Data if matches!(self.data, Value::Absent) => {
                self.limits.check_event(value.len())?;
                self.data = Value::Chunk(value);
            }
            Field::Data => {
                self.detach_data();
                let bytes = self.chunk.get(value).unwrap_or_default();
                append_data(&mut self.data_buffer, &mut self.data, bytes);
                return self.limits.check_event(self.data_buffer.len());
            }
            Field::Name => self.name = Value::Chunk(value),
            Field::Other(other) => {
                let bytes = self.chunk.slice(value);
                self.take_other(other, &bytes);
            }
            Field::Ignored => {}
        }
        Ok(())
    }

    /// A line that began in an earlier chunk and now stands whole in `self.line`.
    fn take_buffered_line(&mut self) -> Result<(), DecodeError> {
        let (field, skip) = field(&self.line);
        match field {
            Field::Data if matches!(self.data, Value::Absent) => {
                // The line's own buffer becomes the data's: a long line is not copied again.
                mem::swap(&mut self.line, &mut self.data_buffer);
                self.data = Value::Buffer(skip);
                self.line.clear();
                self.limits.check_event(self.data_buffer.len() - skip)
            }
            Field::Data => {
                self.detach_data();
                let value = self.line.get(skip..).unwrap_or_default();
                append_data(&mut self.data_buffer, &mut self.data, value);
                clear(&mut self.line);
                self.limits.check_event(self.data_buffer.len())
            }
            Field::Name => {
                mem::swap(&mut self.line, &mut self.name_buffer);
                self.name = Value::Buffer(skip);
                clear(&mut self.line);
                Ok(())
            }
            Field::Other(other) => {
                let line = mem::take(&mut self.line);
                self.take_other(other, line.get(skip..).unwrap_or_default());
                Ok(())
            }
            Field::Ignored => {
                clear(&mut self.line);
                Ok(())
            }
        }
    }

    fn take_other(&mut self, field: Other, value: &[u8]) {
        match field {
            Other::Id if value.contains(&0) => {}
            Other::Id => {
                self.id.clear();
                self.id.extend_from_slice(value);
                self.id_changed = true;
            }
            Other::Retry => {
                if let Some(milliseconds) = digits(value) {
                    self.retry = Some(milliseconds);
                    self.reconnect = Some(milliseconds);
                }
            }
        }
    }

    fn clear_event(&mut self) {
        self.name = Value::Absent;
        if self.name_buffer.capacity() > KEEP {
            self.name_buffer = Vec::new();
        }
        self.retry = None;
        if matches!(self.data, Value::Buffer(_)) {
            clear(&mut self.data_buffer);
        }
        self.data = Value::Absent;
    }

    /// The chunk is read to its end: keeps what an unfinished event has of it and frees it, so that
    /// the transport can use its buffer again.
    fn let_go_of_chunk(&mut self) {
        self.detach();
        self.chunk = Bytes::new();
        self.pos = 0;
    }

    /// Copies what the event being put together has in the chunk.
    fn detach(&mut self) {
        if let Value::Chunk(range) = &self.name {
            self.name_buffer.clear();
            self.name_buffer.extend_from_slice(self.chunk.get(range.clone()).unwrap_or_default());
            self.name = Value::Buffer(0);
        }
        self.detach_data();
    }

    fn detach_data(&mut self) {
        if let Value::Chunk(range) = &self.data {
            self.data_buffer.clear();
            self.data_buffer.extend_from_slice(self.chunk.get(range.clone()).unwrap_or_default());
            self.data = Value::Buffer(0);
        }
    }

    /// Skips one byte-order mark at the start of the stream, which may come in pieces.
    fn skip_bom(&mut self) {
        while let (Some(seen), Some(byte)) = (self.bom, self.chunk.get(self.pos)) {
            match BOM.get(seen) {
                Some(expected) if expected == byte => {
                    self.pos += 1;
                    self.bom = (seen + 1 < BOM.len()).then_some(seen + 1);
                }
                _ => {
                    // Not a mark after all: its first bytes are the beginning of a line.
                    self.line.extend_from_slice(BOM.get(..seen).unwrap_or_default());
                    self.bom = None;
                }
            }
        }
    }
}

/// Bytes as text; what is not UTF-8 shows as U+FFFD.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // The lossy conversion looks at each byte, this one at a word at a time.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Adds a further line to the data that stands in `buffer`.
fn append_data(buffer: &mut Vec<u8>, data: &mut Value, line: &[u8]) {
    if !matches!(data, Value::Absent) {
        buffer.push(b'\n');
    }
    buffer.extend_from_slice(line);
    if let Value::Absent = data {
        *data = Value::Buffer(0);
    }
}

fn clear(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEEP { *buffer = Vec::new() } else { buffer.clear() }
}

mod ahead;
#[cfg(test)]
mod tests;
