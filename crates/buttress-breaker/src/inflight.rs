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

use crate::gate::nanos;
use crate::rules::MAX_THRESHOLDS;
use crate::sync::AtomicU64;

/// The buckets of a ring. A threshold is less than 32 bucket widths, so that half of them are in use.
const BUCKETS: usize = 64;
/// A word: count (24), number of the bucket (20), generation (12), plan (8), from the lowest bit.
const COUNT: u64 = (1 << 24) - 1;
const EPOCH_SHIFT: u32 = 24;
const EPOCH: u64 = (1 << 20) - 1;
const GENERATION_SHIFT: u32 = 44;
const GENERATION: u64 = (1 << 12) - 1;
const PLAN_SHIFT: u32 = 56;

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

#[derive(Debug)]
struct Ring {
    /// In nanoseconds; changes under the machine's lock alone.
    threshold: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    next: OnceLock<Box<Self>>,
}

/// Where a call has been entered: the rings (8), a bit each, the number of the plan (8), whether it was
/// entered at the gate (1), and in which turn (32, the highest). One word: what is written in parts and read
/// as a whole is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entered(u64);

impl Entered {
    const AT_GATE: u64 = 1 << 16;

    /// In these rings.
    #[inline]
    fn in_rings(rings: u8, plan: Plan) -> Self {
        Self(u64::from(rings) | u64::from(plan.number()) << 8)
    }

    /// At the gate, to be moved to all rings.
    #[inline]
    fn at_gate(turn: u32, plan: Plan) -> Self {
        Self(u64::from(turn) << 32 | Self::AT_GATE | Self::in_rings(u8::MAX, plan).0)
    }

    /// The turn of the gate in which it was entered there.
    #[inline]
    pub(crate) fn turn(self) -> Option<u32> {
        (self.0 & Self::AT_GATE != 0).then_some((self.0 >> 32) as u32)
    }

    #[inline]
    const fn rings(self) -> u8 {
        let [rings, ..] = self.0.to_le_bytes();
        rings
    }

    #[inline]
    const fn plan(self) -> u8 {
        let [_, plan, ..] = self.0.to_le_bytes();
        plan
    }
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

#[derive(Clone, Copy, Debug)]
struct Plan(u64);

impl Plan {
    #[inline]
    const fn number(self) -> u8 {
        let [number, ..] = self.0.to_le_bytes();
        number
    }

    #[inline]
    fn shift(self, place: usize) -> Option<u32> {
        let shift = (self.0 >> (8 * (place + 1))) & 0xff;
        (shift as u32).checked_sub(1)
    }
}

/// A bucket and its tag.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: usize,
    tag: u64,
}

impl Slot {
    #[inline]
    fn of(epoch: u64, generation: u64, plan: Plan) -> Self {
        let tag = (epoch & EPOCH) << EPOCH_SHIFT
            | (generation & GENERATION) << GENERATION_SHIFT
            | u64::from(plan.number()) << PLAN_SHIFT;
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is small")]
        let at = (epoch % BUCKETS as u64) as usize;
        Self { at, tag }
    }

    /// Whether `word` is of a later bucket than this, of the same generation and plan: whoever comes so late
    /// is not to take the place of those who are in time.
    fn is_late_for(self, word: u64) -> bool {
        let epoch = |tag: u64| tag >> EPOCH_SHIFT & EPOCH;
        let behind = epoch(word).wrapping_sub(epoch(self.tag)) & EPOCH;
        (word ^ self.tag) >> GENERATION_SHIFT == 0 && (1..=EPOCH / 2).contains(&behind)
    }

    /// Whether the calls that `word` counts are of an earlier generation or plan than this.
    fn outlives(self, word: u64) -> bool {
        let generation = |tag: u64| tag >> GENERATION_SHIFT & GENERATION;
        let behind = generation(self.tag).wrapping_sub(generation(word)) & GENERATION;
        word >> PLAN_SHIFT != self.tag >> PLAN_SHIFT || (1..=GENERATION / 2).contains(&behind)
    }
}

