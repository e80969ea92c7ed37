//! Each form of the page says what its format asks, and is given to who asks for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    missing_docs
)]

mod read;

use std::borrow::Cow;
use std::time::Duration;

use buttress_core::metric::{Exemplar, Family, Histogram, Kind, Value};
use buttress_core::trace_context::TraceContext;
use buttress_telemetry::exposition::{self, Format};
use http::{HeaderMap, HeaderValue, header::ACCEPT};
use proptest::prelude::*;

fn negotiated(accept: &[&str]) -> Format {
    let mut headers = HeaderMap::new();
    for accept in accept {
        headers.append(ACCEPT, HeaderValue::from_str(accept).unwrap());
    }
    Format::negotiate(&headers)
}

fn open(families: &[Family]) -> String {
    String::from_utf8(Format::OpenMetrics.encode(families)).unwrap()
}

const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                        encoding=delimited";

#[test]
fn each_prometheus_gets_the_form_that_it_prefers() {
    let v2 = "application/openmetrics-text;version=1.0.0,\
              application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
              */*;q=0.1";
    assert_eq!(negotiated(&[v2]), Format::OpenMetrics);
    let v3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
              application/openmetrics-text;version=0.0.1;q=0.5,\
              text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
              text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    assert_eq!(negotiated(&[v3]), Format::OpenMetrics);
    let before_openmetrics = "application/openmetrics-text; version=0.0.1,\
                              text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(negotiated(&[before_openmetrics]), Format::Text);
}

#[cfg(feature = "protobuf")]
#[test]
fn protobuf_is_for_those_who_name_it_with_its_message_and_framing() {
    let native = format!(
        "{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5,*/*;q=0.1"
    );
    assert_eq!(negotiated(&[&native]), Format::Protobuf);
    let quoted = "application/vnd.google.protobuf; proto=\"io.prometheus.client.MetricFamily\" ; \
                  Encoding=\"delimited\"";
    assert_eq!(negotiated(&[quoted]), Format::Protobuf);
    for other in [
        "application/vnd.google.protobuf",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
        "application/vnd.google.protobuf;proto=another.Message;encoding=delimited",
        "*/*",
    ] {
        assert_eq!(negotiated(&[other]), Format::Text, "{other}");
    }
}

#[cfg(not(feature = "protobuf"))]
#[test]
fn without_its_feature_who_asks_for_protobuf_gets_the_next_best() {
    let accept = format!("{PROTOBUF},application/openmetrics-text;q=0.8");
    assert_eq!(negotiated(&[&accept]), Format::OpenMetrics);
}

#[test]
fn the_weight_decides_and_the_range_that_fits_best_says_it() {
    for (accept, expected) in [
        (
            "text/plain, application/openmetrics-text;q=0.9",
            Format::Text,
        ),
        (
            "text/plain, application/openmetrics-text",
            Format::OpenMetrics,
        ),
        ("text/plain;q=0.2, */*", Format::OpenMetrics),
        ("text/*, application/openmetrics-text;q=0.999", Format::Text),
        ("application/*", Format::OpenMetrics),
        (
            "APPLICATION/OpenMetrics-Text;Version=1.0.0",
            Format::OpenMetrics,
        ),
        (
            "application/openmetrics-text;q=0, */*;q=0.001",
            Format::Text,
        ),
        (
            "text/plain;q=0, application/openmetrics-text;q=0.001",
            Format::OpenMetrics,
        ),
        (
            "application/openmetrics-text;q=0.5, application/openmetrics-text;version=1.0.0;q=0",
            Format::Text,
        ),
        ("application/openmetrics-text;version=2.0.0", Format::Text),
    ] {
        assert_eq!(negotiated(&[accept]), expected, "{accept}");
    }
    let two_lines = ["text/plain;q=0.5", "application/openmetrics-text"];
    assert_eq!(negotiated(&two_lines), Format::OpenMetrics);
}

#[test]
fn who_asks_for_nothing_or_nonsense_gets_text() {
    assert_eq!(negotiated(&[]), Format::Text);
    for accept in [
        "",
        ",;,=;",
        "image/png",
        "text/html;q=0.9",
        "application/openmetrics-text;q=2",
        "application/openmetrics-text;q=0.12345",
        "application/openmetrics-text;q=nan",
        "application/openmetrics-text;q",
    ] {
        assert_eq!(negotiated(&[accept]), Format::Text, "{accept}");
    }
    let comma_in_quotes = "application/openmetrics-text;x=\"a,b;q=0\";q=1";
    assert_eq!(negotiated(&[comma_in_quotes]), Format::OpenMetrics);
}

#[test]
fn openmetrics_has_kinds_units_and_an_end() {
    let state = Value::State {
        label: "state",
        states: &["closed", "open"],
        current: 1,
    };
    let page = open(&[
        Family::new("jobs", Kind::Counter, "Jobs \"done\".").with(vec![], Value::Counter(3)),
        Family::new("wait_seconds", Kind::Gauge, "Wait.").with(vec![], Value::Gauge(2.0)),
        Family::new("breaker_state", Kind::StateSet, "State.")
            .with(vec![("breaker", "b".into())], state),
    ]);
    assert_eq!(
        page,
        "# HELP jobs Jobs \\\"done\\\".\n# TYPE jobs counter\njobs_total 3\n\
         # HELP wait_seconds Wait.\n# TYPE wait_seconds gauge\n# UNIT wait_seconds seconds\n\
         wait_seconds 2.0\n\
         # HELP breaker_state State.\n# TYPE breaker_state stateset\n\
         breaker_state{breaker=\"b\",state=\"closed\",breaker_state=\"closed\"} 0\n\
         breaker_state{breaker=\"b\",state=\"open\",breaker_state=\"open\"} 1\n\
         # EOF\n"
    );
}

