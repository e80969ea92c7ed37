//! Calls in flight are counted as a naive list of them would be.
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test reports by panicking, and its numbers are small"
)]

use super::slot::{BUCKETS, COUNT, EPOCH, GENERATION};
use super::*;
use proptest::prelude::*;

const NOW: Instant = Instant::from_nanos(3_600_000_000_000);

fn nanos(n: u64) -> Duration {
    Duration::from_nanos(n)
}

/// What is overdue at `now`, and when to look again.
fn look(rings: &InFlight, now: Instant, generation: u64) -> (Vec<(u8, u64, Instant)>, Instant) {
    let mut told = Vec::new();
    let next = rings.take_overdue((now, now), generation, |it| {
        told.push((it.place, it.calls, it.due));
    });
    (told, next)
}

#[derive(Clone, Debug)]
enum Op {
    Enter,
    Leave(usize),
    Advance(u64),
    /// To the moment for which the last look asked, or a nanosecond before.
    AdvanceToNext {
        short: bool,
    },
    Generation,
    Plan(u64, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Enter),
        4 => (0_usize..100).prop_map(Op::Leave),
        4 => (0_u64..40_000).prop_map(Op::Advance),
        2 => any::<bool>().prop_map(|short| Op::AdvanceToNext { short }),
        1 => Just(Op::Generation),
        1 => (16_u64..100_000, 1_u64..50_000).prop_map(|(at, more)| Op::Plan(at, at + more)),
    ]
}

/// A call of the model.
struct Call {
    start: Instant,
    generation: u64,
    plan: u32,
    entered: Entered,
    /// The thresholds it was counted for.
    counted: u8,
}

struct Pair {
    rings: InFlight,
    thresholds: Vec<Duration>,
    calls: Vec<Call>,
    now: Instant,
    next: Instant,
    generation: u64,
    plan: u32,
    counted_before: Instant,
}

impl Pair {
    fn due(&self, place: usize, start: Instant) -> Instant {
        let threshold = self.thresholds[place];
        let width = (threshold.as_nanos() as u64 / 16).max(1);
        let width = 1 << width.ilog2();
        let end = (start.as_nanos() / width + 1) * width;
        Instant::from_nanos(end).saturating_add(threshold)
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Enter => self.enter(),
            Op::Leave(at) => self.leave(at),
            Op::Advance(by) => self.now = self.now.saturating_add(nanos(by)),
            Op::AdvanceToNext { short } => {
                let next = self.next.saturating_sub(nanos(short.into()));
                self.now = self.now.max(next);
            }
            Op::Generation => self.generation += 1,
            Op::Plan(one, other) => {
                let counted = overdue_before(self.thresholds[0], self.now);
                self.counted_before = self.counted_before.max(counted);
                self.plan += 1;
                self.thresholds = vec![nanos(one), nanos(other)];
                self.rings.set(&self.thresholds, counted);
            }
        }
        self.look();
    }

    fn enter(&mut self) {
        let entered = self.rings.enter(self.now, self.generation);
        assert_eq!(entered.rings(), 0b11, "no room");
        self.calls.push(Call {
            start: self.now,
            generation: self.generation,
            plan: self.plan,
            entered,
            counted: 0,
        });
    }

    fn leave(&mut self, at: usize) {
        let Some(at) = at.checked_rem(self.calls.len()) else {
            return;
        };
        let call = self.calls.swap_remove(at);
        let overdue = self.rings.leave(call.entered, call.start, call.generation);
        if call.plan != self.plan {
            let counted = call.start < self.counted_before;
            assert_eq!(overdue, if counted { u8::MAX } else { 0 });
        } else if call.generation == self.generation {
            assert_eq!(overdue, call.counted);
        }
    }

    fn look(&mut self) {
        let (told, next) = look(&self.rings, self.now, self.generation);
        let mut expected = std::collections::BTreeMap::new();
        let places = 0..self.thresholds.len();
        let mut soonest = places.clone().map(|place| self.due(place, self.now)).min();
        for at in 0..self.calls.len() {
            for place in places.clone() {
                let due = self.due(place, self.calls[at].start);
                let call = &mut self.calls[at];
                let present = call.generation == self.generation && call.plan == self.plan;
                if !present || call.counted & 1 << place != 0 {
                    continue;
                }
                if due <= self.now {
                    call.counted |= 1 << place;
                    *expected.entry((place as u8, due)).or_insert(0) += 1;
                } else {
                    soonest = soonest.min(Some(due));
                }
            }
        }
        let told: std::collections::BTreeMap<_, _> = told
            .into_iter()
            .map(|(place, calls, due)| ((place, due), calls))
            .collect();
        assert_eq!(told, expected);
        assert_eq!(Some(next), soonest);
        self.next = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_call_counts_once_as_soon_as_its_bucket_is_past_the_threshold(
        (one, more) in (16_u64..100_000, 1_u64..50_000),
        ops in proptest::collection::vec(op(), 1..150),
    ) {
        let thresholds = vec![nanos(one), nanos(one + more)];
        let mut pair = Pair {
            rings: InFlight::new(&thresholds),
            thresholds,
            calls: Vec::new(),
            now: NOW,
            next: NOW,
            generation: 3,
            plan: 0,
            counted_before: Instant::ORIGIN,
        };
        for op in &ops {
            pair.apply(op);
        }
    }
}

