//! The page, read back by a parser of the format, says what was put in.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod read;

use std::borrow::Cow;

use buttress_core::metric::{Family, Kind, Value};
use buttress_telemetry::exposition::text as encode;
use read::text::Sample;

fn parse(line: &str) -> Sample {
    let page = read::text::read(&format!("{line}\n"), false).unwrap();
    page.samples[0].clone()
}

#[test]
fn label_values_of_any_text_are_read_back_as_they_were() {
    for text in [
        "",
        "plain",
        "quote \" inside",
        "back\\slash",
        "two\nlines",
        "\\n is no newline",
        "trailing\\",
        "},{a=\"b\"} 7\n# EOF",
        "ünï¢ode \u{1F980}",
    ] {
        let labels = vec![
            ("first", Cow::Owned(text.to_owned())),
            ("second", Cow::Borrowed("x")),
        ];
        let family = Family::new("m", Kind::Counter, "M.").with(labels, Value::Counter(3));
        let page = encode(&[family]);
        let lines: Vec<_> = page.lines().collect();
        assert_eq!(lines.len(), 3, "{page}");
        let sample = parse(lines[2]);
        assert_eq!(
            (sample.name.as_str(), sample.value.as_str()),
            ("m_total", "3")
        );
        assert_eq!(sample.labels[0], ("first".to_owned(), text.to_owned()));
        assert_eq!(sample.labels[1], ("second".to_owned(), "x".to_owned()));
    }
}

#[test]
fn help_of_several_lines_stays_on_one() {
    let page = encode(&[Family::new("m", Kind::Gauge, "one\ntwo \\ \"three\"")]);
    assert_eq!(page, "# HELP m one\\ntwo \\\\ \"three\"\n# TYPE m gauge\n");
}

#[test]
fn numbers_are_read_back_to_the_bit() {
    for number in [
        0.0,
        -0.0,
        0.1,
        1e-9,
        123_456_789.123_456_79,
        f64::MAX,
        f64::MIN_POSITIVE,
    ] {
        let family = Family::new("m", Kind::Gauge, "M.").with(vec![], Value::Gauge(number));
        let page = encode(&[family]);
        let read: f64 = parse(page.lines().last().unwrap()).value.parse().unwrap();
        assert_eq!(read.to_bits(), number.to_bits());
    }
}

#[test]
fn every_line_of_a_page_of_all_kinds_follows_the_format() {
    let mut histogram = buttress_core::metric::Histogram::default();
    histogram.classic = vec![(0.005, 1), (0.01, 4)];
    (histogram.count, histogram.sum) = (5, 0.25);
    let state = Value::State {
        label: "state",
        states: &["closed", "open"],
        current: 0,
    };
    let page = encode(&[
        Family::new("a", Kind::Counter, "A.").with(vec![], Value::Counter(u64::MAX)),
        Family::new("b", Kind::Gauge, "B.").with(vec![], Value::Gauge(-1.5)),
        Family::new("c", Kind::StateSet, "C.").with(vec![], state),
        Family::new("d_seconds", Kind::Histogram, "D.").with(vec![], Value::Histogram(histogram)),
    ]);
    assert!(page.ends_with('\n'));
    let samples: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(parse)
        .collect();
    assert_eq!(samples.len(), 1 + 1 + 2 + 5);
    assert_eq!(samples[0].value, u64::MAX.to_string());
    let buckets: Vec<u64> = samples
        .iter()
        .filter(|sample| sample.name == "d_seconds_bucket")
        .map(|sample| sample.value.parse().unwrap())
        .collect();
    assert!(buckets.is_sorted());
    assert_eq!(buckets.last(), Some(&5));
}