/// One look at a ring.
struct Look {
    /// Number of the plan and generation, as in a word.
    present: u64,
    shift: u32,
    threshold: Duration,
    /// No call has begun long after this: whoever did would have looked first.
    latest: Instant,
    now: Instant,
}

impl Look {
    /// Whether `word` counts calls of the present generation and plan.
    const fn is_present(&self, word: u64) -> bool {
        (word ^ self.present) >> GENERATION_SHIFT == 0
    }

    /// The whole number of the bucket of which `word` has the lowest bits.
    const fn epoch(&self, word: u64) -> u64 {
        // A clock read by another thread may be a little ahead.
        let last = (self.latest.as_nanos() >> self.shift).saturating_add(BUCKETS as u64 / 2);
        last.saturating_sub(last.wrapping_sub(word >> EPOCH_SHIFT) & EPOCH)
    }

    /// When all calls that began in the bucket of `epoch` are slow.
    fn due(&self, epoch: u64) -> Instant {
        end_of(epoch, self.shift).saturating_add(self.threshold)
    }
}

/// When the bucket of `epoch` ends.
fn end_of(epoch: u64, shift: u32) -> Instant {
    Instant::from_nanos(epoch.saturating_add(1).saturating_mul(1 << shift))
}

impl Ring {
    fn empty() -> Box<Self> {
        Box::new(Self {
            threshold: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            next: OnceLock::new(),
        })
    }

    fn set(&self, threshold: Duration) {
        self.threshold.store(nanos(threshold), Ordering::Relaxed);
        for word in &self.buckets {
            word.store(0, Ordering::Relaxed);
        }
    }

    fn threshold(&self) -> Duration {
        Duration::from_nanos(self.threshold.load(Ordering::Relaxed))
    }

    #[inline]
    fn enter(&self, slot: Slot, n: u64) -> bool {
        self.change(slot.at, |word| {
            if word & !COUNT == slot.tag {
                (word & COUNT <= COUNT - n).then_some(word.wrapping_add(n))
            } else {
                let free = word & COUNT == 0 && !slot.is_late_for(word);
                (free || slot.outlives(word)).then_some(slot.tag | n)
            }
        })
    }

    #[inline]
    fn leave(&self, slot: Slot) -> bool {
        self.change(slot.at, |word| {
            (word & !COUNT == slot.tag && word & COUNT > 0).then(|| word.wrapping_sub(1))
        })
    }

    #[inline]
    fn change(&self, at: usize, to: impl Fn(u64) -> Option<u64>) -> bool {
        self.buckets.get(at).is_some_and(|word| {
            word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, to)
                .is_ok()
        })
    }

    /// Keeps the bucket of now for those who begin in it: [`InFlight::enter_many`] has to find room. Who read
    /// the clock long ago, and enters only now, may have taken it, and is overdue.
    fn claim(&self, slot: Slot, look: &Look, tell: &mut impl FnMut(u64, Instant)) {
        let is_over = |word: u64| {
            word & COUNT == 0 || !look.is_present(word) || look.due(look.epoch(word)) <= look.now
        };
        let claimed = |word: u64| (word & !COUNT != slot.tag && is_over(word)).then_some(slot.tag);
        let taken = self.buckets.get(slot.at).and_then(|word| {
            word.fetch_update(Ordering::AcqRel, Ordering::Acquire, claimed)
                .ok()
        });
        if let Some(taken) = taken.filter(|taken| taken & COUNT > 0 && look.is_present(*taken)) {
            tell(taken & COUNT, look.due(look.epoch(taken)));
        }
    }

    fn take_overdue(&self, look: &Look, mut tell: impl FnMut(u64, Instant)) -> Instant {
        let mut next = look.due(look.now.as_nanos() >> look.shift);
        for word in &self.buckets {
            let seen = word.load(Ordering::Acquire);
            if seen & COUNT == 0 {
                continue;
            }
            let due = look.due(look.epoch(seen));
            if look.is_present(seen) && due > look.now {
                next = next.min(due);
                continue;
            }
            let taken = word.swap(0, Ordering::AcqRel);
            if look.is_present(taken) {
                tell(taken & COUNT, due);
            }
        }
        next
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
