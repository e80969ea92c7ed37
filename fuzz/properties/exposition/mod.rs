//! What holds for any bytes: run by the fuzz targets of `fuzz/`, and by `corpus.rs` over what they
//! have learnt.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

mod bytes;
#[cfg(any(fuzzing, feature = "protobuf"))]
mod histogram;

use std::borrow::Cow;

use buttress_core::metric::{Family, Kind, Value};
use buttress_telemetry::exposition::Format;
use http::{HeaderMap, HeaderValue, header::ACCEPT};

use crate::read;
use bytes::Bytes;
#[cfg(any(fuzzing, feature = "protobuf"))]
pub use histogram::protobuf_roundtrip;

/// Each line is a header: a form is given, one that is named or fits a wildcard, and what nobody has
/// changes nothing.
pub fn accept_header(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let lines = data.split(|byte| *byte == b'\n');
    for value in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(ACCEPT, value);
    }
    let given = Format::negotiate(&headers);
    let said = String::from_utf8_lossy(data).to_ascii_lowercase();
    match given {
        Format::OpenMetrics => assert!(said.contains("openmetrics-text") || said.contains("/*")),
        #[cfg(any(fuzzing, feature = "protobuf"))]
        Format::Protobuf => assert!(said.contains("vnd.google.protobuf")),
        _ => {}
    }
    headers.append(ACCEPT, HeaderValue::from_static("image/png, audio/*;q=0.3"));
    assert_eq!(Format::negotiate(&headers), given);
}

/// Label values, help and a number of any kind are read back as they were, from either text form.
pub fn exposition_escaping(data: &[u8]) {
    let mut bytes = Bytes(data);
    let number = f64::from_bits(bytes.u64());
    let text = String::from_utf8_lossy(bytes.0).into_owned();
    let (help, value) = text.split_once('\u{1}').unwrap_or(("", &text));
    // A room's help is a constant, and so is this one, of its own run.
    let help: &'static str = help.to_owned().leak();
    let labels = vec![("a", Cow::Owned(value.to_owned())), ("b", "x".into())];
    let families = [
        Family::new("m_seconds", Kind::Gauge, help).with(labels.clone(), Value::Gauge(number)),
        Family::new("n", Kind::Counter, help).with(labels, Value::Counter(number.to_bits())),
    ];
    for (format, openmetrics) in [(Format::Text, false), (Format::OpenMetrics, true)] {
        let page = String::from_utf8(format.encode(&families)).unwrap();
        let page = read::text::read(&page, openmetrics).unwrap();
        let [gauge, counter] = page.samples.as_slice() else {
            panic!("{page:?}");
        };
        for sample in [gauge, counter] {
            assert_eq!(sample.labels[0].1, value);
            assert_eq!(sample.labels[1].1, "x");
        }
        let shown: f64 = gauge.value.parse().unwrap();
        assert!(shown.to_bits() == number.to_bits() || (shown.is_nan() && number.is_nan()));
        assert_eq!(counter.value, number.to_bits().to_string());
        let key = ("HELP".to_owned(), "m_seconds".to_owned());
        assert_eq!(
            read::text::unescaped(&page.described[&key], openmetrics).as_deref(),
            Some(help)
        );
    }
}
