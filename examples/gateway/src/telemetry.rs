//! Logs and spans of the process, as the configuration says.

use std::io;
use std::time::Duration;

use buttress::telemetry::{
    self, Format, Guard, InitError, LOG_FORMAT_VARIABLE, LineQueue, Metrics, MetricsPush,
    Redaction, Repeats, Tail, access,
};

use crate::config::{Config, Log, LogFormat, Trace};

/// How long the last spans may take to leave the process.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Sets up what the whole process logs, by `lines`, and exports, `metrics` among it. Has to be called inside
/// a runtime.
pub fn init(config: &Config, metrics: &Metrics, lines: LineQueue) -> Result<Guard, InitError> {
    telemetry::init(of(config, metrics).env()?.writer(lines))
}

/// The same for a process whose terminal shows a table: nothing may be written across it.
pub fn init_quiet(config: &Config, metrics: &Metrics) -> Result<Guard, InitError> {
    telemetry::init(of(config, metrics).env()?.writer(io::sink))
}

/// Sends what is left, and says what was lost.
pub async fn shut_down(guard: Guard) {
    let report = guard.shutdown(SHUTDOWN).await;
    if report.spans_lost > 0 {
        tracing::warn!(lost = report.spans_lost, "spans were not exported");
    }
}

/// The form of the log's lines, as configuration and environment say.
pub fn format(config: &Config) -> Format {
    let said = std::env::var(LOG_FORMAT_VARIABLE).ok();
    let said = said.and_then(|format| format.parse().ok());
    said.unwrap_or_else(|| configured(&config.log))
}

const fn configured(log: &Log) -> Format {
    match log.format {
        LogFormat::Human => Format::Human,
        LogFormat::Json => Format::Json,
    }
}

fn of(config: &Config, metrics: &Metrics) -> telemetry::Config {
    let told = telemetry::Config::new("buttress-gateway")
        .format(configured(&config.log))
        .filter(filter(config.log.level.as_str(), config.log.access_log))
        .redaction(redaction(&config.log))
        .repeats(config.log.repeats.then(Repeats::default));
    let told = match &config.trace.otlp_endpoint {
        Some(endpoint) => traced(told.otlp(endpoint), &config.trace),
        None => told,
    };
    match &config.metrics.otlp_endpoint {
        Some(endpoint) => {
            let push = MetricsPush::new(endpoint, metrics.clone());
            told.push(push.every(config.metrics.push_every))
        }
        None => told,
    }
}

fn traced(told: telemetry::Config, trace: &Trace) -> telemetry::Config {
    let told = told.sample_ratio(trace.sample_ratio);
    if !trace.keep_failed {
        return told;
    }
    told.tail(Tail::new().slow_after(trace.keep_slower_than))
}

/// What is shown of requests and cut out of lines, spans and records.
pub(crate) fn redaction(log: &Log) -> Redaction {
    Redaction::new()
        .shapes(log.redact.iter().copied())
        .secret_names(&log.secret_names)
        .show_headers(log.show_headers.iter().cloned())
        .show_query(log.show_query.iter().cloned())
        .show_path(log.show_path)
}

/// Directives that let lines through as `level` says. The access lines have a switch of their own,
/// whatever the level is.
pub(crate) fn filter(level: &str, access_log: bool) -> String {
    let access = if access_log { "info" } else { "off" };
    format!("{level},{}={access}", access::TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_access_log_has_a_switch_of_its_own() {
        assert_eq!(filter("error", true), "error,buttress::access=info");
        assert_eq!(filter("info", false), "info,buttress::access=off");
    }
}
