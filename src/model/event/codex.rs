//! What the Codex backend says beside the response: metadata, rate limits, safety.

use http::HeaderMap;

use super::ResponseEvent;
use crate::model::macros::{open_enum, wire_struct};
use crate::model::rate_limits::{normalised_id, text_header};
use crate::model::{Credits, PlanType, RateLimitSnapshot, RateLimitWindow, RawJson, RawObject};
use serde_json::Number;

wire_struct! {
    /// What the Codex backend says about the response on the side.
    #[derive(Default)]
    pub struct ResponseMetadata {
        /// Recommendations and moderation data.
        lenient metadata: Option<RawObject>,
        /// HTTP headers that were not known when the head was sent; a value is a string or a list.
        lenient headers: Option<RawObject>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

impl ResponseMetadata {
    /// The verifications recommended for this account, without those this crate does not know and
    /// without repetitions.
    #[must_use]
    pub fn model_verifications(&self) -> Vec<ModelVerification> {
        let all: Vec<RawJson> = self
            .member("openai_verification_recommendation")
            .and_then(|raw| raw.parse().ok())
            .unwrap_or_default();
        let mut known = Vec::new();
        for verification in all.iter().filter_map(|raw| raw.parse().ok()) {
            if !matches!(verification, ModelVerification::Other(_))
                && !known.contains(&verification)
            {
                known.push(verification);
            }
        }
        known
    }

    /// Moderation data of this turn, opaque.
    #[must_use]
    pub fn turn_moderation_metadata(&self) -> Option<&RawJson> {
        self.member("openai_chatgpt_moderation_metadata").filter(|raw| !raw.is_null())
    }

    /// The value of a header, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        header(self.headers.as_ref()?, name)
    }

    fn member(&self, name: &str) -> Option<&RawJson> {
        self.metadata.as_ref()?.get(name)
    }
}

/// A header's value inside JSON: a string, or the first of a list.
fn header(headers: &RawObject, name: &str) -> Option<String> {
    let (_, value) = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name))?;
    value.parse().ok().or_else(|| value.parse::<Vec<String>>().ok()?.into_iter().next())
}

open_enum! {
    /// A verification that gives access to more.
    pub enum ModelVerification {
        /// Trusted access for work on security.
        TrustedAccessForCyber = "trusted_access_for_cyber",
    }
}

