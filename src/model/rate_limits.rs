//! Rate limits: what the server says is left.
//!
//! There are two vocabularies. The Codex backend counts percent of time windows, in headers
//! (`x-codex-primary-used-percent`, …) and in `codex.rate_limits` events; both are read into
//! [`RateLimitSnapshot`]. The public API and Azure count requests and tokens in `x-ratelimit-*` headers:
//! [`PublicRateLimits`]. [`RateLimits`] reads both from one set of headers.
//!
//! Headers that cannot be read are as good as missing; none of this ever fails.
//!
//! ```
//! use http::HeaderMap;
//! use tower_openai::model::RateLimits;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("x-ratelimit-remaining-tokens", "149,984".parse()?);
//! headers.insert("x-ratelimit-reset-tokens", "6m0s".parse()?);
//! let tokens = RateLimits::from_headers(&headers).public.unwrap().tokens.unwrap();
//! assert_eq!(tokens.remaining, Some(149_984));
//! assert_eq!(tokens.reset.unwrap().as_secs(), 360);
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

mod public;

use std::collections::BTreeSet;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::RawJson;
use super::macros::open_enum;

pub use self::public::{LimitState, PublicRateLimits};

/// All rate limits that the headers of one response tell of.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RateLimits {
    /// The Codex backend's limits: `codex` first, then the others by id.
    pub codex: Vec<RateLimitSnapshot>,
    /// The public API's limits.
    pub public: Option<PublicRateLimits>,
}

impl RateLimits {
    /// Reads both kinds.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self {
            codex: RateLimitSnapshot::from_headers(headers),
            public: PublicRateLimits::from_headers(headers),
        }
    }

    /// Whether the headers said nothing about limits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codex.is_empty() && self.public.is_none()
    }
}

/// One limit of the Codex backend and how much of it is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct RateLimitSnapshot {
    /// Which limit: lower case with `_`, such as `codex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_id: Option<String>,
    /// Its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_name: Option<String>,
    /// The shorter window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<RateLimitWindow>,
    /// The longer window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary: Option<RateLimitWindow>,
    /// Bought credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits: Option<Credits>,
    /// The limit of this member of a workspace; from account endpoints, never from headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub individual_limit: Option<IndividualLimit>,
    /// The account's plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_type: Option<PlanType>,
    /// Which limit was hit, on 429 answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_reached_type: Option<RateLimitReachedType>,
}

/// How much of a time window is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RateLimitWindow {
    /// Percent used, 0 to 100.
    pub used_percent: f64,
    /// The window's length in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_minutes: Option<i64>,
    /// When the window starts anew, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<i64>,
}

/// Bought credits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Credits {
    /// Whether there are any.
    pub has_credits: bool,
    /// Whether they never run out.
    pub unlimited: bool,
    /// How many are left, as the server words it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
}

/// The limit of one member of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndividualLimit {
    /// The limit, as the server words it.
    pub limit: RawJson,
    /// How much is used, as the server words it.
    pub used: RawJson,
    /// How much is left, in percent.
    pub remaining_percent: i32,
    /// When it starts anew, in seconds since 1970.
    pub resets_at: i64,
}

open_enum! {
    /// The plan of a ChatGPT account.
    pub enum PlanType {
        /// Free.
        Free = "free",
        /// Go.
        Go = "go",
        /// Plus.
        Plus = "plus",
        /// Pro.
        Pro = "pro",
        /// Pro Lite.
        ProLite = "prolite",
        /// Team.
        Team = "team",
        /// Business, self-served, paid by use.
        SelfServeBusinessUsageBased = "self_serve_business_usage_based",
        /// Business.
        Business = "business",
        /// Enterprise, paid by use.
        EnterpriseCbpUsageBased = "enterprise_cbp_usage_based",
        /// Enterprise.
        Enterprise = "enterprise",
        /// Education.
        Edu = "edu",
    }
}

