//! The parser, against what anybody may send.

use proptest::prelude::*;

use super::*;

fn parse(value: &str) -> Result<LoadReport, Malformed> {
    LoadReport::parse(value.as_bytes())
}

#[test]
fn both_forms_are_read() {
    let text = parse(
        "TEXT cpu_utilization=0.3, application_utilization=0.5,mem_utilization=1,\
         rps_fractional=1e2,eps=0,named_metrics.queue=7",
    );
    let json = parse(
        "JSON {\"cpu_utilization\": 0.3, \"applicationUtilization\": 0.5,\"mem_utilization\":1.0,\
         \"rps_fractional\" : 100 , \"eps\":0.0, \"named_metrics\": {\"a \\\" }\": 7, \"b\":1}, \
         \"utilization\": {}}",
    );
    let report = LoadReport {
        cpu_utilization: Some(0.3),
        application_utilization: Some(0.5),
        mem_utilization: Some(1.0),
        rps_fractional: Some(100.0),
        eps: Some(0.0),
    };
    assert_eq!((text, json), (Ok(report), Ok(report)));
    assert_eq!(parse("TEXT"), Ok(LoadReport::default()));
    assert_eq!(parse("JSON {}"), Ok(LoadReport::default()));
}

#[test]
fn what_is_malformed_or_absurd_is_refused_whole() {
    let long = format!("TEXT named_metrics.{}=1", "x".repeat(5_000));
    let deep = format!("JSON {}", "{\"a\":".repeat(500));
    for (value, why) in [
        ("", Malformed::Form),
        ("BIN CAE=", Malformed::Form),
        ("text eps=1", Malformed::Form),
        ("cpu_utilization=0.3", Malformed::Form),
        (&long, Malformed::TooLong),
        ("TEXT eps", Malformed::Syntax),
        ("TEXT eps=1,", Malformed::Syntax),
        ("TEXT =1", Malformed::Syntax),
        ("TEXT a b=1", Malformed::Syntax),
        ("TEXT eps=", Malformed::Value),
        ("TEXT eps=NaN", Malformed::Value),
        ("TEXT eps=inf", Malformed::Value),
        ("TEXT eps=1e999", Malformed::Value),
        ("TEXT eps=-0.1", Malformed::Value),
        ("TEXT eps=+1", Malformed::Value),
        ("TEXT eps=1.", Malformed::Value),
        ("TEXT eps=0x1", Malformed::Value),
        ("TEXT eps=1e10", Malformed::Value),
        ("TEXT cpu_utilization=101", Malformed::Value),
        ("TEXT mem_utilization=1.1", Malformed::Value),
        ("TEXT named_metrics.x=NaN", Malformed::Value),
        ("TEXT cpu_utilization=0.1,eps=x", Malformed::Value),
        ("TEXT eps=1,eps=1", Malformed::Repeated),
        ("JSON {\"eps\":1,\"eps\":1}", Malformed::Repeated),
        ("JSON", Malformed::Syntax),
        ("JSON {", Malformed::Syntax),
        ("JSON {\"eps\":1,}", Malformed::Syntax),
        ("JSON {\"eps\":1} x", Malformed::Syntax),
        ("JSON {\"eps", Malformed::Syntax),
        ("JSON {\"eps\\\":1}", Malformed::Syntax),
        ("JSON [1]", Malformed::Syntax),
        ("JSON {\"eps\":\"1\"}", Malformed::Value),
        ("JSON {\"eps\":{\"a\":1}}", Malformed::Value),
        ("JSON {\"eps\":null}", Malformed::Value),
        ("JSON {\"eps\":NaN}", Malformed::Value),
        ("JSON {\"a\":{\"b\":{}}}", Malformed::Value),
        (&deep, Malformed::Value),
    ] {
        assert_eq!(parse(value), Err(why), "{value}");
    }
    assert_eq!(LoadReport::parse(b"TEXT \xff=1"), Err(Malformed::Syntax));
}

#[test]
fn the_applications_own_measure_goes_before_the_cpus() {
    for (value, utilization) in [
        (
            "TEXT cpu_utilization=0.3,application_utilization=0.5",
            Some(0.5),
        ),
        (
            "TEXT cpu_utilization=0.3,application_utilization=0",
            Some(0.3),
        ),
        ("TEXT cpu_utilization=0.3", Some(0.3)),
        ("TEXT application_utilization=0", Some(0.0)),
        ("TEXT eps=3,mem_utilization=0.9", None),
    ] {
        assert_eq!(parse(value).unwrap().utilization(), utilization, "{value}");
    }
}

fn metric(most: f64) -> impl Strategy<Value = Option<f64>> {
    let any = prop_oneof![0.0..=most, Just(0.0), Just(most), Just(f64::MIN_POSITIVE)];
    proptest::option::of(any)
}

/// Words of which something like a report is made.
fn words() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "TEXT",
        "JSON",
        "BIN",
        " ",
        ",",
        "=",
        "{",
        "}",
        ":",
        "\"",
        "\\",
        "eps",
        "\"eps\"",
        "1",
        "0.5",
        "-1",
        "NaN",
        "1e308",
        "1e309",
        ".",
        "é",
        "cpu_utilization",
        "named_metrics",
        "\t",
    ]);
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = LoadReport::parse(&value);
        let _ = LoadReport::parse(&[b"TEXT ", &*value].concat());
        let _ = LoadReport::parse(&[b"JSON {\"", &*value].concat());
    }

    #[test]
    fn what_is_read_is_within_bounds_and_is_printed_as_it_was(
        form in proptest::sample::select(vec!["", "TEXT ", "JSON {"]),
        words in words(),
    ) {
        if let Ok(report) = parse(&format!("{form}{words}")) {
            prop_assert_eq!(parse(&report.to_string()), Ok(report));
            prop_assert!(report.utilization().is_none_or(|it| (0.0..=100.0).contains(&it)));
        }
    }

    #[test]
    fn what_is_printed_is_read_as_it_was(
        (cpu_utilization, application_utilization) in (metric(100.0), metric(100.0)),
        (mem_utilization, rps_fractional, eps) in (metric(1.0), metric(1e9), metric(1e9)),
    ) {
        let report = LoadReport {
            cpu_utilization, application_utilization, mem_utilization, rps_fractional, eps,
        };
        prop_assert_eq!(parse(&report.to_string()), Ok(report));
    }
}
