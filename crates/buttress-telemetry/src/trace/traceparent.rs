//! The header `traceparent` of W3C Trace Context, read strictly: for whoever carries it where no HTTP
//! goes, in a queue's messages say.
//!
//! ```
//! use buttress_telemetry::trace::traceparent;
//!
//! let value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! let context = traceparent::parse(value.as_bytes()).unwrap();
//! assert!(context.sampled);
//! assert_eq!(traceparent::format(&context), value);
//! assert_eq!(traceparent::parse(b"0-1-1-1"), None);
//! ```

use buttress_core::trace_context::TraceContext;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// `00-{32 hex}-{16 hex}-{2 hex}`.
const LEN: usize = 55;

/// The trace that a request belongs to by its header, if it has exactly one and that is well formed.
pub fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    parse(value.as_bytes())
}

/// Reads lower-case hex at the places the recommendation gives. A later version may go on after
/// another hyphen; `ff` is forbidden.
pub fn parse(bytes: &[u8]) -> Option<TraceContext> {
    let (head, tail) = (bytes.get(..LEN)?, bytes.get(LEN..)?);
    let mut fields = head.split(|&byte| byte == b'-');
    let version = hex(fields.next()?, 2)?;
    let trace_id = hex(fields.next()?, 32)?;
    let span_id = hex(fields.next()?, 16)?;
    let flags = hex(fields.next()?, 2)?;
    let well_ended = match version {
        0 => tail.is_empty(),
        0xff => false,
        _ => tail.first().is_none_or(|&byte| byte == b'-'),
    };
    if !well_ended || fields.next().is_some() {
        return None;
    }
    TraceContext::new(trace_id, u64::try_from(span_id).ok()?, flags & 1 == 1)
}

fn hex(digits: &[u8], len: usize) -> Option<u128> {
    if digits.len() != len {
        return None;
    }
    digits.iter().try_fold(0, |number: u128, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
}

/// The most baggage that is passed on, in bytes: as much as the recommendation asks for.
const MOST_BAGGAGE: usize = 8192;

/// All baggage of a request as one value, if it is not more than is passed on.
pub(crate) fn baggage(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(&BAGGAGE).iter();
    let first = values.next()?;
    let rest: Vec<_> = values.collect();
    if rest.is_empty() {
        return (first.len() <= MOST_BAGGAGE).then(|| first.clone());
    }
    let mut all = first.as_bytes().to_vec();
    for value in rest {
        all.push(b',');
        all.extend_from_slice(value.as_bytes());
    }
    if all.len() > MOST_BAGGAGE {
        return None;
    }
    HeaderValue::from_bytes(&all).ok()
}

/// `context` as the value of the header.
pub fn format(context: &TraceContext) -> HeaderValue {
    let TraceContext {
        trace_id,
        span_id,
        sampled,
        ..
    } = context;
    let text = format!(
        "00-{trace_id:032x}-{span_id:016x}-{:02x}",
        u8::from(*sampled)
    );
    // Hex and hyphens are always a valid value; the fallback is never taken.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether anything here tells of a trace. Most requests have nothing, and to compare the few names that
/// are there costs less than to look for three.
pub(crate) fn is_told(headers: &HeaderMap) -> bool {
    let ours = |name: &HeaderName| [&TRACEPARENT, &TRACESTATE, &BAGGAGE].contains(&name);
    headers.keys().any(ours)
}

/// Removes whatever trace the headers claim; what travels with it stays.
pub(crate) fn remove(headers: &mut HeaderMap) {
    for name in [&TRACEPARENT, &TRACESTATE] {
        headers.remove(name);
    }
}

/// Removes all that tells of a trace, and what travels with it.
pub(crate) fn remove_all(headers: &mut HeaderMap) {
    for name in [&TRACEPARENT, &TRACESTATE, &BAGGAGE] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_header_is_read() {
        let read = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(read.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(read.span_id, 0x00f0_67aa_0ba9_02b7);
        assert!(read.sampled);
        assert_eq!(format(&read), GOOD);
    }

    #[test]
    fn what_a_lax_parser_takes_is_refused() {
        let upper = GOOD.to_uppercase();
        let long = format!("{GOOD}-00");
        for text in [
            "",
            "0-1-1-1",
            "+0-+1-+1-+1",
            &GOOD[..54],
            &upper,
            &long,
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = GOOD.replacen("00", "01", 1);
        assert!(parse(later.as_bytes()).is_some());
        assert!(parse(format!("{later}-more").as_bytes()).is_some());
        assert_eq!(parse(format!("{later}more").as_bytes()), None);
    }

    #[test]
    fn a_repeated_header_is_no_trace() {
        let mut headers = HeaderMap::new();
        headers.append(&TRACEPARENT, HeaderValue::from_static(GOOD));
        assert!(read(&headers).is_some());
        headers.append(&TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(read(&headers), None);
    }

    proptest! {
        #[test]
        fn every_context_is_read_back(trace in 1..u128::MAX, span in 1..u64::MAX, sampled: bool) {
            let context = TraceContext::new(trace, span, sampled).unwrap();
            prop_assert_eq!(parse(format(&context).as_bytes()), Some(context));
        }

        #[test]
        fn no_bytes_whatever_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
        }
    }
}
