//! What operators do to an endpoint, and the budget that takes some of it back.

use buttress_core::clock::Instant;
use buttress_core::verdict::{Action, Verdict};

use super::{Decision, State};
use crate::budget::{Fault, PRESSED};
use crate::snapshot::EndpointState;
use crate::tally::Rule;

impl State {
    /// Throws the endpoint out until [`State::restore`].
    pub(crate) fn force_out(&mut self, now: Instant) -> Option<Decision> {
        self.circuit.force_open(now)?;
        self.tally.ejected(Rule::ByHand);
        Some(by_hand(Action::Forced))
    }

    /// Takes the endpoint out for good, until [`State::restore`].
    pub(crate) fn drain(&mut self) -> Option<Decision> {
        let news = !std::mem::replace(&mut self.draining, true);
        news.then(|| by_hand(Action::Forced))
    }

    /// The endpoint is of weight 0, or is so no more.
    pub(crate) fn set_weightless(&mut self, weightless: bool, now: Instant) -> Decision {
        self.weightless = weightless;
        if !weightless && self.endpoint_state() == EndpointState::Active {
            self.start_afresh(now);
            self.rise(now);
        }
        Decision(Verdict::new("weight", Action::Forced))
    }

    /// Lets the endpoint back, whatever keeps it out.
    pub(crate) fn restore(&mut self, now: Instant) -> Option<Decision> {
        self.let_back(now).then(|| by_hand(Action::Forced))
    }

    /// Lets the endpoint back because the pool cannot do without it any more.
    ///
    /// Step by step, unless it fails at once and the others have more than they can do: who fails all never ends a step, and what
    /// it is not given would be theirs for ever. Who is late takes long of what it is given.
    pub(crate) fn yield_to_budget(&mut self, slowdown: f64, now: Instant) -> Option<Decision> {
        let limit = self.config.max_ejected;
        let verdict = Verdict::new("max_ejected", Action::Closed).evidence(1.0, limit, 0);
        let was_out = self.let_back(now);
        if slowdown > PRESSED && !matches!(self.fault, Fault::Late) {
            self.rising = None;
        }
        was_out.then_some(Decision(verdict))
    }

    /// Lets the endpoint back, a suspect, because another that fails this share needs its place among those that are out more.
    pub(crate) fn yield_to_worse(&mut self, worse: f64, now: Instant) -> Option<Decision> {
        let is_out = matches!(
            self.endpoint_state(),
            EndpointState::Ejected | EndpointState::Probing
        );
        let verdict = Verdict::new("worst_first", Action::Closed);
        let verdict = verdict.evidence(self.fault.share(), worse, 1);
        is_out.then(|| {
            self.let_back(now);
            self.spared = true;
            self.is_held_back("max_ejected");
            Decision(verdict)
        })
    }

    /// Lets the endpoint back because so many others, whose answers take so many times what they do at ease, cannot bear its share.
    pub(crate) fn help_its_peers(
        &mut self,
        slowdown: f64,
        others: u64,
        now: Instant,
    ) -> Option<Decision> {
        let fault = self.out_for()?;
        let Fault::Failing(share) = fault else {
            return None;
        };
        let verdict = Verdict::new("capacity", Action::Closed);
        let verdict = verdict.evidence(slowdown, fault.bearable(), others);
        self.let_back(now);
        // They have more than they can do as it is.
        self.rising = None;
        self.needed.begins(share, now);
        Some(Decision(verdict))
    }

    fn let_back(&mut self, now: Instant) -> bool {
        let was_out = self.endpoint_state() != EndpointState::Active;
        let was_shunned = was_out || self.is_suspect();
        self.circuit.release(now);
        (self.held, self.draining, self.spared) = (false, false, false);
        if was_shunned {
            self.start_afresh(now);
        }
        if was_out {
            self.come_back(now);
        }
        was_out
    }
}

fn by_hand(action: Action) -> Decision {
    Decision(Verdict::new(Rule::ByHand.name(), action))
}
