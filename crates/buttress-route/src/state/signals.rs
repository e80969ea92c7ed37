//! What others say of an endpoint's health.

use std::sync::Arc;

use buttress_core::clock::Instant;
use buttress_core::verdict::{Action, Verdict};

use super::{ASK_AGAIN, Decision, State};
use crate::slot::Slot;
use crate::tally::Rule;

impl State {
    /// Looks at what others say of the endpoint.
    pub(crate) fn heed_signals(&mut self, slot: &Arc<Slot>, now: Instant) -> Option<Decision> {
        self.ask_at = now.saturating_add(ASK_AGAIN);
        let unhealthy = self.signals.iter().any(|signal| !signal.status().serves());
        let verdict = |action| Verdict::new(Rule::HealthSignal.name(), action);
        if unhealthy == self.warned && unhealthy == self.held {
            return None;
        }
        let news = std::mem::replace(&mut self.warned, unhealthy) != unhealthy;
        if !unhealthy {
            let was_held = std::mem::take(&mut self.held);
            let back = was_held && self.circuit.state().is_closed();
            if back {
                self.start_afresh(now);
            }
            return back.then(|| Decision(verdict(Action::Closed)));
        }
        match slot.ledger().eject(slot) {
            Ok(()) => {
                self.held = true;
                self.tally.ejected(Rule::HealthSignal);
                let goes_out = self.circuit.state().is_closed();
                goes_out.then(|| Decision(verdict(Action::Held)))
            }
            Err(why) => news.then(|| self.suppressed(verdict(Action::Held), why)),
        }
    }
}
