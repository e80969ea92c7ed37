//! Time, passed in.
//!
//! Every room takes a [`Clock`] in its configuration and reads no other. The default reads the
//! processor's time-stamp counter (by `quanta`); [`ManualClock`] is for tests and simulation.
//! Arithmetic on an [`Instant`] saturates: no gap, step or duration can panic.

mod instant;
mod manual;
mod moment;
mod sleep;
mod ticks;

pub use instant::Instant;
pub use manual::ManualClock;
pub use moment::moment;
pub use sleep::Sleep;
pub use ticks::Ticks;

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
    /// How many ticks of these there surely are in that many nanoseconds.
    inverse: u64,
}

impl Counter {
    /// Fine enough for the scale to be wrong by less than a nanosecond a second.
    const SHIFT: u32 = 32;

    fn new() -> Self {
        let ticks = quanta::Clock::new();
        let scale = ticks.delta_as_nanos(0, 1 << Self::SHIFT);
        Self::scaled(ticks, scale)
    }

    fn scaled(ticks: quanta::Clock, scale: u64) -> Self {
        let inverse = (1 << (2 * Self::SHIFT)) / u128::from(scale.max(1));
        Self {
            origin: ticks.raw(),
            scale,
            inverse: u64::try_from(inverse).unwrap_or(u64::MAX),
            ticks,
        }
    }

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "nanoseconds fit for five centuries"
    )]
    fn nanos(&self, ticks: u64) -> u64 {
        // Another core's counter may be a little behind.
        let passed = ticks.saturating_sub(self.origin);
        ((u128::from(passed) * u128::from(self.scale)) >> Self::SHIFT) as u64
    }

    /// The first ticks of which [`Counter::nanos`] makes `nanos` or more.
    fn first(&self, nanos: u64) -> u64 {
        let passed = (u128::from(nanos) << Self::SHIFT).div_ceil(u128::from(self.scale.max(1)));
        u64::try_from(passed).map_or(u64::MAX, |passed| self.origin.saturating_add(passed))
    }

    /// As many ticks as surely take no longer than `nanos`, both ends told by [`Counter::nanos`].
    #[inline]
    fn within(&self, nanos: u64) -> u64 {
        let ticks = (u128::from(nanos) * u128::from(self.inverse)) >> Self::SHIFT;
        u64::try_from(ticks).unwrap_or(u64::MAX)
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
    let counter = &*COUNTER;
    Instant::from_nanos(counter.nanos(counter.ticks.raw()))
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
            // Most that ask in a moment are not the first to do so.
            Source::Moments => moment::known().unwrap_or_else(|| self.0.now()),
            Source::Manual(_) => self.0.now(),
        }
    }

    /// The time now, as it is counted: for who only compares it, and makes an instant of it
    /// ([`Clock::instant`]) where it is told. Of a reading that is swapped for something else at once even the
    /// multiplication would be waited for.
    #[inline]
    pub fn ticks(&self) -> Ticks {
        Ticks::from_count(match &self.0 {
            Source::Counter => COUNTER.ticks.raw(),
            other => other.now().as_nanos(),
        })
    }

    /// The instant of these ticks of this clock.
    #[inline]
    pub fn instant(&self, ticks: Ticks) -> Instant {
        Instant::from_nanos(match &self.0 {
            Source::Counter if ticks != Ticks::NEVER => COUNTER.nanos(ticks.count()),
            _ => ticks.count(),
        })
    }

    /// The first ticks of this clock that are at `instant` or later.
    pub fn ticks_at(&self, instant: Instant) -> Ticks {
        Ticks::from_count(match &self.0 {
            Source::Counter => COUNTER.first(instant.as_nanos()),
            _ => instant.as_nanos(),
        })
    }

    /// As many ticks as surely take no longer than `nanos` nanoseconds, by the instants of both ends. It may be
    /// some too few, by one in four thousand million.
    #[inline]
    pub fn ticks_within(&self, nanos: u64) -> u64 {
        match &self.0 {
            Source::Counter => COUNTER.within(nanos),
            _ => nanos,
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
    fn ticks_stand_before_and_after_an_instant_as_the_time_they_tell_does() {
        for scale in [
            COUNTER.scale,
            1,
            1 << 20,
            1_234_567_891,
            1 << 32,
            178_956_970_667,
        ] {
            let counter = Counter::scaled(COUNTER.ticks.clone(), scale);
            let origin = counter.origin;
            for nanos in [1, 2, 1_000, 1_000_003, 1 << 28] {
                let first = counter.first(nanos);
                assert!(counter.nanos(first) >= nanos);
                assert!(counter.nanos(first - 1) < nanos, "{scale}, {nanos}");
                let within = counter.within(nanos);
                for begin in (origin..).step_by(12_347).take(100) {
                    let told = counter.nanos(begin + within) - counter.nanos(begin);
                    assert!(told <= nanos, "{scale}, {nanos}: {told}");
                }
            }
        }
    }

    #[test]
    fn a_clock_tells_its_own_ticks_as_instants_and_never_stays_never() {
        let time = ManualClock::new();
        time.advance(Duration::from_nanos(7));
        for clock in [Clock::monotonic(), Clock::by_moments(), time.clock()] {
            let (before, ticks, after) = (clock.now(), clock.ticks(), clock.now());
            assert!((before..=after).contains(&clock.instant(ticks)));
            assert!(clock.ticks_at(before) <= ticks);
            assert_eq!(clock.ticks_at(Instant::NEVER), Ticks::NEVER);
            assert_eq!(clock.instant(Ticks::NEVER), Instant::NEVER);
        }
    }

    #[test]
    fn two_default_clocks_share_an_origin() {
        let first = Clock::default().now();
        let second = Clock::monotonic().now();
        assert!(second.saturating_since(first) < Duration::from_secs(1));
    }
}
