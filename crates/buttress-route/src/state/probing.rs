//! The way out and back: how long an endpoint stays out, who probes it, and what ends that.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{self, Admission, Ticket, Transition};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::verdict::{Action, Verdict};

use super::run::Run;
use super::{Call, Decision, State};
use crate::peers::Peers;
use crate::slot::Slot;
use crate::tally::{ProbeResult, Rule};

impl State {
    /// What the end of a call says to the circuit. Where for the lease of a probe, or longer, they all were answered and
    /// said nothing, an answer counts as a good one: whoever is asked for nothing else would stay out for ever. A limit's
    /// does not: it asks to be left alone.
    pub(super) fn as_a_probe_counts(
        &self,
        call: &Call<'_>,
        peers: &Peers,
        now: Instant,
    ) -> Outcome {
        let is_void = call.outcome == Outcome::Ignored && !call.limited;
        let long = self.config.circuit.probe_deadline;
        if is_void && call.ticket.is_probe() && self.pause.has_lasted(long, now) {
            Outcome::Success
        } else if self.is_slow_again(call, peers) {
            Outcome::Slow
        } else {
            call.outcome
        }
    }

    pub(super) fn opened(
        &mut self,
        rule: Rule,
        transition: Option<Transition>,
        now: Instant,
    ) -> Duration {
        let open_for = transition.and_then(|it| it.open_for).unwrap_or_default();
        self.open_until = now.saturating_add(open_for).max(self.pause.until());
        self.tally.ejected(rule);
        self.open_until.saturating_since(now)
    }

    pub(super) fn probed(
        &mut self,
        outcome: Outcome,
        transition: Option<Transition>,
        now: Instant,
    ) -> Option<Decision> {
        self.tally.probed(match outcome {
            Outcome::Success => ProbeResult::Success,
            Outcome::Failure(_) | Outcome::Slow => ProbeResult::Failure,
            _ => ProbeResult::Void,
        });
        if let Outcome::Success | Outcome::Failure(_) = outcome {
            self.fault = self.fault.probed(outcome != Outcome::Success);
        }
        let transition = transition?;
        if transition.to == circuit::State::Closed {
            return Some(self.closed_by_probes(now));
        }
        let open_for = self.opened(Rule::Probe, Some(transition), now);
        let verdict = Verdict::new(Rule::Probe.name(), Action::Opened(open_for));
        Some(Decision(verdict.evidence(1.0, 0.0, 1)))
    }

    fn closed_by_probes(&mut self, now: Instant) -> Decision {
        self.start_afresh(now);
        self.doubt(now);
        self.come_back(now);
        // On trial: if the first outcome is a failure, nobody waits for four more.
        self.run = Run::on_trial();
        let needed = self.config.circuit.probing.needed();
        let (seen, samples) = (f64::from(needed), u64::from(needed));
        let verdict = Verdict::new(Rule::Probe.name(), Action::Closed);
        Decision(verdict.evidence(seen, seen, samples))
    }

    /// Asks to send a request to an endpoint that is out.
    pub(crate) fn probe(
        &mut self,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> (Option<Ticket>, Option<Decision>) {
        let decision = self.heed_signals(slot, now);
        if self.held || self.draining || self.circuit.state().is_closed() {
            return (None, decision);
        }
        let (admission, transition) = self.circuit.admit(now, slot.rng());
        let decision = transition.map(|it| match it.to {
            circuit::State::Closed => self.closed_by_probes(now),
            _ => Decision(Verdict::new("open_time_over", Action::Probing)),
        });
        match admission {
            Admission::Admitted(ticket) => {
                self.leased_until = now.saturating_add(self.config.circuit.probe_deadline);
                (Some(ticket), decision)
            }
            Admission::Rejected(wait) => {
                self.leased_until = now.saturating_add(wait);
                (None, decision)
            }
        }
    }
}
