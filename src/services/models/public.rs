//! The models of the public API: all of them, and one.

use http::Method;

use crate::model::{Model, ModelList};
use crate::services::encode::{Outgoing, Target};
use crate::services::endpoint::unary_endpoint;
use crate::services::options::{ResponsesOptions, call_options};
use crate::services::unary::{UnaryRequest, UnarySettings, json_answer};
use crate::services::{ApiResponse, CallOnce, HttpService, UnaryCall};
use crate::{Error, RequestBody};

/// A request for the list of models.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ListModelsRequest {
    options: ResponsesOptions,
}

impl ListModelsRequest {
    /// Asks for all models.
    pub fn new() -> Self {
        Self::default()
    }

    call_options!();
}

impl UnaryRequest for ListModelsRequest {
    const ENDPOINT: &'static str = "list_models";
    type Answer = ModelList;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        Ok((Outgoing::new(Method::GET, Target::of("/models"))?, self.options))
    }
}

json_answer!(ModelList);

unary_endpoint! {
    /// Turns an HTTP service into [`ListModels`].
    pub struct ListModelsLayer;
    /// The endpoint `GET models` of the public API over an HTTP service; see the
    /// [module](crate::services::models).
    ///
    /// ```
    /// # use http_body_util::Full;
    /// # use tower_openai::RequestBody;
    /// use tower_openai::services::ListModels;
    ///
    /// # tokio_test::block_on(async {
    /// # let http = tower::service_fn(|_: http::Request<RequestBody>| async {
    /// #     Ok::<_, std::convert::Infallible>(http::Response::new(Full::from(r#"{"data":[{"id":"gpt-5.2"}]}"#)))
    /// # });
    /// let models = ListModels::new(http).list().await?;
    /// assert_eq!(models[0].id, "gpt-5.2");
    /// # Ok::<_, tower_openai::Error>(()) }).unwrap();
    /// ```
    pub struct ListModels: ListModelsRequest => ModelList;
}

impl<S> ListModels<S> {
    /// All models.
    ///
    /// For the head of the answer, or for options, [`send`](Self::send) a [`ListModelsRequest`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) has them.
    pub fn list(
        &self,
    ) -> UnaryCall<Self, ListModelsRequest, S::Future, S::ResponseBody, ModelList, Vec<Model>>
    where
        S: HttpService<RequestBody> + Clone,
    {
        let request = ListModelsRequest::new();
        CallOnce::mapped(self.clone(), request, |answer| answer.into_value().data)
    }
}

/// A request for what there is to say of one model.
#[derive(Clone, Debug)]
#[must_use]
pub struct RetrieveModelRequest {
    id: String,
    options: ResponsesOptions,
}

impl RetrieveModelRequest {
    /// Asks for the model of this id. An empty one is an error when the request is sent.
    pub fn new(id: impl AsRef<str>) -> Self {
        Self { id: id.as_ref().to_owned(), options: ResponsesOptions::default() }
    }

    call_options!();
}

impl UnaryRequest for RetrieveModelRequest {
    const ENDPOINT: &'static str = "retrieve_model";
    type Answer = Model;

    fn write(self, _: &UnarySettings) -> Result<(Outgoing, ResponsesOptions), Error> {
        let target = Target::of("/models").segment("the model's id", &self.id)?;
        Ok((Outgoing::new(Method::GET, target)?, self.options))
    }
}

json_answer!(Model);

unary_endpoint! {
    /// Turns an HTTP service into [`RetrieveModel`].
    pub struct RetrieveModelLayer;
    /// The endpoint `GET models/{id}` of the public API over an HTTP service; see the
    /// [module](crate::services::models).
    ///
    /// ```
    /// # use http_body_util::Full;
    /// # use tower_openai::RequestBody;
    /// use tower_openai::services::RetrieveModel;
    ///
    /// # tokio_test::block_on(async {
    /// # let http = tower::service_fn(|_: http::Request<RequestBody>| async {
    /// #     Ok::<_, std::convert::Infallible>(http::Response::new(Full::from(r#"{"id":"gpt-5.2","owned_by":"openai"}"#)))
    /// # });
    /// let model = RetrieveModel::new(http).retrieve("gpt-5.2").await?;
    /// assert_eq!(model.owned_by.as_deref(), Some("openai"));
    /// # Ok::<_, tower_openai::Error>(()) }).unwrap();
    /// ```
    pub struct RetrieveModel: RetrieveModelRequest => Model;
}

impl<S> RetrieveModel<S> {
    /// What there is to say of the model of this id.
    ///
    /// For the head of the answer, or for options, [`send`](Self::send) a [`RetrieveModelRequest`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) has them.
    pub fn retrieve(
        &self,
        id: impl AsRef<str>,
    ) -> UnaryCall<Self, RetrieveModelRequest, S::Future, S::ResponseBody, Model, Model>
    where
        S: HttpService<RequestBody> + Clone,
    {
        let request = RetrieveModelRequest::new(id);
        CallOnce::mapped(self.clone(), request, ApiResponse::into_value)
    }
}
