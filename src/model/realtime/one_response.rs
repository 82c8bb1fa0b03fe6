//! [`OneResponse`]: asks for an answer when there is no other.

use super::{ClientEvent, ResponseCreate, ServerEvent};
use crate::model::ErrorEvent;

/// Has the model answer when it can: a conversation has one answer at a time, and the server refuses
/// a `response.create` while one is being made.
///
/// It is told of each answer that is wanted and of each event, and says what to send. While an answer
/// is being made, whether it was asked for or the server began it after speech, the next one waits. At
/// most one does: a later one takes its place, since it answers what was said before it as well. One
/// that the server refuses because of an answer that was not known of yet waits again.
///
/// All answers of the conversation are to be asked for here. Those outside it (`conversation` of
/// `none`) are made beside the others, and need not be. A socket in the place of another begins with a
/// new one of these: the answer that was being made is gone.
///
/// ```
/// use tower_openai::model::realtime::{OneResponse, ResponseCreate, ServerEvent};
///
/// let mut responses = OneResponse::new();
/// assert!(responses.ask(ResponseCreate::default()).is_some());
/// assert!(responses.ask(ResponseCreate::default()).is_none());
///
/// let over: ServerEvent =
///     serde_json::from_str(r#"{"type":"response.done","response":{"id":"resp_1"}}"#)?;
/// let next = responses.observe(&over).unwrap();
/// assert_eq!(next.kind(), "response.create");
/// assert!(responses.observe(&over).is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OneResponse {
    /// An answer is being made, or was asked for.
    busy: bool,
    /// The answer that is being made, once the server has said which.
    running: Option<Box<str>>,
    /// The one that ended last: the server may say so twice.
    ended: Option<Box<str>>,
    /// What was sent last, for as long as the server may refuse it.
    asked: Option<ResponseCreate>,
    waiting: Option<ResponseCreate>,
}

impl OneResponse {
    /// Of a conversation in which nothing is being answered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an answer is being made, or was asked for.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// An answer is wanted: what to send now, or `None` while it has to wait.
    #[must_use = "it is to be sent"]
    pub fn ask(&mut self, response: ResponseCreate) -> Option<ClientEvent> {
        if self.busy {
            self.waiting = Some(response);
            return None;
        }
        self.busy = true;
        self.asked = Some(response.clone());
        Some(ClientEvent::ResponseCreate(response))
    }

    /// Takes in what the server says: what to send now, if anything.
    #[must_use = "it is to be sent"]
    pub fn observe(&mut self, event: &ServerEvent) -> Option<ClientEvent> {
        match event {
            ServerEvent::ResponseCreated(event) => {
                self.busy = true;
                self.running = event.id().map(Into::into);
                None
            }
            ServerEvent::ResponseDone(event) | ServerEvent::ResponseCancelled(event) => {
                self.ends(event.id())
            }
            ServerEvent::Error(error) if is_conflict(error) => self.is_refused(error),
            ServerEvent::Error(error) => self.fails(error),
            _ => None,
        }
    }

    fn ends(&mut self, id: Option<&str>) -> Option<ClientEvent> {
        let is_another = |known: &Option<Box<str>>| match (known, id) {
            (Some(known), Some(id)) => **known != *id,
            _ => false,
        };
        let is_told_again = id.is_some() && self.ended.as_deref() == id;
        if is_told_again || is_another(&self.running) {
            return None;
        }
        self.ended = id.map(Into::into);
        self.next()
    }

    /// There is another answer.
    fn is_refused(&mut self, error: &ErrorEvent) -> Option<ClientEvent> {
        let names = |id: &mut Box<str>| error.message().is_some_and(|text| text.contains(&**id));
        // One that ended before the refusal came: nothing would come after it.
        let is_over = self.ended.take_if(names).is_some();
        if !self.is_of_what_was_asked(error) || !(self.busy || is_over) {
            return None;
        }
        let asked = self.asked.take()?;
        self.waiting.get_or_insert(asked);
        if is_over { self.next() } else { None }
    }

    /// Something else went wrong: perhaps with what was sent last, if nothing came of that yet.
    fn fails(&mut self, error: &ErrorEvent) -> Option<ClientEvent> {
        if self.running.is_some() || !self.is_of_what_was_asked(error) {
            return None;
        }
        self.asked = None;
        self.next()
    }

    /// Whether it is, as far as the server says.
    fn is_of_what_was_asked(&self, error: &ErrorEvent) -> bool {
        let Some(asked) = &self.asked else { return false };
        let of = error.client_event_id();
        of.is_none() || of.as_deref() == asked.event_id.as_deref()
    }

    fn next(&mut self) -> Option<ClientEvent> {
        self.busy = false;
        self.running = None;
        let waiting = self.waiting.take()?;
        self.ask(waiting)
    }
}

/// Whether the server refuses to make an answer beside another.
fn is_conflict(error: &ErrorEvent) -> bool {
    const CODE: &str = "conversation_already_has_active_response";
    const WORDS: &str = "Conversation already has an active response in progress";
    error.code() == Some(CODE) || error.message().is_some_and(|text| text.starts_with(WORDS))
}
