//! Answers of the gateway's own: RFC 9457 problems that say what happened and nothing about what
//! is behind the gateway.

use buttress_core::reject::Rejected;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::body::ResponseBody;
use crate::upstream::OWN;

/// Why the gateway answers a request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// No `Host`, several, or one that is no host.
    BadHost,
    /// A path with dot segments or backslashes, or a target that has none.
    BadPath,
    /// The client's body broke off.
    BadBody,
    /// No route matches.
    NoRoute,
    /// `CONNECT`, to which this proxy is no party.
    ConnectRefused,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body is in a transfer coding that this hop cannot take off.
    UnknownCoding,
    /// The upstream could not be reached, or broke off before it answered.
    BadUpstream,
    /// There is no upstream to send the request to.
    Unavailable,
    /// The gateway has no descriptor or local port left to connect with.
    Exhausted,
    /// The upstream did not answer in time.
    UpstreamTimeout,
}

impl Problem {
    /// The status it is answered with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadHost | Self::BadPath | Self::BadBody => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::ConnectRefused => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::BadUpstream => StatusCode::BAD_GATEWAY,
            Self::Unavailable | Self::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What happened, in a sentence.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::BadHost => "the request has to name exactly one valid host",
            Self::BadPath => {
                "the target needs a path, which must not hold dot segments or backslashes"
            }
            Self::BadBody => "the request body broke off",
            Self::NoRoute => "no route matches this host and path",
            Self::ConnectRefused => {
                "CONNECT is not offered: this proxy leads to its own upstreams alone"
            }
            Self::BodyTimeout => "the request body came too slowly",
            Self::BodyTooLarge => "the request body is larger than the limit",
            Self::UnknownCoding => {
                "the request body may be in no transfer coding but chunked, once and last"
            }
            Self::BadUpstream => "the upstream could not be reached or broke off",
            Self::Unavailable => "no upstream is available",
            Self::Exhausted => "the gateway has no room for another connection",
            Self::UpstreamTimeout => "the upstream did not answer in time",
        }
    }

    /// The response, with the request's correlation ID where it is known.
    pub fn response(self, correlation_id: Option<&str>) -> Response<ResponseBody> {
        let body = self.body(correlation_id);
        let mut response = Response::new(());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if self == Self::ConnectRefused {
            let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self == Self::UnknownCoding {
            // Where such a body ends nobody has to agree about. HTTP/2 knows no transfer coding.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            // The only 5xx that is its client's doing, and no failure of anybody's.
            let rejected = Rejected::new(OWN, "body_coding");
            response.extensions_mut().insert(rejected);
        }
        response.map(|()| ResponseBody::from(body))
    }

    fn body(self, correlation_id: Option<&str>) -> Bytes {
        #[derive(Serialize)]
        struct Body<'a> {
            r#type: &'a str,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            correlation_id: Option<&'a str>,
        }
        let status = self.status();
        let body = Body {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.detail(),
            correlation_id,
        };
        // Strings and a number always serialize.
        let mut json = serde_json::to_vec(&body).unwrap_or_default();
        // Whoever reads it in a terminal has his prompt on a line of its own.
        json.push(b'\n');
        json.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    const ALL: [Problem; 12] = [
        Problem::BadHost,
        Problem::BadPath,
        Problem::BadBody,
        Problem::NoRoute,
        Problem::ConnectRefused,
        Problem::BodyTimeout,
        Problem::BodyTooLarge,
        Problem::UnknownCoding,
        Problem::BadUpstream,
        Problem::Unavailable,
        Problem::Exhausted,
        Problem::UpstreamTimeout,
    ];

    #[tokio::test]
    async fn a_problem_is_json_with_its_status_and_the_id_and_is_never_cached() {
        for problem in ALL {
            let response = problem.response(Some("id-\"1\""));
            assert_eq!(response.status(), problem.status());
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert_eq!(
                response.headers()["content-type"],
                "application/problem+json"
            );
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.ends_with(b"}\n"));
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["status"], problem.status().as_u16());
            assert_eq!(json["correlation_id"], "id-\"1\"");
        }
    }

    #[test]
    fn a_refused_method_says_which_are_allowed() {
        assert!(
            Problem::ConnectRefused
                .response(None)
                .headers()
                .contains_key("allow")
        );
    }
}
