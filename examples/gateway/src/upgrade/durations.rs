//! How long tunnels lasted. A latency's recorder ends where tunnels begin: these last for minutes or days.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use buttress::core::metric::Histogram;

/// In seconds: up to ten minutes as balancers and browsers count, and up to a week.
const BOUNDS: [u64; 11] = [
    1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200, 86_400, 604_800,
];

#[derive(Debug, Default)]
pub(super) struct Durations {
    /// How many were no longer than each bound and longer than the one before.
    within: [AtomicU64; BOUNDS.len()],
    longer: AtomicU64,
    millis: AtomicU64,
}

impl Durations {
    pub(super) fn record(&self, lasted: Duration) {
        let bounds = BOUNDS.iter().map(|bound| Duration::from_secs(*bound));
        let mut counts = bounds.zip(&self.within);
        let count = counts.find(|(bound, _)| lasted <= *bound);
        (count.map_or(&self.longer, |(_, count)| count)).fetch_add(1, Relaxed);
        let millis = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Relaxed);
    }

    pub(super) fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        for (bound, count) in BOUNDS.iter().zip(&self.within) {
            histogram.count += count.load(Relaxed);
            let bound = Duration::from_secs(*bound).as_secs_f64();
            histogram.classic.push((bound, histogram.count));
        }
        histogram.count += self.longer.load(Relaxed);
        histogram.sum = Duration::from_millis(self.millis.load(Relaxed)).as_secs_f64();
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_at_its_bound_and_above() {
        let durations = Durations::default();
        for millis in [0, 1_000, 1_001, 604_800_000, 604_800_001] {
            durations.record(Duration::from_millis(millis));
        }
        let histogram = durations.histogram();
        let counts: Vec<_> = histogram.classic.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
        assert_eq!(histogram.count, 5);
        assert!((histogram.sum - 1_209_602.002).abs() < 1e-6);
    }
}