#[test]
fn who_cannot_enter_is_not_counted_and_leaves_as_if_nobody_had_looked() {
    let rings = InFlight::new(&[nanos(1_600)]);
    let first = rings.enter(NOW, 1);
    // Widths of 64 nanoseconds: the same bucket, once around the ring.
    let around = NOW.saturating_add(nanos(64 * BUCKETS as u64));
    let refused = rings.enter(around, 1);
    assert_eq!((first.rings(), refused.rings()), (1, 0));
    assert_eq!(rings.leave(refused, around, 1), 0);
    assert_eq!(rings.leave(first, NOW, 1), 0, "it was there all the time");
    assert_eq!(rings.enter(around, 1).rings(), 1, "an empty bucket");
}

#[test]
fn no_number_of_changes_of_the_plan_brings_an_earlier_one_back_soon() {
    let rings = InFlight::new(&[nanos(1_600)]);
    let entered = rings.enter(NOW, 1);
    for _ in 0..255 {
        rings.set(&[nanos(1_600)], Instant::ORIGIN);
        assert_eq!(rings.leave(entered, NOW, 1), 0);
        assert_eq!(Plan(rings.plan.load(Ordering::Relaxed)).shift(1), None);
    }
}

#[test]
fn a_full_bucket_takes_no_more_and_an_empty_one_gives_none() {
    let ring = Ring::empty();
    let slot = Slot::of(7, 1, Plan(1));
    let word = &ring.buckets[slot.at];
    word.store(slot.tag | COUNT, Ordering::Relaxed);
    assert!(!ring.enter(slot, 1));
    assert!(ring.leave(slot) && ring.enter(slot, 1));
    word.store(slot.tag, Ordering::Relaxed);
    assert!(!ring.leave(slot));
    assert_eq!(word.load(Ordering::Relaxed), slot.tag);
}

#[test]
fn a_word_says_which_bucket_generation_and_plan_it_counts_calls_of() {
    let slot = Slot::of(0xabcde, 0x123, Plan(0x45));
    assert_eq!(slot.tag, 0x4512_3abc_de00_0000);
    assert_eq!(
        Slot::of(0xabcde | (EPOCH + 1), 0x123 | (GENERATION + 1), Plan(0x45)).tag,
        slot.tag
    );
}

#[test]
fn only_an_earlier_generation_or_another_plan_is_written_over() {
    let slot = |generation, plan| Slot::of(5, generation, Plan(plan));
    let outlives = |word: Slot| slot(10, 1).outlives(word.tag | 1);
    assert!(!outlives(slot(10, 1)) && !outlives(slot(11, 1)));
    assert!(outlives(slot(9, 1)) && outlives(slot(10, 2)));
    let half = GENERATION / 2;
    assert!(outlives(slot(10_u64.wrapping_sub(half), 1)));
    assert!(!outlives(slot(10_u64.wrapping_sub(half + 1), 1)));
}

#[test]
fn a_call_is_late_for_a_later_bucket_of_its_own_generation_and_plan_alone() {
    let slot = |epoch, generation, plan| Slot::of(epoch, generation, Plan(plan));
    let late = |word: Slot| slot(5, 10, 1).is_late_for(word.tag);
    assert!(late(slot(6, 10, 1)) && late(slot(5 + EPOCH / 2, 10, 1)));
    assert!(!late(slot(5, 10, 1)) && !late(slot(6 + EPOCH / 2, 10, 1)));
    assert!(!late(slot(6, 11, 1)) && !late(slot(6, 9, 1)) && !late(slot(6, 10, 2)));
}

#[test]
fn a_bucket_is_known_by_its_lowest_bits_up_to_half_a_ring_ahead() {
    let latest = 1 << 30;
    let look = Look {
        present: 0,
        shift: 0,
        threshold: nanos(16),
        latest: Instant::from_nanos(latest),
        now: Instant::from_nanos(latest),
    };
    let known = |epoch| look.epoch(Slot::of(epoch, 1, Plan(1)).tag);
    let ahead = latest + BUCKETS as u64 / 2;
    for epoch in [ahead, latest, ahead - EPOCH] {
        assert_eq!(known(epoch), epoch);
    }
    assert_eq!(known(ahead + 1), ahead - EPOCH, "so far ahead is long ago");
}

#[test]
fn a_call_in_the_rings_is_of_no_turn_of_the_gate() {
    let plan = Plan(0x45);
    assert_eq!(Entered::in_rings(0b11, plan).turn(), None);
    assert_eq!(Entered::at_gate(0, plan).turn(), Some(0));
    assert_eq!(Entered::at_gate(7, plan).turn(), Some(7));
}

#[test]
fn who_enters_long_after_reading_the_clock_takes_no_place_of_those_who_are_in_time() {
    let threshold = nanos(1_600);
    let round = nanos((BUCKETS as u64) << shift_of(threshold));
    let rings = InFlight::new(&[threshold]);
    let counted = |told: &[(u8, u64, Instant)]| told.iter().map(|it| it.1).sum::<u64>();
    let now = NOW.saturating_add(round);
    // Before the bucket begins: overdue, and told.
    let entered = rings.enter(NOW, 1);
    assert_eq!(counted(&look(&rings, now, 1).0), 1);
    assert_ne!(rings.leave(entered, NOW, 1), 0);
    // After that: not counted here.
    let entered = rings.enter(NOW, 1);
    rings.enter_many(2, now, 1);
    assert_eq!(rings.leave(entered, NOW, 1), 0);
    let (told, _) = look(&rings, now.saturating_add(round), 1);
    assert_eq!(counted(&told), 2);
}
