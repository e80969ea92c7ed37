//! An endpoint that has come back, or is new among others, is given its traffic step by step.

use std::time::Duration;

use buttress_core::circuit::Step;
use buttress_core::clock::Instant;

use super::State;
use crate::load::NO_RELIEF;
use crate::snapshot::EndpointState;

/// After so many times its length a step ends with a single answer that is no failure and no limit's: who is seldom
/// asked is not held up, nor is whoever is asked for nothing that says whether it is well.
const LONG: u32 = 10;

/// How far an endpoint has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rising {
    step: usize,
    since: Instant,
    successes: u32,
    /// Whether there was any answer but failures and those of a limit.
    answered: bool,
}

impl Rising {
    const fn new(step: usize, since: Instant) -> Self {
        Self {
            step,
            since,
            successes: 0,
            answered: false,
        }
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
    /// From now on the endpoint's traffic rises, if the pool has a ramp.
    pub(crate) fn rise(&mut self, now: Instant) {
        self.rising = self.ramp_step(0).map(|_| Rising::new(0, now));
    }

    pub(crate) const fn is_rising(&self) -> bool {
        self.rising.is_some()
    }

    /// Whether it is given less for what it says of its load.
    pub(crate) fn is_relieved(&self) -> bool {
        self.relief < NO_RELIEF
    }

    /// The share of its requests that the endpoint is given: 1 where it neither rises nor is relieved, or is out.
    pub(crate) fn given(&self) -> f64 {
        if self.endpoint_state() != EndpointState::Active {
            return 1.0;
        }
        self.ramp_share() * self.relief
    }

    /// The share of its requests that it is ready to bear: 1 where it does not rise.
    pub(crate) fn ramp_share(&self) -> f64 {
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

    /// An answer said nothing of how well the endpoint is.
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
            Some(_) if self.ramp_step(next).is_some() => self.rising = Some(Rising::new(next, now)),
            _ => self.rising = None,
        }
    }

    fn ramp_step(&self, step: usize) -> Option<&Step> {
        self.config.circuit.ramp.as_ref()?.steps.get(step)
    }
}
