//! Time, passed in.
//!
//! Every room takes a [`Clock`] in its configuration and reads no other. The default reads the
//! processor's time-stamp counter (by `quanta`); [`ManualClock`] is for tests and simulation.
//! Arithmetic on an [`Instant`] saturates: no gap, step or duration can panic.

mod instant;
mod manual;
mod moment;
mod sleep;

pub use instant::Instant;
pub use manual::ManualClock;
pub use moment::moment;
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
    Moments,
    Manual(Arc<manual::Shared>),
}

/// One origin for the whole process, so that instants of any two clocks can be compared.
static COUNTER: LazyLock<Counter> = LazyLock::new(Counter::new);

/// Reads ticks and turns them into time, by one multiplication: quanta's own way asks each time which clock it is,
/// and shifts by a number that it has to look up.
struct Counter {
    ticks: quanta::Clock,
    origin: u64,
    /// How many nanoseconds the least number of ticks takes for which [`Counter::SHIFT`] is the logarithm.
    scale: u64,
}

impl Counter {
    /// Fine enough for the scale to be wrong by less than a nanosecond a second.
    const SHIFT: u32 = 32;

    fn new() -> Self {
        let ticks = quanta::Clock::new();
        Self {
            origin: ticks.raw(),
            scale: ticks.delta_as_nanos(0, 1 << Self::SHIFT),
            ticks,
        }
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "nanoseconds fit for five centuries"
    )]
    fn nanos(&self) -> u64 {
        // Another core's counter may be a little behind.
        let passed = self.ticks.raw().saturating_sub(self.origin);
        ((u128::from(passed) * u128::from(self.scale)) >> Self::SHIFT) as u64
    }
}

impl Source {
    /// Out of the way of whoever reads the counter itself.
    #[inline(never)]
    fn now(&self) -> Instant {
        match self {
            Self::Counter => read_counter(),
            Self::Moments => moment::now(),
            Self::Manual(shared) => shared.now(),
        }
    }
}

#[inline]
fn read_counter() -> Instant {
    Instant::from_nanos(COUNTER.nanos())
}

impl Clock {
    /// The processor's time-stamp counter, monotonic; the system's monotonic clock where there is
    /// no reliable counter.
    pub const fn monotonic() -> Self {
        Self(Source::Counter)
    }

    /// The same counter, read but once in each [`moment`](fn@moment): for a server that knows what it does in one
    /// go, where every layer would read it anew.
    pub const fn by_moments() -> Self {
        Self(Source::Moments)
    }

    /// The time now.
    #[inline]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Counter => read_counter(),
            other => other.now(),
        }
    }

    /// How long 1970 is past by the wall clock, which may be set at any time: to label what is shown to
    /// others, never to measure. A manual clock counts from its own origin instead.
    ///
    /// # Cost
    ///
    /// A read of the system's clock, some tens of nanoseconds.
    #[expect(
        clippy::disallowed_types,
        reason = "the one place where rooms get the wall clock from"
    )]
    pub fn since_1970(&self) -> Duration {
        use std::time::SystemTime;
        match &self.0 {
            Source::Counter | Source::Moments => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
            Source::Manual(shared) => Duration::from_nanos(shared.now().as_nanos()),
        }
    }

    /// Waits for `duration` to pass on this clock.
    ///
    /// On the default clock this is tokio's timer, and has to be polled inside a runtime with time
    /// enabled; on a manual clock it ends when the clock is advanced far enough.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        match &self.0 {
            Source::Counter | Source::Moments => Sleep::timer(duration),
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
    fn the_wall_clock_is_of_this_century_and_a_manual_one_moves_when_told() {
        let years = |years: u64| Duration::from_secs(years * 365 * 24 * 3600);
        let now = Clock::monotonic().since_1970();
        assert!((years(30)..years(130)).contains(&now), "{now:?}");
        let time = ManualClock::new();
        let before = time.clock().since_1970();
        time.advance(Duration::from_millis(7));
        let passed = time.clock().since_1970().checked_sub(before);
        assert_eq!(passed, Some(Duration::from_millis(7)));
    }

    #[test]
    fn the_default_clock_tells_the_time_that_its_ticks_do() {
        let counter = Counter::new();
        for ticks in [0, 1, 1 << 20, 1 << 40, 1 << 55] {
            let expected = counter.ticks.delta_as_nanos(0, ticks);
            let told = (u128::from(ticks) * u128::from(counter.scale)) >> Counter::SHIFT;
            let wrong = u128::from(expected).abs_diff(told);
            assert!(
                wrong <= 1 + told / 1_000_000_000,
                "{ticks}: {expected}, {told}"
            );
        }
    }

    #[test]
    fn two_default_clocks_share_an_origin() {
        let first = Clock::default().now();
        let second = Clock::monotonic().now();
        assert!(second.saturating_since(first) < Duration::from_secs(1));
    }
}