#[test]
fn a_counter_has_its_suffix_once_however_it_is_named() {
    let counter = |name| Family::new(name, Kind::Counter, "N.").with(vec![], Value::Counter(1));
    let families = [counter("n"), counter("n_total")];
    assert_eq!(
        open(&families),
        "# HELP n N.\n# TYPE n counter\nn_total 2\n# EOF\n"
    );
}

#[test]
fn time_is_counted_in_seconds_and_added_up() {
    let time = |millis| {
        Family::new("busy_seconds", Kind::Counter, "Busy.")
            .with(vec![], Value::Time(Duration::from_millis(millis)))
    };
    assert_eq!(
        open(&[time(250), time(1_500)]),
        "# HELP busy_seconds Busy.\n# TYPE busy_seconds counter\n# UNIT busy_seconds seconds\n\
         busy_seconds_total 1.75\n# EOF\n"
    );
}

#[test]
fn what_comes_and_goes_is_added_up_and_what_is_measured_is_not() {
    let gauge = |name, kind, value| Family::new(name, kind, "G.").with(vec![], Value::Gauge(value));
    let page = exposition::text(&[
        gauge("jobs", Kind::UpDown, 2.0),
        gauge("load", Kind::Gauge, 2.0),
        gauge("jobs", Kind::UpDown, 3.0),
        gauge("load", Kind::Gauge, 3.0),
    ]);
    assert!(page.contains("# TYPE jobs gauge\njobs 5\n"), "{page}");
    assert!(page.contains("load 2\n"), "{page}");
}

#[test]
fn a_bucket_shows_its_latest_exemplar_in_openmetrics_alone() {
    let exemplar = |id: u128, value, millis| {
        let trace = TraceContext::new(id, 0xab, true).unwrap();
        Exemplar::new(&trace, value, Duration::from_millis(millis))
    };
    let mut histogram = Histogram::default();
    histogram.classic = vec![(0.5, 3), (1.0, 3)];
    (histogram.count, histogram.sum) = (4, 2.75);
    histogram.exemplars = vec![
        exemplar(1, 0.25, 2_000),
        exemplar(2, 0.5, 1_500),
        exemplar(3, 2.0, 1_000),
    ];
    let family = Family::new("wait_seconds", Kind::Histogram, "Wait.");
    let families = [family.with(vec![], Value::Histogram(histogram))];
    let page = open(&families);
    let lines: Vec<_> = page.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "wait_seconds_bucket{le=\"0.5\"} 3 # {trace_id=\"00000000000000000000000000000001\",\
             span_id=\"00000000000000ab\"} 0.25 2.000",
            "wait_seconds_bucket{le=\"1.0\"} 3",
            "wait_seconds_bucket{le=\"+Inf\"} 4 # {trace_id=\"00000000000000000000000000000003\",\
             span_id=\"00000000000000ab\"} 2.0 1.000",
            "wait_seconds_sum 2.75",
            "wait_seconds_count 4",
            "# EOF",
        ]
    );
    let text = String::from_utf8(Format::Text.encode(&families)).unwrap();
    assert!(!text.contains("trace_id"));
}

#[test]
fn what_no_page_can_carry_is_left_out_and_the_rest_is_there() {
    let gauge = |name, label| {
        Family::new(name, Kind::Gauge, "G.").with(vec![(label, "v".into())], Value::Gauge(1.0))
    };
    let families = [
        gauge("with space", "a"),
        gauge("1st", "a"),
        gauge("", "a"),
        gauge("g", "le-label"),
        gauge("g", "ok"),
        Family::new("g", Kind::Counter, "C.").with(vec![], Value::Counter(1)),
        gauge("g", ""),
    ];
    let text = String::from_utf8(Format::Text.encode(&families)).unwrap();
    assert_eq!(text, "# HELP g G.\n# TYPE g gauge\ng{ok=\"v\"} 1\n");
}

proptest! {
    #[test]
    fn any_text_comes_back_from_each_form(value in any::<String>(), number in any::<f64>()) {
        let labels = vec![("a", Cow::Owned(value.clone())), ("b", "x".into())];
        let families = [Family::new("m", Kind::Gauge, "M.").with(labels, Value::Gauge(number))];
        for (format, openmetrics) in [(Format::Text, false), (Format::OpenMetrics, true)] {
            let page = String::from_utf8(format.encode(&families)).unwrap();
            let page = read::text::read(&page, openmetrics).unwrap();
            prop_assert_eq!(page.samples.len(), 1);
            prop_assert_eq!(&page.samples[0].labels[0].1, &value);
            let read: f64 = page.samples[0].value.parse().unwrap();
            prop_assert!(read.to_bits() == number.to_bits() || (read.is_nan() && number.is_nan()));
        }
        #[cfg(feature = "protobuf")]
        {
            let page = Format::Protobuf.encode(&families);
            let families = read::protobuf::read(&page).unwrap();
            let (labels, read) = &families[0].numbers[0];
            prop_assert_eq!(&labels[0].1, &value);
            // Protobuf writes no zero, and so not its sign.
            prop_assert!(*read == number || (read.is_nan() && number.is_nan()));
        }
    }

    #[test]
    fn no_accept_header_is_too_odd(bytes in any::<Vec<u8>>()) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            headers.insert(ACCEPT, value);
        }
        Format::negotiate(&headers);
    }
}
