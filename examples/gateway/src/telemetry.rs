//! Logs and spans of the process, as the configuration says.

use std::io;
use std::time::Duration;

use buttress::telemetry::{self, Format, Guard, InitError, Metrics, MetricsPush, access};

use crate::config::{Config, Log, LogFormat};

/// How long the last spans may take to leave the process.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Sets up what the whole process logs and exports, `metrics` among it. Has to be called inside a
/// runtime.
pub fn init(config: &Config, metrics: &Metrics) -> Result<Guard, InitError> {
    telemetry::init(of(config, metrics))
}

/// The same for a process whose terminal shows a table: nothing may be written across it.
pub fn init_quiet(config: &Config, metrics: &Metrics) -> Result<Guard, InitError> {
    telemetry::init(of(config, metrics).writer(io::sink))
}

/// Sends what is left, and says what was lost.
pub async fn shut_down(guard: Guard) {
    let report = guard.shutdown(SHUTDOWN).await;
    if report.spans_lost > 0 {
        tracing::warn!(lost = report.spans_lost, "spans were not exported");
    }
}

fn of(config: &Config, metrics: &Metrics) -> telemetry::Config {
    let format = match config.log.format {
        LogFormat::Human => Format::Human,
        LogFormat::Json => Format::Json,
    };
    let told = telemetry::Config::new("buttress-gateway")
        .format(format)
        .filter(filter(&config.log));
    let told = match &config.trace.otlp_endpoint {
        Some(endpoint) => told.otlp(endpoint).sample_ratio(config.trace.sample_ratio),
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

/// The access lines have a switch of their own, whatever the level is.
fn filter(log: &Log) -> String {
    let access = if log.access_log { "info" } else { "off" };
    format!("{},{}={access}", log.level.as_str(), access::TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;

    #[test]
    fn the_access_log_has_a_switch_of_its_own() {
        let quiet = Log {
            level: LogLevel::Error,
            access_log: true,
            ..Log::default()
        };
        assert_eq!(filter(&quiet), "error,buttress::access=info");
        assert_eq!(filter(&Log::default()), "info,buttress::access=off");
    }
}
