//! What an error lets go of, so that it shows no secret.

#[cfg(feature = "files")]
use bytes::Bytes;

use super::Error;
use crate::extensions::Call;
use crate::redaction;

impl Error {
    /// Keeps nothing of the answer's body.
    #[cfg(feature = "files")]
    pub(crate) fn without_body(mut self) -> Self {
        self.0.body = Bytes::new();
        self
    }

    /// Keeps nothing of the body of an answer that was a success and could not be read: what it holds
    /// may be a secret.
    #[cfg(feature = "files")]
    pub(crate) fn without_answer(self) -> Self {
        let success = self.0.status.is_some_and(|status| status.is_success());
        if success { self.without_body() } else { self }
    }

    /// Takes the secrets of the call that a response belongs to out of whatever the server quotes.
    pub(crate) fn without_sent(self, extensions: &http::Extensions) -> Self {
        match extensions.get::<Call>() {
            Some(call) => self.without_secrets_of(call),
            None => self,
        }
    }

    pub(crate) fn without_secrets_of(mut self, call: &Call) -> Self {
        let secrets = call.kept_secrets();
        let secrets = || secrets.iter().map(String::as_str);
        if secrets().next().is_none() {
            return self;
        }
        let causes: Vec<_> = self.chain().skip(1).map(ToString::to_string).collect();
        let causes = causes.join(": ");
        let known = |text: &str| redaction::scrub_known(text, secrets());
        let inner = &mut *self.0;
        let facts = &mut inner.facts;
        let lines = [
            &mut facts.code,
            &mut facts.error_type,
            &mut facts.param,
            &mut facts.plan_type,
            &mut inner.request_id,
            &mut inner.cf_ray,
            &mut inner.authorization_error,
        ];
        for line in lines.into_iter().flatten().chain([&mut inner.message]) {
            if let Some(scrubbed) = known(line) {
                *line = scrubbed.into();
            }
        }
        if let Some(scrubbed) = inner.response_id.as_deref().and_then(known) {
            inner.response_id = Some(scrubbed.into());
        }
        // A parser's words may quote what it read. The source is text then.
        if let Some(scrubbed) = known(&causes) {
            inner.source = Some(scrubbed.into());
        }
        #[cfg(feature = "ws")]
        self.scrub_close(known);
        self
    }
}