open_enum! {
    /// Which limit was hit.
    pub enum RateLimitReachedType {
        /// The rate limit.
        RateLimitReached = "rate_limit_reached",
        /// The workspace owner's credits are used up.
        WorkspaceOwnerCreditsDepleted = "workspace_owner_credits_depleted",
        /// The workspace member's credits are used up.
        WorkspaceMemberCreditsDepleted = "workspace_member_credits_depleted",
        /// The workspace owner's usage limit.
        WorkspaceOwnerUsageLimitReached = "workspace_owner_usage_limit_reached",
        /// The workspace member's usage limit.
        WorkspaceMemberUsageLimitReached = "workspace_member_usage_limit_reached",
    }
}

impl RateLimitSnapshot {
    /// A snapshot of the limit `limit_id` that says nothing yet.
    #[must_use]
    pub fn new(limit_id: impl Into<String>) -> Self {
        Self { limit_id: Some(limit_id.into()), ..Self::default() }
    }

    /// Every limit that the headers tell of: `codex` first, then the others by id.
    ///
    /// A limit is found by its `x-{limit}-primary-used-percent` or `x-{limit}-secondary-used-percent`
    /// header. Without any such header the list is empty.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Vec<Self> {
        const FAMILY: [&str; 2] = ["-primary-used-percent", "-secondary-used-percent"];
        let mut others = BTreeSet::new();
        let mut codex = false;
        for name in headers.keys().filter_map(|name| name.as_str().strip_prefix("x-")) {
            codex |= name.starts_with("codex-");
            let family = FAMILY.iter().find_map(|suffix| name.strip_suffix(suffix));
            others.extend(family.filter(|id| !id.is_empty()).map(normalised_id));
        }
        if !codex && others.is_empty() {
            // Most answers are not the Codex backend's.
            return Vec::new();
        }
        others.remove(CODEX);
        let codex = Self::for_limit(headers, CODEX);
        let others = others.iter().map(|id| Self::for_limit(headers, id));
        Some(codex)
            .filter(|codex| codex.limit_name.is_some() || codex.has_numbers())
            .into_iter()
            .chain(others.filter(Self::has_numbers))
            .collect()
    }

    /// Whether it says how much of anything is used or left.
    pub(crate) fn has_numbers(&self) -> bool {
        self.primary.is_some() || self.secondary.is_some() || self.credits.is_some()
    }

    /// What the headers say about the limit `limit_id`, in any spelling of the id; perhaps nothing.
    #[must_use]
    pub fn for_limit(headers: &HeaderMap, limit_id: &str) -> Self {
        let id = normalised_id(limit_id);
        let prefix = format!("x-{}", id.replace('_', "-"));
        let header = |suffix: &str| text_header(headers, &format!("{prefix}-{suffix}"));
        Self {
            limit_name: header("limit-name").map(Into::into),
            primary: RateLimitWindow::from_headers(|suffix| header(&format!("primary-{suffix}"))),
            secondary: RateLimitWindow::from_headers(|suffix| {
                header(&format!("secondary-{suffix}"))
            }),
            credits: Credits::from_headers(headers),
            ..Self::new(id)
        }
    }

    /// The limit that a 429 answer was given for (`x-codex-active-limit`, else `codex`), with why
    /// it was reached; `None` when the headers say nothing about it.
    #[must_use]
    pub fn reached(headers: &HeaderMap) -> Option<Self> {
        let active = text_header(headers, "x-codex-active-limit");
        let mut limit = Self::for_limit(headers, active.unwrap_or(CODEX));
        limit.rate_limit_reached_type =
            text_header(headers, "x-codex-rate-limit-reached-type").map(Into::into);
        (active.is_some() || limit != Self::new(CODEX)).then_some(limit)
    }

    /// What a 429 answer offers beside the limit (`x-codex-promo-message`).
    #[must_use]
    pub fn promo_message(headers: &HeaderMap) -> Option<&str> {
        text_header(headers, "x-codex-promo-message")
    }
}

impl RateLimitWindow {
    /// A window that is used by so many percent.
    #[must_use]
    pub fn new(used_percent: f64) -> Self {
        Self { used_percent, ..Self::default() }
    }

