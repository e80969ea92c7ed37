//! What pushing metrics is told.

use std::time::Duration;

use buttress_core::clock::Clock;

use crate::metrics::Metrics;

/// Pushes of metrics by OTLP over gRPC: the integers of the page, cumulative, at intervals and a last
/// time when telemetry is shut down. Needs the feature `otlp`.
///
/// Give a name to one Prometheus once: by scrape or by push.
///
/// ```no_run
/// use std::time::Duration;
/// use buttress_telemetry::{Config, Metrics, MetricsPush};
///
/// let metrics = Metrics::new();
/// let push = MetricsPush::new("http://127.0.0.1:4317", metrics.clone()).every(Duration::from_secs(15));
/// let guard = buttress_telemetry::init(Config::new("orders").push(push))?;
/// metrics.register(std::sync::Arc::new(guard.handle()));
/// # Ok::<(), buttress_telemetry::InitError>(())
/// ```
///
/// # What it costs
///
/// One thread, and at each push what a scrape costs, on a thread of its own. A collector that is away
/// costs one attempt at each interval and nothing else: pushes are cumulative, so that none is kept for
/// later. Failures are counted as `buttress_export_failures_total{exporter="metrics"}`, and each change
/// is said in one line: `tests/push.rs`.
#[derive(Clone, Debug)]
#[must_use = "nothing is pushed before the configuration has it"]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "a build without it cannot push")
)]
pub struct MetricsPush {
    pub(crate) endpoint: String,
    pub(crate) metrics: Metrics,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    pub(crate) clock: Clock,
}

impl MetricsPush {
    /// The shortest interval: below it, pushing is all that is done.
    pub const SHORTEST: Duration = Duration::from_millis(100);

    /// What `metrics` has at the time of each push, to `endpoint`, as `http://127.0.0.1:4317`.
    pub fn new(endpoint: impl Into<String>, metrics: Metrics) -> Self {
        Self {
            endpoint: endpoint.into(),
            metrics,
            every: Duration::from_secs(60),
            timeout: Duration::from_secs(3),
            clock: Clock::default(),
        }
    }

    /// So long after a push ended the next begins; by default a minute, at least
    /// [`MetricsPush::SHORTEST`].
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval.max(Self::SHORTEST);
        self
    }

    /// Waits this long for the collector to take a push; by default 3 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tells intervals and times by `clock`.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}
