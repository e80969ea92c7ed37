//! The machine behind the lock: the circuit, the rules over it, and what has been counted.

use std::borrow::Cow;
use std::collections::VecDeque;

use buttress_core::circuit::{Admission, Circuit, Settings, Settled, State, Ticket, Transition};
use buttress_core::clock::Instant;
use buttress_core::events;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use buttress_core::verdict::{Action, Verdict};

use crate::config::Rule;
use crate::gate::Face;
use crate::rules::{Fired, Rules};

/// Calls by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// Ended well and in time.
    pub success: u64,
    /// Failed, in whatever way.
    pub failure: u64,
    /// Ended well, over the slow threshold.
    pub slow: u64,
    /// Say nothing about the upstream.
    pub ignored: u64,
    /// Were left by their caller.
    pub abandoned: u64,
}

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

/// A change that has yet to be told.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) transition: Transition,
    pub(crate) verdict: Verdict,
}

/// The whole state of a breaker, without I/O: `now` and randomness are passed in.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) circuit: Circuit,
    pub(crate) rules: Rules,
    pub(crate) calls: Calls,
    pub(crate) stale: u64,
    pub(crate) verdict: Option<Verdict>,
    successes_to_close: u32,
    until: Instant,
    /// One entry for each pair of states and rule: a closed set.
    transitions: Vec<TransitionCount>,
    /// Changes to be told once the lock is free, oldest first.
    untold: VecDeque<Change>,
}

/// Rules that are not of the configuration's making.
mod rule {
    pub(super) const OPEN_TIME: &str = "open_time";
    pub(super) const PROBE: &str = "probe";
    pub(super) const MANUAL: &str = "manual";
}

impl Machine {
    pub(crate) fn new(settings: Settings, rules: Vec<Rule>, now: Instant) -> Self {
        let successes_to_close = settings.successes_to_close.get();
        Self {
            circuit: Circuit::new(settings, now),
            rules: Rules::new(rules),
            calls: Calls::default(),
            stale: 0,
            verdict: None,
            successes_to_close,
            until: now,
            transitions: Vec::new(),
            untold: VecDeque::new(),
        }
    }

    /// What the gate may show of this.
    #[inline]
    pub(crate) fn face(&self) -> Face {
        let state = self.circuit.state();
        let quiet = match state {
            State::Closed => self.rules.is_indifferent(),
            State::ForcedClosed => true,
            _ => false,
        };
        Face {
            state,
            generation: self.circuit.generation(),
            quiet,
            until: self.until,
        }
    }

    /// Takes in the successes that the gate counted.
    #[inline]
    pub(crate) fn absorb(&mut self, successes: u64) {
        self.calls.success = self.calls.success.saturating_add(successes);
        if self.circuit.state() == State::Closed {
            self.rules.succeeded(successes);
        }
    }

    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        let (admission, transition) = self.circuit.admit(now);
        match transition {
            Some(closed) if closed.to == State::Closed => self.probed(closed),
            Some(probing) => self.changed(probing, Verdict::new(rule::OPEN_TIME, Action::Probing)),
            None => {}
        }
        admission
    }

    pub(crate) fn settle(&mut self, ticket: &Ticket, outcome: Outcome, now: Instant, rng: &Rng) {
        self.calls.count(outcome);
        if self.is_unjudged(ticket) {
            return;
        }
        match self.circuit.settle(ticket, outcome, now, rng) {
            Settled::Counted => {
                if self.rules.record(outcome, now) {
                    self.judge(now, rng);
                }
            }
            Settled::Stale => self.stale = self.stale.saturating_add(1),
            Settled::Probe(Some(transition)) => self.probed(transition),
            Settled::Probe(None) => {}
        }
    }

    /// Whether `ticket` was given while the circuit was held closed, as it still is: its outcome is
    /// neither judged nor late.
    fn is_unjudged(&self, ticket: &Ticket) -> bool {
        self.circuit.state() == State::ForcedClosed
            && ticket.generation() == self.circuit.generation()
    }

    /// Opens the circuit if it is closed and a rule fires.
    fn judge(&mut self, now: Instant, rng: &Rng) {
        let Some(fired) = self.rules.judge(now) else {
            return;
        };
        if let Some(transition) = self.circuit.trip(now, rng, None) {
            self.changed(transition, fired.verdict(&transition));
        }
    }

    fn probed(&mut self, transition: Transition) {
        let needed = self.successes_to_close;
        let verdict = if transition.to == State::Closed {
            let succeeded = f64::from(needed);
            Verdict::new(rule::PROBE, Action::Closed).evidence(succeeded, succeeded, needed.into())
        } else {
            let opened = Action::Opened(transition.open_for.unwrap_or_default());
            Verdict::new(rule::PROBE, opened).evidence(1.0, 1.0, 1)
        };
        self.changed(transition, verdict);
    }

    /// Changes the state by hand; `false` if that changed nothing.
    pub(crate) fn by_hand(
        &mut self,
        change: impl FnOnce(&mut Circuit) -> Option<Transition>,
    ) -> bool {
        let Some(transition) = change(&mut self.circuit) else {
            return false;
        };
        self.changed(transition, Verdict::new(rule::MANUAL, Action::Forced));
        true
    }

    /// Replaces settings and rules, keeps everything else, and judges what is known by the new rules.
    pub(crate) fn reconfigure(
        &mut self,
        settings: Settings,
        rules: Vec<Rule>,
        now: Instant,
        rng: &Rng,
    ) {
        self.successes_to_close = settings.successes_to_close.get();
        self.circuit.reconfigure(settings);
        self.rules.replaced_by(rules);
        if self.circuit.state() == State::Closed {
            self.judge(now, rng);
        }
    }

    pub(crate) fn transitions(&self) -> &[TransitionCount] {
        &self.transitions
    }

    /// Until when an open circuit stays so.
    pub(crate) fn open_until(&self) -> Option<Instant> {
        (self.circuit.state() == State::Open).then_some(self.until)
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

    fn changed(&mut self, transition: Transition, verdict: Verdict) {
        self.until = transition
            .at
            .saturating_add(transition.open_for.unwrap_or_default());
        if transition.to == State::Closed {
            self.rules.clear();
        }
        self.count(&transition, &verdict);
        self.verdict = Some(verdict.clone());
        // Told at once, unless a subscriber's waker hangs: then the oldest give way.
        if self.untold.len() == events::CAPACITY {
            self.untold.pop_front();
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

impl Calls {
    fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &mut self.success,
            Outcome::Failure(_) => &mut self.failure,
            Outcome::Slow => &mut self.slow,
            Outcome::Abandoned => &mut self.abandoned,
            _ => &mut self.ignored,
        };
        *count = count.saturating_add(1);
    }
}

impl Fired {
    fn verdict(self, transition: &Transition) -> Verdict {
        let opened = Action::Opened(transition.open_for.unwrap_or_default());
        let verdict =
            Verdict::new(self.rule, opened).evidence(self.observed, self.threshold, self.samples);
        match self.window {
            Some(window) => verdict.over(window),
            None => verdict,
        }
    }
}
