//! The endpoints of the preset that do not stream, in one table.

/// Hands the table to the macro `$then`: what is called, its service, and how long its stack waits by
/// default (see [`Waits`](super::stack::Waits)).
macro_rules! endpoints {
    ($then:ident) => {
        $then! {
            /// The endpoint that makes conversations shorter: [`services::compact`](crate::services::compact).
            compact: Compact, GENERATION;
            /// The endpoint that keeps a file, of the public API: [`services::public_files`](crate::services::public_files).
            create_file: CreateFile, QUICK;
            /// The endpoint that deletes a file: [`services::public_files`](crate::services::public_files).
            delete_file: DeleteFile, QUICK;
            /// The endpoint that gives the bytes of a file: [`services::public_files`](crate::services::public_files).
            file_content: FileContent, QUICK;
            /// Uploads to the backend of a ChatGPT login, not to the public API, which has
            /// [`create_file`](Self::create_file): [`services::files`](crate::services::files).
            files: Files, QUICK;
            /// The endpoint that makes images: [`services::images`](crate::services::images).
            images: Images, GENERATION;
            /// The endpoint that lists files: [`services::public_files`](crate::services::public_files).
            list_files: ListFiles, QUICK;
            /// The endpoint that summarises sessions, of the Codex backend: [`services::memories`](crate::services::memories).
            memories: Memories, GENERATION;
            /// The endpoint that answers WebRTC offers: [`services::realtime_call`](crate::services::realtime_call).
            realtime_call: RealtimeCall, QUICK;
            /// The endpoint that looks at a file: [`services::public_files`](crate::services::public_files).
            retrieve_file: RetrieveFile, QUICK;
            /// The Responses endpoint without a stream:
            /// [`responses::create`](crate::services::responses::create).
            #[doc(alias = "chat")]
            #[doc(alias = "completions")]
            create_response: CreateResponse, GENERATION;
            /// The endpoint that looks up a stored response:
            /// [`responses::retrieve`](crate::services::responses::retrieve).
            retrieve_response: RetrieveResponse, QUICK;
            /// The endpoint that stops a response in the background:
            /// [`responses::cancel`](crate::services::responses::cancel).
            cancel_response: CancelResponse, QUICK;
            /// The endpoint that forgets a stored response:
            /// [`responses::delete`](crate::services::responses::delete).
            delete_response: DeleteResponse, QUICK;
            /// The endpoint that lists what a stored response was made from:
            /// [`responses::input_items`](crate::services::responses::input_items).
            list_input_items: ListInputItems, QUICK;
            /// The endpoint that counts the tokens of an input:
            /// [`responses::input_tokens`](crate::services::responses::input_tokens).
            count_input_tokens: CountInputTokens, QUICK;
            /// Conversations that the server keeps: [`services::conversations`](crate::services::conversations).
            conversations: Conversations, QUICK;
            /// The catalogue of models of the Codex backend, not of the public API, which has
            /// [`list_models`](Self::list_models): [`services::models`](crate::services::models).
            models: Models, QUICK;
            /// The endpoint that lists models, of the public API:
            /// [`services::models`](crate::services::models).
            list_models: ListModels, QUICK;
            /// The endpoint that looks up one model, of the public API:
            /// [`services::models`](crate::services::models).
            retrieve_model: RetrieveModel, QUICK;
            /// The endpoint that searches the web for a model, of the Codex backend: [`services::search`](crate::services::search).
            search: Search, GENERATION;
        }
    };
}

pub(super) use endpoints;
