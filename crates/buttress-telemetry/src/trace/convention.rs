//! Names after the OpenTelemetry HTTP conventions.

use http::header::USER_AGENT;
use http::{HeaderMap, Method, Uri, Version};

/// The value of `http.request.method`: a closed set, whatever a client sends.
pub(crate) fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "CONNECT" => "CONNECT",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "PATCH" => "PATCH",
        "QUERY" => "QUERY",
        _ => "_OTHER",
    }
}

/// The method in the name of a span.
pub(crate) fn span_method(name: &'static str) -> &'static str {
    if name == "_OTHER" { "HTTP" } else { name }
}

/// The value of `network.protocol.version`.
pub(crate) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// The value of `url.scheme`; a request in origin form does not say.
pub(crate) fn scheme(uri: &Uri) -> &'static str {
    match uri.scheme_str() {
        Some("https") => "https",
        _ => "http",
    }
}

/// The port that `uri` leads to.
pub(crate) fn port(uri: &Uri) -> i64 {
    let default = if scheme(uri) == "https" { 443 } else { 80 };
    i64::from(uri.port_u16().unwrap_or(default))
}

/// The value of `url.full`: without user, password and query, which are not ours to tell.
pub(crate) fn full(uri: &Uri) -> String {
    let (host, path) = (uri.host().unwrap_or_default(), uri.path());
    match uri.port_u16() {
        Some(port) => format!("{}://{host}:{port}{path}", scheme(uri)),
        None => format!("{}://{host}{path}", scheme(uri)),
    }
}

/// The longest value of `user_agent.original`, in bytes.
const LONGEST_AGENT: usize = 256;

/// The value of `user_agent.original`: what of the header is visible ASCII, up to its limit.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(USER_AGENT)?;
    if value.is_sensitive() {
        return None;
    }
    let value = value.to_str().ok()?;
    // All of it is ASCII, so that any place is between two characters.
    value.get(..value.len().min(LONGEST_AGENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_a_client_invents_is_other() {
        assert_eq!(method(&Method::PATCH), "PATCH");
        let invented = Method::from_bytes(b"SECRET").unwrap();
        assert_eq!(method(&invented), "_OTHER");
        assert_eq!(span_method(method(&invented)), "HTTP");
        assert_eq!(method(&Method::from_bytes(b"get").unwrap()), "_OTHER");
    }

    #[test]
    fn a_full_url_leaves_out_user_and_query() {
        let uri: Uri = "http://user:pass@host:81/path?token=secret"
            .parse()
            .unwrap();
        assert_eq!(full(&uri), "http://host:81/path");
        assert_eq!(port(&"https://host/".parse().unwrap()), 443);
    }

    #[test]
    fn a_user_agent_is_kept_to_its_limit_and_only_where_it_is_text() {
        let agent = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, http::HeaderValue::from_bytes(value).unwrap());
            user_agent(&headers).map(str::len)
        };
        assert_eq!(agent(b"curl/8.0"), Some(8));
        assert_eq!(agent(&[b'a'; 1000]), Some(LONGEST_AGENT));
        assert_eq!(agent(b"\xc2\x9b31m"), None);
        assert_eq!(user_agent(&HeaderMap::new()), None);
    }
}
