//! The numbers of UUIDv7, for which the wall clock and the generator are asked once a millisecond and thread.
//!
//! Of a busy service's IDs many are of the same millisecond. So a thread remembers how long, by the counter of
//! [`Clock`], the one that it has read still lasts, and counts on from the random number that it has drawn for
//! it, at random distances (RFC 9562, section 6.2, method 2): its IDs are in order, and those of two threads, which
//! begin anywhere in 74 bits, do not meet.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress_core::clock::{Clock, Ticks};
use buttress_core::rng::Rng;
use uuid::Uuid;

use crate::uuid_text::{Digits, Halves, UuidText, digits};

/// So much sooner than a millisecond ends the wall clock is asked again: neither clock is quite right.
const SPARE: Duration = Duration::from_micros(5);

/// Whether the counter has been read, which takes long when it is done for the first time.
static COUNTING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LAST: Cell<Last> = const { Cell::new(Last::NONE) };
}

/// The last ID of a thread, and until when the next is of the same millisecond.
#[derive(Clone, Copy)]
struct Last {
    uuid: Halves,
    at: Ticks,
    /// For so many ticks from then on.
    lasts: u64,
    /// How the upper half is spelled, which stays the same as long.
    high: Digits,
}

/// Begins to count, for [`next`] to cost less from now on. The first time in a process it takes up to 200 ms.
pub(crate) fn prepare() {
    let _first = Clock::monotonic().ticks();
    COUNTING.store(true, Ordering::Relaxed);
}

/// A new UUIDv7, of the millisecond that it is by the wall clock. Where that is set, it is noticed within one.
#[inline]
pub(crate) fn next() -> UuidText {
    const CLOCK: Clock = Clock::monotonic();
    const RNG: Rng = Rng::from_entropy();
    if COUNTING.load(Ordering::Relaxed) {
        LAST.with(|last| after(last, &CLOCK, &RNG)).text()
    } else {
        Last::drawn(&CLOCK, Ticks::NEVER).text()
    }
}

#[inline]
fn after(last: &Cell<Last>, clock: &Clock, rng: &Rng) -> Last {
    let now = clock.ticks();
    let mut next = last.get();
    // Ticks of another core, which may be a little behind, are not among those that it lasts.
    if now.count().wrapping_sub(next.at.count()) < next.lasts {
        next.uuid = further(next.uuid, 1 + (rng.next_u64() >> 32));
    } else {
        next = Last::drawn(clock, now);
    }
    last.set(next);
    next
}

/// The UUID `distance` after this one. One millisecond is too short to come round.
#[inline]
const fn further((high, low): Halves, distance: u64) -> Halves {
    // The variant stands in the upper two bits.
    const RANDOM: u64 = u64::MAX >> 2;
    (high, low & !RANDOM | low.wrapping_add(distance) & RANDOM)
}

impl Last {
    const NONE: Self = Self {
        uuid: (0, 0),
        at: Ticks::NEVER,
        lasts: 0,
        high: [0; 2],
    };

    #[inline]
    fn text(&self) -> UuidText {
        UuidText::joined(self.high, digits(self.uuid.1))
    }

    // Seldom called, and then by who waits for the system's clock.
    #[inline(never)]
    fn drawn(clock: &Clock, at: Ticks) -> Self {
        // Version and variant stand where they do in v4, the time in the upper 48 bits.
        const RANDOM: u64 = 0x0fff;
        let now = clock.since_1970();
        let millis = now.as_secs() * 1000 + u64::from(now.subsec_millis());
        let past = Duration::from_nanos(u64::from(now.subsec_nanos() % 1_000_000));
        let left = Duration::from_millis(1).saturating_sub(past + SPARE);
        let (high, low) = Uuid::new_v4().as_u64_pair();
        let high = millis << 16 | 0x7000 | high & RANDOM;
        Self {
            uuid: (high, low),
            high: digits(high),
            at,
            lasts: clock.ticks_within(u64::from(left.subsec_nanos())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::clock::ManualClock;
    use buttress_core::rng::Rng;
    use proptest::prelude::*;

    fn millis(uuid: Halves) -> u128 {
        u128::from(uuid.0 >> 16)
    }

    proptest! {
        #[test]
        fn each_tells_the_millisecond_of_the_clock_and_is_after_the_one_before(
            steps in proptest::collection::vec(
                prop_oneof![0..10_u64, 0..2_000_000_u64, 0..u64::from(u32::MAX)],
                1..200,
            )
        ) {
            let time = ManualClock::new();
            let (clock, last, rng) = (time.clock(), Cell::new(Last::NONE), Rng::seeded(7));
            let mut before = (0, 0);
            for step in steps {
                time.advance(Duration::from_nanos(step));
                let made = after(&last, &clock, &rng);
                let next = made.uuid;
                let (text, whole) = (made.text(), UuidText::of(next));
                prop_assert_eq!(text.words(), whole.words());
                prop_assert_eq!(millis(next), clock.since_1970().as_millis());
                let uuid = Uuid::from_u64_pair(next.0, next.1);
                prop_assert_eq!(uuid.get_version_num(), 7);
                prop_assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
                // Two that are drawn within a millisecond, at its very end, may be in any order.
                prop_assert!(next > before || last.get().lasts == 0);
                before = next;
            }
        }

        #[test]
        fn a_step_keeps_all_but_the_last_62_bits_and_ends_somewhere_else(
            high in any::<u64>(),
            low in any::<u64>(),
            distance in 1..1_u64 << 32,
        ) {
            let (same, next) = further((high, low), distance);
            prop_assert_eq!((same, next >> 62), (high, low >> 62));
            prop_assert_eq!(next.wrapping_sub(low) << 2, distance << 2);
        }
    }

    #[test]
    fn within_a_millisecond_clock_and_generator_are_asked_once() {
        let time = ManualClock::new();
        let (clock, last, rng) = (time.clock(), Cell::new(Last::NONE), Rng::seeded(7));
        let first = after(&last, &clock, &rng).uuid;
        let asked = last.get().at;
        time.advance(Duration::from_micros(900));
        let second = after(&last, &clock, &rng).uuid;
        assert_eq!((last.get().at, first.0), (asked, second.0));
        assert!(second.1 - first.1 <= 1 << 32);
        time.advance(Duration::from_micros(100));
        after(&last, &clock, &rng);
        assert_eq!(last.get().at, clock.ticks());
    }

    #[test]
    fn a_counter_that_is_behind_is_not_believed() {
        let (ahead, behind) = (ManualClock::new(), ManualClock::new());
        ahead.advance(Duration::from_secs(1));
        let (last, rng) = (Cell::new(Last::NONE), Rng::seeded(7));
        let later = after(&last, &ahead.clock(), &rng).uuid;
        let earlier = after(&last, &behind.clock(), &rng).uuid;
        assert_eq!(millis(later) - millis(earlier), 1000);
    }
}
