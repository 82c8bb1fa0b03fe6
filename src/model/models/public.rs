//! The public list of models.

use serde_json::Number;

use crate::model::Extra;
use crate::model::macros::wire_struct;

wire_struct! {
    /// What `GET models` of the public API gives.
    pub struct ModelList {
        /// `list`.
        lenient object: Option<Box<str>>,
        /// The models, in the order of the server.
        required data: Vec<Model>,
    }
}

wire_struct! {
    /// What the public API says of one model. Servers that are like it often say only the id.
    pub struct Model {
        /// The name that a request gives.
        required id: String,
        /// When it was made, in seconds since 1970.
        lenient created: Option<Number>,
        /// `model`.
        lenient object: Option<Box<str>>,
        /// Whose it is.
        lenient owned_by: Option<String>,
        /// When it will be gone.
        lenient shutdown_date: Option<String>,
    }
}

impl Model {
    /// A model of this id.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            created: None,
            object: None,
            owned_by: None,
            shutdown_date: None,
            extra: Extra::new(),
        }
    }
}
