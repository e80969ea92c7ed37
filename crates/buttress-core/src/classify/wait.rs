//! For how long an upstream asks to be left alone.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

static GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The wait that these headers or trailers ask for: `grpc-retry-pushback-ms`, or `Retry-After` in
/// seconds. A `Retry-After` with a date is not understood, since there is no wall clock here that could
/// be trusted; nor is a negative pushback, which asks for no retry and names no time.
pub fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get(&GRPC_PUSHBACK).and_then(whole_number);
    let seconds = || headers.get(RETRY_AFTER).and_then(whole_number);
    millis
        .map(Duration::from_millis)
        .or_else(|| seconds().map(Duration::from_secs))
}

fn whole_number(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes().trim_ascii();
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // More digits than fit are a long time all the same.
    let number = || {
        Some(
            std::str::from_utf8(digits)
                .ok()?
                .parse()
                .unwrap_or(u64::MAX),
        )
    };
    all_digits.then(number).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &'static str, value: &'static str) -> Option<Duration> {
        let headers = [(name.parse().unwrap(), HeaderValue::from_static(value))];
        asked_wait(&headers.into_iter().collect())
    }

    #[test]
    fn seconds_and_milliseconds_are_understood_and_nothing_else() {
        assert_eq!(asked("retry-after", "120"), Some(Duration::from_secs(120)));
        assert_eq!(asked("retry-after", " 0 "), Some(Duration::ZERO));
        let pushback = asked("grpc-retry-pushback-ms", "250");
        assert_eq!(pushback, Some(Duration::from_millis(250)));
        for nothing in [
            "",
            "-1",
            "+1",
            "1.5",
            "soon",
            "Fri, 31 Dec 1999 23:59:59 GMT",
        ] {
            assert_eq!(asked("retry-after", nothing), None, "{nothing}");
            assert_eq!(asked("grpc-retry-pushback-ms", nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_number_of_any_length_is_a_wait() {
        let forever = asked("retry-after", "99999999999999999999999999");
        assert_eq!(forever, Some(Duration::from_secs(u64::MAX)));
    }
}
