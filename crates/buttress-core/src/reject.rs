//! A refusal of our own, as an error and as a response.

use std::fmt;
use std::time::Duration;

/// A call was refused by a layer of buttress and never reached what it guards.
///
/// HTTP layers answer with a response and put this into its extensions; protocol-free ones return it
/// as (part of) their error. Whoever classifies disregards it: a refusal of our own is never charged
/// to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// Who refused: `breaker`, `route` …
    pub by: &'static str,
    /// Why, in `snake_case`: `circuit_open`, `no_endpoint` …
    pub reason: &'static str,
    /// When another attempt makes sense.
    pub retry_after: Option<Duration>,
}

impl Rejected {
    /// A refusal by `by` for `reason`.
    pub const fn new(by: &'static str, reason: &'static str) -> Self {
        Self {
            by,
            reason,
            retry_after: None,
        }
    }

    /// Another attempt makes sense after `duration`.
    #[must_use]
    pub const fn retry_after(mut self, duration: Duration) -> Self {
        self.retry_after = Some(duration);
        self
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rejected by {}: {}", self.by, self.reason)?;
        match self.retry_after {
            Some(duration) => write!(f, ", retry after {duration:.1?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejected {}

#[cfg(feature = "http")]
pub use http_form::is_grpc;
#[cfg(feature = "http")]
pub(crate) use http_form::{is_grpc_type, starts_with};

#[cfg(feature = "http")]
mod http_form {
    use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
    use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

    use super::Rejected;

    static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
    static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
    static GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
    /// UNAVAILABLE: the call may be tried again.
    const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");
    const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

    /// Whether these request headers are those of a gRPC call.
    pub fn is_grpc(headers: &HeaderMap) -> bool {
        headers.get(CONTENT_TYPE).is_some_and(is_grpc_type)
    }

    /// Whether this content type is one of gRPC.
    #[inline]
    pub(crate) fn is_grpc_type(value: &HeaderValue) -> bool {
        starts_with(value, b"application/grpc")
    }

    /// Whether this content type begins so, in whatever case (RFC 9110 §8.3.1).
    #[inline]
    pub(crate) fn starts_with(value: &HeaderValue, start: &[u8]) -> bool {
        let begin = value.as_bytes().get(..start.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(start))
    }

    impl Rejected {
        /// The refusal as a response: `503` with `Retry-After`, or the gRPC status UNAVAILABLE with
        /// its pushback. Never stored by a cache; names no upstream; carries this value in its
        /// extensions. The body is for the caller to choose, an empty one by default.
        pub fn into_response<B>(self, grpc: bool, body: B) -> Response<B> {
            let mut response = Response::new(body);
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, NO_STORE);
            if grpc {
                self.write_grpc(headers);
            } else {
                self.write_http(headers);
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response.extensions_mut().insert(self);
            response
        }

        fn write_http(&self, headers: &mut HeaderMap) {
            if let Some(wait) = self.retry_after {
                // Rounded up: a client that comes back on the second finds the time passed.
                let seconds = wait
                    .as_secs()
                    .saturating_add(u64::from(wait.subsec_nanos() > 0));
                headers.insert(RETRY_AFTER, seconds.max(1).into());
            }
        }

        fn write_grpc(&self, headers: &mut HeaderMap) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(&GRPC_STATUS, UNAVAILABLE);
            headers.insert(&GRPC_MESSAGE, HeaderValue::from_static(self.reason));
            if let Some(wait) = self.retry_after {
                // Rounded up, as the seconds are.
                let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000));
                headers.insert(&GRPC_PUSHBACK, millis.unwrap_or(u64::MAX).max(1).into());
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::time::Duration;

        #[test]
        fn a_rejection_says_when_to_come_back_and_is_never_cached() {
            let wait = Duration::from_millis(1_200);
            let rejected = Rejected::new("breaker", "circuit_open").retry_after(wait);
            let response = rejected.clone().into_response(false, ());
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[RETRY_AFTER], "2");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(response.extensions().get::<Rejected>(), Some(&rejected));
        }

        #[test]
        fn a_rejected_grpc_call_gets_its_own_status_and_pushback() {
            let wait = Duration::from_millis(1_200);
            let response = Rejected::new("breaker", "circuit_open")
                .retry_after(wait)
                .into_response(true, ());
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["grpc-status"], "14");
            assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1200");
        }

        #[test]
        fn a_pushback_is_never_shorter_than_the_wait_and_never_none() {
            for (nanos, millis) in [(0, "1"), (1, "1"), (999_999, "1"), (1_000_000, "1")]
                .into_iter()
                .chain([(1_000_001, "2"), (1_900_000, "2")])
            {
                let response = Rejected::new("breaker", "circuit_open")
                    .retry_after(Duration::from_nanos(nanos))
                    .into_response(true, ());
                let pushback = &response.headers()["grpc-retry-pushback-ms"];
                assert_eq!(pushback, millis, "{nanos} ns");
            }
        }
    }
}
