//! The shells of endpoints: service, layer, settings, conveniences.
//!
//! What an endpoint sends and reads is in its own file; what it looks like from outside is made here,
//! so that all look alike.

/// What every endpoint has, whatever it answers: the layer, the service, the ways in and out.
///
/// Both structs have a field `settings`.
macro_rules! endpoint {
    (
        $Settings:ty;
        $(#[$layer_meta:meta])*
        pub struct $Layer:ident;
        $(#[$meta:meta])*
        pub struct $Service:ident;
    ) => {
        $(#[$layer_meta])*
        #[derive(Clone, Copy, Debug, Default)]
        #[must_use]
        pub struct $Layer {
            settings: $Settings,
        }

        impl<S> tower::Layer<S> for $Layer {
            type Service = $Service<S>;

            fn layer(&self, inner: S) -> $Service<S> {
                $Service { inner, settings: self.settings }
            }
        }

        $(#[$meta])*
        ///
        /// `Clone` if the HTTP service is; a clone has to be made ready anew, like every service.
        #[derive(Clone, Debug)]
        pub struct $Service<S> {
            inner: S,
            settings: $Settings,
        }

        impl $Service<()> {
            /// The endpoint as a layer, for [`ServiceBuilder`](tower::ServiceBuilder).
            pub fn layer() -> $Layer {
                $Layer::default()
            }
        }

        impl<S> $Service<S> {
            /// The endpoint over `http`.
            pub fn new(http: S) -> Self {
                Self { inner: http, settings: Default::default() }
            }

            /// The service inside.
            pub fn get_ref(&self) -> &S {
                &self.inner
            }

            /// The service inside.
            pub fn get_mut(&mut self) -> &mut S {
                &mut self.inner
            }

            /// The service inside, unwrapped.
            pub fn into_inner(self) -> S {
                self.inner
            }
        }
    };
}

/// Makes an endpoint that does not stream of the request's
/// [`UnaryRequest`](super::unary::UnaryRequest).
///
/// The first struct is the layer, the second the service; both come with their own documentation.
macro_rules! unary_endpoint {
    (
        $(#[$layer_meta:meta])*
        pub struct $Layer:ident;
        $(#[$meta:meta])*
        pub struct $Service:ident: $Request:ident => $Answer:ty;
    ) => {
        $crate::services::endpoint::endpoint! {
            $crate::services::unary::UnarySettings;
            $(#[$layer_meta])*
            pub struct $Layer;
            $(#[$meta])*
            pub struct $Service;
        }

        impl $Layer {
            /// How long calls may wait, in place of what the layers say. Limits that are unset stay as
            /// they are. A request can have its own.
            pub fn timeouts(mut self, timeouts: $crate::extensions::StreamTimeouts) -> Self {
                self.settings.timeouts = timeouts.or(self.settings.timeouts);
                self
            }

            /// The most bytes that an answer may have; a longer one is
            /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge).
            pub fn body_limit(mut self, bytes: usize) -> Self {
                self.settings.body_limit = Some(bytes);
                self
            }
        }

        impl<S> $Service<S> {
            /// How long calls may wait, in place of what the layers say. Limits that are unset stay as
            /// they are. A request can have its own.
            #[must_use]
            pub fn timeouts(mut self, timeouts: $crate::extensions::StreamTimeouts) -> Self {
                self.settings.timeouts = timeouts.or(self.settings.timeouts);
                self
            }

            /// The most bytes that an answer may have; a longer one is
            /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge).
            #[must_use]
            pub fn body_limit(mut self, bytes: usize) -> Self {
                self.settings.body_limit = Some(bytes);
                self
            }

            /// As the preset has it.
            #[cfg(feature = "client")]
            #[allow(dead_code)] // Not every endpoint is one of its own there.
            pub(crate) fn sending(mut self, preset: $crate::services::PresetSettings) -> Self {
                self.settings.item_ids = preset.item_ids;
                self.settings.session_form = preset.session_form;
                self.settings.timeouts = preset.timeouts.or(self.settings.timeouts);
                self
            }

            /// As an endpoint has it that sends by several.
            #[allow(dead_code)] // Not every endpoint is sent by.
            pub(crate) fn sending_ids(mut self, item_ids: $crate::model::ItemIds) -> Self {
                self.settings.item_ids = item_ids;
                self
            }

            /// Sends one request, on a clone of the service that is made ready first.
            ///
            /// Dropping the future cancels the request.
            ///
            /// # Errors
            ///
            /// As [`Service::call`](tower::Service::call) has them: what could not be sent, what the
            /// server refused, an answer that cannot be read.
            pub fn send(
                &self,
                request: impl Into<$Request>,
            ) -> $crate::services::UnaryCall<Self, $Request, S::Future, S::ResponseBody, $Answer>
            where
                S: $crate::services::HttpService<$crate::RequestBody> + Clone,
            {
                $crate::services::CallOnce::new(self.clone(), request.into())
            }
        }

        impl<S> tower::Service<$Request> for $Service<S>
        where
            S: $crate::services::HttpService<$crate::RequestBody>,
        {
            type Response = $crate::services::ApiResponse<$Answer>;
            type Error = $crate::Error;
            type Future = $crate::services::UnaryFuture<S::Future, S::ResponseBody, $Answer>;

            fn poll_ready(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), $crate::Error>> {
                self.inner.poll_ready(cx).map_err(|error| $crate::Error::from(error.into()))
            }

            fn call(&mut self, request: $Request) -> Self::Future {
                $crate::services::unary::call(&mut self.inner, request, &self.settings)
            }
        }
    };
}

/// Makes an endpoint that streams of the request's
/// [`StreamingRequest`](super::stream::StreamingRequest).
///
/// The first struct is the layer, the second the service; both come with their own documentation. The
/// stream is named without its source, which is always that of server-sent events.
macro_rules! streaming_endpoint {
    (
        $(#[$layer_meta:meta])*
        pub struct $Layer:ident;
        $(#[$meta:meta])*
        pub struct $Service:ident: $Request:ident => $Stream:ident $(<$Event:ty>)?;
    ) => {
        $crate::services::endpoint::endpoint! {
            $crate::services::stream::StreamingSettings;
            $(#[$layer_meta])*
            pub struct $Layer;
            $(#[$meta])*
            pub struct $Service;
        }

        impl $Layer {
            /// How the streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they
            /// are.
            pub fn settings(mut self, settings: $crate::sse::StreamSettings) -> Self {
                self.settings.stream = settings.after(self.settings.stream);
                self
            }

            /// How long calls may wait, in place of what the layers say. Limits that are unset stay as
            /// they are. A request can have its own.
            pub fn timeouts(mut self, timeouts: $crate::extensions::StreamTimeouts) -> Self {
                let stream = &mut self.settings.stream;
                stream.timeouts = timeouts.or(stream.timeouts);
                self
            }
        }

        impl<S> $Service<S> {
            /// How the streams behave: limits, leniency, timeouts. Timeouts that are unset stay as they
            /// are.
            #[must_use]
            pub fn settings(mut self, settings: $crate::sse::StreamSettings) -> Self {
                self.settings.stream = settings.after(self.settings.stream);
                self
            }

            /// How long calls may wait, in place of what the layers say. Limits that are unset stay as
            /// they are. A request can have its own.
            #[must_use]
            pub fn timeouts(mut self, timeouts: $crate::extensions::StreamTimeouts) -> Self {
                let stream = &mut self.settings.stream;
                stream.timeouts = timeouts.or(stream.timeouts);
                self
            }

            /// Sends one request, on a clone of the service that is made ready first.
            ///
            /// Dropping the future or the stream cancels the request.
            ///
            /// # Errors
            ///
            /// As [`Service::call`](tower::Service::call) has them: what could not be sent, what the
            /// server refused.
            pub fn stream_request(
                &self,
                request: impl Into<$Request>,
            ) -> $crate::services::CallOnce<
                Self,
                $Request,
                <Self as tower::Service<$Request>>::Future,
                <Self as tower::Service<$Request>>::Response,
            >
            where
                S: $crate::services::HttpService<$crate::RequestBody> + Clone,
            {
                $crate::services::CallOnce::new(self.clone(), request.into())
            }
        }

        impl<S> tower::Service<$Request> for $Service<S>
        where
            S: $crate::services::HttpService<$crate::RequestBody>,
        {
            type Response = $Stream<$($Event,)? $crate::sse::SseSource<S::ResponseBody>>;
            type Error = $crate::Error;
            type Future = $crate::services::StreamFuture<
                S::Future,
                S::ResponseBody,
                $Stream<$($Event,)? $crate::sse::SseSource<S::ResponseBody>>,
            >;

            fn poll_ready(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), $crate::Error>> {
                self.inner.poll_ready(cx).map_err(|error| $crate::Error::from(error.into()))
            }

            fn call(&mut self, request: $Request) -> Self::Future {
                $crate::services::stream::call(&mut self.inner, request, &self.settings)
            }
        }
    };
}

/// The setting that endpoints have which send items.
macro_rules! item_ids_setting {
    ($Layer:ident, $Service:ident) => {
        impl $Layer {
            /// Which items of the input are sent with their ids. Default:
            /// [`ItemIds::Keep`](crate::model::ItemIds::Keep).
            pub fn item_ids(mut self, rule: $crate::model::ItemIds) -> Self {
                self.settings.item_ids = rule;
                self
            }
        }

        impl<S> $Service<S> {
            /// Which items of the input are sent with their ids. Default:
            /// [`ItemIds::Keep`](crate::model::ItemIds::Keep).
            #[must_use]
            pub fn item_ids(mut self, rule: $crate::model::ItemIds) -> Self {
                self.settings.item_ids = rule;
                self
            }
        }
    };
}

pub(super) use {endpoint, item_ids_setting, streaming_endpoint, unary_endpoint};
