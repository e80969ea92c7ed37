//! The machine behind the lock: the circuit, the rules over it, and what has been counted.

mod calls;
mod changes;
mod judging;
mod time;
mod verdict;

pub use calls::Calls;
pub use changes::TransitionCount;

pub(crate) use changes::Change;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{
    Admission, Circuit, IllegalTransition, Saved, Settings, Settled, State, Ticket, Transition,
};
use buttress_core::clock::Instant;
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use buttress_core::verdict::{By, Verdict};

use self::verdict::verdict;
use crate::gate::Face;
use crate::inflight::{InFlight, overdue_before};
use crate::rules::{Asking, Occasion, Replaced, Rule, Rules, Sample};

/// The whole state of a breaker, without I/O: `now` and randomness are passed in.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) circuit: Circuit,
    pub(crate) rules: Rules,
    pub(crate) calls: Calls,
    pub(crate) stale: u64,
    pub(crate) verdict: Option<Verdict>,
    /// Why the circuit opened last. Most breakers never do, and are kept small.
    pub(crate) opened_by: Option<Box<Verdict>>,
    /// The places of the rules whose firing was reported while observing, as long as it goes on.
    reported: Vec<usize>,
    until: Instant,
    /// The last look at what time does: successes that the gate counts belong to its buckets.
    looked_at: Instant,
    /// How many looks there have been.
    looks: u32,
    /// From when on calls in flight may be counted at the gate.
    settled_from: Instant,
    /// Until when those buckets last, and the ones that such calls begin in, and no call in flight becomes
    /// slow.
    settled_until: Instant,
    /// The last moment at which anything happened.
    seen: Instant,
    /// The threshold of the outcome `Slow`.
    slow_after: Option<Duration>,
    /// Calls in flight are watched as those of a ramp.
    watches_ramp: bool,
    /// Until when the upstream asked to be left alone, in this generation.
    asked_until: Instant,
    /// What the user's own rules have to be asked once the lock is free.
    asking: Option<Asking>,
    /// How often one of them has panicked.
    pub(crate) rule_panics: u64,
    /// One entry for each pair of states and rule: a closed set.
    transitions: Vec<TransitionCount>,
    /// Changes to be told once the lock is free, oldest first.
    untold: VecDeque<Change>,
    /// How many of them gave way before they were told.
    pub(crate) events_dropped: u64,
}

impl Machine {
    pub(crate) fn new(
        circuit: Circuit,
        rules: Vec<Rule>,
        slow_after: Option<Duration>,
        now: Instant,
    ) -> Self {
        let remaining = circuit.remaining(now);
        Self {
            circuit,
            rules: Rules::new(rules),
            calls: Calls::default(),
            stale: 0,
            verdict: None,
            opened_by: None,
            reported: Vec::new(),
            until: now.saturating_add(remaining),
            looked_at: now,
            looks: 0,
            settled_from: now,
            // Whoever comes first looks.
            settled_until: now,
            seen: now,
            slow_after,
            watches_ramp: false,
            asked_until: Instant::ORIGIN,
            asking: None,
            rule_panics: 0,
            transitions: Vec::new(),
            untold: VecDeque::new(),
            events_dropped: 0,
        }
    }

    /// What the gate may show of this.
    #[inline]
    pub(crate) fn face(&self) -> Face {
        let state = self.circuit.state();
        let quiet = match state {
            State::Closed => self.rules.is_indifferent(self.looked_at),
            // What was reported is over as soon as its evidence is.
            State::Observing => {
                self.reported.is_empty() && self.rules.is_indifferent(self.looked_at)
            }
            State::ForcedClosed => true,
            _ => false,
        };
        Face {
            state,
            generation: self.circuit.generation(),
            quiet,
            until: self.until,
            turn: self.turn(),
            settled_from: self.settled_from,
            settled_until: self.settled_until,
            brisk: self.brisk(),
        }
    }

