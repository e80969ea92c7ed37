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
}

/// Reads what telemetry counts about itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TelemetryHandle {
    counters: Arc<Counters>,
    exports: bool,
}

/// The spans that ended since the beginning, each in exactly one of the three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TelemetrySnapshot {
    /// Spans that the collector took.
    pub spans_exported: u64,
    /// Spans that it did not take, or that found the queue full.
    pub spans_lost: u64,
    /// Spans that wait to be exported.
    pub spans_waiting: u64,
}

impl TelemetrySnapshot {
    /// The lost, if nothing more is exported.
    pub(crate) const fn spans_lost_by_now(self) -> u64 {
        self.spans_lost.saturating_add(self.spans_waiting)
    }
}

impl TelemetryHandle {
    pub(crate) const fn new(counters: Arc<Counters>, exports: bool) -> Self {
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
        }
    }
}

impl Collect for TelemetryHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        if !self.exports {
            return;
        }
        let labels = vec![("exporter", Cow::Borrowed("otlp"))];
        let lost = Value::Counter(self.snapshot().spans_lost);
        into.push(
            Family::new(
                "buttress_export_failures",
                Kind::Counter,
                "Spans lost: the collector did not take them, or the queue was full.",
            )
            .with(labels, lost),
        );
    }
}
