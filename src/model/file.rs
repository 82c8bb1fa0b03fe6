//! The files of the public API.

use super::macros::wire_struct;

wire_struct! {
    /// A file that the API keeps.
    pub struct FileObject {
        /// Its id.
        required id: String,
        /// How many bytes it has.
        lenient bytes: Option<u64>,
        /// When it was made, in seconds since the Unix epoch.
        lenient created_at: Option<u64>,
        /// When it will be gone, in seconds since the Unix epoch.
        lenient expires_at: Option<u64>,
        /// Its name.
        lenient filename: Option<String>,
        /// What it is for, such as `user_data`.
        lenient purpose: Option<String>,
        /// What has become of it, such as `processed`.
        lenient status: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A list is not lost for what is said of one file.
    #[test]
    fn a_bad_word_about_a_file_is_kept_aside() {
        let json = concat!(
            r#"{"data":[{"id":"a","bytes":"5","created_at":1.5,"filename":null,"status":{}},"#,
            r#"{"id":"b","bytes":5}],"has_more":false}"#
        );
        let files: FileList = serde_json::from_str(json).unwrap();
        assert_eq!((files.data[0].bytes, files.data[1].bytes), (None, Some(5)));
        assert_eq!(files.data[0].extra.get("bytes").map(|raw| raw.as_str()), Some("\"5\""));
        assert!(serde_json::from_str::<FileList>(r#"{"data":[{"bytes":5}]}"#).is_err());
    }
}
