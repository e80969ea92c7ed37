//! What a call that has ended changes: the evidence, the circuit, and what the rules make of it.

use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::Settled;
use buttress_core::clock::Instant;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;
use buttress_core::verdict::{Action, Verdict};

use super::pause::Pause;
use super::run::Run;
use super::suspect::STILL_ANSWERS;
use super::{Call, Decision, State, acting};
use crate::budget::PRESSED;
use crate::hedge::PATIENCE;
use crate::slot::Slot;
use crate::tally::{ProbeResult, Rule};

impl State {
    /// A call has ended.
    pub(crate) fn settle(
        &mut self,
        call: &Call<'_>,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Option<Decision> {
        self.learn(call, slot, now);
        if call.copy && !call.ticket.is_probe() {
            self.looked(call, now, slot.peers());
        }
        let decision = self.judge(call, slot, now);
        // A busy endpoint is never idle enough to be refreshed.
        if decision.is_none() && self.is_spoken_of() && now >= self.ask_at {
            return self.heed_signals(slot, now);
        }
        decision
    }

    fn judge(&mut self, call: &Call<'_>, slot: &Arc<Slot>, now: Instant) -> Option<Decision> {
        let outcome = self.as_a_probe_counts(call, slot.peers(), now);
        match self
            .circuit
            .settle(call.ticket, outcome, call.retry_after, now, slot.rng())
        {
            Settled::Counted => self.count(call, slot, now),
            Settled::Stale => {
                if call.ticket.is_probe() {
                    self.tally.probed(ProbeResult::Expired);
                }
                None
            }
            Settled::Probe(transition) => {
                self.pause_after(call, now, slot.rng());
                self.probed(outcome, transition, now)
            }
            // There is no ramp.
            Settled::Ramp(_) => None,
        }
    }

    /// How soon the next probe may follow one that ended so.
    fn pause_after(&mut self, call: &Call<'_>, now: Instant, rng: &Rng) {
        if call.outcome == Outcome::Ignored {
            let longest = self.config.circuit.open_for.cap();
            self.pause.begins(call.retry_after, longest, now, rng);
        } else if call.cost_a_user() {
            self.pause = Pause::until_then(now.saturating_add(PATIENCE));
        } else if call.outcome != Outcome::Abandoned {
            self.pause = Pause::over();
        }
    }

    fn learn(&mut self, call: &Call<'_>, slot: &Arc<Slot>, now: Instant) {
        self.tally.outcome(call.outcome);
        match call.outcome {
            Outcome::Success | Outcome::Slow => {
                let latency = call.latency.unwrap_or(call.took);
                let copied = call.copy && !call.ticket.is_probe();
                self.relapse.good();
                if copied || self.is_in_doubt(slot.peers(), now) {
                    self.evidence.success_of_copy(latency, now);
                } else {
                    self.evidence.success(latency, now);
                }
            }
            Outcome::Failure(kind) => {
                self.evidence.failure(now);
                if slot.peers().are_looked_at() {
                    self.evidence.doubt_beyond_chance(&slot.peers().pool());
                } else {
                    self.evidence.doubt_no_more();
                }
                self.relapse.failed(self.config.circuit.probing.needed());
                // Whoever waited until a deadline has seen how slow it is at least.
                if kind == FailureKind::Deadline && call.called {
                    self.evidence.waited(call.took, now, slot.peers().latency());
                }
            }
            Outcome::Ignored if call.limited => self.evidence.limited(now),
            Outcome::Abandoned => {
                if let Some(wait) = call.waited_in_vain() {
                    self.evidence.waited(wait, now, slot.peers().latency());
                    if !call.copy && self.evidence.is_long(wait) {
                        self.recent.left_in_vain();
                    }
                }
            }
            _ => {}
        }
    }

    /// Shows an outcome of the present generation to the rules.
    fn count(&mut self, call: &Call<'_>, slot: &Arc<Slot>, now: Instant) -> Option<Decision> {
        let weight = match call.outcome {
            Outcome::Success | Outcome::Slow => None,
            Outcome::Failure(kind) => match self.config.rules.weights.of(kind) {
                // No rule sees it.
                0 => return None,
                weight => Some(weight),
            },
            Outcome::Ignored if !call.limited => {
                self.answered_rising();
                return None;
            }
            // Of a stream without an end the head is all the answer there is.
            Outcome::Abandoned if call.was_left_answered() => {
                self.answered_rising();
                return None;
            }
            Outcome::Abandoned => return self.left(call, slot, now),
            _ => return None,
        };
        let failed = weight.is_some();
        self.recent.record(failed);
        if let Outcome::Failure(kind) = call.outcome {
            let late = matches!(kind, FailureKind::Deadline | FailureKind::Overloaded);
            self.recent.came_late(late);
        }
        if let Some(weight) = weight {
            self.run.goes_on(weight);
        } else {
            self.spared = self.spared && !self.is_cleared(slot.peers());
            self.succeeded_rising();
            self.run = Run::default();
        }
        // Not becoming ready while others are answered is saturation. Only where nothing is
        // answered in between does it say that the endpoint is bad.
        let saturated = !call.called && call.outcome == Outcome::Failure(FailureKind::Deadline);
        if let Some(window) = self.windows.failures_mut().filter(|_| !saturated) {
            window.record(now, failed);
        }
        if !failed {
            return self.took(call.latency.unwrap_or(call.took), slot, now);
        }
        match self.fired(slot.peers(), now) {
            Some((rule, evidence)) => Some(self.eject(rule, evidence, call.retry_after, slot, now)),
            None => self.spare_for_its_peers(slot.peers()),
        }
    }

    pub(super) fn eject(
        &mut self,
        rule: Rule,
        evidence: Verdict,
        at_least: Option<Duration>,
        slot: &Arc<Slot>,
        now: Instant,
    ) -> Decision {
        // Either way the rules look at what comes from here on.
        self.forget_rules();
        let fault = self.fault_by(rule, now);
        let is_slow = rule == Rule::Slow;
        let is_needed = is_slow && slot.peers().slowdown() > PRESSED;
        let ejected = if is_needed || self.needed.keeps(fault, now) {
            Err("capacity")
        } else if is_slow && !self.answers_nobody() {
            // It is given as much as it answers in the time of its peers: without it these would have to bear all of its share.
            Err(STILL_ANSWERS)
        } else {
            let late_are_shunned = self.config.policy.shuns_the_late();
            slot.ledger().eject(slot, Some(fault), late_are_shunned)
        };
        self.spared = ejected.is_err();
        self.for_slowness = rule == Rule::Slow;
        if let Err(why) = ejected {
            self.is_held_back(why);
            return self.suppressed(evidence, why);
        }
        self.fault = fault;
        self.needed.goes_out(now);
        let transition = self.circuit.trip(now, slot.rng(), at_least);
        let open_for = self.opened(rule, transition, now);
        Decision(acting(evidence, Action::Opened(open_for)))
    }

    pub(super) fn suppressed(&mut self, evidence: Verdict, why: &'static str) -> Decision {
        self.tally.suppressed(why);
        Decision(acting(evidence, Action::Suppressed(why.into())))
    }
}
