//! Where the Realtime API of a provider is: the rules of
//! [`ApiRoot::Realtime`](crate::extensions::ApiRoot::Realtime).

use http::Uri;

use super::base_url::BaseUrl;
use crate::Error;

/// The URL of a realtime request with this query, at a base URL, for a provider with this query.
pub(crate) fn url(base: &BaseUrl, provider: &str, request: &str) -> Result<Uri, Error> {
    let is = |pair: &&str, name: &str| pair.split('=').next() == Some(name);
    let (last, mut query): (Vec<&str>, Vec<&str>) =
        request.split('&').filter(|pair| !pair.is_empty()).partition(|pair| is(pair, "call_id"));
    let names_model = query.iter().any(|pair| is(pair, "model"));
    let is_dropped =
        |pair: &&str| pair.is_empty() || is(pair, "intent") || (names_model && is(pair, "model"));
    query.extend(provider.split('&').filter(|pair| !is_dropped(pair)));
    query.extend(last);
    base.with_path(path).join("", &query.join("&"), "")
}

/// The path for that of a base URL, and for the slashes behind it.
fn path(base: &str, slashes: &str) -> String {
    match base {
        "" => "/v1/realtime".to_owned(),
        base if base.ends_with("/v1") => format!("{base}/realtime"),
        base if base.ends_with("/realtime") => base.to_owned(),
        base => format!("{base}{slashes}"),
    }
}
