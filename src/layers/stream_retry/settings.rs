//! A policy of stream retries as a value for configuration files.

use std::time::Duration;

use super::policy::StreamRetryPolicy;
use crate::Error;
use crate::layers::retry::{ExponentialBackoff, with_backoff_settings};

with_backoff_settings! {
    /// What a [`StreamRetryPolicy`] is made from, in a form that can live in a file; what is unset is as in
    /// [`StreamRetryPolicy::default`].
    ///
    /// Times are whole milliseconds. A key that is not known is refused.
    ///
    /// ```
    /// use tower_openai::layers::stream_retry::StreamRetrySettings;
    ///
    /// let settings: StreamRetrySettings =
    ///     serde_json::from_str(r#"{"max_retries": 5, "base_ms": 200, "max_hint_ms": 10000}"#)?;
    /// let policy = settings.policy()?;
    /// # let _ = policy;
    /// # Ok::<_, tower_openai::BoxError>(())
    /// ```
    pub struct StreamRetrySettings {
        /// [`StreamRetryPolicy::max_retries`]; zero is off.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_retries: Option<u32>,
        /// [`StreamRetryPolicy::max_hint`], in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_hint_ms: Option<u64>,
    }
}

impl StreamRetrySettings {
    /// The policy.
    ///
    /// # Errors
    ///
    /// If the backoff cannot be: a base of zero or above the cap, a factor below 1, an empty jitter.
    pub fn policy(&self) -> Result<StreamRetryPolicy, Error> {
        let mut policy = StreamRetryPolicy::default();
        if let Some(retries) = self.max_retries {
            policy = policy.max_retries(retries);
        }
        if let Some(longest) = self.max_hint_ms {
            policy = policy.max_hint(Duration::from_millis(longest));
        }
        if let Some(schedule) = self.schedule(ExponentialBackoff::default())? {
            policy = policy.scheduled(schedule);
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        let settings: StreamRetrySettings = serde_json::from_str(json).unwrap();
        format!("{:?}", settings.policy().unwrap())
    }

    #[test]
    fn each_setting_reaches_the_policy() {
        let plain = shown("{}");
        assert_eq!(plain, format!("{:?}", StreamRetryPolicy::default()));
        for one in [
            r#"{"max_retries": 7}"#,
            r#"{"max_hint_ms": 7}"#,
            r#"{"base_ms": 7}"#,
            r#"{"cap_ms": 7000}"#,
            r#"{"factor": 3}"#,
            r#"{"jitter": [1, 1]}"#,
        ] {
            assert_ne!(shown(one), plain, "{one}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(serde_json::from_str::<StreamRetrySettings>(r#"{"retries": 1}"#).is_err());
        for bad in [r#"{"base_ms": 0}"#, r#"{"base_ms": 9000}"#, r#"{"factor": 0.5}"#] {
            let settings: StreamRetrySettings = serde_json::from_str(bad).unwrap();
            assert_eq!(settings.policy().unwrap_err().kind(), crate::ErrorKind::Build, "{bad}");
        }
    }
}
