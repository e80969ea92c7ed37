//! What the rules make of the evidence, and what becomes of that.

use buttress_core::circuit::State;
use buttress_core::clock::Instant;
use buttress_core::rng::Rng;
use buttress_core::verdict::Action;

use super::Machine;
use crate::rules::{Answers, Asking, Fired, Occasion};

impl Machine {
    /// Opens the circuit if it is closed and a rule fires; reports it, once, if it is observed.
    pub(super) fn judge(&mut self, now: Instant, rng: &Rng) {
        self.judge_on(Occasion::Other, now, rng);
    }

    /// [`Machine::judge`] on this occasion.
    pub(super) fn judge_on(&mut self, occasion: Occasion, now: Instant, rng: &Rng) {
        let fired = self.rules.judge(now);
        // Whoever observes wants to hear of every rule that fires.
        let all = self.circuit.state() == State::Observing;
        let ask = all || fired.is_none();
        // What is yet to be asked since a call became slow is asked on the evidence of now.
        let asks = all || self.asking.is_some();
        let occasion = if asks { Occasion::Other } else { occasion };
        let generation = self.circuit.generation();
        let questions = || self.rules.questions((all, occasion), generation, now);
        self.asking = ask.then(questions).flatten();
        if self.asking.is_none() {
            self.fire(fired.as_slice(), now, rng);
        }
    }

    /// What the user's own rules have to be asked, to be answered by [`Machine::answer`].
    #[inline]
    pub(crate) fn take_questions(&mut self) -> Option<Asking> {
        self.asking.take()
    }

    /// Takes the answers of the user's own rules at `now`, if nothing has changed since they were asked.
    pub(crate) fn answer(&mut self, asked: &Asking, answers: &Answers, now: Instant, rng: &Rng) {
        self.rule_panics = self.rule_panics.saturating_add(answers.panics);
        let same_rules = self.rules.are_those(asked);
        if same_rules && asked.generation == self.circuit.generation() {
            self.fire(&answers.fired, now, rng);
        }
    }

    fn fire(&mut self, fired: &[Fired], now: Instant, rng: &Rng) {
        if self.circuit.state() == State::Observing {
            return self.report(fired, now);
        }
        let Some(fired) = fired.first() else { return };
        if let Some(transition) = self.circuit.trip(now, rng, self.asked(now)) {
            let opened = Action::Opened(transition.open_for.unwrap_or_default());
            self.record(transition, fired.verdict(opened));
        }
    }

    /// Tells of each rule that fires and did not when last looked at; `own` are the user's that do.
    fn report(&mut self, own: &[Fired], now: Instant) {
        let firing: Vec<_> = self.rules.firing(now).chain(own.iter().copied()).collect();
        let before = std::mem::take(&mut self.reported);
        for fired in firing {
            let known = self.reported.contains(&fired.place);
            if !known {
                self.reported.push(fired.place);
            }
            if !known && !before.contains(&fired.place) {
                let verdict = fired.verdict(Action::Suppressed("observing".into()));
                self.verdict = Some(verdict.clone());
                self.tell(None, verdict);
            }
        }
    }
}
