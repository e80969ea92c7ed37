//! Bytes are a `traceparent` exactly if the recommendation says so letter by letter, and what is read of
//! one comes back from its own form.

use buttress_telemetry::trace::traceparent::{format, parse, read};
use http::{HeaderMap, HeaderValue};

/// Panics where it does not hold.
pub fn holds_for(bytes: &[u8]) {
    let found = parse(bytes);
    assert_eq!(found.is_some(), by_the_letter(bytes), "{bytes:?}");
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", value.clone());
        assert_eq!(read(&headers), found);
        headers.append("traceparent", value);
        assert_eq!(read(&headers), None, "twice is none");
    }
    let Some(context) = found else {
        return;
    };
    let written = format(&context);
    assert_eq!(parse(written.as_bytes()), Some(context));
    // Both IDs stand where they stood; of the flags one is known.
    assert_eq!(written.as_bytes().get(3..52), bytes.get(3..52));
    assert!(context.trace_id != 0 && context.span_id != 0);
}

/// `version-traceid-parentid-flags`, in lower-case hex of fixed widths; a later version may go on after
/// another hyphen.
fn by_the_letter(bytes: &[u8]) -> bool {
    let Some((head, tail)) = bytes.split_at_checked(55) else {
        return false;
    };
    let shaped = head.iter().enumerate().all(|(place, byte)| match place {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    let some = |from: usize, to: usize| {
        let id = head.get(from..to);
        id.is_some_and(|id| id.iter().any(|digit| *digit != b'0'))
    };
    let ended = match head.get(..2) {
        Some(b"00") => tail.is_empty(),
        Some(b"ff") => false,
        _ => tail.is_empty() || tail.starts_with(b"-"),
    };
    shaped && ended && some(3, 35) && some(36, 52)
}