    /// No two turns in a row are the same: neither of what it is the sum of ever goes back.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "four thousand million turns on, it may be the same"
    )]
    fn turn(&self) -> u32 {
        self.looks.wrapping_add(self.circuit.generation() as u32)
    }

    /// What takes longer is slow to somebody.
    fn brisk(&self) -> Duration {
        let shortest = self.rules.thresholds().first().copied();
        let slow_after = self.slow_after.unwrap_or(Duration::MAX);
        shortest.unwrap_or(Duration::MAX).min(slow_after)
    }

    /// Takes in the successes that the gate counted.
    #[inline]
    pub(crate) fn absorb(&mut self, successes: u64) {
        self.calls.success = self.calls.success.saturating_add(successes);
        if self.is_judged() {
            self.rules.succeeded(successes, self.looked_at);
            self.circuit.succeeded(successes);
        }
    }

    pub(crate) fn admit(&mut self, now: Instant, rng: &Rng) -> Admission {
        if let Some(expired) = self.circuit.expire(now) {
            self.changed(expired);
        }
        let (admission, transition) = self.circuit.admit(now, rng);
        if let Some(transition) = transition {
            self.changed(transition);
        }
        admission
    }

    /// The end of an admitted call, at `now`.
    pub(crate) fn settle(&mut self, ticket: &Ticket, sample: &Sample, now: Instant, rng: &Rng) {
        let outcome = self.outcome(sample);
        self.calls.count(outcome);
        if self.is_unjudged(ticket) {
            return;
        }
        if ticket.generation() == self.circuit.generation() {
            self.asked_until = self.asked_until.max(now.saturating_add(sample.asked));
        }
        let (heard, asked) = (self.heard(sample, outcome), self.asked(now));
        match self.circuit.settle(ticket, heard, asked, now, rng) {
            Settled::Counted => {
                if self.rules.record(sample, now) {
                    let well = outcome == Outcome::Success && sample.overdue == 0;
                    let occasion = if well {
                        Occasion::Success
                    } else {
                        Occasion::Other
                    };
                    self.judge_on(occasion, now, rng);
                }
            }
            Settled::Stale => self.stale = self.stale.saturating_add(1),
            Settled::Probe(Some(transition)) | Settled::Ramp(Some(transition)) => {
                self.changed(transition);
            }
            Settled::Probe(None) | Settled::Ramp(None) => {}
        }
    }

    /// For how long the upstream still asks to be left alone.
    fn asked(&self, now: Instant) -> Option<Duration> {
        let left = self.asked_until.saturating_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// What a call counts as: a success that took too long is slow.
    fn outcome(&self, sample: &Sample) -> Outcome {
        match sample.outcome {
            Outcome::Success if self.is_slow(sample) => Outcome::Slow,
            outcome => outcome,
        }
    }

    fn is_slow(&self, sample: &Sample) -> bool {
        self.slow_after.is_some_and(|after| sample.age > after)
    }

    /// What the circuit hears of a call that counts as `outcome`: nothing more of one of the ramp that
    /// counted when it became slow, and that one was slow whose caller left after too long.
    fn heard(&self, sample: &Sample, outcome: Outcome) -> Outcome {
        match outcome {
            _ if self.watches_ramp && sample.overdue != 0 => Outcome::Ignored,
            Outcome::Abandoned if self.is_slow(sample) => Outcome::Slow,
            outcome => outcome,
        }
    }

    /// Whether calls are evidence for the rules.
    fn is_judged(&self) -> bool {
        matches!(self.circuit.state(), State::Closed | State::Observing)
    }

    /// Whether `ticket` was given while the circuit was held closed, as it still is: its outcome is
    /// neither judged nor late.
    fn is_unjudged(&self, ticket: &Ticket) -> bool {
        self.circuit.state() == State::ForcedClosed
            && ticket.generation() == self.circuit.generation()
    }

    /// Sets the state by hand, which `by` does if they say so; whether that changed anything.
    pub(crate) fn by_hand(
        &mut self,
        to: State,
        now: Instant,
        rng: &Rng,
        by: Option<&Arc<By>>,
    ) -> Result<Option<Transition>, IllegalTransition> {
        let transition = self.circuit.transition_to(to, now, rng)?;
        if let Some(transition) = transition {
            self.record(transition, verdict(&transition).by(by.cloned()));
        }
        Ok(transition)
    }

    /// Takes over what a process before this one saved `passed` ago; whether that changed the state.
    pub(crate) fn restore(&mut self, saved: &Saved, passed: Duration, now: Instant) -> bool {
        let restored = self.circuit.restore(saved, passed, now);
        if let Some(restored) = restored {
            self.changed(restored);
        }
        restored.is_some()
    }

    /// Replaces settings and rules, keeps everything else, and judges what is known by the new rules.
    /// The replaced ones may be the user's: not to be dropped under a lock.
    pub(crate) fn reconfigure(
        &mut self,
        settings: Settings,
        rules: Vec<Rule>,
        slow_after: Option<Duration>,
        now: Instant,
        in_flight: &InFlight,
        rng: &Rng,
    ) -> Replaced {
        self.circuit.reconfigure(settings);
        let before = self.watched().to_vec();
        self.slow_after = slow_after;
        let replaced = self.rules.replaced_by(rules, now);
        self.reported.clear();
        // Calls in flight are known by the places of thresholds, which mean something else now.
        if *self.watched() != before || self.rules.move_thresholds() {
            let shortest = before.first().copied();
            let counted = shortest.map(|shortest| overdue_before(shortest, now));
            in_flight.set(self.watched(), counted.unwrap_or(Instant::ORIGIN));
        }
        self.pass_time(now, in_flight, rng);
        if self.is_judged() {
            self.judge(now, rng);
        }
        replaced
    }

    /// Until when an open circuit stays so.
    pub(crate) fn open_until(&self) -> Option<Instant> {
        (self.circuit.state() == State::Open).then_some(self.until)
    }
}

#[cfg(test)]
mod tests;
