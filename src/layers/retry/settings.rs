//! A retry policy as a value for configuration files.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::ExponentialBackoff;
use super::backoff_settings::with_backoff_settings;
use super::policy::RetryPolicy;
use crate::Error;

with_backoff_settings! {
    /// What a [`RetryPolicy`] is made from, in a form that can live in a file: a preset, and what differs
    /// from it.
    ///
    /// Times are whole milliseconds. A key that is not known is refused.
    ///
    /// ```
    /// use tower_openai::layers::retry::RetrySettings;
    ///
    /// let settings: RetrySettings =
    ///     serde_json::from_str(r#"{"preset": "codex", "max_retries": 5, "cap_ms": 10000}"#)?;
    /// let policy = settings.policy()?;
    /// # let _ = policy;
    /// # Ok::<_, tower_openai::BoxError>(())
    /// ```
    pub struct RetrySettings {
        /// What holds where nothing else is said.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub preset: Option<RetryPreset>,
        /// [`RetryPolicy::max_retries`]: attempts after the first; zero is off.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_retries: Option<u32>,
        /// [`RetryPolicy::honour_hints`].
        #[serde(skip_serializing_if = "Option::is_none")]
        pub honour_hints: Option<bool>,
        /// [`RetryPolicy::max_hint`], in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_hint_ms: Option<u64>,
        /// [`RetryPolicy::retry_429`].
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retry_429: Option<bool>,
        /// [`RetryPolicy::retry_5xx`].
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retry_5xx: Option<bool>,
        /// [`RetryPolicy::retry_transport`].
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retry_transport: Option<bool>,
    }
}

/// The policies that come with the crate; see the table of [`RetryPolicy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryPreset {
    /// [`RetryPolicy::default`].
    #[default]
    Default,
    /// [`RetryPolicy::openai_sdk`].
    OpenaiSdk,
    /// [`RetryPolicy::openai_node`].
    OpenaiNode,
    /// [`RetryPolicy::codex`].
    Codex,
    /// [`RetryPolicy::none`].
    None,
}

impl RetrySettings {
    /// These settings, and those of `other` where these say nothing.
    ///
    /// A preset says everything: with one of their own, these take nothing from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.preset.is_some() {
            return self;
        }
        Self {
            preset: other.preset,
            max_retries: self.max_retries.or(other.max_retries),
            base_ms: self.base_ms.or(other.base_ms),
            cap_ms: self.cap_ms.or(other.cap_ms),
            factor: self.factor.or(other.factor),
            jitter: self.jitter.or(other.jitter),
            honour_hints: self.honour_hints.or(other.honour_hints),
            max_hint_ms: self.max_hint_ms.or(other.max_hint_ms),
            retry_429: self.retry_429.or(other.retry_429),
            retry_5xx: self.retry_5xx.or(other.retry_5xx),
            retry_transport: self.retry_transport.or(other.retry_transport),
        }
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// If the backoff cannot be: a base of zero or above the cap, a factor below 1, an empty jitter.
    pub fn policy(&self) -> Result<RetryPolicy, Error> {
        let mut policy = match self.preset.unwrap_or_default() {
            RetryPreset::Default => RetryPolicy::default(),
            RetryPreset::OpenaiSdk => RetryPolicy::openai_sdk(),
            RetryPreset::OpenaiNode => RetryPolicy::openai_node(),
            RetryPreset::Codex => RetryPolicy::codex(),
            RetryPreset::None => RetryPolicy::none(),
        };
        if let Some(retries) = self.max_retries {
            policy = policy.max_retries(retries);
        }
        if let Some(honour) = self.honour_hints {
            policy = policy.honour_hints(honour);
        }
        if let Some(longest) = self.max_hint_ms {
            policy = policy.max_hint(Duration::from_millis(longest));
        }
        if let Some(retry) = self.retry_5xx {
            policy = policy.retry_5xx(retry);
        }
        if let Some(retry) = self.retry_429 {
            policy = policy.retry_429(retry);
        }
        if let Some(retry) = self.retry_transport {
            policy = policy.retry_transport(retry);
        }
        let usual = match self.preset {
            Some(RetryPreset::Codex) => ExponentialBackoff::CODEX,
            _ => ExponentialBackoff::SDK,
        };
        if let Some(schedule) = self.schedule(usual)? {
            policy.schedule = schedule;
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: &str) -> RetrySettings {
        serde_json::from_str(json).unwrap()
    }

    fn shown(json: &str) -> String {
        format!("{:?}", settings(json).policy().unwrap())
    }

    #[test]
    fn nothing_is_the_default() {
        assert_eq!(shown("{}"), format!("{:?}", RetryPolicy::default()));
        let codex = format!("{:?}", RetryPolicy::codex());
        assert_eq!(shown(r#"{"preset": "codex"}"#), codex);
    }

    #[test]
    fn each_setting_reaches_the_policy() {
        let plain = shown("{}");
        for one in [
            r#"{"max_retries": 7}"#,
            r#"{"base_ms": 7}"#,
            r#"{"cap_ms": 7000}"#,
            r#"{"factor": 3}"#,
            r#"{"jitter": [1, 1]}"#,
            r#"{"honour_hints": false}"#,
            r#"{"max_hint_ms": 7}"#,
            r#"{"retry_429": false}"#,
            r#"{"retry_5xx": false}"#,
            r#"{"retry_transport": false}"#,
        ] {
            assert_ne!(shown(one), plain, "{one}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(serde_json::from_str::<RetrySettings>(r#"{"retries": 1}"#).is_err());
        for bad in [r#"{"base_ms": 0}"#, r#"{"base_ms": 9000}"#, r#"{"factor": 0.5}"#] {
            let error = settings(bad).policy().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Build, "{bad}");
        }
    }

    #[test]
    fn a_preset_takes_nothing_from_the_default() {
        let default = settings(r#"{"max_retries": 7, "retry_429": false}"#);
        let own = settings(r#"{"max_retries": 1}"#).or(default);
        assert_eq!((own.max_retries, own.retry_429), (Some(1), Some(false)));
        let own = settings(r#"{"preset": "codex"}"#).or(default);
        assert_eq!((own.max_retries, own.retry_429), (None, None));
    }
}
