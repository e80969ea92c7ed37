//! Calls in flight, counted by when they began, so that one counts as slow when its threshold passes
//! and not when it returns.
//!
//! For each slow threshold there is a ring of buckets of start times, each a power of two nanoseconds
//! wide and at most a sixteenth of the threshold. A call enters the bucket of its start and leaves it at
//! its end, by one compare-and-swap each. Once the youngest call of a bucket is past the threshold the
//! whole bucket is overdue, and whoever holds the machine's lock takes it out and counts it.
//!
//! Most calls end in the bucket in which they began. So a call that begins while the gate is open is
//! counted there (`Lanes`), once for all rings, and taken out by the same swap that counts its success. A
//! turn of the gate ends no later than a bucket of any ring does: then the calls that have not ended are
//! moved to the buckets that they began in ([`InFlight::enter_many`]) before the next turn is published.
//!
//! Why each call counts once: a bucket is one word of count and tag, and the tag says which bucket it is
//! (start, generation, plan). Taking it out swaps the word for an empty one. A call that ends either
//! lowers the count under its tag before that, and then nobody counted it, or finds its tag gone, and then
//! it was counted. A word that still counts calls of the present generation is never written over: who
//! cannot enter is not counted here, and counts at its end by its age. A call that is in the gate is in no
//! bucket; one that finds the gate shut, or its turn there without it, asks whoever holds the lock.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::clock::Instant;

use self::ring::{Look, Ring, end_of};
use self::slot::{Plan, Slot};
use crate::gate::nanos;
use crate::rules::MAX_THRESHOLDS;
use crate::sync::AtomicU64;

mod entered;
mod ring;
mod slot;

pub(crate) use self::entered::Entered;

/// The rings of one breaker.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// What the rings are set to: number of the plan (8 bits), then for each ring in use one more than the
    /// binary logarithm of its bucket's width (8 bits each).
    plan: AtomicU64,
    /// Calls that began before this had been counted when the plan changed.
    counted_before: AtomicU64,
    /// That of the shortest threshold; the others follow.
    first: OnceLock<Box<Ring>>,
}

/// Calls that became slow while in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// The place of the threshold.
    pub(crate) place: u8,
    /// How many.
    pub(crate) calls: u64,
    /// When the last of them did.
    pub(crate) due: Instant,
}

impl InFlight {
    pub(crate) fn new(thresholds: &[Duration]) -> Self {
        let in_flight = Self {
            plan: AtomicU64::new(0),
            counted_before: AtomicU64::new(0),
            first: OnceLock::new(),
        };
        in_flight.set(thresholds, Instant::ORIGIN);
        in_flight
    }

    /// Counts calls by these thresholds from now on. Those in flight are forgotten and count at their
    /// end, if they began after `counted_before`. Only for whoever holds the machine's lock.
    pub(crate) fn set(&self, thresholds: &[Duration], counted_before: Instant) {
        self.counted_before
            .fetch_max(counted_before.as_nanos(), Ordering::Relaxed);
        let number = (self.plan.load(Ordering::Relaxed) & 0xff).wrapping_add(1) & 0xff;
        let mut plan = number;
        let mut next = &self.first;
        for (place, threshold) in thresholds.iter().enumerate().take(MAX_THRESHOLDS) {
            let ring = next.get_or_init(Ring::empty);
            ring.set(*threshold);
            next = &ring.next;
            plan |= u64::from(shift_of(*threshold) + 1) << (8 * (place + 1));
        }
        self.plan.store(plan, Ordering::Release);
    }

    /// Whether any call has to be entered.
    #[inline]
    pub(crate) fn is_watching(&self) -> bool {
        Plan(self.plan.load(Ordering::Relaxed)).shift(0).is_some()
    }

    /// A call that has been entered at the gate, in `turn`, which is not over.
    #[inline]
    pub(crate) fn entered_at_gate(&self, turn: u32) -> Entered {
        Entered::at_gate(turn, Plan(self.plan.load(Ordering::Acquire)))
    }

