//! One rolling window: the slices that have ended, and where the running one began.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;

use super::packed::Packed;
use super::{Span, WindowSnapshot};
use crate::bucket::{SLOTS, Slot};
use crate::snapshot::{Extremes, Snapshot};

/// A window over the cumulative counts of a recorder.
#[derive(Debug)]
pub(super) struct Ring {
    span: Span,
    born: Instant,
    /// Slices in which anything was recorded, by number, ascending.
    ended: VecDeque<(u64, Packed)>,
    /// The running slice.
    running: u64,
    /// What had been counted when it began.
    base: Arc<Packed>,
}

/// What a recorder has counted, packed once for all rings.
pub(super) struct Total {
    pub(super) counts: Snapshot,
    packed: OnceCell<Arc<Packed>>,
}

impl Total {
    pub(super) const fn new(counts: Snapshot) -> Self {
        Self {
            counts,
            packed: OnceCell::new(),
        }
    }

    fn packed(&self) -> &Arc<Packed> {
        self.packed
            .get_or_init(|| Arc::new(Packed::of(&self.counts)))
    }
}

impl Ring {
    pub(super) fn new(span: Span, now: Instant) -> Self {
        Self {
            span,
            born: now,
            ended: VecDeque::new(),
            running: now.as_nanos() / span.slice_nanos,
            base: Arc::default(),
        }
    }

    /// A window that begins at `now`, when `total` had been counted.
    pub(super) fn since(span: Span, now: Instant, total: &Total) -> Self {
        Self {
            base: Arc::clone(total.packed()),
            ..Self::new(span, now)
        }
    }

    pub(super) const fn span(&self) -> &Span {
        &self.span
    }

    /// When the running slice ends, in nanoseconds.
    pub(super) const fn slice_end(&self) -> u64 {
        self.running
            .saturating_add(1)
            .saturating_mul(self.span.slice_nanos)
    }

    /// Ends the running slice if `now` is beyond it. Whatever is in `total` and not yet in a slice
    /// was recorded in it: the first record after its end comes here before it counts.
    pub(super) fn advance(&mut self, total: &Total, now: Instant) {
        let slice = now.as_nanos() / self.span.slice_nanos;
        if slice <= self.running {
            return;
        }
        let added = self.added(&total.counts);
        // A record that races may leave its share of the sum for the slice after its own.
        if added != Snapshot::default() {
            self.ended.push_back((self.running, Packed::of(&added)));
        }
        // Even if nothing was added: rings that share their base keep it once.
        self.base = Arc::clone(total.packed());
        self.running = slice;
        self.forget_old();
    }

    /// What the running slice has added.
    fn added(&self, total: &Snapshot) -> Snapshot {
        total.minus(self.base.slots(), self.base.sum_nanos())
    }

    /// The window as of `now`, of which [`Ring::advance`] has been told.
    pub(super) fn read(&self, total: &Snapshot, now: Instant) -> WindowSnapshot {
        let running = self.added(total);
        let counts = if self.ended.is_empty() {
            running
        } else {
            self.sum_with(&running)
        };
        WindowSnapshot {
            length: self.span.length,
            covered: self.covered(now),
            counts,
        }
    }

    /// Each slice that has ended and is still in the window, by the moment of its end.
    pub(super) fn slices(&self) -> impl Iterator<Item = (Instant, Snapshot)> + '_ {
        let oldest = self.oldest();
        let within = self.ended.iter().filter(move |(slice, _)| *slice >= oldest);
        within.map(|(slice, packed)| {
            let end = slice
                .saturating_add(1)
                .saturating_mul(self.span.slice_nanos);
            (Instant::from_nanos(end), packed.unpack())
        })
    }

    pub(super) const fn length(&self) -> Duration {
        self.span.length
    }

    fn sum_with(&self, running: &Snapshot) -> Snapshot {
        let mut counts = vec![0_u64; SLOTS];
        let mut add = |slot: u16, count: u64| {
            if let Some(sum) = counts.get_mut(usize::from(slot)) {
                *sum = sum.saturating_add(count);
            }
        };
        let mut sum = running.sum_nanos();
        for (slot, count) in running.slots() {
            add(slot.0, *count);
        }
        for (_, delta) in &self.ended {
            sum = sum.saturating_add(delta.sum_nanos());
            for (slot, count) in delta.slots() {
                add(slot.0, count);
            }
        }
        let mut snapshot = Snapshot::default();
        for (slot, count) in (0..).zip(counts) {
            snapshot.push(Slot(slot), count);
        }
        snapshot.set_sum(sum);
        if !snapshot.is_empty() {
            snapshot.set_extremes(Extremes::UNKNOWN);
        }
        snapshot
    }

    fn covered(&self, now: Instant) -> Duration {
        let first = self.oldest().saturating_mul(self.span.slice_nanos);
        now.saturating_since(self.born.max(Instant::from_nanos(first)))
    }

    /// The number of the oldest slice that is still in the window.
    const fn oldest(&self) -> u64 {
        (self.running + 1).saturating_sub(self.span.slices)
    }

    fn forget_old(&mut self) {
        let oldest = self.oldest();
        while self.ended.front().is_some_and(|(slice, _)| *slice < oldest) {
            self.ended.pop_front();
        }
        if self.ended.is_empty() {
            self.ended = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(slot: u16, count: u64) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.push(Slot(slot), count);
        snapshot
    }

    #[test]
    fn a_slice_leaves_when_the_window_has_passed_it() {
        let span = Span {
            length: Duration::from_nanos(30),
            slice_nanos: 10,
            slices: 3,
        };
        let mut ring = Ring::new(span, Instant::from_nanos(0));
        let total = Total::new(counted(5, 1));
        for (at, expected) in [(0, 1), (9, 1), (10, 1), (29, 1), (30, 0), (1000, 0)] {
            let now = Instant::from_nanos(at);
            ring.advance(&total, now);
            assert_eq!(
                ring.read(&total.counts, now).counts.count(),
                expected,
                "at {at}"
            );
        }
    }

    #[test]
    fn a_clock_that_steps_back_changes_nothing() {
        let span = Span {
            length: Duration::from_nanos(30),
            slice_nanos: 10,
            slices: 3,
        };
        let mut ring = Ring::new(span, Instant::from_nanos(100));
        let total = Total::new(counted(5, 1));
        ring.advance(&total, Instant::from_nanos(120));
        ring.advance(&total, Instant::from_nanos(0));
        let window = ring.read(&total.counts, Instant::from_nanos(0));
        assert_eq!((window.counts.count(), window.covered), (1, Duration::ZERO));
    }
}
