//! A resume policy as a value for configuration files.

use std::time::Duration;

use super::policy::ResumePolicy;
use crate::Error;
use crate::layers::retry::{ExponentialBackoff, with_backoff_settings};

with_backoff_settings! {
    /// What a [`ResumePolicy`] is made from, in a form that can live in a file; what is unset is as in
    /// [`ResumePolicy::default`].
    ///
    /// Times are whole milliseconds. A key that is not known is refused.
    ///
    /// ```
    /// use tower_openai::layers::resume::ResumeSettings;
    ///
    /// let settings: ResumeSettings =
    ///     serde_json::from_str(r#"{"max_in_a_row": 10, "base_ms": 200, "cap_ms": 5000}"#)?;
    /// let policy = settings.policy()?;
    /// # let _ = policy;
    /// # Ok::<_, tower_openai::BoxError>(())
    /// ```
    pub struct ResumeSettings {
        /// [`ResumePolicy::max_in_a_row`]: resumptions without a new event between them; zero is off.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_in_a_row: Option<u32>,
        /// [`ResumePolicy::total_time`], in milliseconds; zero is without limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub total_ms: Option<u64>,
        /// [`ResumePolicy::max_hint`], in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub max_hint_ms: Option<u64>,
    }
}

impl ResumeSettings {
    /// The policy.
    ///
    /// # Errors
    ///
    /// If the backoff cannot be: a base of zero or above the cap, a factor below 1, an empty jitter.
    pub fn policy(&self) -> Result<ResumePolicy, Error> {
        let mut policy = ResumePolicy::default();
        if let Some(resumptions) = self.max_in_a_row {
            policy = policy.max_in_a_row(resumptions);
        }
        if let Some(longest) = self.total_ms {
            policy = policy.total_time(Duration::from_millis(longest));
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
        let settings: ResumeSettings = serde_json::from_str(json).unwrap();
        format!("{:?}", settings.policy().unwrap())
    }

    #[test]
    fn each_setting_reaches_the_policy() {
        let plain = shown("{}");
        assert_eq!(plain, format!("{:?}", ResumePolicy::default()));
        for one in [
            r#"{"max_in_a_row": 7}"#,
            r#"{"total_ms": 7}"#,
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
        assert!(serde_json::from_str::<ResumeSettings>(r#"{"resumptions": 1}"#).is_err());
        for bad in [r#"{"base_ms": 0}"#, r#"{"base_ms": 9000}"#, r#"{"factor": 0.5}"#] {
            let settings: ResumeSettings = serde_json::from_str(bad).unwrap();
            assert_eq!(settings.policy().unwrap_err().kind(), crate::ErrorKind::Build, "{bad}");
        }
    }
}
