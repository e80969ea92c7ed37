//! One recent trace for each octave.
//!
//! They are kept apart from the shards, and written so rarely that a record hardly ever does more than
//! look when the last one was. A slot is a sequence lock: who finds it busy goes on without it, so
//! nobody waits.

use std::array;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::clock::{Clock, Instant};
use buttress_core::metric::Exemplar;
use buttress_core::trace_context::TraceContext;

use crate::bucket::{PLACES, place};
use crate::sync::{AtomicU64, OnceLock, fence};

/// How long the exemplar of an octave stays before another one takes its place, in nanoseconds.
const STAYS: u64 = 1_000_000_000;
/// A slot that has never been written to.
const EMPTY: u64 = 0;
/// In the stamp of a slot that is being written to.
const BUSY: u64 = 1;
/// How often a reader looks at a slot that is being written to; in a model one look is all there is to see.
const LOOKS: usize = if cfg!(all(loom, test)) { 1 } else { 4 };

/// A trace that is recorded, in less room than a [`TraceContext`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sampled {
    id: [u64; 2],
    span: NonZeroU64,
}

/// The exemplars of a recorder; no room is taken before the first.
pub(crate) struct Exemplars(OnceLock<Box<[Slot; PLACES]>>);

struct Slot {
    /// When it was written to, by the recorder's clock; what is between two equal ones belongs together.
    stamp: AtomicU64,
    id: [AtomicU64; 2],
    span: AtomicU64,
    nanos: AtomicU64,
    /// Nanoseconds since 1970.
    at: AtomicU64,
}

impl Sampled {
    /// `trace`, if it is recorded.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "both halves of the trace's bits are kept"
    )]
    pub(crate) fn of(trace: &TraceContext) -> Option<Self> {
        let span = NonZeroU64::new(trace.span_id).filter(|_| trace.sampled)?;
        Some(Self {
            id: [(trace.trace_id >> 64) as u64, trace.trace_id as u64],
            span,
        })
    }

    fn context(self) -> Option<TraceContext> {
        let [high, low] = self.id.map(u128::from);
        TraceContext::new(high << 64 | low, self.span.get(), true)
    }
}

impl Exemplars {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Keeps the `nanos` that ended `now` in `trace`, if its octave has had no other within a second.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a slot for every place")]
    pub(crate) fn offer(&self, trace: Sampled, nanos: u64, now: Instant, clock: &Clock) {
        let slots = self.0.get().map_or_else(|| make(&self.0), Box::as_ref);
        let slot = &slots[place(nanos).ordinal()];
        let stamp = slot.stamp.load(Ordering::Relaxed);
        if stamp == EMPTY || now.as_nanos() > stamp.saturating_add(STAYS) {
            slot.write(stamp, trace, nanos, now, clock);
        }
    }

    /// What is kept, by value, ascending.
    pub(crate) fn read(&self) -> Vec<Exemplar> {
        let slots = self.0.get().into_iter().flat_map(|slots| slots.iter());
        slots.filter_map(Slot::read).collect()
    }
}

impl Slot {
    fn new() -> Self {
        let word = || AtomicU64::new(0);
        Self {
            stamp: AtomicU64::new(EMPTY),
            id: [word(), word()],
            span: word(),
            nanos: word(),
            at: word(),
        }
    }

    /// Writes unless somebody has since the stamp was `before`.
    #[cold]
    fn write(&self, before: u64, trace: Sampled, nanos: u64, now: Instant, clock: &Clock) {
        // Later than `before` by a second or the first, so no stamp is ever used twice.
        let stamp = now.as_nanos().max(2) & !BUSY;
        let at = u64::try_from(clock.since_1970().as_nanos()).unwrap_or(u64::MAX);
        let taken = before & BUSY == 0
            && (self.stamp)
                .compare_exchange(before, stamp | BUSY, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if !taken {
            return;
        }
        // Who sees any of these words sees the slot busy, or later.
        fence(Ordering::Release);
        let words = [trace.id[0], trace.id[1], trace.span.get(), nanos, at];
        for (word, value) in self.words().into_iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.stamp.store(stamp, Ordering::Release);
    }

    fn read(&self) -> Option<Exemplar> {
        for _ in 0..LOOKS {
            let before = self.stamp.load(Ordering::Acquire);
            if before == EMPTY {
                return None;
            }
            let words = self.words().map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before & BUSY == 0 && self.stamp.load(Ordering::Relaxed) == before {
                return exemplar(words);
            }
            std::hint::spin_loop();
        }
        None
    }

    fn words(&self) -> [&AtomicU64; 5] {
        let [high, low] = &self.id;
        [high, low, &self.span, &self.nanos, &self.at]
    }
}

/// Adds those of another recorder: of each octave the later one.
pub(crate) fn merge_exemplars(into: &mut Vec<Exemplar>, others: &[Exemplar]) {
    for other in others {
        match into.binary_search_by_key(&octave(other), octave) {
            Ok(at) => replace_if_earlier(into.get_mut(at), other),
            Err(at) => into.insert(at, *other),
        }
    }
}

fn replace_if_earlier(one: Option<&mut Exemplar>, other: &Exemplar) {
    if let Some(one) = one.filter(|one| one.at < other.at) {
        *one = *other;
    }
}

fn octave(exemplar: &Exemplar) -> usize {
    let value = Duration::try_from_secs_f64(exemplar.value).unwrap_or(Duration::MAX);
    place(super::nanos(value)).ordinal()
}

fn exemplar([high, low, span, nanos, at]: [u64; 5]) -> Option<Exemplar> {
    let span = NonZeroU64::new(span)?;
    let id = [high, low];
    let trace = Sampled { id, span }.context()?;
    let seconds = Duration::from_nanos(nanos).as_secs_f64();
    Some(Exemplar::new(&trace, seconds, Duration::from_nanos(at)))
}

#[cold]
fn make(slots: &OnceLock<Box<[Slot; PLACES]>>) -> &[Slot; PLACES] {
    slots.get_or_init(|| Box::new(array::from_fn(|_| Slot::new())))
}
