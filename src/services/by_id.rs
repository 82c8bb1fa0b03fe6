//! Requests that name a stored thing by its id.

/// Makes such a request of an id alone, however it is kept: `"resp_1".into()`, `(&response.id).into()`.
macro_rules! from_id {
    ($Request:ident) => {
        impl<T: AsRef<str>> From<T> for $Request {
            fn from(id: T) -> Self {
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
            pub fn new(id: impl AsRef<str>) -> Self {
                Self { id: id.as_ref().to_owned(), options: Default::default() }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::Conversation;
    use crate::services::{CancelResponseRequest, ListItemsRequest, ResponsesRequest};

    #[test]
    fn ids_go_in_as_they_came() {
        let id: Arc<str> = "resp_1".into();
        let owned = String::from("resp_1");
        let forms = [
            ResponsesRequest::new("m", "hi").previous_response_id(&id),
            ResponsesRequest::new("m", "hi").previous_response_id(Arc::clone(&id)),
            ResponsesRequest::new("m", "hi").previous_response_id(&owned),
            ResponsesRequest::new("m", "hi").previous_response_id(owned),
            ResponsesRequest::new("m", "hi").previous_response_id("resp_1"),
        ];
        for request in forms {
            let continued =
                request.payload().and_then(|request| request.previous_response_id.as_deref());
            assert_eq!(continued, Some("resp_1"));
        }
        let named = CancelResponseRequest::new("resp_1");
        assert_eq!(format!("{:?}", CancelResponseRequest::from(&id)), format!("{named:?}"));
        assert_eq!(ListItemsRequest::new(&id).after(&id).options_ref().session_id, None);
        assert_eq!(Conversation::from(&id).id(), "resp_1");
    }
}