wire_struct! {
    /// The Codex backend's rate limits (`codex.rate_limits`).
    ///
    /// All of it is lenient: side information in an unexpected shape does not end the stream.
    #[derive(Default)]
    pub struct CodexRateLimits {
        /// The account's plan.
        lenient plan_type: Option<PlanType>,
        /// The windows.
        lenient rate_limits: Option<RateLimitWindows>,
        /// Bought credits.
        lenient credits: Option<EventCredits>,
        /// The id of the limit.
        lenient metered_limit_name: Option<Box<str>>,
        /// The id of the limit, when the other is missing.
        lenient limit_name: Option<Box<str>>,
        /// Position in the stream.
        lenient sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// The two windows of a limit.
    #[derive(Default)]
    pub struct RateLimitWindows {
        /// The shorter window.
        lenient primary: Option<EventWindow>,
        /// The longer window.
        lenient secondary: Option<EventWindow>,
    }
}

wire_struct! {
    /// One window of a limit.
    pub struct EventWindow {
        /// How much is used, in percent.
        required used_percent: Number,
        /// How long the window is, in minutes.
        lenient window_minutes: Option<i64>,
        /// When it starts anew, in seconds since 1970.
        lenient reset_at: Option<i64>,
    }
}

wire_struct! {
    /// Bought credits.
    #[derive(Default)]
    pub struct EventCredits {
        /// Whether there are any.
        required has_credits: bool,
        /// Whether they never run out.
        required unlimited: bool,
        /// How many are left, as the server words it.
        lenient balance: Option<String>,
    }
}

impl CodexRateLimits {
    /// The limits in the form that headers are read into as well.
    ///
    /// The limit's id is `metered_limit_name`, else `limit_name`, else `codex`.
    #[must_use]
    pub fn snapshot(&self) -> RateLimitSnapshot {
        let id = [&self.metered_limit_name, &self.limit_name]
            .into_iter()
            .flatten()
            .map(|name| name.trim())
            .find(|name| !name.is_empty());
        let windows = self.rate_limits.as_ref();
        let mut snapshot = RateLimitSnapshot::new(normalised_id(id.unwrap_or("codex")));
        snapshot.primary = windows.and_then(|windows| windows.primary.as_ref()?.window());
        snapshot.secondary = windows.and_then(|windows| windows.secondary.as_ref()?.window());
        snapshot.credits = self.credits.as_ref().map(EventCredits::credits);
        snapshot.plan_type = self.plan_type.clone();
        snapshot
    }

    /// The [snapshot](Self::snapshot), if it says more than which limit it is of.
    pub(crate) fn said(&self) -> Option<RateLimitSnapshot> {
        let limits = self.snapshot();
        (limits.has_numbers() || limits.plan_type.is_some()).then_some(limits)
    }
}

impl EventWindow {
    fn window(&self) -> Option<RateLimitWindow> {
        let mut window = RateLimitWindow::new(self.used_percent.as_f64()?);
        window.window_minutes = self.window_minutes;
        window.resets_at = self.reset_at;
        Some(window)
    }
}

impl EventCredits {
    fn credits(&self) -> Credits {
        let mut credits = Credits::new(self.has_credits, self.unlimited);
        credits.balance = self.balance.clone();
        credits
    }
}

wire_struct! {
    /// The server holds the answer back for safety checks (Codex).
    ///
    /// Comes as the member `safety_buffering` of any event, and as `x-codex-safety-buffering-*`
    /// headers.
    #[derive(Default)]
    pub struct SafetyBuffering {
        /// What the request seems to be for.
        always use_cases: Vec<String>,
        /// Why the answer is held back.
        always reasons: Vec<String>,
        /// The model to try instead, from the event.
        optional retry_model: Option<String>,
        /// A model that answers at once, from the headers.
        optional faster_model: Option<String>,
        /// Where this is explained, from the headers.
        optional learn_more_link: Option<String>,
    }
}

impl SafetyBuffering {
    /// What the headers say; `None` unless `x-codex-safety-buffering-enabled` is `true`.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let enabled = text_header(headers, "x-codex-safety-buffering-enabled")?;
        enabled.eq_ignore_ascii_case("true").then(|| Self {
            faster_model: text_header(headers, "x-codex-safety-buffering-faster-model")
                .map(Into::into),
            learn_more_link: text_header(headers, "x-codex-safety-buffering-learn-more-link")
                .map(Into::into),
            ..Self::default()
        })
    }

    /// Fills what the event left out with what the headers said.
    #[must_use]
    pub fn or(mut self, defaults: &Self) -> Self {
        self.faster_model = self.faster_model.or_else(|| defaults.faster_model.clone());
        self.learn_more_link = self.learn_more_link.or_else(|| defaults.learn_more_link.clone());
        self
    }

    /// The model to try instead: the event's, else the headers'.
    #[must_use]
    pub fn alternative_model(&self) -> Option<&str> {
        self.retry_model.as_deref().or(self.faster_model.as_deref())
    }
}

impl ResponseEvent {
    /// The model that serves the response, when this event names it: `openai-model` or
    /// `x-openai-model` (in any case) in the response's `headers`, else in the event's own.
    #[must_use]
    pub fn server_model(&self) -> Option<String> {
        let model = |headers: &RawObject| {
            header(headers, "openai-model").or_else(|| header(headers, "x-openai-model"))
        };
        let within = self.response().and_then(|response| response.extra.get("headers"));
        if let Some(found) = within.and_then(|raw| raw.parse().ok()).and_then(|raw| model(&raw)) {
            return Some(found);
        }
        if let Self::Metadata(event) = self {
            return model(event.headers.as_ref()?);
        }
        model(&self.extra()?.get("headers")?.parse().ok()?)
    }

    /// The member `safety_buffering` that any event of the Codex backend may have.
    #[must_use]
    pub fn safety_buffering(&self) -> Option<SafetyBuffering> {
        self.extra()?.get("safety_buffering")?.parse().ok()
    }
}
