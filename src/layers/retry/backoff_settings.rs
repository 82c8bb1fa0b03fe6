//! The settings of a backoff, in whatever lives in a configuration file.

/// A struct of settings with, behind its own fields, those of its backoff.
///
/// A macro, because `serde(flatten)` cannot refuse keys that are not known.
macro_rules! with_backoff_settings {
    ($(#[$meta:meta])* pub struct $Settings:ident { $($fields:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $Settings {
            $($fields)*
            /// The first delay of the backoff, in milliseconds.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub base_ms: Option<u64>,
            /// The longest delay of the backoff, in milliseconds.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub cap_ms: Option<u64>,
            /// [`ExponentialBackoff::factor`](crate::layers::retry::ExponentialBackoff::factor).
            #[serde(skip_serializing_if = "Option::is_none")]
            pub factor: Option<f64>,
            /// [`ExponentialBackoff::jitter`](crate::layers::retry::ExponentialBackoff::jitter): the
            /// lowest and the highest multiple.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub jitter: Option<(f64, f64)>,
        }

        impl $Settings {
            /// The waits, if they differ from `usual`.
            fn schedule(
                &self,
                usual: $crate::layers::retry::ExponentialBackoff,
            ) -> Result<Option<$crate::layers::retry::Schedule>, $crate::Error> {
                let changed = usual.changed(self.base_ms, self.cap_ms, self.factor, self.jitter)?;
                Ok(changed.map($crate::layers::retry::Schedule::Exponential))
            }
        }
    };
}

pub(in crate::layers) use with_backoff_settings;
