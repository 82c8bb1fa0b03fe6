//! [`Transcript`]: what was said, for hand-offs.

use std::collections::VecDeque;

use super::{RealtimeEvent, RealtimeTranscriptEntry};

const USER: &str = "user";
const ASSISTANT: &str = "assistant";

/// Stands where the beginning of an entry was cut off.
const CUT: &str = "[…] ";

/// What was said in a conversation, as far back as there is room for.
///
/// Without room the oldest entries go first, and of one that is too long by itself the beginning.
///
/// The words of one side make one entry until the other side speaks or a new turn begins; the whole
/// text, once it comes, takes the place of its pieces. What a hand-off asks for is an entry of the
/// person's, unless it is the last thing they said.
#[derive(Clone, Debug)]
pub struct Transcript {
    entries: VecDeque<RealtimeTranscriptEntry>,
    /// Of the entries, with what each costs beside its text.
    bytes: usize,
    limit: usize,
    /// How many of the entries a hand-off had.
    handed_off: usize,
    /// Whether the next words of this side begin an entry.
    new_input: bool,
    new_output: bool,
}

impl Default for Transcript {
    /// With room for 64 KiB.
    fn default() -> Self {
        Self::with_limit(64 * 1024)
    }
}

impl Transcript {
    /// The least that a transcript has room for, in bytes.
    pub const LEAST: usize = 1024;

    /// With room for this many bytes, but no less than [`LEAST`](Self::LEAST). An entry counts as its
    /// text and 64 bytes.
    #[must_use]
    pub fn with_limit(bytes: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            limit: bytes.max(Self::LEAST),
            handed_off: 0,
            new_input: false,
            new_output: false,
        }
    }

    /// What was said, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &RealtimeTranscriptEntry> {
        self.entries.iter()
    }

    /// What was said since the last hand-off, oldest first.
    pub fn since_handoff(&self) -> impl DoubleEndedIterator<Item = &RealtimeTranscriptEntry> {
        self.entries.iter().skip(self.handed_off)
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes in what an event says. A hand-off gets what was said since the last one.
    pub fn observe(&mut self, event: &mut RealtimeEvent) {
        match event {
            RealtimeEvent::InputAudioSpeechStarted(_) => self.new_input = true,
            RealtimeEvent::InputTranscriptDelta(event) => self.say(USER, &event.delta, false),
            RealtimeEvent::InputTranscriptDone(event) => self.say(USER, &event.text, true),
            RealtimeEvent::ResponseCreated(_) => self.new_output = true,
            RealtimeEvent::OutputTranscriptDelta(event) => {
                self.say(ASSISTANT, &event.delta, false);
            }
            RealtimeEvent::OutputTranscriptDone(event) => self.say(ASSISTANT, &event.text, true),
            RealtimeEvent::HandoffRequested(event) => {
                self.ask_for(event.input_transcript.trim());
                event.active_transcript = self.since_handoff().cloned().collect();
                self.handed_off = self.entries.len();
                self.new_input = true;
                self.new_output = true;
            }
            _ => {}
        }
    }

    /// Adds to the entry that is being said, or begins one.
    fn say(&mut self, role: &str, text: &str, whole: bool) {
        let flag = if role == USER { &mut self.new_input } else { &mut self.new_output };
        let begins = std::mem::take(flag);
        if text.is_empty() {
            return;
        }
        match self.entries.back_mut() {
            Some(last) if last.role == role && !begins => {
                if whole {
                    self.bytes -= last.text.len();
                    last.text.clear();
                }
                last.text.push_str(text);
                self.bytes += text.len();
            }
            _ => self.push(role, text),
        }
        self.shrink();
    }

    /// What the person wants of the agent, unless it is the last thing they said.
    fn ask_for(&mut self, input: &str) {
        let is_said =
            |last: &RealtimeTranscriptEntry| last.role == USER && last.text.trim() == input;
        if !input.is_empty() && !self.entries.back().is_some_and(is_said) {
            self.push(USER, input);
            self.shrink();
        }
    }

    fn push(&mut self, role: &str, text: &str) {
        self.bytes += cost(text);
        self.entries.push_back(RealtimeTranscriptEntry::new(role, text));
    }

    fn shrink(&mut self) {
        while self.bytes > self.limit && self.entries.len() > 1 {
            let gone = self.entries.pop_front();
            self.bytes -= gone.map_or(0, |entry| cost(&entry.text));
            self.handed_off = self.handed_off.saturating_sub(1);
        }
        if self.bytes > self.limit {
            if let Some(last) = self.entries.back_mut() {
                // To half, so that not every further word moves all of it.
                let mut from = last.text.len().saturating_sub(self.limit / 2);
                while !last.text.is_char_boundary(from) {
                    from += 1;
                }
                last.text.replace_range(..from, CUT);
                self.bytes = cost(&last.text);
            }
        }
    }
}

fn cost(text: &str) -> usize {
    text.len() + 64
}