    /// Counts a call of `generation` that begins at `start`.
    #[inline]
    pub(crate) fn enter(&self, start: Instant, generation: u64) -> Entered {
        let plan = Plan(self.plan.load(Ordering::Acquire));
        let mut rings = 0;
        for (place, shift, ring) in self.rings(plan) {
            let slot = Slot::of(start.as_nanos() >> shift, generation, plan);
            rings |= u8::from(ring.enter(slot, 1)) << place;
        }
        Entered::in_rings(rings, plan)
    }

    /// Counts `n` calls of `generation` that began in the bucket of `start`. For whoever holds the machine's
    /// lock, who kept that bucket for them when they took out what was overdue: there is room.
    pub(crate) fn enter_many(&self, n: u64, start: Instant, generation: u64) {
        let plan = Plan(self.plan.load(Ordering::Relaxed));
        for (_, shift, ring) in self.rings(plan).filter(|_| n > 0) {
            let slot = Slot::of(start.as_nanos() >> shift, generation, plan);
            ring.enter(slot, n);
        }
    }

    /// Takes out a call that was entered; the thresholds that it had passed before, and has been counted
    /// for, are set in the answer.
    #[inline]
    pub(crate) fn leave(&self, entered: Entered, start: Instant, generation: u64) -> u8 {
        let plan = Plan(self.plan.load(Ordering::Acquire));
        if plan.number() != entered.plan() {
            let counted = start.as_nanos() < self.counted_before.load(Ordering::Relaxed);
            return if counted && entered.rings() != 0 {
                u8::MAX
            } else {
                0
            };
        }
        let mut overdue = 0;
        for (place, shift, ring) in self.rings(plan) {
            let slot = Slot::of(start.as_nanos() >> shift, generation, plan);
            let missed = entered.rings() & (1 << place) != 0 && !ring.leave(slot);
            overdue |= u8::from(missed) << place;
        }
        overdue
    }

    /// When the first bucket ends in which a call that begins at `now` is counted.
    pub(crate) fn bucket_end(&self, now: Instant) -> Instant {
        let plan = Plan(self.plan.load(Ordering::Relaxed));
        let ends = (self.rings(plan)).map(|(_, shift, _)| end_of(now.as_nanos() >> shift, shift));
        ends.min().unwrap_or(Instant::NEVER)
    }

    /// The rings in use: the place of each, its shift, and itself.
    #[inline]
    fn rings(&self, plan: Plan) -> impl Iterator<Item = (u8, u32, &Ring)> {
        let mut next = &self.first;
        (0_u8..).map_while(move |place| {
            let (shift, ring) = (plan.shift(place.into())?, next.get()?);
            next = &ring.next;
            Some((place, shift, &**ring))
        })
    }

    /// Takes out what is overdue at `now` of `generation`, and says when to look again. No call has
    /// entered that began after `latest`, the time that was said last, but by the distance of two threads'
    /// clocks. Only for whoever holds the machine's lock.
    pub(crate) fn take_overdue(
        &self,
        (latest, now): (Instant, Instant),
        generation: u64,
        mut overdue: impl FnMut(Overdue),
    ) -> Instant {
        let plan = Plan(self.plan.load(Ordering::Relaxed));
        let mut next = Instant::NEVER;
        for (place, shift, ring) in self.rings(plan) {
            let look = Look {
                present: Slot::of(0, generation, plan).tag,
                shift,
                threshold: ring.threshold(),
                latest,
                now,
            };
            let mut tell = |calls, due| overdue(Overdue { place, calls, due });
            ring.claim(
                Slot::of(now.as_nanos() >> shift, generation, plan),
                &look,
                &mut tell,
            );
            next = next.min(ring.take_overdue(&look, tell));
        }
        next
    }
}

/// Up to which start calls are overdue at `now`.
pub(crate) fn overdue_before(threshold: Duration, now: Instant) -> Instant {
    let shift = shift_of(threshold);
    let late = now.saturating_sub(threshold).as_nanos();
    Instant::from_nanos(late >> shift << shift)
}

/// The binary logarithm of the widest bucket that is at most a sixteenth of `threshold`.
fn shift_of(threshold: Duration) -> u32 {
    (nanos(threshold) / 16).max(1).ilog2()
}

#[cfg(all(test, not(loom)))]
mod tests;
