//! What telemetry counts about itself.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buttress_core::metric::{Collect, Family, Kind, Value};

/// How many spans may wait for the collector; those beyond are counted and dropped.
#[cfg(feature = "otlp")]
pub(crate) const QUEUE: u64 = 2048;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// All spans that were to be exported. Counted first, so that the rest is never more.
    pub(crate) ended: AtomicU64,
    pub(crate) exported: AtomicU64,
    pub(crate) lost: AtomicU64,
    /// Pushes of metrics that the collector took.
    pub(crate) pushed: AtomicU64,
    pub(crate) pushes_failed: AtomicU64,
}

/// Reads what telemetry counts about itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TelemetryHandle {
    counters: Arc<Counters>,
    exports: Exports,
}

/// What is exported at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exports {
    pub(crate) spans: bool,
    pub(crate) metrics: bool,
}

/// What became of the spans that ended since the beginning, each in exactly one of the three, and of the
/// pushes of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TelemetrySnapshot {
    /// Spans that the collector took.
    pub spans_exported: u64,
    /// Spans that it did not take, or that found the queue full.
    pub spans_lost: u64,
    /// Spans that wait to be exported.
    pub spans_waiting: u64,
    /// Pushes of metrics that the collector took.
    pub pushes: u64,
    /// Pushes of metrics that it did not take.
    pub pushes_failed: u64,
}

impl TelemetrySnapshot {
    /// The lost, if nothing more is exported.
    pub(crate) const fn spans_lost_by_now(self) -> u64 {
        self.spans_lost.saturating_add(self.spans_waiting)
    }
}

impl TelemetryHandle {
    pub(crate) const fn new(counters: Arc<Counters>, exports: Exports) -> Self {
        Self { counters, exports }
    }

    /// The counts as they are now.
    pub fn snapshot(&self) -> TelemetrySnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let (exported, lost) = (read(&self.counters.exported), read(&self.counters.lost));
        let waiting = read(&self.counters.ended).saturating_sub(exported.saturating_add(lost));
        TelemetrySnapshot {
            spans_exported: exported,
            spans_lost: lost,
            spans_waiting: waiting,
            pushes: read(&self.counters.pushed),
            pushes_failed: read(&self.counters.pushes_failed),
        }
    }
}

impl Collect for TelemetryHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let now = self.snapshot();
        let help = "What could not be exported: spans that the collector did not take or that found the \
                    queue full, and pushes of metrics.";
        let mut failures = Family::new("buttress_export_failures", Kind::Counter, help);
        for (exported, exporter, failed) in [
            (self.exports.spans, "otlp", now.spans_lost),
            (self.exports.metrics, "metrics", now.pushes_failed),
        ] {
            if exported {
                let labels = vec![("exporter", Cow::Borrowed(exporter))];
                failures.push(labels, Value::Counter(failed));
            }
        }
        if !failures.points.is_empty() {
            into.push(failures);
        }
    }
}
