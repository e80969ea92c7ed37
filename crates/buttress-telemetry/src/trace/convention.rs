//! Names after the OpenTelemetry HTTP conventions.

use http::{Method, Uri, Version};

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
}
