//! The durations that everybody counts.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::rng::Rng;

const COUNT: usize = 4_096;
const MEDIAN: f64 = 0.005;

/// The same durations, as each recorder takes them.
#[derive(Clone, Debug)]
pub(super) struct Samples<T>(Arc<[T]>);

impl<T: Copy> Samples<T> {
    pub(super) fn new(of: impl Fn(Duration) -> T) -> Self {
        let rng = Rng::seeded(5);
        Self((0..COUNT).map(|_| of(lognormal(&rng))).collect())
    }

    /// Hands out so many, over and over the same.
    #[inline]
    pub(super) fn each(&self, mut count: u64, mut take: impl FnMut(T)) {
        while count > 0 {
            for sample in self
                .0
                .iter()
                .take(usize::try_from(count).unwrap_or(usize::MAX))
            {
                take(*sample);
            }
            count = count.saturating_sub(self.0.len() as u64);
        }
    }
}

/// In seconds, as most of the peers take them.
pub(super) fn seconds() -> Samples<f64> {
    Samples::new(|duration| duration.as_secs_f64())
}

/// As they are.
pub(super) fn durations() -> Samples<Duration> {
    Samples::new(|duration| duration)
}

fn lognormal(rng: &Rng) -> Duration {
    let uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let normal = (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    Duration::from_secs_f64((MEDIAN * normal.exp()).min(60.0))
}