    /// A window without use, length and reset is no window.
    fn from_headers<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let used_percent: f64 = header("used-percent")?.parse().ok()?;
        let window = Self {
            used_percent,
            window_minutes: header("window-minutes").and_then(|text| text.parse().ok()),
            resets_at: header("reset-at").and_then(|text| text.parse().ok()),
        };
        let says_something = used_percent != 0.0
            || window.window_minutes.is_some_and(|minutes| minutes != 0)
            || window.resets_at.is_some();
        (used_percent.is_finite() && says_something).then_some(window)
    }
}

impl Credits {
    /// Credits without a balance.
    #[must_use]
    pub fn new(has_credits: bool, unlimited: bool) -> Self {
        Self { has_credits, unlimited, balance: None }
    }

    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let flag = |name| match text_header(headers, name)? {
            "1" => Some(true),
            "0" => Some(false),
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        };
        Some(Self {
            has_credits: flag("x-codex-credits-has-credits")?,
            unlimited: flag("x-codex-credits-unlimited")?,
            balance: text_header(headers, "x-codex-credits-balance").map(Into::into),
        })
    }
}

const CODEX: &str = "codex";

/// The id as it is reported: trimmed, lower case, `_` for `-`.
pub(crate) fn normalised_id(id: &str) -> String {
    let id = id.trim();
    let id = if id.is_empty() { CODEX } else { id };
    id.to_ascii_lowercase().replace('-', "_")
}

