//! The files of the public API.

use super::macros::wire_struct;

wire_struct! {
    /// A file that the API keeps.
    pub struct FileObject {
        /// Its id.
        required id: String,
        /// How many bytes it has.
        optional bytes: Option<u64>,
        /// When it was made, in seconds since the Unix epoch.
        optional created_at: Option<u64>,
        /// When it will be gone, in seconds since the Unix epoch.
        optional expires_at: Option<u64>,
        /// Its name.
        optional filename: Option<String>,
        /// What it is for, such as `user_data`.
        optional purpose: Option<String>,
        /// What has become of it, such as `processed`.
        optional status: Option<String>,
    }
}

wire_struct! {
    /// A page of the files that the API keeps.
    pub struct FileList {
        /// The files.
        required data: Vec<FileObject>,
        /// The id of the first one.
        optional first_id: Option<String>,
        /// The id of the last one: the page after this one is the one after it.
        optional last_id: Option<String>,
        /// Whether there are more.
        optional has_more: bool,
    }
}

wire_struct! {
    /// A file that is no more.
    pub struct DeletedFile {
        /// Its id.
        required id: String,
        /// Whether it is gone.
        required deleted: bool,
    }
}
