//! Credentials without any shape, which a server quotes.

use http::Request;
use serde_json::json;
use tower::{Layer, ServiceBuilder};
use tower_openai::extensions::Call;
use tower_openai::layers::auth::{
    Cached, ChatGpt, CommandToken, Credentials, CredentialsError, HeaderCredentials, Token,
    token_fn,
};
use tower_openai::layers::{ApiKey, AuthLayer, Bearer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest, UploadSource};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{Client, RequestBody};

use crate::support::*;

/// Keys of other servers look like nothing in particular.
#[tokio::test]
async fn a_key_without_a_shape_is_not_shown_when_the_server_quotes_it() {
    const HEX: &str = "0123456789abcdef0123456789abcdef";
    let server = Server::start().await.unwrap();
    let provider = || Provider::new("custom", server.base_url()).unwrap();
    let bearer = Client::builder().provider(provider()).api_key(HEX).build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(ProviderLayer::new(provider()))
        .layer(AuthLayer::new(Bearer::new(TOKEN).unwrap()))
        .layer(AuthLayer::new(ApiKey::new(HEX).unwrap()))
        .service(HyperTransport::new().unwrap());
    let by_hand = Responses::layer().layer(stack);

    let quote = format!("Access denied for key {HEX}, Bearer {HEX}.");
    let long = format!("{} {HEX} and more of it", "x".repeat(980));
    let said = || json!({"message": quote, "code": HEX, "type": HEX, "param": HEX});
    let failed = json!({"type": "response.failed", "response": {"id": HEX, "error": said()}});
    let wrong = json!({"type": "response.completed", "response": {"id": {}, "output": HEX}});
    for script in [
        Script::status(401).header("x-request-id", HEX).json(json!({"error": said()})),
        Script::status(401).header("x-openai-authorization-error", HEX).body(quote.clone()),
        Script::status(400).json(json!({"error": {"message": long}})),
        Script::status(200).json(json!({"error": said()})),
        Script::events([json!({"type": "error", "error": said()})]),
        Script::events([failed]),
        Script::events([wrong]),
    ] {
        server.enqueue(script.clone()).enqueue(script);
        let preset = bearer.responses();
        let errors = [call(&preset).await.unwrap(), call(&by_hand).await.unwrap()];
        for error in errors {
            let mut text = format!("{error} {error:?} {error:#?}");
            for cause in error.chain() {
                text.push_str(&format!("{cause} {cause:?}"));
            }
            for accessor in [error.error_type(), error.request_id(), error.authorization_error()] {
                text.push_str(accessor.unwrap_or_default());
            }
            assert!(!text.contains("0123456789"), "{text}");
        }
    }
}

/// Answers that are good by their status, and errors by what they say.
#[tokio::test]
async fn a_key_is_not_shown_by_errors_that_are_found_in_good_answers() {
    const HEX: &str = "0123456789abcdef0123456789abcdef";
    let server = Server::start().await.unwrap();
    let url = server.base_url();
    let upload = json!({"file_id": "f", "upload_url": format!("{}/blob", url)});
    let failed = json!({"status": "failed", "error_message": format!("no such key: {HEX}")});
    let quoting = |script: Script| script.header("x-request-id", HEX).header("cf-ray", HEX);
    let provider = Provider::new("custom", url).unwrap().backend_url(url).unwrap();
    let client = Client::builder().provider(provider).api_key(HEX).build().unwrap();

    server.enqueue(quoting(Script::status(304)));
    let unasked = client.models().list_models("1.0.0", Default::default()).await.unwrap_err();
    server
        .enqueue(Script::status(200).json(upload))
        .enqueue(Script::status(201))
        .enqueue(quoting(Script::status(200).json(failed)));
    let file = UploadSource::from_bytes("a.txt", "text");
    let failed = client.files().upload(file).await.unwrap_err();
    assert_eq!(failed.message(), "no such key: [redacted]");
    for error in [unasked, failed] {
        let text = format!("{error} {error:?} {:?} {:?}", error.request_id(), error.cf_ray());
        assert!(!text.contains("0123456789"), "{text}");
    }
}

