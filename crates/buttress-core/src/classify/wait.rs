//! For how long an upstream asks to be left alone.

use std::time::Duration;
#[expect(
    clippy::disallowed_types,
    reason = "a date that stands in a header; no clock is read"
)]
use std::time::SystemTime;

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

static GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The wait that these headers or trailers ask for: `grpc-retry-pushback-ms`, or `Retry-After` in
/// seconds or as a date.
///
/// A date counts from the `Date` of the same head (RFC 9110 §6.6.1 and §10.2.3), so that no wall clock of
/// ours is asked and theirs may be wrong: what is not later asks for no wait at all. Without a `Date` it
/// is not understood; nor is a negative pushback, which asks for no retry and names no time.
pub fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get(&GRPC_PUSHBACK).and_then(whole_number);
    millis
        .map(Duration::from_millis)
        .or_else(|| retry_after(headers))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    if let Some(seconds) = whole_number(value) {
        return Some(Duration::from_secs(seconds));
    }
    let (until, sent) = (date(value)?, date(headers.get(DATE)?)?);
    Some(until.duration_since(sent).unwrap_or_default())
}

/// A date in one of the three forms of RFC 9110 §5.6.7.
#[expect(
    clippy::disallowed_types,
    reason = "a date that stands in a header; no clock is read"
)]
fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
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

    fn asked_by_date(until: &'static str, sent: &'static str) -> Option<Duration> {
        let headers = [(RETRY_AFTER, until), (DATE, sent)];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        asked_wait(&headers.into_iter().collect())
    }

    #[test]
    fn a_date_asks_for_the_time_from_when_the_answer_was_sent() {
        const SENT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for minute_later in [
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sunday, 06-Nov-94 08:50:37 GMT",
            "Sun Nov  6 08:50:37 1994",
        ] {
            let minute = Some(Duration::from_secs(60));
            assert_eq!(asked_by_date(minute_later, SENT), minute, "{minute_later}");
        }
        let a_year_before = "Sat, 06 Nov 1993 08:49:37 GMT";
        assert_eq!(asked_by_date(a_year_before, SENT), Some(Duration::ZERO));
        assert_eq!(asked_by_date(SENT, SENT), Some(Duration::ZERO));
        let end_of_dates = asked_by_date("Fri, 31 Dec 9999 23:59:59 GMT", SENT);
        assert!(end_of_dates > Some(Duration::from_secs(60 * 60 * 24 * 365 * 8_000)));
    }

    #[test]
    fn a_date_that_is_none_and_one_that_counts_from_nothing_ask_for_no_wait() {
        const DAY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(asked("retry-after", DAY), None, "no Date");
        for no_date in ["", "tomorrow", "Sun, 99 Nov 1994 08:49:37 GMT", "1.5"] {
            assert_eq!(asked_by_date(DAY, no_date), None, "{no_date}");
            assert_eq!(asked_by_date(no_date, DAY), None, "{no_date}");
        }
    }

    #[test]
    fn a_number_of_any_length_is_a_wait() {
        let forever = asked("retry-after", "99999999999999999999999999");
        assert_eq!(forever, Some(Duration::from_secs(u64::MAX)));
    }
}
