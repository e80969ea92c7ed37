//! An endpoint that has come back, or is new among others, is given its traffic step by step. What that leaves its peers
//! bear; another level does in place of whoever was out, and not for longer than ten times the steps.

use std::time::Duration;

use buttress_core::circuit::Step;
use buttress_core::clock::Instant;

use super::State;
use crate::load::NO_RELIEF;
use crate::snapshot::EndpointState;

/// After so many times its length a step ends with a single answer that is no failure and no limit's: who is seldom
/// asked is not held up, nor is whoever is asked for nothing that says whether it is well.
const LONG: u32 = 10;

/// A way back, as levels see it.
#[derive(Clone, Copy, Debug)]
struct Back {
    since: Instant,
    /// The step that it has come to. Whoever has to begin anew goes on to count for it.
    reached: usize,
}

/// How far an endpoint has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rising {
    step: usize,
    since: Instant,
    successes: u32,
    /// Whether there was any answer but failures and those of a limit.
    answered: bool,
    /// Of whoever was out.
    back: Option<Back>,
}

impl Back {
    /// The share that it is ready to bear, and when that ends without any answer, if it does.
    fn ready(self, steps: &[Step], now: Instant) -> (f64, Instant) {
        let mut until = self.since;
        for (index, step) in steps.iter().enumerate() {
            until = until.saturating_add(long(step.lasts));
            if index >= self.reached && now < until {
                return (step.share, until);
            }
        }
        (1.0, Instant::NEVER)
    }
}

impl Rising {
    const fn new(step: usize, since: Instant, back: Option<Back>) -> Self {
        Self {
            step,
            since,
            successes: 0,
            answered: false,
            back,
        }
    }

    fn goes_on(self, now: Instant) -> Self {
        let step = self.step + 1;
        let reached = |back: Back| Back {
            reached: back.reached.max(step),
            ..back
        };
        Self::new(step, now, self.back.map(reached))
    }

    fn is_over(&self, step: &Step, now: Instant) -> bool {
        let lasted = now.saturating_since(self.since);
        let enough = self.successes >= step.successes;
        let long = self.answered && lasted >= long(step.lasts);
        lasted >= step.lasts && (enough || long)
    }
}

fn long(lasts: Duration) -> Duration {
    lasts.saturating_mul(LONG)
}

impl State {
    /// From now on the endpoint's traffic rises, if the pool has a ramp. It was not out, or still is on its way back.
    pub(crate) fn rise(&mut self, now: Instant) {
        self.rise_as(self.rising.and_then(|rising| rising.back), now);
    }

    /// The same of whoever was out until now.
    pub(crate) fn come_back(&mut self, now: Instant) {
        let (since, reached) = (now, 0);
        self.rise_as(Some(Back { since, reached }), now);
    }

    fn rise_as(&mut self, back: Option<Back>, now: Instant) {
        self.rising = self.ramp_step(0).map(|_| Rising::new(0, now, back));
    }

    pub(crate) const fn is_rising(&self) -> bool {
        self.rising.is_some()
    }

    /// Whether it is given less for what it says of its load.
    pub(crate) fn is_relieved(&self) -> bool {
        self.relief < NO_RELIEF
    }

    /// Whether it takes traffic, and is given less than its share of it.
    pub(crate) fn is_given_a_part(&self) -> bool {
        self.is_rising() || self.is_relieved() || self.is_given_less()
    }

    /// The share of its requests that the endpoint is given: 1 where it neither rises nor is relieved, is no suspect, or is out.
    pub(crate) fn given(&self) -> f64 {
        if self.endpoint_state() != EndpointState::Active {
            return 1.0;
        }
        self.ramp_share() * self.relief * self.as_suspect
    }

    /// The share that it counts for on its level, and until when at most. Less than 1 only of whoever was out: to who is
    /// new, or was in and shunned, a level leaves all that its peers would have borne.
    pub(crate) fn ready(&self, now: Instant) -> (f64, Instant) {
        let ramp = self.config.circuit.ramp.as_ref();
        let back = self.rising.and_then(|rising| rising.back);
        let whole = (1.0, Instant::NEVER);
        (ramp.zip(back)).map_or(whole, |(ramp, back)| back.ready(&ramp.steps, now))
    }

    /// The share of its requests that the ramp gives it: 1 where it does not rise.
    fn ramp_share(&self) -> f64 {
        let step = self.rising.and_then(|rising| self.ramp_step(rising.step));
        step.map_or(1.0, |step| step.share)
    }

    /// An answer was good.
    pub(super) const fn succeeded_rising(&mut self) {
        if let Some(rising) = &mut self.rising {
            rising.successes = rising.successes.saturating_add(1);
            rising.answered = true;
        }
    }

    /// An answer said nothing of how well the endpoint is, or nobody waited for its end.
    pub(super) const fn answered_rising(&mut self) {
        if let Some(rising) = &mut self.rising {
            rising.answered = true;
        }
    }

    /// Goes on to the next step, if this one is over.
    pub(crate) fn rise_on(&mut self, now: Instant) {
        let Some(rising) = self.rising else { return };
        let next = rising.step + 1;
        match self.ramp_step(rising.step) {
            Some(step) if !rising.is_over(step, now) => {}
            Some(_) if self.ramp_step(next).is_some() => self.rising = Some(rising.goes_on(now)),
            _ => self.rising = None,
        }
    }

    fn ramp_step(&self, step: usize) -> Option<&Step> {
        self.config.circuit.ramp.as_ref()?.steps.get(step)
    }
}
