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
        let against = self.word_against(now);
        let unhealthy = against.is_some();
        if unhealthy == self.warned && unhealthy == self.held {
            return None;
        }
        let news = std::mem::replace(&mut self.warned, unhealthy) != unhealthy;
        let Some((rule, word)) = against else {
            let was_held = std::mem::take(&mut self.held);
            let back = was_held && self.circuit.state().is_closed();
            if back {
                self.start_afresh(now);
                self.come_back(now);
            }
            let verdict = || Verdict::new(self.held_for.name(), Action::Closed);
            return back.then(|| Decision(verdict()));
        };
        match slot.ledger().eject(slot, None, false) {
            Ok(()) => {
                self.held = true;
                self.held_for = rule;
                self.tally.ejected(rule);
                let goes_out = self.circuit.state().is_closed();
                goes_out.then_some(Decision(word))
            }
            Err(why) => {
                self.is_held_back(why);
                news.then(|| self.suppressed(word, why))
            }
        }
    }

    /// Who speaks against the endpoint, and by what.
    pub(super) fn word_against(&self, now: Instant) -> Option<(Rule, Verdict)> {
        if let Some(verdict) = self.checked.against(now) {
            return Some((Rule::ActiveCheck, verdict));
        }
        let unhealthy = self.signals.iter().any(|signal| !signal.status().serves());
        let verdict = || Verdict::new(Rule::HealthSignal.name(), Action::Held);
        unhealthy.then(|| (Rule::HealthSignal, verdict()))
    }
}
