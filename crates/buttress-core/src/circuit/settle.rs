//! How admitted calls end, and where that leads.

use std::time::Duration;

use super::progress::Course;
use super::{Cause, Circuit, Phase, Settled, Ticket, Transition};
use crate::clock::Instant;
use crate::outcome::Outcome;
use crate::rng::Rng;

impl Circuit {
    /// The answer to an admitted call has begun, and well; all that is open is its end. A probe whose
    /// lease runs out after that has succeeded, since some answers have no end.
    pub fn answered(&mut self, ticket: &Ticket, now: Instant) {
        if ticket.generation == self.generation
            && let (Phase::HalfOpen { probes, .. }, Some(lease)) = (&mut self.phase, ticket.lease())
        {
            probes.answered(lease, now);
        }
    }

    /// The outcome of an admitted call. `asked` is for how long the upstream asked to be left alone
    /// (`Retry-After`), honoured if this outcome opens the circuit, as by [`Circuit::trip`].
    pub fn settle(
        &mut self,
        ticket: &Ticket,
        outcome: Outcome,
        asked: Option<Duration>,
        now: Instant,
        rng: &Rng,
    ) -> Settled {
        if ticket.generation != self.generation {
            return Settled::Stale;
        }
        match (&mut self.phase, ticket.lease()) {
            (Phase::Closed { good }, None) => {
                *good = good.saturating_add(u64::from(outcome == Outcome::Success));
                Settled::Counted
            }
            (Phase::Observing, None) => Settled::Counted,
            (Phase::HalfOpen { probes, .. }, Some(lease)) => {
                match probes.give_back(lease, outcome, now) {
                    Some(outcome) => Settled::Probe(self.judge_probe(outcome, asked, now, rng)),
                    None => Settled::Stale,
                }
            }
            (Phase::Ramping(progress), None) => {
                let ramp = self.settings.ramp.as_ref();
                let course = ramp.map_or(Course::On, |ramp| progress.settle(ramp, outcome, now));
                Settled::Ramp(self.follow(course, asked, now, rng))
            }
            _ => Settled::Stale,
        }
    }

    /// So many calls of a closed circuit have ended well that were not settled one by one.
    pub fn succeeded(&mut self, n: u64) {
        if let Phase::Closed { good } = &mut self.phase {
            *good = good.saturating_add(n);
        }
    }

    fn judge_probe(
        &mut self,
        outcome: Outcome,
        asked: Option<Duration>,
        now: Instant,
        rng: &Rng,
    ) -> Option<Transition> {
        let Phase::HalfOpen { probes, .. } = &mut self.phase else {
            return None;
        };
        probes.count(outcome);
        let cause = Cause::Probes(probes.evidence(&self.settings));
        if probes.condemn(&self.settings) {
            return Some(self.open(now, rng, asked, cause));
        }
        probes
            .suffice(&self.settings)
            .then(|| self.recover(now, cause))
    }

    /// Takes the ramp where its course leads.
    pub(super) fn follow(
        &mut self,
        course: Course,
        asked: Option<Duration>,
        now: Instant,
        rng: &Rng,
    ) -> Option<Transition> {
        match course {
            Course::On => None,
            Course::Over(evidence) => {
                self.attempt = 0;
                Some(self.close(now, Cause::Ramp(evidence)))
            }
            Course::Trouble(evidence) => Some(self.open(now, rng, asked, Cause::Ramp(evidence))),
        }
    }
}
