//! Libraries that log by the crate `log` are heard as well: the logger is the process's, so this is
//! alone in its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use buttress_correlation::CorrelationId;
use buttress_telemetry::{Config, Format};
use support::Lines;
use tracing_log::log;

#[test]
fn their_lines_carry_the_id_their_own_target_and_level_and_no_secret() {
    let lines = Lines::default();
    let config = Config::new("test")
        .format(Format::Json)
        .writer(lines.clone());
    let guard = buttress_telemetry::init(config).unwrap();
    let id: CorrelationId = "order-7".parse().unwrap();
    id.sync_scope(|| {
        log::warn!(target: "old::library", "of ann@example.com");
        log::debug!(target: "old::library", "left out");
    });
    let json = lines.json();
    assert_eq!(json.len(), 1, "{json:?}");
    assert_eq!(json[0]["target"], "old::library");
    assert_eq!(json[0]["level"], "WARN");
    assert_eq!(json[0]["message"], "of [redacted]");
    assert_eq!(json[0]["correlation_id"], "order-7");
    assert_eq!(json[0].get("fields"), None);
    assert!(!log::log_enabled!(target: "old::library", log::Level::Debug));

    guard.logs().set_filter("warn,old=debug").unwrap();
    log::debug!(target: "old::library", "now it is written");
    log::debug!(target: "new::library", "and this is not");
    assert_eq!(lines.json().len(), 3, "that it was changed, and the one");
}
