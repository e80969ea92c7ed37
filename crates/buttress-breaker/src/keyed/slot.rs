//! One key's breaker in the map, and when it may go.

use std::time::Duration;

use buttress_core::bounded::{Limits, MayGo};
use buttress_core::circuit::State;
use buttress_core::clock::Instant;

use crate::breaker::Breaker;
use crate::rules::Rules;

/// A breaker in the map.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) breaker: Breaker,
    /// It has series of its own in the metrics.
    pub(super) listed: bool,
}

/// Failures that no call has followed for so many idle times are no evidence any more.
const EVIDENCE_KEPT: u32 = 6;

impl MayGo for Slot {
    fn may_go(&self, idle: Duration, limits: &Limits, now: Instant) -> bool {
        // Whoever holds a permit, a handle or a clone of it would go on with a breaker of their own.
        self.breaker.is_unshared()
            && self.breaker.shared().peek(|machine| {
                let old = idle >= limits.idle_after.saturating_mul(EVIDENCE_KEPT);
                let circuit = &machine.circuit;
                // One that was made to observe and does so yet would be made again just so.
                let observes = circuit.state() == State::Observing && circuit.generation() == 0;
                (circuit.state() == State::Closed || observes)
                    && (old || !accused(&machine.rules, now))
            })
    }
}

/// Whether anything that was seen speaks against what is guarded.
fn accused(rules: &Rules, now: Instant) -> bool {
    rules.consecutive() > 0 || rules.counts(now).iter().any(|window| window.counts.bad > 0)
}
