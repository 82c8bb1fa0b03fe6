//! Requests that name a stored thing by its id.

/// Makes such a request of an id alone: `"resp_1".into()`.
macro_rules! from_id {
    ($Request:ident) => {
        impl From<&str> for $Request {
            fn from(id: &str) -> Self {
                Self::new(id)
            }
        }

        impl From<String> for $Request {
            fn from(id: String) -> Self {
                Self::new(id)
            }
        }
    };
}

/// Makes a request that says the id and nothing else.
macro_rules! id_request {
    ($(#[$meta:meta])* pub struct $Request:ident($what:literal);) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[must_use]
        pub struct $Request {
            id: String,
            options: $crate::services::ResponsesOptions,
        }

        impl $Request {
            #[doc = concat!("Names the ", $what, " by its id.")]
            pub fn new(id: impl Into<String>) -> Self {
                Self { id: id.into(), options: Default::default() }
            }

            $crate::services::options::call_options!();
        }

        $crate::services::by_id::from_id!($Request);
    };
}

/// Lets a request ask for data that is left out by default.
macro_rules! includes {
    () => {
        /// Asks for data that is left out by default.
        pub fn include(mut self, include: impl Into<$crate::model::Include>) -> Self {
            self.include.push(include.into());
            self
        }
    };
}

pub(super) use {from_id, id_request, includes};
