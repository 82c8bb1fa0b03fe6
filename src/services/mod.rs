//! Endpoints: each a [`tower::Service`] of its typed request, over any HTTP service.
//!
//! An endpoint is where the typed level and the HTTP level meet, and the only place: above it
//! layers see the typed request, below it an [`http::Request`] of a [`RequestBody`]. `X::layer()`
//! puts the endpoint into a [`ServiceBuilder`](tower::ServiceBuilder), `X::new(http)` wraps a
//! service directly. The request's URI is relative to the provider's base URL, which
//! [`ProviderLayer`](crate::layers::ProviderLayer) adds.
//!
//! | endpoint | request | what it sends | what it gives |
//! |---|---|---|---|
//! | [`Responses`] | [`ResponsesRequest`] | `POST responses` | a [`ResponseStream`] |
//! | [`CreateResponse`] | [`ResponsesRequest`] | `POST responses` | an [`ApiResponse`] |
//! | `ResponsesSocket` | `ResponsesSocketRequest` | a WebSocket handshake on `responses` (feature `ws`) | a `ResponsesConnection`: a service of [`ResponsesRequest`] |
//! | `Prefer` | [`ResponsesRequest`] | on a socket if there is one, else `POST responses` (feature `ws`) | a [`ResponseStream`] |
//! | [`RetrieveResponse`] | [`RetrieveResponseRequest`] | `GET responses/{id}` | an [`ApiResponse`] |
//! | [`RetrieveStream`] | [`RetrieveStreamRequest`] | `GET responses/{id}?stream=true` | a [`ResponseStream`] |
//! | [`CancelResponse`] | [`CancelResponseRequest`] | `POST responses/{id}/cancel` | an [`ApiResponse`] |
//! | [`DeleteResponse`] | [`DeleteResponseRequest`] | `DELETE responses/{id}` | an [`ApiResponse`] |
//! | [`ListInputItems`] | [`ListInputItemsRequest`] | `GET responses/{id}/input_items` | an [`ApiResponse`], or an [`ItemStream`] |
//! | [`CountInputTokens`] | [`CountInputTokensRequest`] | `POST responses/input_tokens` | an [`ApiResponse`] |
//! | [`Conversations`] and the endpoints it is made of | | `conversations` and below | |
//! | [`Compact`] | [`CompactRequest`] | `POST responses/compact` | an [`ApiResponse`] |
//! | `Files` | `UploadRequest` | uploads to the backend of a ChatGPT login, in three steps (feature `files`) | an [`ApiResponse`] |
//! | `CreateFile`, `ListFiles`, `RetrieveFile`, `FileContent`, `DeleteFile` | `CreateFileRequest` and so on | `POST`, `GET` and `DELETE` on `files` of the public API (feature `files`) | an [`ApiResponse`] |
//! | [`Images`] | [`ImagesRequest`] | `POST images/generations`, `POST images/edits` | an [`ApiResponse`] |
//! | [`ImagesStream`] | [`ImagesRequest`] | the same, streamed | an [`EventStream`](crate::sse::EventStream) |
//! | [`Memories`] | [`MemoriesRequest`] | `POST memories/trace_summarize` | an [`ApiResponse`] |
//! | [`Models`] | [`ModelsRequest`] | `GET models?client_version=…` | an [`ApiResponse`] |
//! | [`ListModels`] | [`ListModelsRequest`] | `GET models` | an [`ApiResponse`] |
//! | [`RetrieveModel`] | [`RetrieveModelRequest`] | `GET models/{id}` | an [`ApiResponse`] |
//! | [`Search`] | [`SearchRequest`] | `POST alpha/search` | an [`ApiResponse`] |
//! | `Realtime` | `RealtimeRequest` | `GET realtime`, upgraded to a WebSocket (feature `ws`) | the two ends of a conversation |
//! | [`RealtimeCall`] | [`RealtimeCallRequest`] | `POST realtime/calls` | an [`ApiResponse`] |
//!
//! All requests have the same [options](ResponsesOptions). An endpoint that does not stream reads its
//! answer whole, up to a cap of bytes, and gives it as an [`ApiResponse`]: the value, and the head it
//! came under. Layers below hear of it through
//! [`StreamObserver::on_answer`](crate::sse::StreamObserver::on_answer).
//!
//! [`ResponseStream`]: crate::sse::ResponseStream
//! [`RequestBody`]: crate::RequestBody

mod boxed;
mod by_id;
mod collect;
pub mod compact;
pub mod conversations;
mod encode;
mod endpoint;
#[cfg(feature = "files")]
pub mod files;
pub mod images;
pub mod memories;
mod meta;
pub mod models;
mod multipart;
mod once;
mod options;
mod pages;
#[cfg(feature = "ws")]
pub mod prefer;
#[cfg(feature = "files")]
pub mod public_files;
#[cfg(feature = "ws")]
pub mod realtime;
pub mod realtime_call;
mod request;
mod response;
pub mod responses;
#[cfg(feature = "ws")]
pub mod responses_socket;
pub mod search;
mod stream;
mod unary;

use bytes::Bytes;
use http_body::Body;
use tower::Service;

use crate::BoxError;

