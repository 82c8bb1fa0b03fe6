//! Which endpoint a request is for, and whether the API would let it in.

use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use super::api_error::ApiError;

/// What a URL and a method stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    CreateResponse,
    RetrieveResponse,
    DeleteResponse,
    CancelResponse,
    InputItems,
    InputTokens,
    Compact,
    Memories,
    Search,
    ListModels,
    RetrieveModel,
    GenerateImage,
    EditImage,
    CreateFile,
    ListFiles,
    RetrieveFile,
    DeleteFile,
    FileContent,
    UploadContent,
    FinishUpload,
    CreateConversation,
    RetrieveConversation,
    UpdateConversation,
    DeleteConversation,
    CreateItems,
    ListItems,
    RetrieveItem,
    DeleteItem,
    RealtimeCall,
}

use Endpoint::*;

/// Every endpoint. A path matches with any prefix before it; `{}` stands for one id.
const TABLE: &[(&str, &str, Endpoint)] = &[
    ("POST", "responses", CreateResponse),
    ("POST", "guardian", CreateResponse),
    ("POST", "guardian-classifier", CreateResponse),
    ("GET", "responses/{}", RetrieveResponse),
    ("DELETE", "responses/{}", DeleteResponse),
    ("POST", "responses/{}/cancel", CancelResponse),
    ("GET", "responses/{}/input_items", InputItems),
    ("POST", "responses/input_tokens", InputTokens),
    ("POST", "responses/compact", Compact),
    ("POST", "memories/trace_summarize", Memories),
    ("POST", "alpha/search", Search),
    ("GET", "models", ListModels),
    ("GET", "models/{}", RetrieveModel),
    ("POST", "images/generations", GenerateImage),
    ("POST", "images/edits", EditImage),
    ("POST", "files", CreateFile),
    ("GET", "files", ListFiles),
    ("GET", "files/{}", RetrieveFile),
    ("DELETE", "files/{}", DeleteFile),
    ("GET", "files/{}/content", FileContent),
    ("POST", "files/{}/uploaded", FinishUpload),
    // Where `files` sends the bytes to.
    ("PUT", "storage/{}", UploadContent),
    ("POST", "conversations", CreateConversation),
    ("GET", "conversations/{}", RetrieveConversation),
    ("POST", "conversations/{}", UpdateConversation),
    ("DELETE", "conversations/{}", DeleteConversation),
    ("POST", "conversations/{}/items", CreateItems),
    ("GET", "conversations/{}/items", ListItems),
    ("GET", "conversations/{}/items/{}", RetrieveItem),
    ("DELETE", "conversations/{}/items/{}", DeleteItem),
    ("POST", "realtime/calls", RealtimeCall),
];

/// An endpoint and the ids in its path, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) ids: Vec<String>,
}

/// The endpoint of `method` and `path`.
///
/// Where several patterns fit, the longest counts, and of these the one with the fewest ids:
/// `responses/compact` is no response called `compact`.
///
/// # Errors
///
/// 404 for a path that no pattern fits, 405 for one that has no such method.
pub(super) fn find(method: &Method, path: &str) -> Result<Route, ApiError> {
    let literal = |pattern: &str| pattern.split('/').filter(|part| *part != "{}").count();
    let best = TABLE
        .iter()
        .filter_map(|(_, pattern, _)| Some((*pattern, ids(pattern, path)?)))
        .max_by_key(|(pattern, _)| (pattern.split('/').count(), literal(pattern)));
    let Some((pattern, ids)) = best else { return Err(ApiError::unknown_url(method, path)) };
    let rows = || TABLE.iter().filter(|(_, other, _)| *other == pattern);
    match rows().find(|(known, ..)| *known == method.as_str()) {
        Some((.., endpoint)) => Ok(Route { endpoint: *endpoint, ids }),
        None => {
            let allowed: Vec<_> = rows().map(|(known, ..)| *known).collect();
            Err(ApiError::wrong_method(method, path, &allowed.join(" or ")))
        }
    }
}

/// The ids in `path`, if it ends as `pattern` says. Slashes at the ends do not count.
pub(super) fn ids(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    let mut parts = path.trim_matches('/').rsplit('/');
    for expected in pattern.trim_matches('/').rsplit('/') {
        let part = parts.next().filter(|part| !part.is_empty())?;
        if expected == "{}" {
            ids.push(percent_decode_str(part).decode_utf8_lossy().into_owned());
        } else if expected != part {
            return None;
        }
    }
    ids.reverse();
    Some(ids)
}

/// Checks the key, which is taken as a bearer token or, as at Azure, from `api-key`.
///
/// # Errors
///
/// 401 for a missing and for a wrong one.
pub(super) fn authorize(headers: &HeaderMap, key: &str) -> Result<(), ApiError> {
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

    fn found(method: Method, path: &str) -> Result<(Endpoint, Vec<String>), u16> {
        find(&method, path)
            .map(|route| (route.endpoint, route.ids))
            .map_err(|error| error.status.as_u16())
    }

    #[test]
    fn every_row_is_reached_below_any_prefix() {
        for (method, pattern, endpoint) in TABLE {
            let path = pattern.replace("{}", "an%20id");
            let ids = vec![String::from("an id"); pattern.matches("{}").count()];
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for prefix in ["/", "/v1/", "/backend-api/codex/", "/openai/deployments/d/"] {
                let path = format!("{prefix}{path}");
                assert_eq!(found(method.clone(), &path), Ok((*endpoint, ids.clone())), "{path}");
            }
        }
    }

    #[test]
    fn literals_win_over_ids_and_the_rest_is_404_or_405() {
        let id = |id: &str| vec![String::from(id)];
        assert_eq!(found(Method::POST, "/v1/responses/compact"), Ok((Compact, vec![])));
        assert_eq!(
            found(Method::GET, "/v1/responses/models"),
            Ok((RetrieveResponse, id("models")))
        );
        assert_eq!(found(Method::POST, "/v1/responses/"), Ok((CreateResponse, vec![])));
        assert_eq!(found(Method::GET, "/v1/responses"), Err(405));
        assert_eq!(found(Method::POST, "/v1/responses/r"), Err(405));
        assert_eq!(found(Method::GET, "/v1/responses/compact"), Err(405));
        for unknown in ["/", "", "/v1/respond", "/v1/responses//cancel/x", "/xresponses"] {
            assert_eq!(found(Method::POST, unknown), Err(404), "{unknown}");
        }
        let error = find(&Method::PUT, "/v1/responses/r").unwrap_err();
        assert!(error.message.contains("a GET or DELETE request"), "{}", error.message);
    }

    #[test]
    fn a_wrong_key_is_never_repeated() {
        let status = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            authorize(&headers, "k").map_err(|error| {
                assert!(!error.body().compact().contains("guess"));
                error.status.as_u16()
            })
        };
        assert_eq!(status("Bearer k"), Ok(()));
        assert_eq!(status("Bearer guess"), Err(401));
        assert_eq!(status("Basic guess"), Err(401));
        assert_eq!(authorize(&HeaderMap::new(), "k").unwrap_err().status, 401);
    }
}
