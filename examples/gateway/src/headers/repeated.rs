//! What may stand in a head once, and stands there several times.

use http::header::{CONTENT_LENGTH, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Whether any name stands there more than once.
#[inline]
pub(crate) fn some_repeat(headers: &HeaderMap) -> bool {
    headers.keys_len() < headers.len()
}

/// Makes one header of several cookies and of several equal lengths, and none of unequal ones: over HTTP/2 clients may send
/// each cookie by itself, and whoever reads them over HTTP/1.1 would join them by a comma (RFC 9113 §8.2.3), or refuse two lengths.
/// A request of unequal ones does not come this far: it is refused where it is read, over HTTP/2 as an error of its stream.
#[inline]
pub(super) fn merge(headers: &mut HeaderMap) {
    if some_repeat(headers) {
        merge_repeated(headers);
    }
}

#[cold]
fn merge_repeated(headers: &mut HeaderMap) {
    if has_several(headers, &COOKIE) {
        let cookies: Vec<&[u8]> = values(headers, &COOKIE)
            .map(HeaderValue::as_bytes)
            .collect();
        // Of what values are made of is a value made.
        if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
    if has_several(headers, &CONTENT_LENGTH) {
        agree_on_length(headers);
    }
}

/// Makes a list of equal lengths one length, and of unequal ones, or of what is no length, none.
pub(super) fn keep_one_length(headers: &mut HeaderMap) {
    let mut lengths = headers.iter().filter(|(name, _)| *name == CONTENT_LENGTH);
    let first = lengths.next();
    let is_only = !some_repeat(headers) || lengths.next().is_none();
    if !(is_only && first.is_some_and(|(_, value)| is_plain(value.as_bytes()))) {
        agree_on_length(headers);
    }
}

#[cold]
fn agree_on_length(headers: &mut HeaderMap) {
    let length = agreed_length(headers);
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}

fn agreed_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = values(headers, &CONTENT_LENGTH)
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(|length| parsed(length.trim_ascii()));
    let first = lengths.next()?;
    lengths.all(|length| length == first).then_some(first)?
}

/// Digits and nothing else: `parse` would take a sign.
fn parsed(length: &[u8]) -> Option<u64> {
    let digits = length.iter().all(u8::is_ascii_digit).then_some(length)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A number that needs no second look: any of so many digits is a length.
fn is_plain(length: &[u8]) -> bool {
    (1..=19).contains(&length.len()) && length.iter().all(u8::is_ascii_digit)
}

fn has_several(headers: &HeaderMap, name: &HeaderName) -> bool {
    values(headers, name).nth(1).is_some()
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.get_all(name).iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sent = &'static [(&'static str, &'static str)];

    fn map(sent: Sent) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn left<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a HeaderValue> {
        headers.get_all(name).iter().collect()
    }

    #[test]
    fn one_length_or_none_is_left() {
        let table: &[(Sent, Option<&str>)] = &[
            (&[("content-length", "5")], Some("5")),
            (&[("content-length", "5, 5")], Some("5")),
            (
                &[("content-length", "5"), ("content-length", "5")],
                Some("5"),
            ),
            (&[("content-length", "5"), ("content-length", "6")], None),
            (&[("content-length", "5"), ("content-length", "")], None),
            (&[("content-length", "5,x")], None),
            (&[("content-length", "x,x")], None),
            (&[("content-length", "")], None),
            (&[("content-length", "+5")], None),
            (&[("content-length", "5, +5")], None),
            (&[("content-length", "-0")], None),
            (
                &[("content-length", "18446744073709551615")],
                Some("18446744073709551615"),
            ),
            (&[("content-length", "18446744073709551616")], None),
            (&[("content-length", "99999999999999999999999")], None),
        ];
        for (sent, expected) in table {
            let mut headers = map(sent);
            keep_one_length(&mut headers);
            let expected: Vec<_> = expected.iter().collect();
            assert_eq!(left(&headers, "content-length"), expected, "{sent:?}");
        }
    }

    #[test]
    fn cookies_that_came_one_by_one_are_one_header_and_others_stay_as_they_are() {
        let mut headers = map(&[
            ("cookie", "a=1"),
            ("accept", "x"),
            ("cookie", "b=2; c=3"),
            ("content-length", "3"),
            ("accept", "y"),
            ("content-length", "3"),
        ]);
        merge(&mut headers);
        assert_eq!(left(&headers, "cookie"), ["a=1; b=2; c=3"]);
        assert_eq!(left(&headers, "accept"), ["x", "y"]);
        assert_eq!(left(&headers, "content-length"), ["3"]);
    }
}
