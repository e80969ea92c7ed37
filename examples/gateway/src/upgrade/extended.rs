//! A handshake over HTTP/2: an extended `CONNECT` (RFC 8441), made the one over HTTP/1.1 that endpoints understand.

use buttress::core::rng::Rng;
use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::ext::Protocol;

const WEBSOCKET: &str = "websocket";

/// What a handshake is, taken out of a request that has become a plain one; `None` of any other `CONNECT`.
pub(super) fn taken<B>(request: &mut Request<B>) -> Option<HeaderValue> {
    let protocol = request.extensions_mut().remove::<Protocol>()?;
    let named = HeaderValue::from_bytes(protocol.as_ref()).ok()?;
    *request.method_mut() = Method::GET;
    Some(named)
}

/// Asks for `protocol` as over HTTP/1.1. A WebSocket is asked for with a key, of which there is none over HTTP/2.
pub(super) fn ask(headers: &mut HeaderMap, protocol: HeaderValue, rng: &Rng) {
    if protocol
        .as_bytes()
        .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
    {
        headers.insert(SEC_WEBSOCKET_KEY, key(rng));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Sixteen random bytes in base64 (RFC 6455 §4.1).
fn key(rng: &Rng) -> HeaderValue {
    let [high, low] = [rng.next_u64(), rng.next_u64()].map(u64::to_be_bytes);
    let bytes = [high, low].concat();
    HeaderValue::try_from(base64(&bytes)).unwrap_or(HeaderValue::from_static(""))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| DIGITS.get(bits as usize % 64).map_or('=', |&it| it.into());
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | part.get(at).map_or(0, |&byte| u32::from(byte))
        });
        let digits = [bits >> 18, bits >> 12, bits >> 6, bits].map(digit);
        text.extend(digits.into_iter().take(part.len() + 1));
        text.extend(std::iter::repeat_n('=', 3 - part.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("the sample nonce", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn each_key_is_another_and_as_long_as_one_has_to_be() {
        let rng = Rng::seeded(1);
        let (one, other) = (key(&rng), key(&rng));
        assert_ne!(one, other);
        assert_eq!((one.len(), other.len()), (24, 24));
    }

    #[test]
    fn only_a_websocket_has_a_key() {
        for (protocol, has_key) in [("websocket", true), ("WebSocket", true), ("other", false)] {
            let mut headers = HeaderMap::new();
            let named = HeaderValue::from_static(protocol);
            ask(&mut headers, named, &Rng::seeded(1));
            assert_eq!(headers.contains_key(SEC_WEBSOCKET_KEY), has_key);
            assert_eq!(
                (&headers[CONNECTION], &headers[UPGRADE]),
                (&"upgrade".parse().unwrap(), &protocol.parse().unwrap())
            );
        }
    }
}
