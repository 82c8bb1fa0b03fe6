//! The calls on a socket, whose handshake is a call of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;

use super::call::CallWatch;
use super::observe::{CallInfo, Observe};
use super::span;
use crate::extensions::{Call, RequestWatcher, SocketWatcher};

/// What the layer that saw the handshake has for each call on its socket.
pub(super) struct SocketWatch<O> {
    pub(super) handshake: CallInfo,
    pub(super) observer: O,
    pub(super) record_content: bool,
    pub(super) last_id: Arc<AtomicU64>,
}

impl<O: Observe + Clone> SocketWatcher for SocketWatch<O> {
    fn begin(&self, call: &Call) -> Option<Arc<dyn RequestWatcher>> {
        let observing = self.observer.is_enabled();
        if !observing && !tracing::level_enabled!(Level::INFO) {
            return None;
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let info = self.handshake.on_socket(id, call.clone());
        let span = span::of_call(&info);
        if !observing && span.is_disabled() {
            return None;
        }
        let (observer, last_id) = (self.observer.clone(), Arc::clone(&self.last_id));
        Some(Arc::new(CallWatch::begin(info, span, observer, self.record_content, last_id)))
    }
}
