//! One key's breaker in the map, and when it may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buttress_core::bounded::{Limits, MayGo};
use buttress_core::circuit::{Circuit, Saved, State};
use buttress_core::clock::Instant;

use crate::breaker::Breaker;
use crate::rules::Rules;

/// A breaker in the map.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) breaker: Breaker,
    /// It has series of its own in the metrics.
    pub(super) listed: bool,
    pub(super) fresh: Arc<Fresh>,
}

/// The states that a breaker made now would be in.
#[derive(Debug)]
pub(super) struct Fresh {
    start: AtomicUsize,
    /// The state that all are held in by hand, or `NONE`.
    held: AtomicUsize,
}

const NONE: usize = usize::MAX;

impl Fresh {
    pub(super) const fn new(start: State) -> Self {
        Self {
            start: AtomicUsize::new(start.index()),
            held: AtomicUsize::new(NONE),
        }
    }

    pub(super) fn set(&self, start: State, held: Option<State>) {
        self.start.store(start.index(), Ordering::Relaxed);
        self.held
            .store(held.map_or(NONE, State::index), Ordering::Relaxed);
    }

    /// Whether a breaker that is set by hand to what `circuit` is would be made again just so.
    fn is_like(&self, circuit: &Circuit) -> bool {
        let state = circuit.state();
        let of = |known: &AtomicUsize| known.load(Ordering::Relaxed) == state.index();
        let by_hand = matches!(
            state,
            State::ForcedOpen | State::ForcedClosed | State::Observing
        );
        by_hand && (of(&self.held) || (circuit.generation() == 0 && of(&self.start)))
    }
}

/// Failures that no call has followed for so many idle times are no evidence any more.
const EVIDENCE_KEPT: u32 = 6;

impl Slot {
    /// Whether a new breaker in its place would not be the same to a call.
    pub(super) fn is_memorable(&self) -> bool {
        let shared = self.breaker.shared();
        let now = shared.clock().now();
        // What hangs may have opened it by now.
        shared.with_at(now, |machine| self.is_worth_a_word(&machine.circuit))
    }

    /// What a new breaker in its place has to be told to be the same to a call.
    pub(super) fn memory(&self, now: Instant) -> Option<Saved> {
        self.breaker.shared().peek(|machine| {
            let circuit = &machine.circuit;
            self.is_worth_a_word(circuit).then(|| circuit.save(now))
        })
    }

    fn is_worth_a_word(&self, circuit: &Circuit) -> bool {
        let closed = circuit.state() == State::Closed;
        (!closed && !self.fresh.is_like(circuit)) || circuit.attempt() > 0
    }
}

impl MayGo for Slot {
    fn may_go(&self, idle: Duration, limits: &Limits, now: Instant) -> bool {
        // Whoever holds a permit, a handle or a clone of it would go on with a breaker of their own.
        self.breaker.is_unshared()
            && self.breaker.shared().peek(|machine| {
                let old = idle >= limits.idle_after.saturating_mul(EVIDENCE_KEPT);
                (is_told_by_itself(&machine.circuit, now) || self.fresh.is_like(&machine.circuit))
                    && (old || !accused(&machine.rules, now))
            })
    }
}

/// Whether [`Saved`] says all there is to say of `circuit`: nobody has set it by hand, and no open time
/// runs. What was half-open or ramping and idles is probed anew as what is open is.
fn is_told_by_itself(circuit: &Circuit, now: Instant) -> bool {
    !circuit.state().is_by_hand() && circuit.remaining(now).is_zero()
}

/// Whether anything that was seen speaks against what is guarded.
fn accused(rules: &Rules, now: Instant) -> bool {
    rules.consecutive() > 0 || rules.counts(now).iter().any(|window| window.counts.bad > 0)
}
