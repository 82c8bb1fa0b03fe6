//! A request signer: HMAC-SHA256 over method, path, date and the bytes of the body.
//!
//! It signs each attempt anew and sees the request as it is sent: here a layer outside of it
//! compresses the body, and the server finds that the signature is that of the compressed bytes.
//!
//! ```text
//! cargo run --example hmac_signer
//! ```

use std::future::{Ready, ready};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use http::header::{DATE, HeaderName, HeaderValue};
use http::{Method, Request};
use serde_json::json;
use sha2::Sha256;
use tower::{ServiceBuilder, ServiceExt};
use tower_openai::layers::auth::{Credentials, CredentialsError};
use tower_openai::layers::{AuthLayer, CompressionLayer, ProviderLayer};
use tower_openai::provider::Provider;
use tower_openai::services::{Responses, ResponsesRequest};
use tower_openai::testing::{RecordedRequest, Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::{BoxError, RequestBody};

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

/// The key that both sides know.
#[derive(Clone)]
struct Signer {
    key: Hmac<Sha256>,
}

impl Signer {
    /// What is signed of a request, ready to be finished or compared.
    fn mac(&self, method: &Method, path: &str, date: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(format!("{method}\n{path}\n{date}\n").as_bytes());
        mac.update(body);
        mac
    }

    fn sign(&self, request: &mut Request<RequestBody>) -> Result<(), CredentialsError> {
        let Some(body) = request.body().as_bytes() else {
            return Err(CredentialsError::build("only a body that is held as bytes can be signed"));
        };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let date = httpdate::fmt_http_date(SystemTime::now());
        let signature = self.mac(request.method(), path, &date, body).finalize().into_bytes();

        let no_header = |_| CredentialsError::build("date and signature are no header values");
        let date = HeaderValue::try_from(date).map_err(no_header)?;
        let mut signature = HeaderValue::try_from(BASE64.encode(signature)).map_err(no_header)?;
        // Nobody shows it then, and errors that quote it are scrubbed.
        signature.set_sensitive(true);
        request.headers_mut().insert(DATE, date);
        request.headers_mut().insert(SIGNATURE, signature);
        Ok(())
    }

    /// What the server does: whether `body` is what was signed.
    fn accepts(&self, request: &RecordedRequest, body: &[u8]) -> bool {
        let date = request.header(DATE.as_str()).unwrap_or_default();
        let signature = request.header(SIGNATURE.as_str()).unwrap_or_default();
        let mac = self.mac(request.method(), request.target(), date, body);
        BASE64.decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
    }
}

/// It needs the bytes of the body, so it is `Credentials<RequestBody>`; and it never waits, so it
/// signs in place.
impl Credentials<RequestBody> for Signer {
    type Future = Ready<Result<Request<RequestBody>, CredentialsError>>;

    fn authorize(&self, mut request: Request<RequestBody>) -> Self::Future {
        ready(self.sign(&mut request).map(|()| request))
    }

    fn authorize_now(
        &self,
        request: &mut Request<RequestBody>,
    ) -> Option<Result<(), CredentialsError>> {
        Some(self.sign(request))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let signer = Signer { key: Hmac::new_from_slice(b"a key that both sides know")? };
    let verifier = signer.clone();
    let server = Server::builder().handler(move |request| {
        let body = request.body();
        let (own, other) = (verifier.accepts(request, body), verifier.accepts(request, b"other"));
        let plain = request.decoded_body().unwrap_or_default();
        println!("server: {} bytes came, of a body of {}", body.len(), plain.len());
        println!("server: signature valid: {own}");
        println!("server: valid for other bytes: {other}");
        match own {
            true => {
                Script::events([json!({"type": "response.completed", "response": {"id": "r"}})])
            }
            false => Script::status(401),
        }
    });
    let server = server.start().await?;

    let responses = ServiceBuilder::new()
        .layer(Responses::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url())?))
        .layer(CompressionLayer::gzip())
        .layer(AuthLayer::new(signer))
        // A proxy of the environment is not the way to a server on this machine.
        .service(HyperTransport::builder().without_proxy().build()?);

    let prompt = "Are you who you say you are? ".repeat(100);
    let answer = responses.oneshot(ResponsesRequest::new("gpt-5.2", prompt)).await?;
    println!("accepted: {}", answer.final_response().await?.id);
    Ok(())
}
