//! Which endpoint a request is for, and whether the API would let it in.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::Value;

use super::api_error::ApiError;
use super::{encoding, prompt};

/// The request of a natural answer, or the refusal.
///
/// In the API's order: the key, the URL, the method, the body.
pub(super) fn route(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
    key: Option<&str>,
) -> Result<Value, ApiError> {
    if let Some(key) = key {
        authorize(headers, key)?;
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        Some("responses") if *method == Method::POST => {
            prompt::validate(&encoding::decode(headers, body)?)
        }
        Some("responses") => Err(ApiError::wrong_method(method, path, "POST")),
        _ => Err(ApiError::unknown_url(method, path)),
    }
}

/// The key is taken as a bearer token or, as at Azure, from `api-key`.
fn authorize(headers: &HeaderMap, key: &str) -> Result<(), ApiError> {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        let (scheme, token) = value.as_bytes().split_at(value.len().min(7));
        if scheme.eq_ignore_ascii_case(b"bearer ") { token } else { value.as_bytes() }
    });
    match bearer.or_else(|| headers.get("api-key").map(|value| value.as_bytes())) {
        None | Some(b"") => Err(ApiError::no_key()),
        Some(sent) if sent == key.as_bytes() => Ok(()),
        Some(_) => Err(ApiError::wrong_key()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, path: &str, authorization: Option<&str>) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        let body = Bytes::from(r#"{"model":"m","input":"hi"}"#);
        match route(&method, path, &headers, &body, Some("k")) {
            Ok(_) => 200,
            Err(error) => {
                assert!(!error.body().compact().contains("guess"));
                error.status.as_u16()
            }
        }
    }

    #[test]
    fn the_key_comes_before_the_url_and_is_never_repeated() {
        let key = Some("Bearer k");
        assert_eq!(status(Method::POST, "/v1/responses", key), 200);
        assert_eq!(status(Method::POST, "/any/prefix/responses", key), 200);
        assert_eq!(status(Method::GET, "/v1/responses", key), 405);
        assert_eq!(status(Method::POST, "/v1/respond", key), 404);
        assert_eq!(status(Method::POST, "/v1/respond", None), 401);
        assert_eq!(status(Method::POST, "/v1/responses", Some("Bearer guess")), 401);
    }
}
