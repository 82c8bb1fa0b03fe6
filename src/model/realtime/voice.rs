//! What a session sounds like.

use crate::model::macros::open_enum;

open_enum! {
    /// A voice of the model.
    ///
    /// The two versions of Codex sessions have a set each; the public API has those of
    /// [`V2`](Self::V2).
    pub enum Voice {
        /// Of version 1.
        Juniper = "juniper",
        /// Of version 1.
        Maple = "maple",
        /// Of version 1.
        Spruce = "spruce",
        /// Of version 1.
        Ember = "ember",
        /// Of version 1.
        Vale = "vale",
        /// Of version 1.
        Breeze = "breeze",
        /// Of version 1.
        Arbor = "arbor",
        /// Of version 1.
        Sol = "sol",
        /// Of version 1, and its default.
        Cove = "cove",
        /// Of version 2.
        Alloy = "alloy",
        /// Of version 2.
        Ash = "ash",
        /// Of version 2.
        Ballad = "ballad",
        /// Of version 2.
        Coral = "coral",
        /// Of version 2.
        Echo = "echo",
        /// Of version 2.
        Sage = "sage",
        /// Of version 2.
        Shimmer = "shimmer",
        /// Of version 2.
        Verse = "verse",
        /// Of version 2, and its default.
        Marin = "marin",
        /// Of version 2.
        Cedar = "cedar",
    }
}

impl Voice {
    /// The voices of Codex sessions of version 1.
    pub const V1: [Self; 9] = [
        Self::Juniper,
        Self::Maple,
        Self::Spruce,
        Self::Ember,
        Self::Vale,
        Self::Breeze,
        Self::Arbor,
        Self::Sol,
        Self::Cove,
    ];
    /// The voices of Codex sessions of version 2, and of the public API.
    pub const V2: [Self; 10] = [
        Self::Alloy,
        Self::Ash,
        Self::Ballad,
        Self::Coral,
        Self::Echo,
        Self::Sage,
        Self::Shimmer,
        Self::Verse,
        Self::Marin,
        Self::Cedar,
    ];
    /// The voice of version 1 unless another is asked for.
    pub const DEFAULT_V1: Self = Self::Cove;
    /// The voice of version 2 unless another is asked for.
    pub const DEFAULT_V2: Self = Self::Marin;
}

open_enum! {
    /// What the model answers with.
    pub enum OutputModality {
        /// Text.
        Text = "text",
        /// Audio, with a transcript beside it.
        Audio = "audio",
    }
}
