//! What is written, what is cut out of it, what is held back, and changing that at run time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::verdict::By;
use buttress_correlation::CorrelationId;
use buttress_telemetry::{Config, Format, Guard, InitError, Redaction, Repeats};
use support::Lines;
use tracing::Dispatch;
use tracing::dispatcher::with_default;

fn logging(config: Config) -> (Lines, Dispatch, Guard) {
    let lines = Lines::default();
    let (dispatch, guard) = config.writer(lines.clone()).build().unwrap();
    (lines, dispatch, guard)
}

fn json() -> Config {
    Config::new("test").format(Format::Json)
}

fn id(text: &str) -> CorrelationId {
    text.parse().unwrap()
}

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused for ann@example.com with token=canary")
    }
}

impl std::error::Error for Refused {}

fn log_secrets() {
    let error: &dyn std::error::Error = &Refused;
    tracing::error!(
        error,
        user = "ann@example.com",
        password = "canary",
        api_key = 7,
        card = 4_111_111_111_111_111_u64,
        debug = ?("Bearer canary-123", 1),
        plain = "kept",
        count = 7,
        "paid by {} with 4111 1111 1111 1111",
        "ann@example.com"
    );
}

#[test]
fn secrets_are_cut_out_of_messages_fields_and_errors_in_both_forms() {
    for format in [Format::Json, Format::Human] {
        let (lines, dispatch, _guard) = logging(Config::new("test").format(format));
        with_default(&dispatch, || id("ann@example.com").sync_scope(log_secrets));
        let text = lines.text();
        assert!(!text.contains("canary") && !text.contains("4111"), "{text}");
        assert_eq!(text.matches("ann@example.com").count(), 1, "the ID: {text}");
        assert!(text.contains("kept"));
    }
    let (lines, dispatch, _guard) = logging(json());
    with_default(&dispatch, log_secrets);
    let line = &lines.json()[0];
    assert_eq!(line["message"], "paid by [redacted] with [redacted]");
    assert_eq!(
        line["fields"]["error"],
        "refused for [redacted] with token=[redacted]"
    );
    assert_eq!(line["fields"]["api_key"], "[redacted]");
    assert_eq!(line["fields"]["count"], 7);
}

#[test]
fn what_is_cut_out_is_chosen() {
    let (lines, dispatch, _guard) = logging(json().redaction(Redaction::nothing()));
    with_default(&dispatch, log_secrets);
    assert!(lines.text().contains("4111 1111 1111 1111"));
    let redaction = Redaction::nothing().secret_names(["plain"]);
    let (lines, dispatch, _guard) = logging(json().redaction(redaction));
    with_default(&dispatch, log_secrets);
    assert_eq!(lines.json()[0]["fields"]["plain"], "[redacted]");
}

fn again(times: usize) {
    for n in 0..times {
        tracing::warn!(n, "again");
    }
}

#[test]
fn what_repeats_is_summed_up_with_the_next_line_after_its_window() {
    let time = ManualClock::new();
    let repeats = Repeats::new().burst(2).window(Duration::from_secs(10));
    let (lines, dispatch, _guard) = logging(json().clock(time.clock()).repeats(repeats));
    with_default(&dispatch, || {
        again(4_215);
        assert_eq!(lines.json().len(), 2);
        time.advance(Duration::from_secs(10));
        tracing::info!("something else");
    });
    let json = lines.json();
    assert_eq!(json.len(), 4, "{json:?}");
    assert_eq!(json[2]["message"], "again (repeated 4,213 times)");
    assert_eq!(json[2]["fields"]["repeated"], 4_213);
    assert_eq!(json[2]["level"], "WARN");
    assert_eq!(json[2]["target"], "lines");
    assert_eq!(json[3]["message"], "something else");
}