/// A gateway's own: in its URL, in headers of the provider's and in those of the caller's.
#[tokio::test]
async fn row_70_what_the_provider_and_the_caller_add_is_not_shown_when_the_server_quotes_it() {
    const IN_BASE: &str = "0123456789abcdef";
    const IN_PAIR: &str = "fedcba 9876543210/";
    const ENCODED: &str = "fedcba%209876543210%2F";
    const KEY: &str = "abcdef0123456789abcdef01";
    const VERSION: &str = "2025-04-01-preview";
    let server = Server::start().await.unwrap();
    let base_url = format!("{}?key={IN_BASE}&api-version={VERSION}", server.base_url());
    let provider = Provider::new("custom", &base_url).unwrap().query("sig", IN_PAIR);
    let provider = provider.header("x-gateway-key", KEY).unwrap();
    let provider = provider.header("openai-organization", ORGANIZATION).unwrap();
    let client = Client::builder().provider(provider).build().unwrap();
    let request = || ResponsesRequest::new("m", "x").header("x-my-secret", OWN);

    let secrets = [IN_BASE, IN_PAIR, ENCODED, KEY, ORGANIZATION, OWN];
    let quote = format!("Cannot POST /v1/responses?{}: {VERSION}", secrets.join(", "));
    let said = || json!({"message": quote, "code": quote});
    let failed = json!({"type": "response.failed", "response": {"id": "r", "error": said()}});
    for script in [
        Script::status(404).json(json!({"error": said()})),
        Script::status(404).body(quote.clone()),
        Script::events([failed]),
    ] {
        server.enqueue(script.clone()).enqueue(script);
        let streamed = match client.responses().stream_request(request()).await {
            Err(error) => error,
            Ok(stream) => stream.final_response().await.unwrap_err(),
        };
        let whole = client.create_response().send(request()).await.unwrap_err();
        for error in [streamed, whole] {
            let mut text = format!("{error} {error:?} {error:#?} {:?}", error.code());
            for cause in error.chain() {
                text.push_str(&format!("{cause} {cause:?}"));
            }
            for secret in secrets {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
            let refused = error.status().is_some_and(|status| status == 404);
            assert!(!refused || text.contains(VERSION), "{text}");
        }
    }
    let sent = &server.requests()[0];
    assert!(sent.target().contains(IN_BASE) && sent.target().contains(ENCODED), "{sent:?}");
    assert_eq!((sent.header("x-gateway-key"), sent.header("x-my-secret")), (Some(KEY), Some(OWN)));
}

/// A signature in a header, and a key that goes into the query.
#[derive(Clone)]
struct Signer;

impl Credentials<RequestBody> for Signer {
    type Future = std::future::Ready<Result<Request<RequestBody>, CredentialsError>>;

    fn authorize(&self, mut request: Request<RequestBody>) -> Self::Future {
        let mut signature = http::HeaderValue::from_static(SIGNATURE);
        signature.set_sensitive(true);
        request.headers_mut().insert("x-signature", signature);
        if let Some(call) = request.extensions().get::<Call>() {
            call.keep_secret(IN_QUERY);
        }
        std::future::ready(Ok(request))
    }
}

// Without any shape, so that only who has sent them can know them.
const REFRESHED: &str = "planted refreshed 0123456789";
const COMMAND: &str = "abcdef0123456789abcdef01";
const SIGNATURE: &str = "Scheme 9876543210fedcba";
const IN_QUERY: &str = "fedcba9876543210";

/// Of credentials that are had at run time.
#[tokio::test]
async fn row_70_tokens_from_sources_and_signatures_are_not_shown_when_the_server_quotes_them() {
    const FIRST: &str = "0123456789-first";
    const SECOND: &str = "0123456789-second";
    let (trace, _guard) = Trace::start();
    let server = Server::start().await.unwrap();
    let provider = || ProviderLayer::new(Provider::new("custom", server.base_url()).unwrap());
    // A new one for each call, so that each sends both tokens.
    let refreshing = || {
        let answers = std::sync::atomic::AtomicUsize::new(0);
        let source = token_fn(move || {
            let first = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            std::future::ready(Token::new(if first { FIRST } else { SECOND }))
        });
        AuthLayer::new(Cached::new(source)).refresh_on_unauthorized()
    };
    let command = CommandToken::new("printf").args(["%s", COMMAND]);
    let command = ChatGpt::new(Cached::new(command)).account_id(ACCOUNT).unwrap();
    let command = AuthLayer::new(command);
    let gateway = AuthLayer::new(HeaderCredentials::new("x-gateway", REFRESHED).unwrap());
    for text in [format!("{:?}", refreshing()), format!("{command:?} {gateway:?}")] {
        for secret in [FIRST, SECOND, COMMAND, ACCOUNT, REFRESHED] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    let secrets = [FIRST, SECOND, COMMAND, ACCOUNT, REFRESHED, "9876543210fedcba", IN_QUERY];
    let quote = secrets.join(", ");
    let refused = || Script::status(401).json(json!({"error": {"message": quote, "code": quote}}));
    let transport = HyperTransport::new().unwrap();
    let others = ServiceBuilder::new()
        .layer(provider())
        .layer(command)
        .layer(gateway)
        .layer(AuthLayer::new(Signer))
        .service(transport.clone());
    let others = Responses::new(others);
    let failed = json!({"type": "response.failed",
        "response": {"id": quote, "error": {"message": quote, "code": "x"}}});
    for (first, known) in [(true, &secrets[..2]), (false, &secrets[2..])] {
        for script in [refused(), Script::events([failed.clone()])] {
            let error = if first {
                server.enqueue(refused()).enqueue(script);
                let stack = ServiceBuilder::new().layer(provider()).layer(refreshing());
                let responses = Responses::new(stack.service(transport.clone()));
                responses.stream_request(ResponsesRequest::new("m", "x")).await
            } else {
                server.enqueue(script);
                others.stream_request(ResponsesRequest::new("m", "x")).await
            };
            let error = match error {
                Err(error) => error,
                Ok(mut stream) => loop {
                    if let Some(Err(error)) = stream.next().await {
                        break error;
                    }
                },
            };
            let mut text = format!("{error} {error:?} {error:#?} {:?}", error.code());
            for cause in error.chain() {
                text.push_str(&format!("{cause} {cause:?}"));
            }
            for secret in known {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
            // The server did quote: what this call never sent is there.
            assert!(text.contains("[redacted]"), "{text}");
        }
    }
    let sent = server.requests();
    assert_eq!(sent[0].header("authorization"), Some(&*format!("Bearer {FIRST}")));
    assert_eq!(sent[1].header("authorization"), Some(&*format!("Bearer {SECOND}")));
    assert_eq!(sent.last().unwrap().header("x-signature"), Some(SIGNATURE));
    let traced = trace.text();
    assert!(traced.contains("hyper_util::client"), "the transport was listened to");
    for secret in secrets {
        assert!(!traced.contains(secret), "the trace shows {secret}");
    }
}
