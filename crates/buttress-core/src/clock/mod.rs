//! Time, passed in.
//!
//! Every room takes a [`Clock`] in its configuration and reads no other. The default reads the
//! processor's time-stamp counter (by `quanta`); [`ManualClock`] is for tests and simulation.
//! Arithmetic on an [`Instant`] saturates: no gap, step or duration can panic.

mod instant;
mod manual;
mod sleep;

pub use instant::Instant;
pub use manual::ManualClock;
pub use sleep::Sleep;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Tells the time and waits for it to pass. Cheap to clone.
///
/// # Cost
///
/// [`Clock::now`]: one read of the time-stamp counter, about half the price of the system's clock.
/// The first read in a process calibrates the counter, which takes up to 200 ms: take it at start, not in
/// a request. Whatever begins with an instant does so.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Counter,
    Manual(Arc<manual::Shared>),
}

/// One origin for the whole process, so that instants of any two clocks can be compared.
static COUNTER: LazyLock<(quanta::Clock, u64)> = LazyLock::new(|| {
    let clock = quanta::Clock::new();
    let origin = clock.raw();
    (clock, origin)
});

impl Clock {
    /// The processor's time-stamp counter, monotonic; the system's monotonic clock where there is
    /// no reliable counter.
    pub const fn monotonic() -> Self {
        Self(Source::Counter)
    }

    /// The time now.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Counter => {
                let (clock, origin) = &*COUNTER;
                Instant::from_nanos(clock.delta_as_nanos(*origin, clock.raw()))
            }
            Source::Manual(shared) => shared.now(),
        }
    }

    /// Waits for `duration` to pass on this clock.
    ///
    /// On the default clock this is tokio's timer, and has to be polled inside a runtime with time
    /// enabled; on a manual clock it ends when the clock is advanced far enough.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        match &self.0 {
            Source::Counter => Sleep::timer(duration),
            Source::Manual(shared) => Sleep::manual(Arc::clone(shared), duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_clock_never_runs_backwards() {
        let clock = Clock::monotonic();
        let mut last = clock.now();
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn two_default_clocks_share_an_origin() {
        let first = Clock::default().now();
        let second = Clock::monotonic().now();
        assert!(second.saturating_since(first) < Duration::from_secs(1));
    }
}
