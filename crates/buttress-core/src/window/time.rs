//! A window over the last stretch of time.

use std::time::Duration;

use super::Counts;
use crate::clock::Instant;

/// How many buckets a [`TimeWindow`] is cut into.
pub const BUCKETS: usize = 16;

/// The last stretch of time in [`BUCKETS`] buckets; the oldest bucket leaves whole.
///
/// A count covers between `(BUCKETS - 1) / BUCKETS` of the span and all of it. Nothing is kept per
/// call. Instants may come in any order: what is older than the window is not counted.
#[derive(Clone, Debug)]
pub struct TimeWindow {
    buckets: [Bucket; BUCKETS],
    width: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// The number of this bucket's width since the origin; tells a stale bucket from a fresh one.
    epoch: u64,
    counts: Counts,
}

impl TimeWindow {
    /// A window over `span`. Spans below [`BUCKETS`] nanoseconds count as that.
    pub fn new(span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let width = (nanos / BUCKETS as u64).max(1);
        Self {
            buckets: [Bucket::default(); BUCKETS],
            width,
        }
    }

    /// Records one call that ended at `now`.
    pub fn record(&mut self, now: Instant, bad: bool) {
        let epoch = self.epoch(now);
        let slot = usize::try_from(epoch % BUCKETS as u64).unwrap_or(0);
        let Some(bucket) = self.buckets.get_mut(slot) else {
            return;
        };
        if bucket.epoch > epoch {
            return;
        }
        if bucket.epoch < epoch {
            *bucket = Bucket {
                epoch,
                counts: Counts::default(),
            };
        }
        bucket.counts.total = bucket.counts.total.saturating_add(1);
        bucket.counts.bad = bucket.counts.bad.saturating_add(u64::from(bad));
    }

    /// What the window holds at `now`.
    pub fn counts(&self, now: Instant) -> Counts {
        let last = self.epoch(now);
        let first = last.saturating_sub(BUCKETS as u64 - 1);
        let fresh = self
            .buckets
            .iter()
            .filter(|b| (first..=last).contains(&b.epoch));
        fresh.fold(Counts::default(), |sum, bucket| Counts {
            total: sum.total.saturating_add(bucket.counts.total),
            bad: sum.bad.saturating_add(bucket.counts.bad),
        })
    }

    /// The stretch of time the window spans.
    pub fn span(&self) -> Duration {
        Duration::from_nanos(self.width.saturating_mul(BUCKETS as u64))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buckets = [Bucket::default(); BUCKETS];
    }

    fn epoch(&self, now: Instant) -> u64 {
        now.as_nanos() / self.width
    }
}
