//! What the last response of a lane was made from, so that the next request need not repeat it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::wire::{Omit, WireStruct};
use crate::model::{ResponseEvent, ResponseItem, ResponsesApiRequest};
use crate::sse::{StreamEnd, StreamObserver};

/// The last response of a lane.
#[derive(Debug)]
pub(super) struct Chain {
    response_id: Arc<str>,
    /// The request but for its input.
    rest: Arc<[u8]>,
    /// Its input, then what the answer added.
    items: Vec<ResponseItem>,
}

impl Chain {
    /// Where in the input of `request` begins what the server does not have, if it has all before
    /// that; and the response to continue.
    pub(super) fn tail(
        self,
        request: &ResponsesApiRequest,
        rest: &[u8],
    ) -> Option<(Arc<str>, usize)> {
        let same = *self.rest == *rest && request.input.starts_with(&self.items);
        same.then_some((self.response_id, self.items.len()))
    }
}

/// Where the last response of a lane is kept, if it is known.
#[derive(Clone, Default)]
pub(super) struct ChainSlot(Arc<Mutex<Option<Chain>>>);

impl ChainSlot {
    /// Takes it out: while another one is under way, there is none.
    pub(super) fn take(&self) -> Option<Chain> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, chain: Chain) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain);
    }
}

/// Whether a request may continue a response that it does not name.
pub(super) fn may_continue(request: &ResponsesApiRequest) -> bool {
    request.previous_response_id.is_none() && request.conversation.is_none()
}

/// All of a request that two must have in common.
pub(super) fn rest(request: &ResponsesApiRequest) -> Result<Vec<u8>, serde_json::Error> {
    struct Rest<'a>(&'a ResponsesApiRequest);

    impl Serialize for Rest<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            self.0.write(&mut map, Omit { continued: true, ..Omit::default() })?;
            map.end()
        }
    }

    serde_json::to_vec(&Rest(request))
}

/// The frame of a request of which the server has the input up to `from`.
///
/// `encode` sees the request as it is to be sent. It is whole again afterwards.
pub(super) fn continuing<T>(
    request: &mut ResponsesApiRequest,
    response_id: &str,
    from: usize,
    encode: impl FnOnce(&ResponsesApiRequest) -> T,
) -> T {
    let tail = request.input.split_off(from.min(request.input.len()));
    let mut head = std::mem::replace(&mut request.input, tail);
    request.previous_response_id = Some(response_id.to_owned());
    let encoded = encode(request);
    request.previous_response_id = None;
    head.append(&mut request.input);
    request.input = head;
    encoded
}

/// Hears what the answer to a request adds, and makes a [`Chain`] of it.
pub(super) struct Recorder {
    recording: Mutex<Option<Recording>>,
    slot: ChainSlot,
}

struct Recording {
    request: Arc<ResponsesApiRequest>,
    rest: Arc<[u8]>,
    output: Vec<ResponseItem>,
}

impl Recorder {
    pub(super) fn new(request: Arc<ResponsesApiRequest>, rest: Vec<u8>, slot: ChainSlot) -> Self {
        let recording = Recording { request, rest: rest.into(), output: Vec::new() };
        Self { recording: Mutex::new(Some(recording)), slot }
    }
}

impl StreamObserver for Recorder {
    fn on_event(&self, event: &ResponseEvent) {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            ResponseEvent::OutputItemDone(event) => {
                if let Some(recording) = &mut *recording {
                    recording.output.push(event.item.clone());
                }
            }
            ResponseEvent::Completed(event) => {
                let Some(Recording { request, rest, output }) = recording.take() else { return };
                drop(recording);
                let response_id = Arc::clone(&event.response.id);
                if !response_id.is_empty() {
                    let mut items = Arc::unwrap_or_clone(request).input;
                    items.extend(output);
                    self.slot.keep(Chain { response_id, rest, items });
                }
            }
            // Steered to something that is not in the request.
            ResponseEvent::Incomplete(_) => *recording = None,
            _ => {}
        }
    }

    fn on_end(&self, _: StreamEnd<'_>) {
        *self.recording.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
