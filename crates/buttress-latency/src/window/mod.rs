//! Rolling windows as differences of cumulative snapshots.
//!
//! Writers only add. At the first record (or read) after a slice of time has ended, whoever comes
//! reads the recorder once and keeps what has been added since the slice began: every record is in
//! exactly one difference, nothing is reset, and nobody waits.

mod packed;
mod plan;
mod ring;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

use buttress_core::clock::{Clock, Instant};
use buttress_core::metric::Exemplar;
use buttress_core::trace_context::TraceContext;

use crate::recorder::{Exemplars, Recorder, Sampled, nanos};
use crate::snapshot::Snapshot;
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::trend::{Trend, trend_of};
pub(crate) use plan::Span;
pub use plan::Windows;
use ring::{Ring, Total};

/// A [`Recorder`] that also knows what was recorded over the last stretches of time.
///
/// ```
/// use std::time::Duration;
/// use buttress_core::clock::ManualClock;
/// use buttress_latency::{RollingRecorder, Windows};
///
/// let time = ManualClock::new();
/// let rolling = RollingRecorder::new(&Windows::default(), time.now());
/// rolling.record(time.now(), Duration::from_millis(20));
/// time.advance(Duration::from_secs(30));
/// let windows = rolling.windows(time.now());
/// assert_eq!(windows[0].counts.count(), 0, "10 s");
/// assert_eq!(windows[1].counts.count(), 1, "1 min");
/// ```
///
/// # Cost
///
/// A record costs one more load than that of a [`Recorder`]. The first one after the end of a slice
/// (a tenth of the shortest window) folds, which takes some microseconds and allocates; while it
/// does, others go on. Memory is that of the buckets that hold anything, per slice; an idle series
/// keeps one snapshot.
pub struct RollingRecorder {
    recorder: Recorder,
    /// When the next slice ends, in nanoseconds.
    next_fold: AtomicU64,
    rings: Mutex<Box<[Ring]>>,
    exemplars: Exemplars,
}

/// One rolling window, read.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct WindowSnapshot {
    /// How long the window is.
    pub length: Duration,
    /// How much of the past is in it: at most its length, less by up to one slice (a tenth of the
    /// shortest window, a twentieth of longer ones) or since the series began.
    pub covered: Duration,
    /// What was recorded.
    pub counts: Snapshot,
}

impl RollingRecorder {
    /// An empty recorder with `windows`, which begin at `now`.
    pub fn new(windows: &Windows, now: Instant) -> Self {
        let rings: Box<[Ring]> = windows
            .spans()
            .iter()
            .map(|span| Ring::new(*span, now))
            .collect();
        Self {
            recorder: Recorder::new(),
            next_fold: AtomicU64::new(next_end(&rings)),
            rings: Mutex::new(rings),
            exemplars: Exemplars::new(),
        }
    }

    /// From `now` on with `windows`. One that is cut into the same slices as before keeps what it
    /// holds, any other begins; what was recorded is in the total all the same.
    pub(crate) fn fit(&self, windows: &Windows, now: Instant) {
        let mut rings = self.rings();
        if rings.iter().map(Ring::span).eq(windows.spans()) {
            return;
        }
        let total = Total::new(self.recorder.snapshot());
        self.advance(&mut rings, &total, now);
        let mut last = std::mem::take(&mut *rings).into_vec();
        let next = windows.spans().iter().map(|span| {
            match last.iter().position(|ring| ring.span() == span) {
                Some(same) => last.swap_remove(same),
                None => Ring::since(*span, now, &total),
            }
        });
        *rings = next.collect();
        self.next_fold.store(next_end(&rings), Ordering::Relaxed);
    }

    /// Counts `duration`, which ended `now`.
    #[inline]
    pub fn record(&self, now: Instant, duration: Duration) {
        if now.as_nanos() >= self.next_fold.load(Ordering::Relaxed) {
            self.try_fold(now);
        }
        self.recorder.record(duration);
    }

    /// Counts `duration`, which ended `now` in `trace`, as [`RollingRecorder::record`] does, and keeps
    /// it with its trace as [exemplar](Self::exemplars) of its octave if the trace is sampled and the
    /// octave has had none within a second. `clock` says when that was by the wall clock.
    ///
    /// # Cost
    ///
    /// A record. Of a sampled trace a look at its octave more; once a second in each octave the wall clock
    /// and six stores; and at the first one 1.6 KiB.
    #[inline]
    pub fn record_traced(
        &self,
        now: Instant,
        duration: Duration,
        trace: &TraceContext,
        clock: &Clock,
    ) {
        self.record_in(Sampled::of(trace), now, duration, clock);
    }

    #[inline]
    pub(crate) fn record_in(
        &self,
        trace: Option<Sampled>,
        now: Instant,
        duration: Duration,
        clock: &Clock,
    ) {
        self.record(now, duration);
        if let Some(trace) = trace {
            self.exemplars.offer(trace, nanos(duration), now, clock);
        }
    }

    /// Of each octave of durations at most one that was recorded in a sampled trace, ascending. What was
    /// recorded before an exemplar was read is in every [total](Self::total) that is read after it.
    pub fn exemplars(&self) -> Vec<Exemplar> {
        self.exemplars.read()
    }

    /// All that was ever recorded.
    pub fn total(&self) -> Snapshot {
        self.recorder.snapshot()
    }

    /// The windows as of `now`, in the order in which they were configured.
    pub fn windows(&self, now: Instant) -> Vec<WindowSnapshot> {
        self.read(now).1
    }

    /// All that was ever recorded, and the windows as of `now`, of one moment.
    pub fn read(&self, now: Instant) -> (Snapshot, Vec<WindowSnapshot>) {
        let mut rings = self.rings();
        let total = Total::new(self.recorder.snapshot());
        self.advance(&mut rings, &total, now);
        let windows = rings
            .iter()
            .map(|ring| ring.read(&total.counts, now))
            .collect();
        drop(rings);
        (total.counts, windows)
    }

    /// How `q` has moved over the slices of the longest window, as of `now`.
    pub fn trend(&self, q: f64, now: Instant) -> Trend {
        trend_of(q, &self.slices(now), now)
    }

    /// The slices of the longest window that have ended, by the moment of their end.
    pub(crate) fn slices(&self, now: Instant) -> BTreeMap<Instant, Snapshot> {
        let mut rings = self.rings();
        let total = Total::new(self.recorder.snapshot());
        self.advance(&mut rings, &total, now);
        let longest = rings.iter().max_by_key(|ring| ring.length());
        longest.into_iter().flat_map(Ring::slices).collect()
    }

    #[cold]
    fn try_fold(&self, now: Instant) {
        // Taken: somebody folds or reads. What is recorded meanwhile falls on either side of the
        // boundary, once.
        let mut rings = match self.rings.try_lock() {
            Ok(rings) => rings,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if now.as_nanos() < self.next_fold.load(Ordering::Relaxed) {
            return;
        }
        let total = Total::new(self.recorder.snapshot());
        self.advance(&mut rings, &total, now);
    }

    fn advance(&self, rings: &mut [Ring], total: &Total, now: Instant) {
        for ring in &mut *rings {
            ring.advance(total, now);
        }
        self.next_fold.store(next_end(rings), Ordering::Relaxed);
    }

    fn rings(&self) -> MutexGuard<'_, Box<[Ring]>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next_end(rings: &[Ring]) -> u64 {
    rings.iter().map(Ring::slice_end).min().unwrap_or(u64::MAX)
}

impl fmt::Debug for RollingRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RollingRecorder").finish_non_exhaustive()
    }
}