#[test]
fn what_repeats_is_summed_up_at_the_end_of_its_window_though_no_line_comes() {
    let repeats = Repeats::new().burst(1).window(Duration::from_millis(1));
    let (lines, dispatch, _guard) = logging(json().repeats(repeats));
    with_default(&dispatch, || again(2_000));
    let is_summed_up = || {
        let counted = lines.json().iter().fold(0, |sum, line| {
            sum + line["fields"]["repeated"].as_u64().unwrap_or(1)
        });
        counted == 2_000
    };
    for _ in 0..10_000 {
        if is_summed_up() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("never summed up: {}", lines.text());
}

#[tokio::test]
async fn what_repeats_is_summed_up_at_shutdown() {
    let repeats = Repeats::new().burst(1).window(Duration::from_secs(3_600));
    let (lines, dispatch, guard) = logging(json().repeats(repeats));
    with_default(&dispatch, || again(3));
    guard.shutdown(Duration::from_secs(60)).await;
    assert_eq!(lines.json()[1]["message"], "again (repeated 2 times)");
}

#[test]
fn the_lines_of_a_request_are_all_written_unless_that_is_not_wanted() {
    let repeats = Repeats::new().burst(1);
    for (repeats, written) in [(repeats, 5), (repeats.in_requests(true), 1)] {
        let (lines, dispatch, _guard) = logging(json().repeats(repeats));
        with_default(&dispatch, || id("order-7").sync_scope(|| again(5)));
        assert_eq!(lines.json().len(), written);
    }
    let (lines, dispatch, _guard) = logging(json().repeats(None));
    with_default(&dispatch, || again(100));
    assert_eq!(lines.json().len(), 100);
}

#[test]
fn the_filter_is_changed_at_run_time_and_one_that_makes_no_sense_is_refused() {
    let (lines, dispatch, guard) = logging(json());
    let logs = guard.logs();
    with_default(&dispatch, || {
        let line = || tracing::debug!(target: "chatty", "line");
        line();
        assert_eq!(logs.set_filter("info,chatty=debug").unwrap(), "info");
        line();
        for wrong in ["loud", "", "info,chatty=loud"] {
            assert!(matches!(logs.set_filter(wrong), Err(InitError::Filter(_))));
        }
        line();
        assert_eq!(logs.filter(), "info,chatty=debug");
        logs.set_filter("off").unwrap();
        line();
        tracing::error!("off");
    });
    let is_line = |it: &&serde_json::Value| it["message"] == "line";
    assert_eq!(lines.json().iter().filter(is_line).count(), 2);
}

#[test]
fn a_change_of_the_filter_is_a_line_whatever_it_was_and_is() {
    let (lines, dispatch, guard) = logging(json().filter("error"));
    with_default(&dispatch, || {
        let by = By::new("127.0.0.1:5", "ticket 7");
        for directives in ["off", "warn,buttress::log=off"] {
            guard
                .logs()
                .on_behalf_of(by.clone())
                .set_filter(directives)
                .unwrap();
            tracing::info!(target: "buttress::log", "no change");
        }
    });
    let json = lines.json();
    let told = ["error", "off", "warn,buttress::log=off"];
    assert_eq!(json.len(), 2, "{json:?}");
    for (line, states) in json.iter().zip(told.windows(2)) {
        assert_eq!(line["message"], "log filter changed");
        let fields = &line["fields"];
        assert_eq!(
            (&fields["before"], &fields["after"]),
            (&states[0].into(), &states[1].into())
        );
        assert_eq!(
            (&fields["who"], &fields["why"]),
            (&"127.0.0.1:5".into(), &"ticket 7".into())
        );
    }
}

#[test]
fn a_change_of_the_filter_is_never_held_back() {
    let repeats = Repeats::new().burst(1).in_requests(true);
    let (lines, dispatch, guard) = logging(json().repeats(repeats));
    with_default(&dispatch, || {
        for n in 0..50 {
            let directives = if n % 2 == 0 { "off" } else { "info" };
            guard.logs().set_filter(directives).unwrap();
        }
    });
    assert_eq!(lines.json().len(), 50);
}

#[test]
fn the_environment_overrules_level_and_format() {
    let set = |name: &str| match name {
        "BUTTRESS_LOG" => Some("debug".to_owned()),
        "BUTTRESS_LOG_FORMAT" => Some("json".to_owned()),
        _ => None,
    };
    let (lines, dispatch, _guard) = logging(Config::new("test").env_by(set).unwrap());
    with_default(&dispatch, || tracing::debug!("line"));
    assert_eq!(lines.json()[0]["level"], "DEBUG");
    let (lines, dispatch, _guard) = logging(json().env_by(|_| None).unwrap());
    with_default(&dispatch, || tracing::debug!("line"));
    assert_eq!(lines.text(), "");
    let wrong = Config::new("test")
        .env_by(|_| Some("xml".to_owned()))
        .unwrap_err();
    assert!(wrong.to_string().contains("human or json"), "{wrong}");
}
