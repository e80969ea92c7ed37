//! What a body is coded in on its way, beside its framing.

use http::HeaderMap;
use http::header::TRANSFER_ENCODING;

/// Whether every `Transfer-Encoding` together says `chunked`, once and last, or nothing.
///
/// That one is taken off here, and its name is not passed on. Of a body that was coded in another besides, whoever
/// gets it could not know (RFC 9112 §6.1).
#[inline(never)]
pub(super) fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii);
    let last = codings.next_back();
    last.is_none_or(|last| is_none(last) || last.eq_ignore_ascii_case(b"chunked"))
        && codings.all(is_none)
}

fn is_none(coding: &[u8]) -> bool {
    coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn chunked_is_known_where_it_is_the_last_and_no_other_is() {
        let table: &[(&[&str], bool)] = &[
            (&[], true),
            (&["chunked"], true),
            (&["Chunked"], true),
            (&["identity"], true),
            (&["identity,\t CHUNKED"], true),
            (&[", chunked"], true),
            (&["identity", "chunked"], true),
            (&["gzip"], false),
            (&["gzip, chunked"], false),
            (&["gzip", "chunked"], false),
            (&["chunked, gzip"], false),
            (&["chunked, chunked"], false),
            (&["chunked", "chunked"], false),
            (&["chunked, identity"], false),
            (&["chunked,"], false),
            (&["chunked;a=b"], false),
            (&["xchunked"], false),
        ];
        for (sent, expected) in table {
            let mut headers = HeaderMap::new();
            for value in *sent {
                headers.append(TRANSFER_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(is_chunked_alone(&headers), *expected, "{sent:?}");
        }
    }
}
