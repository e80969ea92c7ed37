//! The wall clock in milliseconds, looked at once in each of them.
//!
//! Every UUIDv7 tells its millisecond, and of a busy service's IDs many are of the same one. So a thread
//! remembers how long, by the counter of [`Clock`], the one that it has read still lasts.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress_core::clock::{Clock, Ticks};

/// So much sooner than a millisecond ends the wall clock is asked again: neither clock is quite right.
const SPARE: Duration = Duration::from_micros(5);

/// Whether the counter has been read, which takes long when it is done for the first time.
static COUNTING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static READ: Cell<Read> = const { Cell::new(Read::NEVER) };
}

/// What is known of the wall clock.
#[derive(Clone, Copy)]
struct Read {
    millis: u64,
    at: Ticks,
    /// For so many ticks from then on.
    lasts: u64,
}

/// Begins to count, for [`unix_millis`] to cost less from now on. The first time in a process it takes up to
/// 200 ms.
pub(crate) fn prepare() {
    let _first = Clock::monotonic().ticks();
    COUNTING.store(true, Ordering::Relaxed);
}

/// Milliseconds since 1970 by the wall clock. Where that is set, it is noticed within one of them.
#[inline]
pub(crate) fn unix_millis() -> u64 {
    const CLOCK: Clock = Clock::monotonic();
    if COUNTING.load(Ordering::Relaxed) {
        READ.with(|read| millis(&CLOCK, read))
    } else {
        Read::now(&CLOCK, Ticks::NEVER).millis
    }
}

#[inline]
fn millis(clock: &Clock, last: &Cell<Read>) -> u64 {
    let now = clock.ticks();
    let read = last.get();
    // Ticks of another core, which may be a little behind, are not among those that it lasts.
    if now.count().wrapping_sub(read.at.count()) < read.lasts {
        return read.millis;
    }
    let read = Read::now(clock, now);
    last.set(read);
    read.millis
}

impl Read {
    const NEVER: Self = Self {
        millis: 0,
        at: Ticks::NEVER,
        lasts: 0,
    };

    // Seldom called, and then by who waits for the system's clock.
    #[inline(never)]
    fn now(clock: &Clock, at: Ticks) -> Self {
        let now = clock.since_1970();
        let past = Duration::from_nanos(u64::from(now.subsec_nanos() % 1_000_000));
        let left = Duration::from_millis(1).saturating_sub(past + SPARE);
        Self {
            millis: now.as_secs() * 1000 + u64::from(now.subsec_millis()),
            at,
            lasts: clock.ticks_within(u64::from(left.subsec_nanos())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::clock::ManualClock;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_remembered_is_what_the_clock_would_say(
            steps in proptest::collection::vec(
                prop_oneof![0..10_u64, 0..2_000_000_u64, 0..u64::from(u32::MAX)],
                1..200,
            )
        ) {
            let time = ManualClock::new();
            let (clock, last) = (time.clock(), Cell::new(Read::NEVER));
            for step in steps {
                time.advance(Duration::from_nanos(step));
                let expected = clock.since_1970().as_millis();
                prop_assert_eq!(u128::from(millis(&clock, &last)), expected);
            }
        }
    }

    #[test]
    fn within_a_millisecond_the_wall_clock_is_asked_once() {
        let time = ManualClock::new();
        let (clock, last) = (time.clock(), Cell::new(Read::NEVER));
        millis(&clock, &last);
        let asked = last.get().at;
        time.advance(Duration::from_micros(900));
        millis(&clock, &last);
        assert_eq!(last.get().at, asked);
        time.advance(Duration::from_micros(100));
        millis(&clock, &last);
        assert_eq!(last.get().at, clock.ticks());
    }

    #[test]
    fn a_counter_that_is_behind_is_not_believed() {
        let (ahead, behind) = (ManualClock::new(), ManualClock::new());
        ahead.advance(Duration::from_secs(1));
        let last = Cell::new(Read::NEVER);
        let (later, earlier) = (
            millis(&ahead.clock(), &last),
            millis(&behind.clock(), &last),
        );
        assert_eq!(later - earlier, 1000);
    }
}
