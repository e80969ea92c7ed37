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
#[repr(C)]
pub struct TimeWindow {
    // First, beside what its owner reads with it: of many windows hardly any is in a cache.
    width: u64,
    buckets: [Bucket; BUCKETS],
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
        Self {
            buckets: [Bucket::default(); BUCKETS],
            width: width_of(span),
        }
    }

    /// Records one call that ended at `now`.
    pub fn record(&mut self, now: Instant, bad: bool) {
        let bad = u64::from(bad);
        self.add(now, Counts { total: 1, bad });
    }

    /// Records many calls that ended at `at`.
    pub fn add(&mut self, at: Instant, counts: Counts) {
        let epoch = self.epoch(at);
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
        bucket.counts.total = bucket.counts.total.saturating_add(counts.total);
        bucket.counts.bad = bucket.counts.bad.saturating_add(counts.bad);
    }

    /// What the window holds at `now`.
    pub fn counts(&self, now: Instant) -> Counts {
        let last = self.epoch(now);
        let first = last.saturating_sub(BUCKETS as u64 - 1);
        self.sum(|bucket| (first..=last).contains(&bucket.epoch))
    }

    /// All that the buckets hold, whatever of it has left the window since.
    pub fn held(&self) -> Counts {
        self.sum(|_| true)
    }

    fn sum(&self, counts: impl Fn(&Bucket) -> bool) -> Counts {
        let counted = self.buckets.iter().filter(|bucket| counts(bucket));
        counted.fold(Counts::default(), |sum, bucket| Counts {
            total: sum.total.saturating_add(bucket.counts.total),
            bad: sum.bad.saturating_add(bucket.counts.bad),
        })
    }

    /// When the bucket of `now` ends. Until then nothing leaves the window.
    pub fn bucket_end(&self, now: Instant) -> Instant {
        Instant::from_nanos(self.epoch(now).saturating_add(1).saturating_mul(self.width))
    }

    /// Takes out the buckets that the window at `now` no longer covers, oldest first, each with its
    /// beginning.
    pub fn take_left(&mut self, now: Instant) -> impl Iterator<Item = (Instant, Counts)> + use<> {
        let first = self.epoch(now).saturating_sub(BUCKETS as u64 - 1);
        let mut left = [Bucket::default(); BUCKETS];
        for (bucket, left) in self.buckets.iter_mut().zip(&mut left) {
            if bucket.epoch < first {
                *left = std::mem::take(bucket);
            }
        }
        left.sort_unstable_by_key(|bucket| bucket.epoch);
        let width = self.width;
        let held = left.into_iter().filter(|bucket| bucket.counts.total > 0);
        held.map(move |bucket| {
            let start = bucket.epoch.saturating_mul(width);
            (Instant::from_nanos(start), bucket.counts)
        })
    }

    /// The stretch of time the window spans.
    pub fn span(&self) -> Duration {
        Duration::from_nanos(self.width.saturating_mul(BUCKETS as u64))
    }

    /// A window over `span` that holds what this one does, as far as it reaches back.
    #[must_use]
    pub fn resized(&self, span: Duration) -> Self {
        let mut resized = Self::new(span);
        for bucket in &self.buckets {
            let start = Instant::from_nanos(bucket.epoch.saturating_mul(self.width));
            resized.add(start, bucket.counts);
        }
        resized
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buckets = [Bucket::default(); BUCKETS];
    }

    fn epoch(&self, now: Instant) -> u64 {
        now.as_nanos() / self.width
    }
}

fn width_of(span: Duration) -> u64 {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    (nanos / BUCKETS as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resized_window_keeps_what_it_still_reaches() {
        let now = Instant::from_nanos(1_000_000);
        let mut window = TimeWindow::new(Duration::from_nanos(160));
        window.record(now.saturating_sub(Duration::from_nanos(100)), true);
        window.record(now, false);
        let wider = window.resized(Duration::from_nanos(1_600));
        assert_eq!(wider.counts(now), Counts { total: 2, bad: 1 });
        let narrower = window.resized(Duration::from_nanos(32));
        assert_eq!(narrower.counts(now), Counts { total: 1, bad: 0 });
    }
}
