//! `GET models`, of the Codex backend by [`Models`], of the public API by [`ListModels`].
//!
//! Two APIs share the path, and their answers have nothing in common, so each has an endpoint of its
//! own: [`Models`] gives the catalogue of the Codex backend, [`ListModels`] and [`RetrieveModel`]
//! give what the public API says. With a key of OpenAI's take the latter two. Each is a [`Service`](tower::Service) over any HTTP service and
//! stands above `ProviderLayer` in a stack, as [`Responses`](super::Responses) does.
//!
//! ```
//! use tower::service_fn;
//! use tower_openai::RequestBody;
//! use tower_openai::services::{Models, ModelsAnswer, ModelsRequest};
//!
//! # tokio_test::block_on(async {
//! // Any HTTP service can stand below; this one answers by itself, and never anything new.
//! let http = service_fn(|request: http::Request<RequestBody>| async move {
//!     assert_eq!(request.uri(), "/models?client_version=1.2.3");
//!     let mut response = http::Response::builder().header("etag", r#"W/"7""#);
//!     if request.headers().get("if-none-match").is_some_and(|known| known == r#"W/"7""#) {
//!         response = response.status(304);
//!     }
//!     response.body(http_body_util::Full::from(r#"{"models":[]}"#))
//! });
//!
//! let models = Models::new(http);
//! let answer = models.send(ModelsRequest::new("1.2.3")).await?;
//! let ModelsAnswer::Catalog { etag: Some(etag), .. } = answer.into_value() else { panic!() };
//!
//! let answer = models.send(ModelsRequest::new("1.2.3").if_none_match(etag)).await?;
//! assert!(matches!(answer.value(), ModelsAnswer::NotModified { .. }));
//! # Ok::<_, tower_openai::Error>(()) }).unwrap();
//! ```
//!
//! # Keeping the catalogue
//!
//! Nothing is kept here. Clients of the Codex backend keep the catalogue in memory and in a file, and
//! agree on this:
//!
//! - The file is `{"fetched_at": …, "etag": …, "client_version": …, "models": […]}`. It holds for the
//!   same `client_version` only, and for less than 300 s after `fetched_at`.
//! - Every stream of `Responses` may say which catalogue the server has, by the event
//!   [`ModelsEtag`](crate::model::ResponseEvent::ModelsEtag). If that is the ETag that is kept, the
//!   300 s begin anew; if it is another, the catalogue is fetched.
//! - The ETag is the server's text and is compared as a whole, quotes and `W/` included.
//! - Clients wait 5 s for the catalogue ([`StreamTimeouts::total`]) and then go on with the old one.
//!
//! [`ModelsRequest::if_none_match`] goes beyond it: a server that knows conditional requests answers
//! with the head alone, [`ModelsAnswer::NotModified`], if the catalogue is the one that is kept; any
//! other sends the whole.
//!
//! # Errors
//!
//! An answer that is not a success is an [`Error`], found from status, body and headers as for
//! `Responses`. One entry of the catalogue that cannot be read is no error: it is kept beside the
//! others ([`ModelsResponse::unreadable`]). An answer may have 16 MiB.
//!
//! [`StreamTimeouts::total`]: crate::extensions::StreamTimeouts::total
//! [`Error`]: crate::Error

mod public;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

pub use self::public::{
    ListModels, ListModelsLayer, ListModelsRequest, RetrieveModel, RetrieveModelLayer,
    RetrieveModelRequest,
};

use super::encode::{Outgoing, Target};
use super::endpoint::unary_endpoint;
use super::options::{ResponsesOptions, call_options};
use super::unary::{Answer, UnaryRequest, UnarySettings};
use super::{ApiResponse, CallOnce, HttpService, ResponseMeta, UnaryCall};
use crate::error::{self, Unreadable};
use crate::model::{ModelInfo, ModelsResponse};
use crate::{Error, RequestBody};

/// A request for the catalogue of models.
#[derive(Clone, Debug)]
#[must_use]
pub struct ModelsRequest {
    client_version: String,
    options: ResponsesOptions,
}

impl ModelsRequest {
    /// Asks as a client of this version, as `major.minor.patch`: the server leaves models out that
    /// need a newer client. An empty version is an error when the request is sent.
    pub fn new(client_version: impl Into<String>) -> Self {
        Self { client_version: client_version.into(), options: ResponsesOptions::default() }
    }

