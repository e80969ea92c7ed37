//! Changes of state: counted, and kept until they can be told.

use std::borrow::Cow;
use std::collections::VecDeque;

use buttress_core::circuit::{State, Transition};
use buttress_core::clock::Instant;
use buttress_core::events;
use buttress_core::verdict::Verdict;

use super::Machine;
use super::verdict::verdict;

/// How often one state was left for another, by one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransitionCount {
    /// The state that was left.
    pub from: State,
    /// The state that was entered.
    pub to: State,
    /// The rule that decided: that of [`Verdict::rule`].
    pub rule: Cow<'static, str>,
    /// How often.
    pub count: u64,
}

/// A change that has yet to be told, or what would have been one.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) transition: Option<Transition>,
    pub(crate) verdict: Verdict,
}

impl Machine {
    pub(crate) fn transitions(&self) -> &[TransitionCount] {
        &self.transitions
    }

    pub(crate) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    pub(crate) fn next_untold(&mut self) -> Option<Change> {
        let next = self.untold.pop_front();
        if next.is_none() {
            // Transitions are rare: their room is not kept for the next one.
            self.untold = VecDeque::new();
        }
        next
    }

    /// A change that the circuit itself gives the reason of.
    pub(super) fn changed(&mut self, transition: Transition) {
        self.record(transition, verdict(&transition));
    }

    pub(super) fn record(&mut self, transition: Transition, verdict: Verdict) {
        self.until = transition
            .at
            .saturating_add(transition.open_for.unwrap_or_default());
        if matches!(transition.to, State::Closed | State::Observing) {
            self.rules.clear(transition.at);
        }
        // Whoever comes next looks: no bucket is kept yet for calls of this generation.
        self.settled_until = self.settled_until.min(self.seen);
        self.reported.clear();
        self.asked_until = Instant::ORIGIN;
        self.count(&transition, &verdict);
        if transition.to == State::Open {
            self.opened_by = Some(Box::new(verdict.clone()));
        }
        self.verdict = Some(verdict.clone());
        self.tell(Some(transition), verdict);
    }

    pub(super) fn tell(&mut self, transition: Option<Transition>, verdict: Verdict) {
        // Told at once, unless a subscriber's waker hangs: then the oldest give way.
        if self.untold.len() == events::CAPACITY {
            self.untold.pop_front();
            self.events_dropped = self.events_dropped.saturating_add(1);
        }
        self.untold.push_back(Change {
            transition,
            verdict,
        });
    }

    fn count(&mut self, transition: &Transition, verdict: &Verdict) {
        let (from, to, rule) = (transition.from, transition.to, &verdict.rule);
        let known = self
            .transitions
            .iter_mut()
            .find(|known| known.from == from && known.to == to && known.rule == *rule);
        match known {
            Some(known) => known.count = known.count.saturating_add(1),
            None => self.transitions.push(TransitionCount {
                from,
                to,
                rule: rule.clone(),
                count: 1,
            }),
        }
    }
}
