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
    /// Spans of traces that were not sampled, by what became of them.
    pub(crate) tail_kept: AtomicU64,
    pub(crate) tail_dropped: AtomicU64,
    pub(crate) tail_evicted: AtomicU64,
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
    /// Spans that were exported although the head sampler said no: their request failed or was slow.
    pub tail_kept: u64,
    /// Spans that were recorded and held, and not exported: their request went well.
    pub tail_dropped: u64,
    /// Spans that went before their request had ended: too much was held.
    pub tail_evicted: u64,
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
            tail_kept: read(&self.counters.tail_kept),
            tail_dropped: read(&self.counters.tail_dropped),
            tail_evicted: read(&self.counters.tail_evicted),
        }
    }
}

impl TelemetryHandle {
    fn tail(&self) -> Family {
        let now = self.snapshot();
        let help = "Spans of traces that the head sampler said no to, recorded for a decision at the end of \
                    their request. With evictions the limits of the tail are too low for the traffic.";
        let results = [
            ("kept", now.tail_kept),
            ("dropped", now.tail_dropped),
            ("evicted", now.tail_evicted),
        ];
        let family = Family::new("buttress_trace_tail_spans", Kind::Counter, help);
        results.into_iter().fold(family, |family, (result, spans)| {
            family.with(vec![("result", result.into())], Value::Counter(spans))
        })
    }
}

/// The family of what could not be exported, without points.
pub(crate) fn failures() -> Family {
    let help = "What could not be exported: spans that the collector did not take or that found the queue \
                full, pushes of metrics, and log lines that found no room.";
    Family::new("buttress_export_failures", Kind::Counter, help)
}

impl Collect for TelemetryHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let now = self.snapshot();
        let mut failures = failures();
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
        if self.exports.spans {
            into.push(self.tail());
        }
    }
}