    /// Asks for the catalogue only if it is not the one of this ETag, which an earlier
    /// [answer](ModelsAnswer) or a [stream](crate::model::ResponseEvent::ModelsEtag) told.
    ///
    /// An ETag that no header can hold is an error when the request is sent.
    pub fn if_none_match(mut self, etag: impl AsRef<str>) -> Self {
        match HeaderValue::from_str(etag.as_ref()) {
            Ok(etag) => drop(self.options.extra_headers.insert(header::IF_NONE_MATCH, etag)),
            Err(_) => self.options.fail("the ETag has characters that a header may not have"),
        }
        self
    }

    call_options!();
}

impl UnaryRequest for ModelsRequest {
    const ENDPOINT: &'static str = "models";
    type Answer = ModelsAnswer;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        if self.client_version.is_empty() {
            return Err(Error::build("the client version is empty: give one, such as `1.2.3`"));
        }
        let target = Target::of("/models").query("client_version", self.client_version);
        Ok((Outgoing::new(Method::GET, target)?, self.options))
    }
}

/// What a request for the catalogue gives. A conditional request has no third outcome, so there will
/// be no other variant.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelsAnswer {
    /// The catalogue.
    Catalog {
        /// The models.
        models: ModelsResponse,
        /// What the server calls this catalogue, as it came.
        etag: Option<String>,
    },
    /// The catalogue is still the one of the ETag that was [sent](ModelsRequest::if_none_match).
    NotModified {
        /// What the server calls it; `None` if it did not say so again.
        etag: Option<String>,
    },
}

impl Answer for ModelsAnswer {
    fn is_expected(status: StatusCode) -> bool {
        status.is_success() || status == StatusCode::NOT_MODIFIED
    }

    fn read(head: &ResponseMeta, body: &Bytes) -> Result<Self, Unreadable> {
        let etag = head.headers().get(header::ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        if head.status() == StatusCode::NOT_MODIFIED {
            return Ok(Self::NotModified { etag });
        }
        Ok(Self::Catalog { models: serde_json::from_slice(body)?, etag })
    }
}

unary_endpoint! {
    /// Turns an HTTP service into [`Models`].
    pub struct ModelsLayer;
    /// The endpoint `GET models` of the Codex backend over an HTTP service; see the [module](self). The
    /// public API's is [`ListModels`].
    pub struct Models: ModelsRequest => ModelsAnswer;
}

/// The models, and what the server calls this list of them.
pub type ModelsAndEtag = (Vec<ModelInfo>, Option<String>);

impl<S> Models<S> {
    /// The models that a client of this version may use, and the ETag of the catalogue.
    ///
    /// `extra_headers` go with this call. Entries that cannot be read are left out; for those, for
    /// the head of the answer, for options, or to ask for what is new only, [`send`](Self::send) a
    /// [`ModelsRequest`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) has them, and the answer that nothing has changed: this call did not
    /// ask for that.
    pub fn list_models(
        &self,
        client_version: &str,
        extra_headers: HeaderMap,
    ) -> UnaryCall<Self, ModelsRequest, S::Future, S::ResponseBody, ModelsAnswer, ModelsAndEtag>
    where
        S: HttpService<RequestBody> + Clone,
    {
        let options = ResponsesOptions::with_headers(extra_headers);
        let request = ModelsRequest { client_version: client_version.to_owned(), options };
        CallOnce::checked(self.clone(), request, catalog)
    }
}

/// The catalogue of an answer to a request without conditions.
fn catalog(answer: ApiResponse<ModelsAnswer>) -> Result<ModelsAndEtag, Error> {
    let (answer, meta) = answer.into_parts();
    match answer {
        ModelsAnswer::Catalog { models, etag } => Ok((models.models, etag)),
        ModelsAnswer::NotModified { .. } => Err(error::unasked(
            ModelsRequest::ENDPOINT,
            meta.status(),
            meta.headers(),
            "is that nothing has changed, but this call has nothing to compare with: send a \
             `ModelsRequest`, whose answer can say so",
        )
        .with_attempts(meta.extensions().get())
        .without_sent(meta.extensions())),
    }
}