pub use self::boxed::{BoxHttpService, BoxHttpServiceLayer, BoxableHttpService};
#[cfg(feature = "ws")]
pub(crate) use self::collect::Refusal;
pub use self::compact::{Compact, CompactLayer, CompactRequest};
pub use self::conversations::{
    Conversations, CreateConversation, CreateConversationLayer, CreateConversationRequest,
    CreateItems, CreateItemsLayer, CreateItemsRequest, DeleteConversation, DeleteConversationLayer,
    DeleteConversationRequest, DeleteItem, DeleteItemLayer, DeleteItemRequest, ItemsOf, ListItems,
    ListItemsLayer, ListItemsRequest, RetrieveConversation, RetrieveConversationLayer,
    RetrieveConversationRequest, RetrieveItem, RetrieveItemLayer, RetrieveItemRequest,
    UpdateConversation, UpdateConversationLayer, UpdateConversationRequest,
};
#[cfg(feature = "files")]
pub use self::files::{
    Files, FilesLayer, UploadNotReady, UploadProgress, UploadRequest, UploadSource, UploadedFile,
};
pub use self::images::{Images, ImagesLayer, ImagesRequest, ImagesStream, ImagesStreamLayer};
pub use self::memories::{Memories, MemoriesLayer, MemoriesRequest};
pub use self::meta::ResponseMeta;
pub use self::models::{
    ListModels, ListModelsLayer, ListModelsRequest, Models, ModelsAnswer, ModelsLayer,
    ModelsRequest, RetrieveModel, RetrieveModelLayer, RetrieveModelRequest,
};
pub use self::multipart::FormFile;
pub use self::once::{CallOnce, UnaryCall};
pub(crate) use self::options::TURN_STATE;
pub use self::options::{
    Compression, ResponsesOptions, SessionHeaders, SessionSource, SubAgentSource, TurnState,
};
pub use self::pages::ItemStream;
#[cfg(feature = "ws")]
pub use self::prefer::{
    Prefer, PreferCall, PreferFuture, PreferHandle, PreferPolicy, PreferSource, Preference,
};
#[cfg(feature = "files")]
pub use self::public_files::{
    CreateFile, CreateFileLayer, CreateFileRequest, DeleteFile, DeleteFileLayer, DeleteFileRequest,
    FileBytes, FileContent, FileContentLayer, FileContentRequest, ListFiles, ListFilesLayer,
    ListFilesRequest, RetrieveFile, RetrieveFileLayer, RetrieveFileRequest,
};
#[cfg(feature = "ws")]
pub use self::realtime::{
    OpenRealtime, Realtime, RealtimeConnected, RealtimeEvents, RealtimeFuture, RealtimeLayer,
    RealtimeReconnect, RealtimeReconnecting, RealtimeRequest, RealtimeSending, RealtimeWriter,
};
pub use self::realtime_call::{
    RealtimeCall, RealtimeCallAnswer, RealtimeCallLayer, RealtimeCallRequest, SessionForm,
};
pub use self::request::ResponsesRequest;
pub use self::response::ApiResponse;
pub use self::responses::cancel::{CancelResponse, CancelResponseLayer, CancelResponseRequest};
pub use self::responses::create::{CreateResponse, CreateResponseLayer};
pub use self::responses::delete::{DeleteResponse, DeleteResponseLayer, DeleteResponseRequest};
pub use self::responses::input_items::{
    ListInputItems, ListInputItemsLayer, ListInputItemsRequest,
};
pub use self::responses::input_tokens::{
    CountInputTokens, CountInputTokensLayer, CountInputTokensRequest,
};
pub use self::responses::retrieve::{
    RetrieveResponse, RetrieveResponseLayer, RetrieveResponseRequest,
};
pub use self::responses::retrieve_stream::{
    RetrieveStream, RetrieveStreamLayer, RetrieveStreamRequest,
};
pub use self::responses::{Responses, ResponsesLayer};
#[cfg(feature = "ws")]
pub use self::responses_socket::{
    ConnectCall, ConnectFuture, Drive, Driven, Inline, LaneName, PendingSteer, Reconnecting,
    ReconnectingFuture, ResponsesConnection, ResponsesSocket, ResponsesSocketLayer,
    ResponsesSocketRequest, ResponsesSocketSettings, SocketCall, SocketSource, SteerAnswer,
    SteerCall,
};
pub use self::search::{Search, SearchLayer, SearchRequest};
pub use self::stream::{OpenStream, ResponsesFuture, StreamCall, StreamFuture, StreamRequest};
#[cfg(feature = "client")]
pub(crate) use self::unary::PresetSettings;
pub use self::unary::UnaryFuture;

/// Any HTTP service an endpoint can stand on: an alias for
/// `Service<http::Request<B>, Response = http::Response<RB>>` with boxable errors.
///
/// Implemented for every such service; it cannot be implemented by hand. Its methods are those of
/// [`Service`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP service of `http::Request<{B}>`",
    label = "not a `tower::Service<http::Request<{B}>>` with an `http::Response` as its response",
    note = "endpoints and layers stand on a `tower::Service<http::Request<RequestBody>, Response = \
            http::Response<RB>>` with `RB: http_body::Body<Data = Bytes>` and errors that are \
            `Into<BoxError>`",
    note = "`examples/reqwest_transport.rs` makes such a service of another client"
)]
pub trait HttpService<B>:
    sealed::Sealed<B>
    + Service<
        http::Request<B>,
        Response = http::Response<<Self as HttpService<B>>::ResponseBody>,
        Error: Into<BoxError>,
    >
{
    /// The body of its responses.
    type ResponseBody: Body<Data = Bytes, Error: Into<BoxError>>;
}

#[diagnostic::do_not_recommend]
impl<S, B, RB> HttpService<B> for S
where
    S: Service<http::Request<B>, Response = http::Response<RB>>,
    S::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
    RB::Error: Into<BoxError>,
{
    type ResponseBody = RB;
}

mod sealed {
    pub trait Sealed<B> {}

    #[diagnostic::do_not_recommend]
    impl<S, B, RB> Sealed<B> for S where
        S: tower::Service<http::Request<B>, Response = http::Response<RB>>
    {
    }
}