/// A header's text, trimmed; `None` when there is none left.
pub(crate) fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?.trim();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    fn window(used_percent: f64, minutes: Option<i64>, resets_at: Option<i64>) -> RateLimitWindow {
        RateLimitWindow { used_percent, window_minutes: minutes, resets_at }
    }

    fn ids(limits: &[RateLimitSnapshot]) -> Vec<&str> {
        limits.iter().map(|limit| limit.limit_id.as_deref().unwrap()).collect()
    }

    #[test]
    fn no_header_no_snapshot() {
        assert_eq!(RateLimitSnapshot::from_headers(&HeaderMap::new()), []);
        let none = headers(&[("x-request-id", "r"), ("x-primary-used-percent", "3")]);
        assert_eq!(RateLimitSnapshot::from_headers(&none), []);
        assert_eq!(RateLimitSnapshot::reached(&none), None);
        assert!(RateLimits::from_headers(&none).is_empty());
    }

    #[test]
    fn reads_the_codex_family() {
        let limits = RateLimitSnapshot::from_headers(&headers(&[
            ("x-codex-primary-used-percent", "12.5"),
            ("x-codex-primary-window-minutes", "60"),
            ("x-codex-primary-reset-at", "1704069000"),
            ("x-codex-secondary-used-percent", " 40 "),
            ("x-codex-secondary-window-minutes", " 10080 "),
            ("x-codex-secondary-reset-at", " 1704074400 "),
        ]));
        assert_eq!(ids(&limits), ["codex"]);
        assert_eq!(limits[0].limit_name, None);
        assert_eq!(limits[0].primary, Some(window(12.5, Some(60), Some(1_704_069_000))));
        assert_eq!(limits[0].secondary, Some(window(40.0, Some(10_080), Some(1_704_074_400))));
        assert_eq!(limits[0].credits, None);
    }

    #[test]
    fn finds_other_families_in_order() {
        let limits = RateLimitSnapshot::from_headers(&headers(&[
            ("X-Zeta-Secondary-Used-Percent", "7"),
            ("x-codex-secondary-primary-used-percent", "80"),
            ("x-codex-bengalfox-primary-used-percent", "1"),
            ("x-codex-bengalfox-limit-name", " gpt-5.2-codex-sonic "),
            ("x-empty-primary-used-percent", "0"),
            ("x-odd-primary-used-percent", "NaN"),
        ]));
        assert_eq!(ids(&limits), ["codex_bengalfox", "codex_secondary", "zeta"]);
        assert_eq!(limits[0].limit_name.as_deref(), Some("gpt-5.2-codex-sonic"));
        assert_eq!(limits[1].primary, Some(window(80.0, None, None)));
        assert_eq!(limits[1].limit_name, None);
        assert_eq!(
            (&limits[2].primary, &limits[2].secondary),
            (&None, &Some(window(7.0, None, None)))
        );
    }

    #[test]
    fn windows_need_something_to_say() {
        let primary = |used, minutes, reset| {
            let mut all = vec![("x-codex-primary-used-percent", used)];
            all.extend(
                Some(("x-codex-primary-window-minutes", minutes)).filter(|_| minutes != "-"),
            );
            all.extend(Some(("x-codex-primary-reset-at", reset)).filter(|_| reset != "-"));
            RateLimitSnapshot::for_limit(&headers(&all), "codex").primary
        };
        assert_eq!(primary("0", "-", "-"), None);
        assert_eq!(primary("0", "0", "-"), None);
        assert_eq!(primary("0", "60", "-"), Some(window(0.0, Some(60), None)));
        assert_eq!(primary("0", "-", "9"), Some(window(0.0, None, Some(9))));
        assert_eq!(primary("5", "x", "99999999999999999999"), Some(window(5.0, None, None)));
        for odd in ["inf", "NaN", "", "x", "1e999", "é"] {
            assert_eq!(primary(odd, "60", "9"), None, "{odd}");
        }
    }

    #[test]
    fn credits_need_both_flags_and_belong_to_all() {
        let all = headers(&[
            ("x-codex-credits-has-credits", "TRUE"),
            ("x-codex-credits-unlimited", " 0 "),
            ("x-codex-credits-balance", " 17.5 "),
            ("x-other-primary-used-percent", "0"),
        ]);
        let limits = RateLimitSnapshot::from_headers(&all);
        assert_eq!(ids(&limits), ["codex", "other"]);
        let credits = Credits { balance: Some("17.5".into()), ..Credits::new(true, false) };
        assert!(limits.iter().all(|limit| limit.credits.as_ref() == Some(&credits)));
        for (has, unlimited) in [("yes", "0"), ("1", "no")] {
            let all = headers(&[
                ("x-codex-credits-has-credits", has),
                ("x-codex-credits-unlimited", unlimited),
            ]);
            assert_eq!(RateLimitSnapshot::from_headers(&all), []);
        }
    }

    #[test]
    fn the_limit_that_was_reached() {
        let named = headers(&[
            ("x-codex-active-limit", " Codex-Other "),
            ("x-codex-other-limit-name", "codex_other"),
            ("x-codex-other-primary-used-percent", "100"),
            ("x-codex-rate-limit-reached-type", "workspace_owner_credits_depleted"),
            ("x-codex-promo-message", " Buy more "),
        ]);
        let limit = RateLimitSnapshot::reached(&named).unwrap();
        assert_eq!(limit.limit_id.as_deref(), Some("codex_other"));
        assert_eq!(limit.limit_name.as_deref(), Some("codex_other"));
        assert_eq!(limit.primary, Some(window(100.0, None, None)));
        assert_eq!(
            limit.rate_limit_reached_type,
            Some(RateLimitReachedType::WorkspaceOwnerCreditsDepleted)
        );
        assert_eq!(RateLimitSnapshot::promo_message(&named), Some("Buy more"));
        let unnamed = headers(&[("x-codex-active-limit", "codex_other")]);
        assert_eq!(RateLimitSnapshot::reached(&unnamed).unwrap().limit_name, None);
        let codex = headers(&[("x-codex-primary-used-percent", "100")]);
        assert_eq!(RateLimitSnapshot::reached(&codex).unwrap().limit_id.as_deref(), Some("codex"));
    }

    #[test]
    fn snapshots_are_written_without_what_they_lack() {
        let mut limit = RateLimitSnapshot::new("codex");
        limit.primary = Some(window(12.5, Some(60), None));
        limit.plan_type = Some("future".into());
        let value = serde_json::to_value(&limit).unwrap();
        assert_eq!(
            value,
            json!({
                "limit_id": "codex",
                "primary": {"used_percent": 12.5, "window_minutes": 60},
                "plan_type": "future"
            })
        );
        assert_eq!(serde_json::from_value::<RateLimitSnapshot>(value).unwrap(), limit);
    }
}
